"""Random rows of the use case's modelling table, whatever the use case is."""

from __future__ import annotations

import numpy as np
import polars as pl

from mainline.schema import Column
from pipeline.frames import DTYPES
from usecase.schema import FEATURES


def feature_rows(rows: int, seed: int) -> pl.DataFrame:
    """Features and target; the target depends on the features, so that there is something to learn."""
    random = np.random.default_rng(seed)
    score = np.zeros(rows)
    columns = {}
    for index, column in enumerate(FEATURES.features):
        values = random.integers(0, 12, rows) if column.categorical else random.gamma(2, 50, rows)
        score += np.sin(values / (3 if column.categorical else 60) + index)
        columns[column.name] = _series(column, values)
    noisy = score / score.std() + random.logistic(size=rows) * 0.5
    columns[FEATURES.target.name] = _target(noisy)
    return pl.DataFrame(columns)


def _series(column: Column, values: np.ndarray) -> pl.Series:
    if column.categorical:
        return pl.Series([f"v{value:.0f}" for value in values])
    if column.dtype == "bool":
        return pl.Series(values > np.median(values))
    return pl.Series(values).cast(DTYPES[column.dtype])


def _target(score: np.ndarray) -> pl.Series:
    match FEATURES.task:
        case "binary":
            return pl.Series((score > 0.5).astype(np.int64))
        case "multiclass":
            classes = np.array(FEATURES.classes)
            return pl.Series(
                classes[np.clip((score + 2) / 4 * len(classes), 0, len(classes) - 1).astype(int)]
            )
        case _:
            return pl.Series(score)
