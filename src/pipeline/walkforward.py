"""`python -m pipeline walkforward`: the model against boosted trees, month after month; not a DVC stage.

Every month with enough history is a test month once: the month before validates (early stopping and
recalibration, of both models), at most `data.train_months` before that train. Months after `data.as_of` take
part too: they are read from the source into a temporary folder.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mainline.errors import DataError
from mainline.records import Figure, Walkforward, WalkforwardMonth, write_atomically
from mainline.schema import Task
from mainline.settings import Month
from pipeline import featurize, ingest, params, paths
from pipeline.evaluation import baselines, bootstrap, figures
from pipeline.targets import targets
from pipeline.train import choose_device, fit
from pipeline.training import arithmetic, predictor
from pipeline.training.tensors import prepare
from usecase.schema import FEATURES

Array = NDArray[np.float64]

MIN_TRAIN_MONTHS = 3
SHOWN: dict[Task, tuple[str, ...]] = {
    "binary": ("log_loss", "roc_auc"),
    "multiclass": ("log_loss", "macro_auc"),
    "regression": ("rmse", "mae"),
}
MODEL, RIVAL = "model", "hist_gradient_boosting"


def main(_arguments: list[str]) -> int:
    """Write reports/walkforward.json and .md. Raises what ingest, featurize and train raise."""
    settings = params.load()
    arithmetic.reproducible(settings.train.threads)
    table, months = everything(settings)
    tests = months[MIN_TRAIN_MONTHS + 1 :]
    if not tests:
        raise DataError(
            f"a walk-forward needs {MIN_TRAIN_MONTHS + 2} months, the source has {len(months)}",
            remedy="choose a source with more history",
        )
    draws = []
    for test in tests:
        started = time.perf_counter()
        length = min(settings.data.train_months, months.index(test) - 1)
        draw = judged(table, settings, test, length)
        if draw is None:
            print(f"{test}: left out, fewer than {bootstrap.MINIMUM_BLOCKS} blocks", flush=True)
            continue
        draws.append((test, draw))
        print(
            f"{_line(told(str(test), [draw], settings))}  {time.perf_counter() - started:.0f} s",
            flush=True,
        )
    if not draws:
        raise DataError("no month has enough blocks for a walk-forward", remedy="choose a source with more")
    record = Walkforward(
        task=FEATURES.task,
        resamples=settings.evaluate.resamples,
        confidence=settings.evaluate.confidence,
        months=[told(str(test), [draw], settings) for test, draw in draws],
        mean=told("mean", [draw for _, draw in draws], settings),
    )
    record.write(paths.WALKFORWARD)
    write_atomically(paths.WALKFORWARD.with_suffix(".md"), markdown(record).encode())
    print(markdown(record), flush=True)
    return 0


def everything(settings: params.Params) -> tuple[pl.DataFrame, list[Month]]:
    """The modelling table of every month of the source, also those after data.as_of."""
    source = ingest.connect(settings.ingest.source)
    last = max(source.months, default=settings.data.last_month)
    data = settings.data.model_copy(update={"as_of": str(last)})
    with tempfile.TemporaryDirectory() as folder:
        ingest.ingest(source, last, Path(folder))
        table = featurize.build(settings.model_copy(update={"data": data}), Path(folder))
    return table, source.months


def judged(
    table: pl.DataFrame, settings: params.Params, test: Month, length: int
) -> tuple[int, dict[str, figures.Draws]] | None:
    """Rows of the test month, and both models' figures on it and on resamples of its blocks.

    None for a month of too few blocks: it has no interval, and would have no place in the mean.
    """
    data = settings.data.model_copy(
        update={"as_of": str(test), "train_months": length, "validation_months": 1, "test_months": 1}
    )
    parts = featurize.split(table, data)
    block, blocks = bootstrap.block_codes(parts["test"][FEATURES.block.name])
    if blocks < bootstrap.MINIMUM_BLOCKS:
        return None
    weights = bootstrap.draw(
        blocks, settings.evaluate.resamples, seed=bootstrap.SEED + test.year * 12 + test.month
    )
    rows = figures.Rows(FEATURES.task, targets(parts["test"], FEATURES), block)
    predicted = {MODEL: _model(parts, settings.train), RIVAL: _rival(parts)}
    return parts["test"].height, {
        name: figures.compute(rows, values, weights) for name, values in predicted.items()
    }


def _model(parts: dict[str, pl.DataFrame], settings: params.Train) -> Array:
    device = choose_device(settings.device)
    model, train, validation = prepare(parts["train"], parts["validation"], FEATURES, settings)
    fit(model.to(device), train.to(device), validation.to(device), settings)
    return predictor.predict(model, parts["test"]).astype(np.float64)


def _rival(parts: dict[str, pl.DataFrame]) -> Array:
    """Scikit-learn's trees, recalibrated as the model is. One thread: several wait for each other in vain
    as soon as the machine has other work."""
    with threadpool_limits(1):
        trees = baselines.hist_gradient_boosting(parts["train"], FEATURES)
        return baselines.recalibrated(trees, parts["validation"], FEATURES)(parts["test"])


def told(
    name: str, months: list[tuple[int, dict[str, figures.Draws]]], settings: params.Params
) -> WalkforwardMonth:
    """Mean over months of each figure, and of the difference with its interval (days resampled by month)."""
    means = {
        who: {
            kind: np.mean([draws[who][kind] for _, draws in months], axis=0) for kind in SHOWN[FEATURES.task]
        }
        for who in (MODEL, RIVAL)
    }
    difference = {kind: means[MODEL][kind] - means[RIVAL][kind] for kind in means[MODEL]}
    return WalkforwardMonth(
        month=name,
        rows=sum(rows for rows, _ in months),
        figures={
            who: {kind: bootstrap.rounded(values[0]) for kind, values in found.items()}
            for who, found in means.items()
        },
        differences={
            kind: bootstrap.summary(values, settings.evaluate.confidence)
            for kind, values in difference.items()
        },
    )


def markdown(record: Walkforward) -> str:
    """One row a month, the mean last; a difference is model minus trees, with its interval."""
    kinds = list(record.mean.differences)
    head = [
        "month",
        "rows",
        *(f"{kind} {what}" for kind in kinds for what in ("model", "trees", "difference")),
    ]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *map(_cells, [*record.months, record.mean])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        f"{table}\n\nTrees: scikit-learn's HistGradientBoosting, recalibrated on the same validation month. "
        f"Intervals: {record.confidence:.0%}, whole blocks resampled {record.resamples} times.\n"
    )


def _cells(month: WalkforwardMonth) -> list[str]:
    cells = [month.month, f"{month.rows:,}"]
    for kind, difference in month.differences.items():
        cells += [
            _number(month.figures[MODEL][kind]),
            _number(month.figures[RIVAL][kind]),
            _interval(difference),
        ]
    return cells


def _line(month: WalkforwardMonth) -> str:
    return "  ".join(_cells(month))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{figure.value:+.4f}"
    return f"{figure.value:+.4f} [{figure.low:+.4f}, {figure.high:+.4f}]"
