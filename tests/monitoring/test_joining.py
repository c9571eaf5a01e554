"""Labels met with rows on disk are those that they would be in memory, however both are cut."""

from __future__ import annotations

import tempfile
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import joining, labels, staging
from monitoring.joining import Joined
from monitoring.observed import KNOWN
from monitoring.reference import AT
from monitoring.staging import Group, Stage
from tests.serving.toys import table

TABLE = table("binary")
FIRST = date(2013, 11, 1)
KEY = st.sampled_from("abcdefg")
TOLD = st.lists(st.tuples(KEY, st.integers(0, 1), st.none() | st.integers(0, 3)), max_size=12)
ASKED = st.lists(st.tuples(KEY, st.integers(0, 5)), min_size=1, max_size=12)


def told(rows: list[tuple[str, int, int | None]]) -> pl.DataFrame:
    known = [None if day is None else datetime(2013, 11, 1) + timedelta(days=day) for _, _, day in rows]
    columns: dict[str, Any] = {
        "key": pl.Series([key for key, _, _ in rows], dtype=pl.String),
        "target": pl.Series([target for _, target, _ in rows], dtype=pl.Int64),
        KNOWN: pl.Series(known, dtype=pl.Datetime("us")),
    }
    return labels.normal(pl.DataFrame(columns), TABLE)


def staged(rows: list[tuple[str, int]], folder: Path) -> Stage:
    times = [datetime(2013, 11, 1) + timedelta(days=day) for _, day in rows]
    frame = pl.DataFrame({"key": [key for key, _ in rows], "time": times, AT: times})
    stage = Stage(folder, "key")
    stage.fill(frame.iter_slices(3), "time", lambda _: None)
    return stage


@settings(max_examples=40, deadline=None)
@given(TOLD, ASKED, st.integers(1, 5))
def test_the_labels_of_some_days(
    lot: list[tuple[str, int, int | None]], rows: list[tuple[str, int]], size: int
) -> None:
    whole = told(lot)
    expected, contradicting = labels.distinct(whole, TABLE)
    last = FIRST + timedelta(days=4)  # rows of the day after are not asked for
    inside = [(key, FIRST + timedelta(days=day)) for key, day in rows if day <= 4]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(joining, "BUCKETS", 3)
        patched.setattr(staging, "HELD_ROWS", 2)
        stage = staged(rows, Path(folder))
        joined = Joined.of(whole.iter_slices(size), stage, TABLE, FIRST, last)
        assert (joined.labels, joined.contradicting) == (expected.height, contradicting)
        assert joined.unknown == len(set(expected["key"]) - {key for key, _ in inside})
        seen: list[tuple[str, date]] = []
        for group in stage.groups(FIRST, last):
            rows_of = stage.read(group, ["key", "time"]).select("key", pl.col("time").dt.date()).rows()
            assert {day for _, day in rows_of} == set(group.days)
            seen += rows_of
            found = joined.read(group)
            assert found["key"].is_unique().all() and found.schema == whole.schema
            keys = {key for key, _ in rows_of}
            assert found.sort("key").equals(expected.filter(pl.col("key").is_in(keys)).sort("key"))
        assert sorted(seen) == sorted(inside), "each row in one group"
        other = Group(tuple({day for _, day in inside}), ())  # not one of those that were joined
        every = joined.read(other)
        assert set(every["key"]) == set(expected["key"]) & {key for key, _ in inside}
        assert every["key"].is_unique().all()
