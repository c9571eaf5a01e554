"""What the model leans on: permutation importance, and features that alone tell the target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.schema import FeatureTable, Task
from pipeline.evaluation import figures
from pipeline.evaluation.bootstrap import SEED, rounded
from pipeline.evaluation.ranks import roc_auc

Array = NDArray[np.float64]

REPEATS = 2  # permutations a feature; their mean is told
SUSPECT = 0.99  # a single feature that ranks the target so well most likely contains it


def permutation(
    forward: Callable[[Array, Array], Array],
    columns: tuple[Array, Array],
    names: tuple[tuple[str, ...], tuple[str, ...]],
    target: Array,
    task: Task,
    rows: int,
) -> dict[str, float]:
    """How much the mean loss grows when one feature is shuffled among `rows` sampled rows (Breiman 2001).

    `forward` maps the two matrices of `columns` (codes [n, C] and numbers [n, N], named by `names`) to
    predictions. The loss is the log loss, or the squared error. Largest first.
    """
    random = np.random.Generator(np.random.PCG64(SEED))
    sample = np.sort(random.permutation(len(target))[:rows])
    matrices, target = [matrix[sample] for matrix in columns], target[sample]
    orders = [random.permutation(len(target)) for _ in range(REPEATS)]
    plain = _loss(forward(*matrices), target, task)
    growth: dict[str, float] = {}
    for which, index in [(side, at) for side in (0, 1) for at in range(len(names[side]))]:
        kept = matrices[which]
        losses = []
        for order in orders:
            shuffled = kept.copy()
            shuffled[:, index] = kept[order, index]
            losses.append(
                _loss(
                    forward(*(shuffled if which == at else m for at, m in enumerate(matrices))), target, task
                )
            )
        growth[names[which][index]] = rounded(sum(losses) / REPEATS - plain) or 0.0
    return dict(sorted(growth.items(), key=lambda pair: (-pair[1], pair[0])))


def _loss(prediction: Array, target: Array, task: Task) -> float:
    return float(figures.row_losses(task, target, np.asarray(prediction, dtype=np.float64)).mean())


def suspects(
    train: pl.DataFrame, test: pl.DataFrame, table: FeatureTable, y: tuple[Array, Array]
) -> dict[str, float]:
    """Features that alone rank the test target with a ROC-AUC of at least SUSPECT: a hint of leakage.

    `y` is the target of the train and test rows. A category is ranked by its mean target in training rows.
    Several classes count by the one that is told worst; values by above or below their median.
    """
    if table.task == "multiclass":
        kinds = [(y[0] == k, y[1] == k) for k in range(len(table.classes))]
    elif table.task == "regression":
        kinds = [(y[0] > np.median(y[0]), y[1] > np.median(y[0]))]
    else:
        kinds = [(y[0] == 1, y[1] == 1)]
    found = {}
    for column in table.features:
        telling = []
        for known, truth in kinds:
            score = _score(
                train[column.name], test[column.name], known.astype(np.float64), column.categorical
            )
            area = roc_auc(truth.astype(np.float64), score)
            telling.append(max(area, 1 - area) if np.isfinite(area) else 0.0)
        if min(telling) >= SUSPECT:
            found[column.name] = rounded(min(telling)) or 0.0
    return found


def _score(train: pl.Series, test: pl.Series, known: Array, categorical: bool) -> Array:
    """A number [n] for each test row: its value (missing: lowest), or its category's mean target."""
    if not categorical:
        return test.cast(pl.Float64).fill_null(float("-inf")).fill_nan(float("-inf")).to_numpy()
    sums = (
        pl.DataFrame({"value": train, "y": known.astype(np.int64)}).group_by("value").agg(pl.col("y").mean())
    )
    rates = sums.drop_nulls()
    return test.replace_strict(rates["value"], rates["y"], default=float(known.mean())).to_numpy()
