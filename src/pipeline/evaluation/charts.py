"""Which plots an evaluation has, by task: the record's figures and the predictions, handed to `plots`."""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.records import Metrics, Training
from mainline.schema import FeatureTable
from pipeline import paths
from pipeline.evaluation import bootstrap, figures, plots, ranks, reliability
from pipeline.evaluation.canvas import label, told
from pipeline.text import inert

Array = NDArray[np.float64]

SLICED = {"binary": ("skill", "gap"), "multiclass": ("skill", "accuracy"), "regression": ("skill", "bias")}


def draw(
    metrics: Metrics,
    training: Training,
    table: FeatureTable,
    rows: figures.Rows,
    predictions: dict[str, Array],
    weights: Array,
) -> None:
    """Write `reports/plots/` anew; `predictions` of the test rows by name, "model" first."""
    shutil.rmtree(paths.PLOTS, ignore_errors=True)
    loss = "squared error" if metrics.task == "regression" else "log loss"
    ours = predictions["model"]
    if metrics.task == "binary":
        _curves(metrics, rows.target, predictions)
    if metrics.task == "multiclass":
        _confusion(metrics, table, rows.target, ours)
    _calibration(metrics, table, rows, ours, weights)
    plots.learning(paths.PLOTS, training.history, training.best_epoch, loss)
    plots.importance(paths.PLOTS, metrics.importance, loss)
    worst = metrics.worst_slice
    name = f"{worst.column} {inert(worst.value, 24)}" if worst else ""
    title = f"Skill is lowest for sure in {name}" if worst else "No slice falls short for sure"
    plots.slices(paths.PLOTS, metrics.slices, metrics.figures, SLICED[metrics.task], title)


def _curves(metrics: Metrics, y: Array, predictions: dict[str, Array]) -> None:
    """ROC and precision-recall; a constant has no curve. Nothing is drawn of one class."""
    if y.min() == y.max():
        return
    points = {name: ranks.curve(y, score) for name, score in predictions.items() if score.min() < score.max()}
    roc = {name: (fp / fp[-1], tp / tp[-1]) for name, (tp, fp) in points.items()}
    axes = "false_positive_rate", "true_positive_rate"
    plots.curves(paths.PLOTS, "roc", roc, _beside(metrics, "roc_auc"), axes, "diagonal")
    pr = {name: (tp[1:] / tp[-1], (tp / np.maximum(tp + fp, 1))[1:]) for name, (tp, fp) in points.items()}
    title, rate = _beside(metrics, "pr_auc"), f"{y.mean():.6g}"
    plots.curves(paths.PLOTS, "pr", pr, title, ("recall", "precision"), rate)


def _beside(metrics: Metrics, name: str) -> str:
    """A figure with its interval and the strongest baseline's."""
    last = list(metrics.baselines)[-1]
    other = f"{label(last)} {told(metrics.baselines[last][name])[:5]}"
    return f"{label(name)} {told(metrics.figures[name])}; {other}"


def _confusion(metrics: Metrics, table: FeatureTable, y: Array, probabilities: Array) -> None:
    size = len(table.classes)
    cell = y.astype(np.int64) * size + probabilities.argmax(axis=1)
    counts = np.bincount(cell, minlength=size * size).reshape(size, size)
    title = f"Accuracy {told(metrics.figures['accuracy'])}"
    plots.confusion(paths.PLOTS, counts, table.classes, title)


def _calibration(
    metrics: Metrics, table: FeatureTable, rows: figures.Rows, prediction: Array, weights: Array
) -> None:
    """Observed beside predicted in equally filled bins: the rate, the share of right calls, or the mean."""
    target, score = rows.target, prediction
    if metrics.task == "multiclass":
        target, score = (prediction.argmax(axis=1) == target).astype(np.float64), prediction.max(axis=1)
    where = reliability.calibration_bins(score, rows.bins)
    parts = []
    for index in range(int(where.max()) + 1):
        inside = np.flatnonzero(where == index)
        n, hits = reliability.totals([np.ones(len(inside)), target[inside]], rows.block[inside], weights)
        with np.errstate(invalid="ignore"):
            found = bootstrap.summary(hits / n, metrics.confidence)
        mean = bootstrap.rounded(score[inside].mean())
        parts.append((mean, found.value, found.low, found.high, len(inside)))
    schema = dict.fromkeys(("predicted", "observed", "low", "high"), pl.Float64) | {"rows": pl.Int64}
    bins = pl.DataFrame(parts, schema=schema, orient="row")
    titles = {
        "binary": f"Calibration slope {told(metrics.figures.get('calibration_slope'), 2)}",
        "multiclass": f"Expected calibration error {told(metrics.figures.get('ece'))}",
        "regression": f"Bias {told(metrics.figures.get('bias'))}",
    }
    unit = f" ({table.target.unit})" if table.target.unit else ""
    axes = {
        "binary": ("predicted probability", "observed rate"),
        "multiclass": ("probability of the likeliest class", "share of right calls"),
        "regression": (f"predicted {table.target.name}{unit}", f"observed {table.target.name}{unit}, mean"),
    }
    plots.calibration(paths.PLOTS, bins, score, titles[metrics.task], axes[metrics.task])
