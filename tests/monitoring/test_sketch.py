"""The distance from a sketch: 0 for itself, growing with a shift, never beyond 1; and what chance gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mainline.profile import ColumnProfile
from mainline.schema import Column
from monitoring import sketch
from pipeline.profile import sketch as sketched

X = Column("x", "float64", "a number")
COUNTS = hnp.arrays(np.float64, 12, elements=st.integers(0, 1000).map(float))


def counts(values: Any, where: sketch.Bins) -> sketch.Array:
    found = sketch.codes(pl.Series(values), where)
    return np.bincount(found[found >= 0], minlength=where.size).astype(np.float64)


@given(COUNTS, COUNTS)
def test_the_distance_is_symmetric_and_between_0_and_1(one: sketch.Array, two: sketch.Array) -> None:
    found = sketch.distance(one, two)
    assert (found is None) == (not one.any() or not two.any())
    if found is not None:
        assert 0 <= found <= 1
        assert found == sketch.distance(two, one)
        assert sketch.distance(one, one) == 0


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["float64", "int64"]), st.floats(0.1, 1e5))
def test_rows_lie_near_their_own_sketch_and_further_away_the_more_they_shift(
    seed: int, dtype: str, scale: float
) -> None:
    values = np.random.default_rng(seed).normal(0, 1, 3000) * scale
    values = values.round() if dtype == "int64" else values
    series = pl.Series(values).cast(pl.Int64 if dtype == "int64" else pl.Float64)
    where = sketch.bins(Column("x", dtype, ""), sketched(series, dtype))  # type: ignore[arg-type]
    if scale > 5 or dtype == "float64":
        assert (sketch.distance(counts(series, where), where.share) or 0) < 0.06
    shifted = [
        sketch.distance(counts(series + shift * scale, where), where.share) or 0 for shift in (1, 2, 4, 8)
    ]
    assert shifted == sorted(shifted)
    assert shifted[-1] > 0.9 or scale < 1


def test_values_beyond_six_digits_lie_where_the_sketch_rounded_them() -> None:
    """The sketch has 10.3570 for 10.35702: a tie of the reference must not step into the next bin."""
    values = pl.Series([0.0, 10.35702, 10.35702, 12.65858] * 50)
    where = sketch.bins(X, sketched(values, "float64"))
    away = sketch.distance(counts(values, where), where.share)
    assert away is not None and away < 0.02


def test_a_heavy_value_has_a_bin_of_its_own() -> None:
    values = pl.Series([*np.linspace(0, 1, 30), *[5.0] * 60, *np.linspace(9, 10, 10)])
    where = sketch.bins(X, sketched(values, "float64"))
    only = counts(pl.Series([5.0] * 10), where)
    assert np.count_nonzero(only) == 1
    assert abs(where.share[only.argmax()] - 0.6) < 0.02


def test_a_value_below_a_constant_reference_is_seen() -> None:
    where = sketch.bins(X, sketched(pl.Series([3.0] * 10), "float64"))
    assert where.constant
    assert sketch.distance(counts([3.0] * 5, where), where.share) == 0
    assert sketch.distance(counts([2.9] * 5, where), where.share) == 1
    assert sketch.distance(counts([3.1] * 5, where), where.share) == 1


def test_a_reference_without_values_has_no_distance() -> None:
    for profile in (None, ColumnProfile(dtype="float64", nulls=1)):
        where = sketch.bins(X, profile)
        assert where.empty
        assert list(sketch.codes(pl.Series([1.0, None]), where)) == [0, -1]


def test_infinite_numbers_and_nulls_are_in_no_bin() -> None:
    where = sketch.bins(X, sketched(pl.Series(np.arange(100.0)), "float64"))
    assert list(sketch.codes(pl.Series([float("inf"), float("-inf"), float("nan"), None]), where)) == [-1] * 4


def test_hostile_category_names_are_counted_by_their_safe_form() -> None:
    names = ["=cmd|' /C calc'!A0", "@team\n", "../../etc", "\x1b[31m", "ok"]
    values = pl.Series(names * 10)
    where = sketch.bins(Column("c", "string", ""), sketched(values, "string"))
    assert sketch.distance(counts(values, where), where.share) == 0
    assert counts(pl.Series(["other"]), where)[-1] == 1


def test_the_noise_is_what_equal_blocks_show() -> None:
    """Days that share a fate: the distance of 20 such days from the reference is about the noise."""
    random = np.random.default_rng(5)

    def days(number: int) -> list[np.ndarray]:
        return [random.normal(random.normal(0, 1), 1, 200) for _ in range(number)]

    reference = np.concatenate(days(240))
    where = sketch.bins(X, sketched(pl.Series(reference), "float64"))
    distances, expected = [], []
    for _ in range(60):
        block = np.stack([counts(day, where) for day in days(20)])
        scatter = sketch.between(block, where.share)
        assert scatter is not None
        chance = sketch.noise(scatter, 20, 240, where, block.sum(axis=0))
        away = sketch.distance(block.sum(axis=0), where.share)
        assert away is not None and chance is not None
        distances.append(away)
        expected.append(chance)
    assert 0.8 < np.mean(distances) / np.mean(expected) < 1.2
    by_rows = np.sqrt(where.size / (20 * 200) / 8 / np.log(2))
    assert np.mean(expected) > 2.5 * by_rows  # rows of one day are no independent witnesses


def test_noise_needs_blocks_and_values() -> None:
    where = sketch.bins(X, sketched(pl.Series(np.arange(100.0)), "float64"))
    assert sketch.between(np.ones((1, where.size)), where.share) is None
    assert sketch.noise(1.0, 0, 10, where, np.ones(where.size)) is None
    assert sketch.noise(1.0, 3, 10, where, np.zeros(where.size)) is None
