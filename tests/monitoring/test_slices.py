"""Parquet of others in slices: as it is, or with a word on the damage; the process that asks goes on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from mainline.errors import DataError
from monitoring import labels, logs
from monitoring.slices import DamagedError, Slices
from tests.monitoring import toys
from tests.pipeline import damaged
from tests.serving.toys import table

TABLE = table("binary")


def flipped(whole: bytes, place: int, bits: int) -> bytes:
    return whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :]


def labelled(path: Path) -> bytes:
    """A table of labels with the pages in its first 360 bytes."""
    numbers = range(40)
    target = [None if number % 3 == 0 else number % 2 for number in numbers]
    pl.DataFrame({"key": [f"k{number}" for number in numbers], "target": target}).write_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize("size", [1, 39, 40, 41, 100])
def test_slices_are_the_file(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(tmp_path / "x.parquet")
    monkeypatch.chdir(tmp_path)  # wherever the check runs
    with Slices() as slices:
        found = list(slices.of(Path("x.parquet"), size, ["target", "none"]))
        pl.DataFrame(schema={"target": pl.Int64}).write_parquet(tmp_path / "empty.parquet")
        empty = list(slices.of(tmp_path / "empty.parquet", size))
    assert all(one.height <= size for one in found)
    assert pl.concat(found).equals(pl.read_parquet(tmp_path / "x.parquet").select("target"))
    assert [one.schema for one in empty] == [{"target": pl.Int64}]


def test_a_file_that_has_gone_is_no_damaged_one(tmp_path: Path) -> None:
    with Slices() as slices, pytest.raises(FileNotFoundError):
        list(slices.of(tmp_path / "x.parquet", 10))


@pytest.mark.parametrize(("content", "why"), [(damaged.PANICS, "panicked"), (damaged.ABORTS, "SIGABRT")])
def test_after_damage_the_next_file_is_read(
    content: bytes, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.parquet").write_bytes(content)
    labelled(tmp_path / "x.parquet")
    with Slices() as slices:
        for _ in range(2):
            with pytest.raises(DamagedError, match=why):
                list(slices.of(tmp_path / "bad.parquet", 10))
            assert pl.concat(slices.of(tmp_path / "x.parquet", 10)).height == 40
    assert capfd.readouterr().err == "", "no stack traces"


def test_a_reader_that_cannot_start_is_no_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "polars.py").write_text("raise ImportError('not this one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Slices() as slices, pytest.raises(RuntimeError, match="exit code 1"):
        list(slices.of(tmp_path / "x.parquet", 10))


def test_whatever_byte_is_damaged_labels_are_read_or_the_file_is_named(tmp_path: Path) -> None:
    """On some of these bytes Polars panics, and on some it aborts the process."""
    path = tmp_path / "told.parquet"
    whole = labelled(path)
    found: Counter[str] = Counter()
    for place in [*range(140, 150), *range(150, 360, 3)]:
        path.write_bytes(flipped(whole, place, 1))
        try:
            list(labels.batches(str(path), TABLE))
            found["read"] += 1
        except DataError as error:
            assert str(path) in error.what or "the labels" in error.what or "labels cannot be" in error.what
            found[error.why[:10]] += 1
    assert found["Polars pan"] and found["SIGABRT en"] and found["read"], found


def test_damaged_labels_end_the_check_as_what_they_are(tmp_path: Path) -> None:
    whole = labelled(tmp_path / "told.parquet")
    for place, why in ((147, "Polars panicked"), (145, "SIGABRT ended the process")):
        (tmp_path / "told.parquet").write_bytes(flipped(whole, place, 1))
        with pytest.raises(DataError, match=r"told\.parquet cannot be read") as error:
            list(labels.batches(str(tmp_path), TABLE))
        assert why in error.value.why and error.value.exit_code == 13


@pytest.mark.parametrize(("content", "why"), [(damaged.PANICS, "panicked"), (damaged.ABORTS, "SIGABRT")])
def test_every_damaged_file_of_a_log_is_named_and_the_others_are_read(
    content: bytes, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toys.log(toys.rows("binary", 1), tmp_path / "a.jsonl")
    (tmp_path / "b.parquet").write_bytes(content)
    (tmp_path / "c.parquet").write_bytes(content)
    toys.log(toys.rows("binary", 1, first=toys.UNTIL), tmp_path / "d.jsonl")
    reader = logs.Reader(TABLE, "toy")
    assert pl.concat(reader.batches(str(tmp_path))).height == 80
    assert reader.found.malformed.reasons == {"not Parquet": 2}
    assert reader.found.malformed_days(toys.FIRST, toys.UNTIL) == {"2013-11-01": {"not Parquet": 2}}
    said = capsys.readouterr().err
    assert f"damaged: b.parquet: {why}" in said.replace("Polars ", "") and "damaged: c.parquet" in said
