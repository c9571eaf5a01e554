"""Where the model is weak: figures of parts of the rows, on the same resamples as those of all rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.records import Slice
from mainline.schema import FeatureTable, Task
from pipeline.evaluation import figures
from pipeline.evaluation.bootstrap import MINIMUM_BLOCKS, rounded, summaries

Array = NDArray[np.float64]

MISSING = "(missing)"  # the value of a slice where its column is null or empty
SHOWN: dict[Task, tuple[str, ...]] = {
    "binary": ("log_loss", "roc_auc", "gap", "skill"),
    "multiclass": ("log_loss", "accuracy", "skill"),
    "regression": ("rmse", "bias", "skill"),
}


def breakdown(
    frame: pl.DataFrame,
    table: FeatureTable,
    rows: figures.Rows,
    prediction: Array,
    weights: Array,
    confidence: float,
) -> list[Slice]:
    """The figures of every value of every slice column, in the order of the columns, then of the values.

    `shortfall` is the skill of all rows minus that of the slice, on the same resamples: above 0, the model
    takes away less of the slice's own uncertainty than it does elsewhere. Skill is compared, and not the
    loss, because a slice with a higher rate has a higher loss under any model. A slice with rows in fewer
    than MINIMUM_BLOCKS blocks has no interval.
    """
    whole = figures.compute(rows, prediction, weights, only={"skill"})["skill"]
    found = []
    for column in table.slices:
        values = frame[column.name].cast(pl.String).fill_null(MISSING).replace("", MISSING)
        for value in sorted(values.unique()):
            index = np.flatnonzero((values == value).to_numpy())
            part = replace(rows, target=rows.target[index], block=rows.block[index])
            draws = weights if len(np.unique(part.block)) >= MINIMUM_BLOCKS else weights[:1]
            computed = figures.compute(part, prediction[index], draws, only=SHOWN[rows.task])
            shown = {name: computed[name] for name in SHOWN[rows.task]}
            shown["shortfall"] = whole[: len(draws)] - computed["skill"]
            target = None if rows.task == "multiclass" else rounded(part.target.mean())
            found.append(
                Slice(
                    column=column.name,
                    value=value,
                    rows=len(index),
                    target=target,
                    figures=summaries(shown, confidence),
                )
            )
    return found


def worst(slices: list[Slice], min_rows: int) -> Slice | None:
    """The slice that certainly falls short the most: with the highest lower end of its shortfall's interval.

    None when no slice of at least `min_rows` rows has an interval above 0.
    """
    certain = [
        (figure.low, item)
        for item in slices
        if item.rows >= min_rows and (figure := item.figures["shortfall"]).low is not None and figure.low > 0
    ]
    return max(certain, key=lambda pair: pair[0])[1] if certain else None
