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
from tests.pipeline import damaged

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


def small(path: Path) -> bytes:
    """A few hundred bytes with every part a Parquet file has; nulls, because their lengths can be wrong."""
    values = [None if number % 3 == 0 else number / 7 for number in range(40)]
    frames.write(pl.DataFrame({"x": values, "s": [f"v{number % 5}" for number in range(40)]}), path)
    return path.read_bytes()


def test_whatever_byte_is_damaged_a_file_is_read_or_named(tmp_path: Path) -> None:
    """Polars 2.1 panics on some of these, and on some it aborts the process that reads."""
    path = tmp_path / "x.parquet"
    whole = small(path)
    outcomes = []
    with frames.Reader() as reader:
        for place in [*range(200), *range(200, len(whole), 5)]:  # dense where the pages are
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            outcomes.append(told(reader, path))
            if outcomes[-1] != "read":
                assert told(reader, path) == outcomes[-1], "no counters, no addresses: rejected once"
    assert 10 < outcomes.count("read") < len(outcomes) - 100
    assert all(outcomes)


def told(reader: frames.Reader, path: Path) -> str:
    try:
        reader.read(path)
    except DataError as error:
        assert str(path) in error.what
        return error.why
    return "read"


def test_a_schema_is_read_or_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    whole = small(path)
    refused = 0
    for place in range(len(whole) // 2, len(whole)):  # the footer is at the end
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 7]) + whole[place + 1 :])
        try:
            frames.schema(path)
        except DataError as error:
            assert str(path) in error.what
            refused += 1
    assert 10 < refused < len(whole) // 2, "some bytes matter to the schema, and some do not"


def test_a_panic_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    """In the reading process itself, too: not every file is read apart."""
    path = tmp_path / "x.parquet"
    path.write_bytes(damaged.PANICS)
    with pytest.raises(DataError, match=r"x\.parquet cannot be read"):
        frames.read(path)


def test_a_file_that_ends_its_reader_is_named_and_the_next_one_is_read(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    small(good)
    bad.write_bytes(damaged.ABORTS)
    with frames.Reader() as reader:
        for _ in range(2):
            with pytest.raises(DataError, match=r"bad\.parquet"):
                reader.read(bad)
            assert reader.read(good).equals(frames.read(good))


def test_a_reader_gives_what_read_gives(tmp_path: Path) -> None:
    path = tmp_path / "x\n.parquet"
    odd = pl.DataFrame(
        {
            "c": pl.Series(["a", None, "b"], dtype=pl.Categorical),
            "e": pl.Series(["a", None, "b"], dtype=pl.Enum(["a", "b"])),
            "l": [[1], None, []],
            "z": pl.Series([datetime(2020, 1, 1)] * 3, dtype=pl.Datetime("ns", "Europe/Berlin")),
            "n": [None, None, None],
            "b": [b"\xff", None, b""],
            "f": [float("nan"), None, -0.0],
        }
    )
    with frames.Reader() as reader:
        for frame in (odd, odd.head(0)):
            frames.write(frame, path)
            found = reader.read(path)
            assert found.schema == frames.read(path).schema
            assert found.equals(frames.read(path))
        with pytest.raises(DataError, match="does not exist"):
            reader.read(tmp_path / "nowhere.parquet")


def test_a_reader_that_cannot_start_is_no_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.parquet"
    small(path)
    (tmp_path / "polars.py").write_text("raise ImportError('not this one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with frames.Reader() as reader, pytest.raises(RuntimeError, match="exit code 1"):
        reader.read(path)
    assert "not this one" in capfd.readouterr().err


def test_no_reader_is_left_behind(tmp_path: Path) -> None:
    small(tmp_path / "x.parquet")
    with frames.Reader() as reader:
        reader.read(tmp_path / "x.parquet")
        process = reader._process
        assert process is not None and process.poll() is None
    assert process.poll() is not None
