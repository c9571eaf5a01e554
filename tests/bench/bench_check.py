"""The check over a long log: rows a second and peak memory, which must not grow with the rows.

`python tests/bench/bench_check.py [ROWS …] [--parquet]`: the real test rows, again and again under other
keys, spread over a year. Without labels, so that what is measured is the log.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mainline import drift, policy
from mainline.records import Metrics
from tests.imports import ROOT
from usecase.schema import FEATURES

FIRST, DAYS = datetime(2013, 10, 1), 360
PART = 250_000  # rows a file


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int, nargs="*", default=[250_000, 1_000_000])
    parser.add_argument("--parquet", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for rows in [100_000] if options.quick else options.rows:
        with tempfile.TemporaryDirectory() as folder:
            measure(rows, Path(folder), parquet=options.parquet)
    return 0


def measure(rows: int, folder: Path, *, parquet: bool) -> None:
    log, reference = folder / "log", folder / "reference"
    log.mkdir()
    reference.mkdir()
    _reference(reference)
    size = _log(rows, log, parquet=parquet)
    command = [sys.executable, "-m", "monitoring", "check", "--reference", str(reference), "--log", str(log)]
    started = time.perf_counter()
    out = ("--until", "2014-09-25", "--out", str(folder / "drift.json"))
    process = subprocess.Popen(
        [*command, *out], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    assert status == 0, status
    kind = "Parquet" if parquet else "JSON lines"
    print(
        f"{rows:,} rows of {kind}, {size / 1e6:,.0f} MB: {seconds:.0f} s, {rows / seconds:,.0f} rows/s, "
        f"{usage.ru_maxrss / 1024:,.0f} MB at most",
        flush=True,
    )


def _log(rows: int, folder: Path, *, parquet: bool) -> int:
    """Bytes written; each file has some days, in order."""
    test = pl.read_parquet(ROOT / "data/features/test.parquet")
    scores = pl.read_parquet(ROOT / "reports/predictions.parquet").select("flight_key", "probability")
    real = test.join(scores, on="flight_key").sample(fraction=1, shuffle=True, seed=1)
    for start in range(0, rows, PART):
        number = pl.int_range(start, min(rows, start + PART), eager=True)
        part = real[(number % real.height).to_list()].with_columns(number.alias("n"))
        time_ = pl.lit(FIRST) + pl.duration(minutes=pl.col("n") * DAYS * 1440 // rows)
        frame = part.select(
            pl.lit("2026-01-01T00:00:00.000000+00:00").alias("at"),
            pl.lit("0123456789abcdef").alias("request_id"),
            pl.lit(policy.release().model).alias("model"),
            pl.lit("v1.0.0").alias("version"),
            (pl.lit("key-") + pl.col("n").cast(pl.String)).alias("key"),
            time_.dt.strftime("%Y-%m-%dT%H:%M:%S").alias("time"),
            pl.col("probability").cast(pl.Float64).alias("score"),
            pl.lit(False).alias("decision"),
            pl.struct([one.name for one in FEATURES.features]).alias("features"),
        )
        name = folder / f"predictions.{start:020d}"
        if parquet:
            frame.write_parquet(name.with_name(f"{name.name}.parquet"))
        else:
            frame.write_ndjson(name.with_name(f"{name.name}.jsonl"))
    return sum(file.stat().st_size for file in folder.iterdir())


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
