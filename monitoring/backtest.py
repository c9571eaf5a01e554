"""`python -m monitoring backtest`: would a model trained up to the newest month be better than production's?

The use case's model is trained with the windows that end with `--as-of`, as a retraining pull request would
train it, and both score that month, which neither was fitted on. All of it happens in a temporary folder: the
work tree's data, models and reports are not touched.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline import policy
from mainline.errors import DataError, IntegrityError
from mainline.policy import MonitorPolicy
from mainline.records import Epoch, Figure, write_atomically
from mainline.retraining.parameters import Data
from mainline.settings import Month
from pipeline import featurize, ingest, params, windows
from pipeline.comparing.scorer import Scorer, UnreadableError
from pipeline.evaluation import bootstrap, figures
from pipeline.targets import targets
from pipeline.train import choose_device, fit
from pipeline.training import arithmetic, predictor
from pipeline.training.tensors import prepare
from usecase.schema import FEATURES

Array = NDArray[np.float64]
Parts = dict[str, pl.DataFrame]


def main(arguments: list[str]) -> int:
    """Write the figures, challenger minus champion.

    Raises ConfigError, SourceError, DataError, IntegrityError, RecordError and TrainingError.
    """
    asked = _parser().parse_args(arguments)
    last = Month.parse(asked.as_of, name="--as-of")
    champion = Scorer.load(asked.champion, asked.manifest or asked.champion.with_name("manifest.json"))
    settings, measure = params.load(), policy.monitor()
    settings = retrained(settings, last, measure.retrain.train_months)
    _check_unseen(champion, settings.data)
    parts = prepared(settings)
    found = compare(parts["test"], challenger(parts, settings.train), champion, measure)
    content = {name: figure.model_dump() for name, figure in found.items()}
    write_atomically(asked.out, f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode())
    print(json.dumps({"as_of": str(last), "rows": parts["test"].height, "out": str(asked.out)}), flush=True)
    return 0


def retrained(settings: params.Params, last: Month, most: int) -> params.Params:
    """As a retraining pull request to that month has them, by the same function. Raises ConfigError."""
    data = settings.data
    moved = Data(data.last_month, data.train_months).moved(last, most)
    changed = {"as_of": str(moved.as_of), "train_months": moved.train_months}
    return settings.model_copy(update={"data": data.model_copy(update=changed)})


def prepared(settings: params.Params) -> Parts:
    """Train, validation and test rows of the windows that end with data.as_of, from the source's raw data."""
    source = ingest.connect(settings.ingest.source)
    with tempfile.TemporaryDirectory(prefix="mainline-backtest-") as folder:
        _say(f"reading {source.name} up to {settings.data.as_of}")
        with contextlib.redirect_stdout(sys.stderr):  # ours is for the answer
            ingest.ingest(source, settings.data.last_month, Path(folder))
        table = featurize.build(settings, Path(folder))
    parts = featurize.split(table, settings.data)
    _say(", ".join(f"{part.height:,} {name}" for name, part in parts.items()))
    return parts


def challenger(parts: Parts, settings: params.Train) -> Array:
    """What a model fitted on these rows says of the test rows: P(1) [n], [n, classes], or the value [n]."""
    arithmetic.reproducible(settings.threads)
    device = choose_device(settings.device)
    model, train, validation = prepare(parts["train"], parts["validation"], FEATURES, settings)
    fit(model.to(device), train.to(device), validation.to(device), settings, report=_tell)
    return predictor.predict(model, parts["test"]).astype(np.float64)


def compare(test: pl.DataFrame, ours: Array, champion: Scorer, measure: MonitorPolicy) -> dict[str, Figure]:
    """Figures of the challenger minus the champion's, with intervals over whole blocks, paired.

    Raises IntegrityError when the champion cannot score these rows, DataError when they have too few blocks.
    """
    if problem := champion.mismatch(test, FEATURES):
        raise IntegrityError(
            "the model in production cannot read the month's rows",
            why=problem,
            remedy="compare by a pull request: the gate holds it, and a person decides",
        )
    block, blocks = bootstrap.block_codes(test[FEATURES.block.name])
    if blocks < measure.minimum_blocks:
        raise DataError(
            f"the month has {blocks} blocks with labels, a backtest needs {measure.minimum_blocks}",
            remedy="wait for the labels, or backtest an earlier month: --as-of",
        )
    try:
        theirs = champion.predict(test)
    except UnreadableError as error:
        raise IntegrityError(
            "the model in production does not score the month's rows",
            why=str(error),
            remedy="mainline verify",
        ) from None
    rows = figures.Rows(FEATURES.task, targets(test, FEATURES), block)
    return bootstrap.paired(rows, ours, theirs, resamples=measure.resamples, confidence=measure.confidence)


def _check_unseen(champion: Scorer, data: params.Data) -> None:
    """The month must be new to the champion too, or the comparison favours it."""
    cut = windows.split(data)
    known = [months[-1] for name, months in champion.manifest.windows.items() if name != "test" and months]
    if known and str(cut.test.first) <= max(known):
        raise DataError(
            f"the model in production was fitted on rows up to {max(known)}, the test window begins with "
            f"{cut.test.first}",
            remedy="wait for a newer month, and give it by --as-of",
        )


def _tell(epoch: Epoch, speed: float) -> None:
    _say(f"epoch {epoch.epoch}: loss {epoch.validation_loss:.4f} in validation, {speed:,.0f} rows/s")


def _say(text: str) -> None:
    print(f"backtest: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitoring backtest",
        description="Train as a retraining would, and score the newest month beside the model in production.",
        epilog="example: python -m monitoring backtest --as-of 2013-11 --champion model.onnx --out gain.json",
    )
    parser.add_argument("--as-of", required=True, metavar="YYYY-MM", help="the newest month with labels")
    parser.add_argument("--champion", required=True, type=Path, metavar="MODEL", help="production's ONNX")
    parser.add_argument("--manifest", type=Path, help="of that model (default: manifest.json beside it)")
    parser.add_argument("--out", required=True, type=Path, metavar="JSON", help="figures of the difference")
    return parser
