"""The core of `evaluate`: predictions of known rows in, the record of their figures out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.errors import DataError
from mainline.records import Figure, Metrics, Training
from mainline.schema import FeatureTable
from pipeline import frames, paths
from pipeline.evaluation import bootstrap, figures, importance, slices
from pipeline.evaluation.ranks import best_threshold
from pipeline.params import Evaluate
from pipeline.targets import targets

Array = NDArray[np.float64]
Predictions = dict[str, tuple[Array, Array]]  # by predictor: of the validation and of the test rows


@dataclass(frozen=True)
class Splits:
    """The three windows and their targets as numbers [n]."""

    table: FeatureTable
    frame: dict[str, pl.DataFrame]
    y: dict[str, Array]

    @classmethod
    def read(cls, table: FeatureTable) -> Splits:
        """Raises DataError when a file is missing or broken, lacks a column, or has no rows."""
        columns = [column.name for column in table.columns if column != table.excluded]
        windows = ("train", "validation", "test")
        frame = {name: frames.read(paths.FEATURES / f"{name}.parquet", columns) for name in windows}
        for name, rows in frame.items():
            if rows.height == 0:
                raise DataError(
                    f"{paths.FEATURES}/{name}.parquet has no rows", remedy="move data.as_of, run featurize"
                )
        return cls(table, frame, {name: targets(rows, table) for name, rows in frame.items()})


@dataclass(frozen=True)
class Judge:
    """What every predictor is measured with: the test rows' blocks and resamples, and the costs."""

    splits: Splits
    settings: Evaluate
    block: NDArray[np.int64]
    weights: Array

    @classmethod
    def of(cls, splits: Splits, settings: Evaluate) -> Judge:
        block, blocks = bootstrap.block_codes(splits.frame["test"][splits.table.block.name])
        return cls(splits, settings, block, bootstrap.draw(blocks, settings.resamples))

    def rows(self, validation: Array) -> figures.Rows:
        """The test rows, with the threshold that costs least on the validation rows."""
        decision, costs = None, self.settings.costs
        if costs and self.splits.table.task == "binary":
            both = costs.false_positive, costs.false_negative
            decision = figures.Decision(best_threshold(self.splits.y["validation"], validation, *both), *both)
        bins = self.settings.calibration_bins
        return figures.Rows(self.splits.table.task, self.splits.y["test"], self.block, decision, bins)

    def figures(self, validation: Array, test: Array) -> figures.Draws:
        return figures.compute(self.rows(validation), test, self.weights)


def measure(
    judge: Judge, predictions: Predictions, training: Training, model_bytes: int, leaning: dict[str, float]
) -> Metrics:
    """The record, from every predictor's predictions of the validation and test rows."""
    splits, settings = judge.splits, judge.settings
    draws = {name: judge.figures(*pair) for name, pair in predictions.items()}
    ours, rows = draws.pop("model"), judge.rows(predictions["model"][0])

    def told(values: figures.Draws) -> dict[str, Figure]:
        return bootstrap.summaries(values, settings.confidence)

    test, train = splits.frame["test"], splits.frame["train"]
    parts = slices.breakdown(
        test, splits.table, rows, predictions["model"][1], judge.weights, settings.confidence
    )
    return Metrics(
        task=splits.table.task,
        rows=test.height,
        blocks=judge.weights.shape[1],
        resamples=len(judge.weights) - 1,
        confidence=settings.confidence,
        parameters=training.parameters,
        model_bytes=model_bytes,
        threshold=rows.decision.threshold if rows.decision else None,
        figures=told(ours),
        baselines={name: told(values) for name, values in draws.items()},
        differences={name: told({k: ours[k] - values[k] for k in ours}) for name, values in draws.items()},
        slices=parts,
        worst_slice=slices.worst(parts, settings.min_slice_rows),
        importance=leaning,
        suspects=importance.suspects(train, test, splits.table, (splits.y["train"], splits.y["test"])),
    )


def prediction_frame(splits: Splits, prediction: Array) -> pl.DataFrame:
    """Key, time, block, slices and target of the test rows, and what the model said.

    `probability` (binary), `probability_<class>` (multiclass) or `prediction` (regression), as float32.
    """
    table = splits.table
    names = [table.key, table.time, table.block, *table.slices, table.target]
    frame = splits.frame["test"].select(list(dict.fromkeys(column.name for column in names)))
    if table.task == "multiclass":
        said = {f"probability_{name}": prediction[:, k] for k, name in enumerate(table.classes)}
    else:
        said = {"probability" if table.task == "binary" else "prediction": prediction}
    return frame.with_columns(**{name: pl.Series(values.astype(np.float32)) for name, values in said.items()})
