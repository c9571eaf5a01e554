"""Figures of predictions: for all rows, and for many bootstrap resamples of them in the same call.

A resample is told by `weights` [draws, blocks]: how often each block of rows was drawn. A row's weight is its
block's, and a draw of ones is the plain figure. So one definition serves the value and its interval.

Every function returns one array [draws] a figure. An undefined figure (the ROC-AUC of one class, a precision
without positive calls) is NaN here and null in the record. Sums run in row order within a block, then over
blocks, never over threads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainline.schema import Task
from pipeline.evaluation.ranks import rank_figures, weighted_medians
from pipeline.evaluation.reliability import calibration_error, calibration_figures, totals

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Draws = dict[str, Array]
Only = Collection[str] | None

RANKED = {"roc_auc", "pr_auc", "ks", "lift_10"}
CALIBRATION = {"calibration_slope", "calibration_intercept"}
EPSILON = float(np.finfo(np.float32).eps)  # probabilities are float32: 0 and 1 are "closer than this"


@dataclass(frozen=True, slots=True)
class Decision:
    """Rows with a score of at least `threshold` are called positive; what the two mistakes cost."""

    threshold: float
    false_positive: float
    false_negative: float


@dataclass(frozen=True, slots=True)
class Rows:
    """What is compared: `target` [n] (0/1, class codes or values), `block` [n] codes below `blocks`.

    `decision` is for binary tasks; `bins` is the number of equally filled calibration bins.
    """

    task: Task
    target: Array
    block: Codes
    decision: Decision | None = None
    bins: int = 15


def compute(rows: Rows, prediction: Array, weights: Array, *, only: Only = None) -> Draws:
    """All figures of the task, one array [draws] each; `only` leaves out the costly ones it does not name.

    `prediction` is [n]: P(1) or the value; [n, classes] for multiclass.
    """
    by_task: dict[Task, Callable[..., Draws]] = {
        "binary": binary,
        "multiclass": multiclass,
        "regression": regression,
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        return by_task[rows.task](rows, np.asarray(prediction, dtype=np.float64), weights, only=only)


def binary(rows: Rows, probability: Array, weights: Array, *, only: Only = None) -> Draws:
    """Figures of P(1) [n]. Log loss: Good 1952; Brier 1950; `skill` is McFadden's 1974 pseudo-R²: the share
    of the log loss of always saying these rows' own rate that the model takes away. `gap` is mean observed
    minus mean predicted. `ece`: see `calibration_error`. Calibration: Cox 1958, see `calibration_figures`.
    """
    y, p = rows.target, clipped(probability)
    columns = [np.ones_like(y), y, row_losses("binary", y, probability), (probability - y) ** 2, probability]
    n, positives, loss, square, mean = totals(columns, rows.block, weights)
    draws = {
        "log_loss": loss / n,
        "brier": square / n,
        "skill": _removed(loss, n * entropy(positives / n)),
        "gap": (positives - mean) / n,
        "ece": calibration_error(y, probability, rows.block, weights, rows.bins),
    }
    if _wanted(only, CALIBRATION):
        draws |= calibration_figures(y, np.log(p / (1 - p)), rows.block, weights)
    if rows.decision is not None:
        draws |= decision_figures(y, probability, rows.block, weights, rows.decision)
    if _wanted(only, RANKED):
        draws |= rank_figures(y, probability, rows.block, weights)
    return draws


def decision_figures(y: Array, score: Array, block: Codes, weights: Array, decision: Decision) -> Draws:
    """Figures of the confusion matrix at the threshold (Fawcett 2006); MCC: Matthews 1975; cost a row."""
    call = (score >= decision.threshold).astype(np.float64)
    tp, fp, fn, tn = totals([y * call, (1 - y) * call, y * (1 - call), (1 - y) * (1 - call)], block, weights)
    n, recall, specificity = tp + fp + fn + tn, tp / (tp + fn), tn / (tn + fp)
    return {
        "accuracy": (tp + tn) / n,
        "balanced_accuracy": (recall + specificity) / 2,
        "precision": tp / (tp + fp),
        "recall": recall,
        "specificity": specificity,
        "f1": 2 * tp / (2 * tp + fp + fn),
        "mcc": (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
        "cost": (fp * decision.false_positive + fn * decision.false_negative) / n,
    }


def multiclass(rows: Rows, probabilities: Array, weights: Array, *, only: Only = None) -> Draws:
    """Figures of class probabilities [n, classes]; `target` holds codes.

    Means over classes leave out the classes that do not occur (balanced accuracy, macro F1 and one-vs-rest
    ROC-AUC as in scikit-learn); Brier 1950 is the sum over classes; `ece` is of the likeliest class
    (Guo 2017).
    """
    code, classes = rows.target.astype(np.int64), probabilities.shape[1]
    truth, called = np.eye(classes)[code], np.eye(classes)[probabilities.argmax(axis=1)]
    n, loss, square, hits = totals(
        [
            np.ones(len(code)),
            row_losses("multiclass", rows.target, probabilities),
            ((probabilities - truth) ** 2).sum(axis=1),
            (truth * called).sum(axis=1),
        ],
        rows.block,
        weights,
    )
    true, say, both = (totals(list(x.T), rows.block, weights) for x in (truth, called, truth * called))
    share = true / n
    draws = {
        "log_loss": loss / n,
        "brier": square / n,
        "skill": _removed(loss, n * -_xlogx(share).sum(axis=0)),
        "accuracy": hits / n,
        "balanced_accuracy": _mean_defined(both / true),
        "macro_f1": _mean_defined(2 * both / (true + say)),
        "ece": calibration_error(
            (truth * called).sum(axis=1), probabilities.max(axis=1), rows.block, weights, rows.bins
        ),
    }
    if _wanted(only, {"macro_auc"}):
        each = [
            rank_figures(truth[:, k], probabilities[:, k], rows.block, weights)["roc_auc"]
            for k in range(classes)
        ]
        draws["macro_auc"] = _mean_defined(np.stack(each))
    return draws


def regression(rows: Rows, prediction: Array, weights: Array, *, only: Only = None) -> Draws:
    """Figures of values [n]: RMSE, MAE, median absolute error and bias in the target's unit; R² (`skill` is
    the same: the share of the squared error of always saying these rows' own mean that the model takes away).
    """
    y, error = rows.target, prediction - rows.target
    centred = y - y.mean()  # sums of squares far from zero lose digits
    n, absolute, signed, square, first, second = totals(
        [np.ones_like(y), np.abs(error), error, error**2, centred, centred**2], rows.block, weights
    )
    spread = second - first**2 / n
    r2 = np.where(spread > 1e-12 * np.maximum(second, 1e-300), 1 - square / spread, np.nan)
    draws = {"rmse": np.sqrt(square / n), "mae": absolute / n, "bias": signed / n, "r2": r2, "skill": r2}
    if _wanted(only, {"median_ae"}):
        draws["median_ae"] = weighted_medians(np.abs(error), rows.block, weights)
    return draws


def row_losses(task: Task, target: Array, prediction: Array) -> Array:
    """The task's loss of each row [n]: minus log likelihood, or squared error."""
    if task == "regression":
        return (prediction - target) ** 2
    p = clipped(prediction)
    if task == "binary":
        return -np.where(target == 1, np.log(p), np.log1p(-p))
    chosen = p[np.arange(len(p)), target.astype(np.int64)]
    return -np.log(chosen)


def clipped(probability: Array) -> Array:
    return np.clip(probability, EPSILON, 1 - EPSILON)


def entropy(rate: Array) -> Array:
    return -_xlogx(rate) - _xlogx(1 - rate)


def _wanted(only: Only, names: set[str]) -> bool:
    return only is None or not names.isdisjoint(only)


def _removed(loss: Array, constant: Array) -> Array:
    """The share of the loss of a constant forecast that is taken away; undefined where that has none."""
    return np.where(constant > 0, 1 - loss / constant, np.nan)


def _xlogx(share: Array) -> Array:
    return np.where(share > 0, share * np.log(np.where(share > 0, share, 1)), 0 * share)


def _mean_defined(values: Array) -> Array:
    """Mean over the first axis of what is defined; NaN where nothing is."""
    defined = np.isfinite(values)
    return np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0)
