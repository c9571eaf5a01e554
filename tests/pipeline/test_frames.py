"""Frames come back as they were written, in the same bytes, or with an error that names the file."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainline.errors import DataError
from mainline.schema import Column
from pipeline import frames

COLUMNS = [
    Column("s", "string", ""), Column("i", "int64", ""), Column("f", "float64", ""),
    Column("b", "bool", ""), Column("d", "date", ""), Column("t", "datetime", ""),
]  # fmt: skip
FLOATS = st.floats(allow_nan=True, width=64)
TIMES = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
ROWS = st.lists(
    st.tuples(
        st.text(st.characters(codec="utf-8")) | st.none(),
        st.integers(-(2**63), 2**63 - 1) | st.none(),
        FLOATS | st.none(),
        st.booleans() | st.none(),
        st.dates(date(1700, 1, 1), date(2200, 1, 1)) | st.none(),
        TIMES | st.none(),
    ),
    max_size=20,
)


@given(ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_round_trip_with_hostile_text_and_extreme_numbers(tmp_path: Path, rows: list) -> None:
    frame = pl.DataFrame(rows, schema=frames.polars_schema(COLUMNS), orient="row")
    frames.write(frame, tmp_path / "x.parquet")
    again = frames.read(tmp_path / "x.parquet")
    assert again.equals(frame)
    assert again.schema == frame.schema
    assert frames.schema(tmp_path / "x.parquet") == dict(frame.schema)


def test_chunks_do_not_change_the_bytes(tmp_path: Path) -> None:
    parts = [pl.DataFrame({"a": range(i * 1000, i * 1000 + 1000), "s": [f"v{i}"] * 1000}) for i in range(300)]
    frames.write(pl.concat(parts, rechunk=False), tmp_path / "parts.parquet")
    frames.write(pl.concat(parts, rechunk=True), tmp_path / "whole.parquet")
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


PROGRAM = """
import sys, polars as pl
from pathlib import Path
from pipeline import frames
n = pl.int_range(300_000, eager=True)
frame = pl.DataFrame({"i": n * 7919 % 1001, "f": (n % 997) / 7, "s": (n % 13).cast(pl.String)})
frames.write(frame.lazy().filter(pl.col("i") > 3).sort("i", "f", "s").collect(), Path(sys.argv[1]))
"""


def test_threads_do_not_change_the_bytes(tmp_path: Path) -> None:
    digests = set()
    for threads in ("1", "2", "5"):
        path = tmp_path / f"{threads}.parquet"
        environment = os.environ | {"POLARS_MAX_THREADS": threads}
        subprocess.run([sys.executable, "-c", PROGRAM, str(path)], env=environment, check=True)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_only_some_columns(tmp_path: Path) -> None:
    frames.write(pl.DataFrame({"a": [1], "b": [2]}), tmp_path / "x.parquet")
    assert frames.read(tmp_path / "x.parquet", ["b"]).columns == ["b"]
    with pytest.raises(DataError, match=r"x\.parquet"):
        frames.read(tmp_path / "x.parquet", ["missing"])


@pytest.mark.parametrize("size", [0, 3, 40, -20])
def test_a_truncated_file_is_named(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.parquet"
    frames.write(pl.DataFrame({"a": [1.5] * 100}), path)
    path.write_bytes(path.read_bytes()[:size])
    for reading in (frames.read, frames.schema):
        with pytest.raises(DataError, match=r"x\.parquet"):
            reading(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for reading in (frames.read, frames.schema):
        with pytest.raises(DataError, match=r"nowhere\.parquet does not exist"):
            reading(tmp_path / "nowhere.parquet")


def test_a_name_with_glob_signs_is_a_name(tmp_path: Path) -> None:
    frames.write(pl.DataFrame({"a": [1]}), tmp_path / "[x]*.parquet")
    assert frames.read(tmp_path / "[x]*.parquet").height == 1
