"""The running sums against a count by hand, on whatever events hypothesis thinks of."""

from __future__ import annotations

import narwhals as nw
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from usecase.features import mean_of, seen, waiting

PLACES = st.sampled_from(["JFK", "LGA", None])
MINUTES = st.integers(0, 30)
EVENTS = st.lists(st.tuples(PLACES, MINUTES, st.integers(-5, 5)), max_size=12)
ASKED = st.lists(st.tuples(PLACES, MINUTES), max_size=8)


def lazy(rows: list, names: tuple[str, ...]) -> nw.LazyFrame:
    types = {name: pl.String if name == "place" else pl.Int64 for name in names}
    return nw.from_native(pl.LazyFrame(rows, schema=types, orient="row"))


def answers(frame: nw.LazyFrame) -> dict[tuple, tuple]:
    rows = frame.to_native().collect().rows()
    assert len({row[:2] for row in rows}) == len(rows)
    return {row[:2]: row[2:] for row in rows}


@given(EVENTS, ASKED, st.integers(0, 12))
def test_sums_over_the_last_minutes(events: list, asked: list, minutes: int) -> None:
    result = seen(
        lazy(asked, ("place", "asked")), lazy(events, ("place", "at", "n")), ["place"], ["n"], minutes
    )
    start = minutes or 1000
    expected = {
        (place, time): (sum(n for p, at, n in events if p == place and time - start < at <= time),)
        for place, time in asked
        if place is not None
    }
    assert answers(result) == expected


@given(EVENTS, ASKED)
def test_the_mean_of_nothing_is_null(events: list, asked: list) -> None:
    frame = mean_of(
        lazy(asked, ("place", "asked")), lazy(events, ("place", "at", "n")), ["place"], "n", 5, "mean"
    )
    for (place, time), (mean,) in answers(frame).items():
        values = [n for p, at, n in events if p == place and time - 5 < at <= time]
        assert mean == (sum(values) / len(values) if values else None)


@given(st.lists(st.tuples(PLACES, MINUTES, st.none() | st.integers(0, 60)), max_size=10))
def test_waiting_flights(flights: list) -> None:
    """Every flight asks at its own scheduled minute: who is overdue then?"""
    rows = [(place, at, None if delay is None else at + delay, at) for place, at, delay in flights]
    frame = waiting(lazy(rows, ("place", "at", "left", "asked")), ["place"], "x", grace=3, limit=20)
    for (place, time), (count, overdue) in answers(frame).items():
        late = [
            time - at
            for p, at, left, _ in rows
            if p == place and at + 3 <= time < at + 20 and (left is None or left > time)
        ]
        assert (count, overdue) == (len(late), sum(late))
