"""The target as numbers, the same for every module that compares it with a prediction."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.schema import FeatureTable


def targets(frame: pl.DataFrame, table: FeatureTable) -> NDArray[np.float64]:
    """The target [n]: 0/1, the class's place in `table.classes`, or the value."""
    column = frame[table.target.name]
    if table.task == "multiclass":
        column = column.replace_strict(table.classes, range(len(table.classes)), return_dtype=pl.Int64)
    return column.cast(pl.Float64).to_numpy()
