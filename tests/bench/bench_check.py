"""The check over a long log: rows a second and peak memory.

`python tests/bench/bench_check.py [ROWS …] [--parquet] [--labels] [--days N] [--folder FOLDER]`: the real
test rows, again and again under other keys, with a score of their own, spread over a year; a label for each,
in another order. `--folder` keeps them. `--days 28` puts all rows into one window. Memory must hardly grow
with the rows, either way: 1 where it does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mainline import drift, policy
from mainline.records import Metrics
from tests.imports import ROOT
from usecase.schema import FEATURES

LAST, YEAR = datetime(2014, 9, 26), 360  # rows end with the 25th
GROWTH = 1.3  # of memory, from the fewest rows to the most
PART = 250_000  # rows a file


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int, nargs="*", default=[250_000, 1_000_000])
    parser.add_argument("--parquet", action="store_true")
    parser.add_argument("--labels", action="store_true")
    parser.add_argument("--days", type=int, default=YEAR, help="that the rows are spread over (%(default)s)")
    parser.add_argument("--folder", type=Path, help="made once, and found there the next time")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    found = {}
    for rows in sorted([100_000] if options.quick else options.rows):
        with tempfile.TemporaryDirectory() as folder:
            place = options.folder or Path(folder)
            found[rows] = measure(
                rows, place, days=options.days, parquet=options.parquet, labels=options.labels
            )
    return _judged(found) if len(found) > 1 else 0


def _judged(memory: dict[int, float]) -> int:
    """1 where memory (bytes by rows) has grown too much."""
    few, many = min(memory), max(memory)
    growth, each = memory[many] / memory[few], (memory[many] - memory[few]) / (many - few)
    told = f"{many / few:,.0f} times the rows take {growth:.2f} times the memory"
    print(f"{told}, {each:,.0f} bytes a row more; at most {GROWTH}")
    return int(growth > GROWTH)


def measure(rows: int, folder: Path, *, days: int, parquet: bool, labels: bool) -> float:
    """Bytes of memory at most."""
    kind = "Parquet" if parquet else "JSON lines"
    made = f"{rows}-{days}"
    log = _made(
        folder / f"{made}-{'parquet' if parquet else 'jsonl'}", lambda at: _log(rows, days, at, parquet)
    )
    reference = _made(folder / "reference", _reference)
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable,
            "-m",
            "monitoring",
            "check",
            "--reference",
            str(reference),
            "--log",
            str(log),
        ]
        command += ["--features", "none", "--until", "2014-09-25", "--out", str(Path(out, "drift.json"))]
        if labels:
            command += ["--labels", str(_made(folder / f"{made}-labels", lambda at: _labels(rows, days, at)))]
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        assert status == 0, status
        joined = drift.Drift.read(Path(out, "drift.json")).recent[-1].labels.joined
    assert bool(joined) == labels
    size = sum(file.stat().st_size for file in log.iterdir())
    print(
        f"{rows:,} rows of {kind} in {days} days, {size / 1e6:,.0f} MB, "
        f"{'with' if labels else 'without'} labels: "
        f"{seconds:.0f} s, {usage.ru_utime + usage.ru_stime:.0f} s of CPU, {rows / seconds:,.0f} rows/s, "
        f"{usage.ru_maxrss / 1024:,.0f} MB at most, load {os.getloadavg()[1]:.0f}",
        flush=True,
    )
    return usage.ru_maxrss * 1024.0


def _time(rows: int, days: int) -> pl.Expr:
    return pl.lit(LAST) - pl.duration(days=days) + pl.duration(minutes=pl.col("n") * days * 1440 // rows)


def _made(folder: Path, make: Callable[[Path], None]) -> Path:
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        make(part)
        part.rename(folder)
    return folder


def _labels(rows: int, days: int, folder: Path) -> None:
    """One a key, known a day after its row, in an order that has nothing of the log's."""
    for start in range(0, rows, PART):
        number = pl.int_range(start, min(rows, start + PART), eager=True) * 7919 % rows  # a prime
        pl.DataFrame({"n": number}).select(
            (pl.lit("key-") + pl.col("n").cast(pl.String)).alias("key"),
            (pl.col("n") % 5 == 0).cast(pl.Int64).alias("target"),
            (_time(rows, days) + pl.duration(days=1)).alias("known_at"),
        ).write_parquet(folder / f"{start:020d}.parquet")


def _log(rows: int, days: int, folder: Path, parquet: bool) -> None:
    """Each file has some days, in order."""
    test = pl.read_parquet(ROOT / "data/features/test.parquet")
    scores = pl.read_parquet(ROOT / "reports/predictions.parquet").select("flight_key", "probability")
    real = test.join(scores, on="flight_key").sample(fraction=1, shuffle=True, seed=1)
    for start in range(0, rows, PART):
        number = pl.int_range(start, min(rows, start + PART), eager=True)
        part = real[(number % real.height).to_list()].with_columns(number.alias("n"))
        frame = part.select(
            pl.lit("2026-01-01T00:00:00.000000+00:00").alias("at"),
            pl.lit("0123456789abcdef").alias("request_id"),
            pl.lit(policy.release().model).alias("model"),
            pl.lit("v1.0.0").alias("version"),
            (pl.lit("key-") + pl.col("n").cast(pl.String)).alias("key"),
            _time(rows, days).dt.strftime("%Y-%m-%dT%H:%M:%S").alias("time"),
            (pl.col("probability").cast(pl.Float64) * (1 - pl.col("n") % 9973 * 1e-7)).alias("score"),
            pl.lit(False).alias("decision"),
            pl.struct([one.name for one in FEATURES.features]).alias("features"),
        )
        name = folder / f"predictions.{start:020d}"
        if parquet:
            frame.write_parquet(name.with_name(f"{name.name}.parquet"))
        else:
            frame.write_ndjson(name.with_name(f"{name.name}.jsonl"))


def _reference(folder: Path) -> None:
    metrics = Metrics.read(ROOT / Metrics.location)
    record = drift.Reference(
        model=policy.release().model, version="v1.0.0", commit="0" * 40, promoted=None, windows={},
        rows=metrics.rows, figures=metrics.figures,
    )  # fmt: skip
    (folder / "reference.json").write_text(record.model_dump_json())
    for name in ("metrics.json", "profile.json", "predictions.parquet"):
        shutil.copy(ROOT / "reports" / name, folder / name)


if __name__ == "__main__":
    sys.exit(main())
