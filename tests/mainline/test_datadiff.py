"""The data diff: a distance that is one, and words about what differs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainline import datadiff
from mainline.profile import CATEGORIES, OTHER, QUANTILES, ColumnProfile, Profile, TableProfile

STEP = 1 / (QUANTILES - 1)


def quantiles(values: list[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered[i * (len(ordered) - 1) // (QUANTILES - 1)] for i in range(QUANTILES)]


def shares(values: list[str], named: int = CATEGORIES) -> dict[str, float]:
    counts = sorted(((values.count(v), v) for v in set(values)), key=lambda c: (-c[0], c[1]))
    found = {v: n / len(values) for n, v in counts[:named]}
    return found | ({OTHER: 1 - sum(found.values())} if len(counts) > named else {})


def numbers(values: list[float]) -> ColumnProfile:
    return ColumnProfile(dtype="float64", nulls=0, quantiles=quantiles(values))


def strings(found: dict[str, float]) -> ColumnProfile:
    return ColumnProfile(dtype="string", nulls=0, shares=found)


def distance(one: list[float], other: list[float]) -> float:
    split = datadiff.widest(quantiles(one), quantiles(other))
    return abs(split.after - split.before)


def exact(one: list[float], other: list[float]) -> float:
    """Kolmogorov-Smirnov by its definition."""
    return max(
        abs(sum(v <= x for v in one) / len(one) - sum(v <= x for v in other) / len(other))
        for x in {*one, *other}
    )


discrete = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=80)
continuous = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=80)
columns = st.one_of(discrete, continuous)


@given(columns, columns, columns)
@settings(max_examples=200, deadline=None)
def test_the_shift_of_numbers_is_a_distance(a: list[float], b: list[float], c: list[float]) -> None:
    assert distance(a, a) == 0
    assert 0 <= distance(a, b) == distance(b, a) <= 1
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-9


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("places", [0, 1, 9])
def test_the_sketch_is_near_the_exact_distance(shift: float, places: int) -> None:
    """Rounded to whole numbers most values tie; the sketch still is within two steps."""
    source = random.Random(7)
    one = [round(source.gauss(0, 2), places) for _ in range(2000)]
    other = [round(source.gauss(shift, 2), places) for _ in range(1500)]
    assert distance(one, other) == pytest.approx(exact(one, other), abs=2 * STEP)


def test_steps_of_ties_are_no_slopes() -> None:
    """97 % zeros against 90 % zeros: 7 % moved, not what a straight line between quantiles would say."""
    mostly = [0.0] * 970 + [float(i) for i in range(1, 31)]
    less = [0.0] * 900 + [float(i % 30 + 1) for i in range(100)]
    assert distance(mostly, less) == pytest.approx(0.07, abs=STEP)
    split = datadiff.widest(quantiles(mostly), quantiles(less))
    assert split.at == 0 and split.inclusive
    assert (split.before, split.after) == pytest.approx((0.97, 0.90), abs=STEP)


@pytest.mark.parametrize(("one", "other"), [(0.0, 5e-324), (1.5e-323, 2.5e-323), (-1.7e308, 1.7e308)])
def test_the_smallest_and_the_widest_gaps(one: float, other: float) -> None:
    """Halves of the smallest numbers are equal; the difference of the largest is infinite."""
    assert distance([one, other], [other]) == 1
    assert distance([one, other] * 500, [one]) == pytest.approx(0.5, abs=STEP)


def test_too_few_values_are_never_said_to_have_moved_or_not() -> None:
    """A window of one row, and a column that is nearly always missing."""
    one, other = numbers([1.0]), numbers([2.0])
    (found,) = datadiff.diff(profile({"2021-01": 99}, x=one), profile({"2021-01": 5000}, x=other))
    assert (found.too_few, found.movers) == (("x",), ())
    holes = other.model_copy(update={"nulls": 0.99})
    (found,) = datadiff.diff(profile({"2021-01": 5000}, x=one), profile({"2021-01": 5000}, x=holes))
    assert (found.too_few, found.movers) == (("x",), ())
    assert [n.column for n in found.nulls] == ["x"]


def test_constants_move_altogether_or_not_at_all() -> None:
    assert distance([5.0] * 9, [5.0]) == 0
    assert distance([5.0], [5.000001]) == 1


words = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60)


@given(words, words, words, st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_the_shift_of_categories_is_a_distance_within_what_is_named(
    a: list[str], b: list[str], c: list[str], named: int
) -> None:
    one, two, three = (shares(values, named) for values in (a, b, c))
    assert datadiff.variation(one, one) == 0
    assert 0 <= datadiff.variation(one, two) <= 1
    assert datadiff.variation(one, two) == pytest.approx(datadiff.variation(two, one))
    unnamed = sum(side.get(OTHER, 0) for side in (one, two, three))
    direct = datadiff.variation(one, three)
    assert direct <= datadiff.variation(one, two) + datadiff.variation(two, three) + unnamed + 1e-9
    full = datadiff.variation(shares(a), shares(c))
    assert direct <= full + 1e-9, "a sketch never says more than the truth"
    if not unnamed:
        assert direct == pytest.approx(full)


def test_replaced_categories_moved_altogether() -> None:
    assert datadiff.variation({"x": 1.0}, {"y": 1.0}) == 1
    assert datadiff.variation({"x": 0.5, OTHER: 0.5}, {"x": 0.5, "y": 0.5}) == 0


def profile(months: dict[str, int], **columns: ColumnProfile) -> Profile:
    return Profile(tables={"raw/things": TableProfile(months=months, columns=columns)})


def test_a_column_that_names_the_month_moves_with_every_month() -> None:
    """It is told as months, not as a distribution that moved whole; of another column that is news."""
    before = profile({"2021-01": 500}, month=strings({"2021-01": 1.0}), colour=strings({"red": 1.0}))
    after = profile({"2021-02": 500}, month=strings({"2021-02": 1.0}), colour=strings({"blue": 1.0}))
    (found,) = datadiff.diff(before, after)
    assert [mover.column for mover in found.movers] == ["colour"]


def test_months_columns_types_nulls_and_movers_are_named() -> None:
    still = numbers([1.0, 2.0, 3.0])
    before = profile(
        {"2021-01": 1000, "2021-02": 2000, "2021-03": 500},
        still=still, gone=still, kind=still, x=numbers([1.0] * 10), few=still,
        who=ColumnProfile(dtype="string", nulls=0, shares={"a": 0.7, "b": 0.3}),
        day=ColumnProfile(dtype="date", nulls=0, quantiles=[0.0] * QUANTILES),
    )  # fmt: skip
    after = profile(
        {"2021-02": 2000, "2021-03": 700, "2021-04": 900},
        still=still, new=still, kind=ColumnProfile(dtype="string", nulls=0.5, shares={"1": 1.0}),
        x=numbers([1.0] * 500 + [9.0] * 500), few=still.model_copy(update={"nulls": 0.0002, "infinite": 0.1}),
        who=ColumnProfile(dtype="string", nulls=0, shares={"a": 0.5, "c": 0.5}),
        day=ColumnProfile(dtype="date", nulls=0, quantiles=[86400.0] * QUANTILES),
    )  # fmt: skip
    (found,) = datadiff.diff(before, after)
    assert found.rows == (3500, 3600)
    assert found.months == {"2021-01": (1000, None), "2021-03": (500, 700), "2021-04": (None, 900)}
    assert (found.added, found.removed) == (("new",), ("gone",))
    assert found.retyped == {"kind": ("float64", "string")}
    assert [(n.column, n.infinite) for n in found.nulls] == [("kind", False), ("few", True), ("few", False)]
    assert [mover.column for mover in found.movers] == ["who", "x"]
    assert found.movers[0].shift == 0.5
    assert [v.name for v in found.movers[0].values] == ["c", "b", "a"]
    split = found.movers[1].split
    assert split and (split.at, split.inclusive, split.before, split.medians) == (1, True, 1, (1, 1))
    assert split.after == pytest.approx(0.5, abs=STEP)


def test_the_same_profile_has_no_difference() -> None:
    one = profile({"2021-01": 1}, x=numbers([1.0]))
    assert not any(table.changed for table in datadiff.diff(one, one))


def test_tables_come_and_go() -> None:
    one, none = profile({"2021-01": 4}, x=numbers([1.0])), Profile(tables={})
    assert [(t.name, t.rows, t.changed) for t in datadiff.diff(none, one)] == [
        ("raw/things", (None, 4), True)
    ]
    assert [t.rows for t in datadiff.diff(one, none)] == [(4, None)]
