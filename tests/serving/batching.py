"""Batch scoring with a small model: in this process, or as one of its own that kills itself at a given point.

`python -m tests.serving.batching MODEL INPUT OUTPUT [POINT]`; POINT is MODULE:CLASS.METHOD:N:before|after.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mainline.errors import MainlineError
from mainline.schema import FeatureTable
from serving.batch import places, running, tables
from serving.batch.duck import DuckTables
from serving.batch.files import Files
from serving.batch.folder import Folder
from serving.batch.places import Database
from serving.batch.postgres import PostgresTables
from serving.batch.running import Summary, Wish
from serving.batch.scoring import Scorer
from tests.imports import ROOT
from tests.serving import toys

START = datetime(2013, 10, 28, 5)


def rows(count: int, *, seed: int = 1, first: int = 0) -> pl.DataFrame:
    """Rows over some weeks, with nulls, unknown categories, infinities, and a column nobody asked for."""
    draw = np.random.default_rng(seed)
    texts = ["a", "b", "nobody's", "", None]
    numbers = draw.normal(size=count)
    odd = {3: float("inf"), 4: -float("inf"), 5: 1e300}
    x = [odd.get(i, None if value > 1.5 else float(value)) for i, value in enumerate(numbers)]
    return pl.DataFrame(
        {
            "key": [f"k{first + i:06}" for i in range(count)],
            "time": [START + timedelta(minutes=17 * i) for i in range(count)],
            "c": [texts[i] for i in draw.integers(0, 5, count)],
            "x": x,
            "d": [texts[i] for i in draw.integers(0, 5, count)],
            "y": [
                None if i % 11 == 0 else int(value) for i, value in enumerate(draw.integers(-3, 99, count))
            ],
            "else": [b"\0"] * count,
        },
        schema_overrides={"c": pl.String, "d": pl.String, "x": pl.Float64, "y": pl.Int64},
    )


def score(
    model: Path, given: str, out: str, *, keep: str = "", table: FeatureTable | None = None, **wish: Any
) -> Summary:
    """As `python -m serving.batch` does it. Raises MainlineError."""
    columns = table or toys.table("binary")
    scorer, bounds = Scorer(model, columns, threads=2), wish.pop("bounds", (None, None))
    place, target = places.parse(given), places.parse(out)
    with tempfile.TemporaryDirectory() as spool:
        source: running.Source
        if isinstance(place, str):
            source = Files(place, columns, Path(spool), keep=keep)
        else:
            kind = tables.PostgresTable if place.kind == "postgresql" else tables.DuckTable
            more: dict[str, Any] = {"by": "day", "keep": keep, "bounds": bounds}
            if isinstance(target, Database) and target.kind == place.kind == "duckdb":
                more["shared"] = target.address == place.address
            source = kind(place, columns, Path(spool), **more)
        try:
            label = wish.pop("source", source.label)
            wanted = Wish(label, everything=bounds == (None, None), **wish)
            release, dry = scorer.bundle.release, wanted.dry_run
            sink: running.Sink
            if isinstance(target, Database):
                sinks = {"duckdb": DuckTables, "postgresql": PostgresTables}
                sink = sinks[target.kind](target, columns, label, release, dry_run=dry)
            else:
                sink = Folder(Path(target), label, release, dry_run=dry)
            return running.run(source, sink, scorer, wanted)
        finally:
            source.close()


def command(model: Path, given: str, out: str, point: str = "") -> list[str]:
    return [sys.executable, "-m", "tests.serving.batching", str(model), given, out, point]


def process(model: Path, given: str, out: str, point: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(model, given, out, point), cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def _armed(point: str) -> None:
    """SIGKILL, to ourselves: no handler, no `finally`, no buffer is written."""
    module, path, number, when = point.rsplit(":", 3)
    owner, _, name = path.partition(".")
    kind, left = getattr(importlib.import_module(module), owner), int(number)
    method = getattr(kind, name)

    def instead(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(self, *arguments, **named)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(kind, name, instead)


def main() -> int:
    model, given, out, point = sys.argv[1:]
    if point:
        _armed(point)
    try:
        print(score(Path(model), given, out).told())
    except MainlineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
