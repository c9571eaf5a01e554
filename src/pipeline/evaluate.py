"""Stage `evaluate`: the model on its test window, beside the baselines on the same rows.

Figures with intervals by whole blocks, slices, importance and plots. Everything is fitted or chosen on the
training and validation rows; the test rows are only looked at.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from mainline import summary
from mainline.errors import ConfigError, TrainingError
from mainline.records import Metrics, Training
from mainline.schema import FeatureTable
from pipeline import frames, params, paths
from pipeline.evaluation import baselines, bootstrap, charts, importance
from pipeline.evaluation.canvas import told
from pipeline.evaluation.measure import Judge, Splits, measure, prediction_frame
from pipeline.params import Evaluate
from pipeline.text import inert
from pipeline.tracking.tracker import Tracker
from pipeline.training import arithmetic, predictor
from usecase.schema import FEATURES

Array = NDArray[np.float64]


@dataclass
class Stopwatch:
    """Seconds of each part: for the terminal and MLflow, never for an output."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
        print(f"{name:11} {self.seconds[name]:5.1f} s", flush=True)


def main(_arguments: list[str]) -> int:
    """Write `reports/metrics.json`, `reports/predictions.parquet` and `reports/plots/`."""
    arithmetic.reproducible(1)  # a second thread makes scoring slower
    watch = Stopwatch()
    metrics = run(FEATURES, params.load().evaluate, watch)
    track(metrics, watch.seconds)
    return 0


def run(table: FeatureTable, settings: Evaluate, watch: Stopwatch) -> Metrics:
    """The stage but for tracking.

    Raises ConfigError (no costs), DataError (no rows), IntegrityError (no such model), TrainingError
    (predictions that are not finite).
    """
    check(table, settings)
    with watch.part("read"):
        splits, training = Splits.read(table), Training.read(paths.TRAINING)
        model = predictor.load(paths.WEIGHTS)
    with watch.part("predict"):
        predictions = {"model": _both(lambda frame: finite(predictor.predict(model, frame)), splits)}
    with watch.part("baselines"):
        fitted = baselines.fit_all(splits.frame["train"], table)
        predictions |= {name: _both(predict, splits) for name, predict in fitted.items()}
    with watch.part("importance"):
        leaning = permutation(model, splits, settings.importance_rows)
    with watch.part("figures"):
        judge = Judge.of(splits, settings)
        metrics = measure(judge, predictions, training, paths.WEIGHTS.stat().st_size, leaning)
        metrics.write(paths.METRICS)
        frames.write(prediction_frame(splits, predictions["model"][1]), paths.PREDICTIONS)
    with watch.part("plots"):
        scores = {name: test for name, (_, test) in predictions.items()}
        charts.draw(metrics, training, table, judge.rows(predictions["model"][0]), scores, judge.weights)
    print("\n".join([*remarks(metrics, splits), text_table(summary.figures(metrics))]), flush=True)
    return metrics


def check(table: FeatureTable, settings: Evaluate) -> None:
    """Raises ConfigError when a binary task has no costs."""
    if table.task == "binary" and settings.costs is None:
        raise ConfigError(
            "evaluate.costs is null, but the task is binary",
            why="the decision threshold follows from what the two mistakes cost",
            remedy="set evaluate.costs.false_positive and .false_negative; only their ratio matters",
        )


def _both(predict: Callable[[pl.DataFrame], Array], splits: Splits) -> tuple[Array, Array]:
    return predict(splits.frame["validation"]), predict(splits.frame["test"])


def finite(prediction: NDArray[np.float32]) -> Array:
    """Raises TrainingError when the model says nothing about a row."""
    bad = int((~np.isfinite(prediction)).sum())
    if bad:
        raise TrainingError(
            f"{bad:,} of {prediction.size:,} predictions are not finite",
            why=f"the weights in {paths.WEIGHTS} do not make a model",
            remedy="train anew: python -m pipeline train",
        )
    return prediction.astype(np.float64)


def permutation(model: predictor.Predictor, splits: Splits, rows: int) -> dict[str, float]:
    """Permutation importance on test rows; rows are encoded once."""
    codes, numbers = predictor.encode(splits.frame["test"], model.spec)

    def forward(codes: Array, numbers: Array) -> Array:
        with torch.inference_mode():
            return model(torch.from_numpy(codes), torch.from_numpy(numbers)).numpy()

    names = (model.spec.categorical, model.spec.numeric)
    matrices = (codes.numpy(), numbers.numpy())
    return importance.permutation(forward, matrices, names, splits.y["test"], model.spec.task, rows)


def remarks(metrics: Metrics, splits: Splits) -> list[str]:
    """What a reader of the figures should know; nothing of it stops the pipeline."""
    found = [
        f"warning: {name} alone ranks the target with ROC-AUC {area:.3f}: does it contain the target?"
        for name, area in metrics.suspects.items()
    ]
    if splits.table.task != "regression" and len(np.unique(splits.y["test"])) < 2:
        found.append("warning: the test rows have one class only: figures that compare classes are undefined")
    if metrics.resamples == 0:
        found.append(
            f"warning: {metrics.blocks} {splits.table.block.name}(s) in the test rows: no intervals "
            f"(they need {bootstrap.MINIMUM_BLOCKS})"
        )
    if worst := metrics.worst_slice:
        shortfall = told(worst.figures["shortfall"])
        found.append(f"weakest slice: {worst.column} = {inert(worst.value)}, skill lower by {shortfall}")
    return found


def text_table(table: summary.Table) -> str:
    """Columns of text, the first flush left."""
    lines = [table.header, *table.rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(table.header))]
    cells = [
        [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in cells)


def track(metrics: Metrics, seconds: dict[str, float]) -> None:
    """Figures, plots, seconds and rows a second to the MLflow run that made the model."""
    digest = hashlib.sha256(paths.WEIGHTS.read_bytes()).hexdigest()
    values = {f"test/{name}": figure.value for name, figure in metrics.figures.items()}
    for baseline, found in metrics.baselines.items():
        values |= {f"test/{baseline}/{name}": figure.value for name, figure in found.items()}
    values |= {f"evaluate/{name}_seconds": value for name, value in seconds.items()}
    values["evaluate/rows_per_second"] = metrics.rows / max(seconds["predict"], 1e-9)
    with Tracker.attach(digest) as tracker:
        tracker.metrics({name: value for name, value in values.items() if value is not None}, step=0)
        tracker.artifact(paths.METRICS, "evaluation")
        tracker.artifact(paths.PLOTS, "evaluation")
