"""What the model must beat: a constant, a linear model and boosted trees, fitted on the training rows alone.

Binary and multiclass: base rate, logistic regression, HistGradientBoosting. Regression: mean, ridge,
HistGradientBoosting. Scikit-learn's defaults, as a sceptical colleague would set them up in an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from mainline.schema import FeatureTable, Task
from pipeline.targets import targets
from pipeline.training.calibrate import calibration, sigmoid

Array = NDArray[np.float64]
Predict = Callable[[pl.DataFrame], Array]  # to P(1) [n], class probabilities [n, classes] or values [n]

MAX_VALUES = 254  # of a categorical: HistGradientBoosting takes no more; the rarer ones count as missing
ITERATIONS = 100  # of L-BFGS; the loss of the example stands still after some forty


@dataclass(frozen=True)
class Encoding:
    """Train rows' vocabularies, means and spreads; turns frames into matrices."""

    vocabularies: dict[str, tuple[str, ...]]
    numeric: tuple[str, ...]
    mean: Array
    scale: Array
    varied: NDArray[np.bool_]

    @classmethod
    def fit(cls, train: pl.DataFrame, table: FeatureTable) -> Encoding:
        numeric = tuple(column.name for column in table.numeric)
        numbers = _numbers(train, numeric)
        known = ~np.isnan(numbers)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, numbers, 0).sum(axis=0) / count
        scale = np.sqrt(np.where(known, (numbers - mean) ** 2, 0).sum(axis=0) / count)
        vocabularies = {column.name: _vocabulary(train[column.name]) for column in table.categorical}
        varied = np.where(known, numbers, np.inf).min(axis=0) < np.where(known, numbers, -np.inf).max(axis=0)
        return cls(vocabularies, numeric, mean, np.where(varied, scale, 1), varied)

    def trees(self, frame: pl.DataFrame) -> Array:
        """[n, categorical + numeric]: codes, then numbers; NaN where missing or unknown.

        Numbers that never vary in training rows are left out: scikit-learn cannot bin them.
        """
        codes, numbers = self._codes(frame).astype(np.float64), _numbers(frame, self.numeric)
        return np.concatenate([np.where(codes > 0, codes - 1, np.nan), numbers[:, self.varied]], axis=1)

    def linear(self, frame: pl.DataFrame) -> csr_matrix:
        """One column a category (one for missing or unknown), then standardised numbers; missing: mean."""
        codes, rows = self._codes(frame), frame.height
        starts = np.cumsum([0, *(len(values) + 1 for values in self.vocabularies.values())])
        numbers = np.nan_to_num((_numbers(frame, self.numeric) - self.mean) / self.scale)
        columns = starts[-1] + np.arange(len(self.numeric))
        indices = np.concatenate([codes + starts[:-1], np.broadcast_to(columns, numbers.shape)], axis=1)
        values = np.concatenate([np.ones(codes.shape), numbers], axis=1)
        pointer = np.arange(rows + 1) * indices.shape[1]
        shape = (rows, int(starts[-1]) + len(self.numeric))
        return csr_matrix((values.ravel(), indices.ravel(), pointer), shape=shape)

    def _codes(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """[n, categorical]: 0 is missing or unknown, value i of the vocabulary is i + 1."""
        codes = [
            frame[name]
            .cast(pl.Enum(values), strict=False)
            .to_physical()
            .cast(pl.Int64)
            .fill_null(-1)
            .to_numpy()
            + 1
            for name, values in self.vocabularies.items()
        ]
        return np.stack(codes, axis=1) if codes else np.zeros((frame.height, 0), dtype=np.int64)


def fit_all(train: pl.DataFrame, table: FeatureTable) -> dict[str, Predict]:
    """All baselines of the task by name, from weakest to strongest."""
    encoding, target = Encoding.fit(train, table), targets(train, table)
    fits = {"mean" if table.task == "regression" else "base_rate": constant(target, table)}
    fits["ridge" if table.task == "regression" else "logistic_regression"] = linear(
        train, target, table, encoding
    )
    fits["hist_gradient_boosting"] = hist_gradient_boosting(train, table, encoding)
    return fits


def constant(target: Array, table: FeatureTable) -> Predict:
    """The training rows' rate, class shares or mean, for every row."""
    if table.task == "multiclass":
        shares = np.bincount(target.astype(np.int64), minlength=len(table.classes)) / len(target)
        return lambda frame: np.tile(shares, (frame.height, 1))
    mean = target.mean()
    return lambda frame: np.full(frame.height, mean)


def linear(train: pl.DataFrame, target: Array, table: FeatureTable, encoding: Encoding) -> Predict:
    """Logistic regression (L2, L-BFGS) or ridge, on one-hot categories and standardised numbers."""
    matrix = encoding.linear(train)
    if table.task == "regression":
        ridge = Ridge(solver="sparse_cg").fit(matrix, target)
        return lambda frame: ridge.predict(encoding.linear(frame))
    if len(np.unique(target)) < 2:
        return constant(target, table)
    model = LogisticRegression(max_iter=ITERATIONS, tol=1e-3).fit(matrix, target)
    return lambda frame: _classes(model, encoding.linear(frame), table)


def hist_gradient_boosting(
    train: pl.DataFrame, table: FeatureTable, encoding: Encoding | None = None, **options: float
) -> Predict:
    """Boosted trees: codes as categories, missing values as such, no early stopping."""
    encoding = encoding or Encoding.fit(train, table)
    target = targets(train, table)
    settings = {
        "categorical_features": list(range(len(encoding.vocabularies))),
        "early_stopping": False,
        "random_state": 0,  # it draws the rows from which bins are made
        **options,
    }
    if table.task == "regression":
        regressor = HistGradientBoostingRegressor(**settings).fit(encoding.trees(train), target)
        return lambda frame: regressor.predict(encoding.trees(frame))
    if len(np.unique(target)) < 2:
        return constant(target, table)
    model = HistGradientBoostingClassifier(**settings).fit(encoding.trees(train), target)
    return lambda frame: _classes(model, encoding.trees(frame), table)


def recalibrated(predict: Predict, validation: pl.DataFrame, table: FeatureTable) -> Predict:
    """`predict` with slope and intercept fitted on the validation rows, in the way the torch model's are."""
    scores, target = _scores(table.task, predict(validation)), targets(validation, table)
    slope, intercept = calibration(table.task, scores, target)
    return lambda frame: _from_scores(table.task, slope * _scores(table.task, predict(frame)) + intercept)


def _scores(task: Task, prediction: Array) -> Array:
    if task == "regression":
        return prediction
    p = np.clip(prediction, 1e-6, 1 - 1e-6)
    return np.log(p) - np.log1p(-p) if task == "binary" else np.log(p)


def _from_scores(task: Task, scores: Array) -> Array:
    if task == "multiclass":
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)
    return sigmoid(scores) if task == "binary" else scores


def _classes(model: LogisticRegression, matrix: object, table: FeatureTable) -> Array:
    """P(1) [n], or [n, classes] with 0 for a class that training rows do not have."""
    found = model.predict_proba(matrix)
    if table.task == "binary":
        return found[:, 1]
    every = np.zeros((len(found), len(table.classes)))
    every[:, model.classes_.astype(np.int64)] = found
    return every


def _vocabulary(values: pl.Series) -> tuple[str, ...]:
    """The most frequent values, in sorted order; of equally frequent ones the first by name."""
    counts = values.cast(pl.String).drop_nulls().value_counts(name="rows")
    kept = counts.sort(["rows", values.name], descending=[True, False]).head(MAX_VALUES)
    return tuple(kept[values.name].sort())


def _numbers(frame: pl.DataFrame, names: tuple[str, ...]) -> Array:
    columns = [frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names]
    return np.stack(columns, axis=1) if columns else np.zeros((frame.height, 0))
