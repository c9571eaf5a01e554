"""Two predictions of the same rows: figures of each and of the difference, on the same resamples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.errors import ConfigError
from mainline.policy import GatePolicy
from mainline.records import Figure
from mainline.review import SliceChange
from mainline.schema import FeatureTable, Task
from pipeline.evaluation import bootstrap, figures
from pipeline.evaluation.slices import MISSING
from pipeline.params import Evaluate
from pipeline.targets import targets

Array = NDArray[np.float64]

# Shown beside what the policy names.
SHOWN: dict[Task, tuple[str, ...]] = {
    "binary": ("log_loss", "roc_auc", "pr_auc", "brier", "skill", "ece", "gap"),
    "multiclass": ("log_loss", "accuracy", "macro_f1", "macro_auc", "brier", "skill", "ece"),
    "regression": ("rmse", "mae", "median_ae", "bias", "r2"),
}
UNDEFINED = Figure(value=None, low=None, high=None)


@dataclass(frozen=True, slots=True)
class Prediction:
    """`said`: as `figures.compute` takes it; `threshold`: the model's own, for figures of decisions."""

    said: Array
    threshold: float | None


@dataclass(frozen=True)
class Pairing:
    """The test rows with what both models are measured by."""

    table: FeatureTable
    frame: pl.DataFrame
    policy: GatePolicy
    settings: Evaluate
    rows: figures.Rows
    weights: Array

    @classmethod
    def of(cls, table: FeatureTable, frame: pl.DataFrame, policy: GatePolicy, settings: Evaluate) -> Pairing:
        block, blocks = bootstrap.block_codes(frame[table.block.name])
        rows = figures.Rows(table.task, targets(frame, table), block, None, settings.calibration_bins)
        return cls(table, frame, policy, settings, rows, bootstrap.draw(blocks, policy.resamples))

    def draws(self, prediction: Prediction) -> figures.Draws:
        """Every shown figure [1 + resamples]. Raises ConfigError for a name that is no figure of the task."""
        names = list(dict.fromkeys((*SHOWN[self.table.task], *self.policy.names)))
        rows = replace(self.rows, decision=self._decision(prediction.threshold))
        found = figures.compute(rows, prediction.said, self.weights)
        unknown = [name for name in names if name not in found]
        if unknown:
            raise ConfigError(
                f"gate: {', '.join(unknown)} is no figure of this {self.table.task} model",
                remedy=f"choose of {', '.join(found)}",
            )
        return {name: found[name] for name in names}

    def _decision(self, threshold: float | None) -> figures.Decision | None:
        costs = self.settings.costs
        if threshold is None or costs is None or self.table.task != "binary":
            return None
        return figures.Decision(threshold, costs.false_positive, costs.false_negative)

    def told(self, draws: figures.Draws) -> dict[str, Figure]:
        return bootstrap.summaries(draws, self.policy.confidence)

    def slices(self, candidate: Prediction, champion: Prediction) -> tuple[list[SliceChange], float]:
        """The deciding figure of every value of every slice column, and the confidence of each interval.

        Corrected as Bonferroni does for the number of slices that the gate will judge: one of many slices
        looks bad by chance. Slices with rows in fewer than MINIMUM_BLOCKS blocks have no interval.
        """
        parts = [part for column in self.table.slices for part in self._parts(column.name)]
        judged = sum(
            len(index) >= self.policy.slice_rows and self._weights(index).shape[0] > 1
            for _, _, index in parts
        )
        confidence = 1 - (1 - self.policy.confidence) / max(judged, 1)
        return [self._slice(*part, candidate, champion, confidence) for part in parts], confidence

    def _parts(self, column: str) -> list[tuple[str, str, NDArray[Any]]]:
        values = self.frame[column].cast(pl.String).fill_null(MISSING).replace("", MISSING)
        return [
            (column, value, np.flatnonzero((values == value).to_numpy())) for value in sorted(values.unique())
        ]

    def _weights(self, index: NDArray[Any]) -> Array:
        few = len(np.unique(self.rows.block[index])) < bootstrap.MINIMUM_BLOCKS
        return self.weights[:1] if few else self.weights

    def _slice(
        self,
        column: str,
        value: str,
        index: NDArray[Any],
        candidate: Prediction,
        champion: Prediction,
        confidence: float,
    ) -> SliceChange:
        name, weights = self.policy.deciding, self._weights(index)
        part = replace(self.rows, target=self.rows.target[index], block=self.rows.block[index])
        ours, theirs = (
            figures.compute(
                replace(part, decision=self._decision(one.threshold)), one.said[index], weights, only={name}
            )[name]
            for one in (candidate, champion)
        )
        return SliceChange(
            column=column,
            value=value,
            rows=len(index),
            champion=bootstrap.rounded(theirs[0]),
            candidate=bootstrap.rounded(ours[0]),
            difference=bootstrap.summary(ours - theirs, confidence),
        )
