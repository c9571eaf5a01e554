"""Batch scoring with a small model: in this process, or as one of its own that kills itself at a given point.

`python -m tests.serving.batching MODEL INPUT OUTPUT [POINT]`, or `--armed POINT` and what `serving.batch`
takes; POINT is MODULE:[CLASS.]NAME:N:before|after.
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
from serving.batch import __main__ as whole
from serving.batch import opening, places, running
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
    choice = opening.Choice("day", *bounds, keep)
    with tempfile.TemporaryDirectory() as name:
        spool, dry = Path(name), wish.get("dry_run", False)
        shared = opening.shared(place, target, dry_run=dry)
        source = opening.source(place, columns, spool, choice, shared=shared)
        try:
            label = wish.pop("source", source.label)
            wanted = Wish(label, everything=choice.everything, **wish)
            sink = opening.sink(target, columns, label, scorer.bundle.release, spool, dry_run=dry)
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
    owner, _, name = path.rpartition(".")
    inside = importlib.import_module(module)
    kind, left = getattr(inside, owner) if owner else inside, int(number)
    method = getattr(kind, name)

    def instead(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(*arguments, **named)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(kind, name, instead)


def main() -> int:
    if sys.argv[1] == "--armed":
        _armed(sys.argv[2])
        return whole.main(sys.argv[3:])
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
