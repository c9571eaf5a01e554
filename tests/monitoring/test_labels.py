"""Labels from a table: names, types, contradictions."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mainline.errors import DataError
from monitoring import labels
from monitoring.observed import KNOWN
from pipeline import params
from tests.monitoring import toys
from tests.serving.toys import table

TABLE = table("binary")


def write(path: Path, **columns: Any) -> str:
    pl.DataFrame(columns).write_parquet(path)
    return str(path.parent)


def read(place: str | Path, known_by: datetime | None = None) -> tuple[pl.DataFrame, int]:
    """The labels, and how many keys have none because theirs differ."""
    told = list(labels.batches(str(place), TABLE, known_by))
    return labels.distinct(pl.concat([labels.none(TABLE), *told]), TABLE)


def test_a_table_of_labels(tmp_path: Path) -> None:
    place = write(
        tmp_path / "a.parquet",
        key=["a", "b", "c", "d"],
        target=[0, 1, None, None],
        excluded=[None, None, "cancelled", None],
        known_at=[datetime(2013, 11, 1)] * 4,
    )
    found = read(place)[0]
    assert found["key"].to_list() == ["a", "b", "c"]  # d has neither: it is pending
    assert found[KNOWN].to_list() == [datetime(2013, 11, 1)] * 3


def test_names_of_the_use_case_are_known_too_and_the_rest_is_optional(tmp_path: Path) -> None:
    place = write(tmp_path / "a.parquet", key=["a"], target=[1.0], other=[3])
    found = read(place)[0]
    assert found.row(0) == ("a", 1, None, None)


def test_the_same_label_again_is_one_and_the_first_known_counts(tmp_path: Path) -> None:
    write(
        tmp_path / "a.parquet",
        key=["a", "a"],
        target=[1, 1],
        known_at=[datetime(2013, 11, 3), datetime(2013, 11, 2)],
    )
    found = read(tmp_path)[0]
    assert found[KNOWN].to_list() == [datetime(2013, 11, 2)]


def test_labels_that_contradict_each_other_are_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", key=["a", "=b\n@x"], target=[1, 1])
    write(tmp_path / "b.parquet", key=["=b\n@x"], target=[0])
    found, contradicting = read(tmp_path)
    assert (found["key"].to_list(), contradicting) == (["a"], 1)


SECOND, FIFTH, EIGHTH = (datetime(2013, 11, day) for day in (2, 5, 8))
CORRECTED = [
    # (target, known_at) …, known_by: the label, None: left out
    ([(0, SECOND), (1, FIFTH)], None, (1, FIFTH)),
    ([(1, FIFTH), (0, SECOND)], None, (1, FIFTH)),
    ([(0, SECOND), (1, FIFTH)], datetime(2013, 11, 3), (0, SECOND)),
    ([(0, SECOND), (1, FIFTH)], FIFTH, (1, FIFTH)),
    ([(0, SECOND), (1, FIFTH), (0, EIGHTH)], None, (0, EIGHTH)),
    ([(0, SECOND), (0, FIFTH), (1, EIGHTH)], FIFTH, (0, SECOND)),
    ([(0, None), (1, FIFTH)], None, (1, FIFTH)),
    ([(0, SECOND), (1, FIFTH), (0, FIFTH)], None, None),
    ([(0, None), (1, None)], None, None),
    ([(0, None), (1, None), (0, FIFTH)], None, (0, FIFTH)),
]


@pytest.mark.parametrize(("told", "known_by", "expected"), CORRECTED)
def test_of_labels_that_differ_the_one_known_last_counts(
    told: list[tuple[int, datetime | None]],
    known_by: datetime | None,
    expected: tuple[int, datetime] | None,
    tmp_path: Path,
) -> None:
    for number, (target, known) in enumerate(told):
        known_at = pl.Series([known], dtype=pl.Datetime("us"))
        write(tmp_path / f"{number}.parquet", key=["a"], target=[target], known_at=known_at)
    found, contradicting = read(tmp_path, known_by)
    assert found.select("target", KNOWN).rows() == ([expected] if expected else [])
    assert contradicting == (expected is None)


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"key": ["a"]}, "no column target"),
        ({"target": [1]}, "no column key"),
        ({"key": ["a"], "target": ["late"]}, "another type"),
        ({"key": ["a"], "target": [3]}, "cannot be"),
        ({"key": ["a"], "target": [0.5]}, "another type"),
    ],
)
def test_other_tables_are_refused(columns: dict[str, Any], what: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=what):
        read(write(tmp_path / "a.parquet", **columns))


HOSTILE = "\x1b[2J\x1b]0;x\x07::error::ours"


@pytest.mark.parametrize("name", ["target", "known_at"])
def test_foreign_text_in_a_table_reaches_no_terminal(name: str, tmp_path: Path) -> None:
    columns = {"key": ["a"], "target": [1], name: [HOSTILE]}
    with pytest.raises(DataError, match="another type") as error:
        read(write(tmp_path / "a.parquet", **columns))
    assert error.value.why
    assert str(error.value).replace("\n", "").isprintable()


def test_an_error_without_a_word_is_named_by_its_type() -> None:
    assert labels.said(pl.exceptions.ComputeError("")) == "ComputeError"
    assert labels.said(pl.exceptions.ComputeError("\n\x1b[2Jsecond")) == "ComputeError"
    assert labels.said(OSError("x" * 5000)) == "x" * 199 + "…"


def test_no_labels_truncated_ones_and_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none")
    none, _ = read(tmp_path)
    assert none.is_empty() and none.schema == toys.labelled(toys.rows("binary", 1)).schema
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")
    with pytest.raises(DataError, match="no Parquet"):
        read(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)


def test_a_source_without_the_months_has_no_labels_yet() -> None:
    found = labels.from_source(params.load(), date(2031, 11, 1), date(2031, 11, 30), 1, lookback=0)
    assert found.labels.is_empty() and found.anew is None
