"""The sketch of the data: the same bytes for the same rows, whatever is in them."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainline.errors import DataError
from mainline.profile import CATEGORIES, OTHER, QUANTILES, Profile, TableProfile
from mainline.schema import Column, FeatureTable, Table
from pipeline import frames, profile

TABLE = Table("things", (Column("id", "string", ""), Column("day", "date", "")), ("id",), "day")
ROWS = pl.DataFrame({"id": ["a", "../x\n"], "day": [date(2021, 1, 1), date(2021, 1, 2)]})


def put(root: Path, month: str, frame: pl.DataFrame) -> Path:
    path = root / "things" / f"month={month}.parquet"
    frames.write(frame, path)
    return path


def test_quantiles_are_values_that_occur_in_order() -> None:
    found = profile.sketch(pl.Series([3.0, 1.0, None, 2.0]), "float64")
    assert (found.nulls, found.infinite, found.shares) == (0.25, 0, {})
    assert len(found.quantiles) == QUANTILES
    assert (found.quantiles[0], found.quantiles[50], found.quantiles[-1]) == (1, 2, 3)
    whole = profile.sketch(pl.Series(range(100_001)), "int64")
    assert whole.quantiles == [float(1000 * i) for i in range(QUANTILES)]


def test_what_is_no_number_is_counted_apart() -> None:
    found = profile.sketch(pl.Series([math.inf, -math.inf, math.nan, None, 5.0]), "float64")
    assert (found.nulls, found.infinite, set(found.quantiles)) == (0.4, 0.4, {5.0})


@pytest.mark.parametrize("dtype", frames.DTYPES)
@pytest.mark.parametrize("rows", [0, 3])
def test_no_values_at_all(dtype: str, rows: int) -> None:
    found = profile.sketch(pl.Series([None] * rows, dtype=frames.DTYPES[dtype]), dtype)
    assert (found.nulls, found.quantiles, found.shares) == (float(rows > 0), [], {})


def test_dates_and_times_are_seconds() -> None:
    assert profile.sketch(pl.Series([date(1970, 1, 2)]), "date").quantiles[0] == 86_400
    before = profile.sketch(pl.Series([datetime(1969, 12, 31, 23, 59, 59)]), "datetime")
    assert before.quantiles[-1] == -1


def test_shares_name_the_most_frequent_and_count_the_rest() -> None:
    assert profile.sketch(pl.Series([True, False, True, None]), "bool").shares == {
        "true": 0.666667, "false": 0.333333
    }  # fmt: skip
    many = pl.Series([f"v{i:03}" for i in range(CATEGORIES + 50)] + ["v050"])
    found = profile.sketch(many, "string").shares
    assert list(found)[:3] == ["v050", "v000", "v001"] and len(found) == CATEGORIES + 1
    assert found[OTHER] == pytest.approx(50 / (CATEGORIES + 51), abs=1e-6)


def test_a_key_names_nothing() -> None:
    assert profile.sketch(pl.Series([f"{i}" for i in range(CATEGORIES + 1)]), "string").shares == {}


def test_values_from_data_are_made_inert_and_short() -> None:
    hostile = ["<img src=x>\n@team", "x" * 5000, "\u202eabc"] * 2
    found = profile.sketch(pl.Series(hostile), "string").shares
    assert all(name.isprintable() and len(name) <= 400 and not set(name) & set("<>@|`") for name in found)
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)


@given(st.lists(st.one_of(st.none(), st.floats()), max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_any_numbers_in_any_order(values: list[float | None], random) -> None:
    shuffled = random.sample(values, len(values))
    one, other = (profile.sketch(pl.Series(v, dtype=pl.Float64), "float64") for v in (values, shuffled))
    assert one == other
    assert one.quantiles == sorted(one.quantiles) and len(one.quantiles) in (0, QUANTILES)


def test_the_file_is_one_line_a_column_and_reads_back(tmp_path: Path) -> None:
    put(tmp_path, "2021-02", ROWS)
    put(tmp_path, "2021-01", ROWS.head(1))
    record = Profile(tables=profile.raw(tmp_path, [TABLE]))
    assert record.tables["raw/things"].months == {"2021-01": 1, "2021-02": 2}
    assert list(record.tables["raw/things"].columns) == ["id", "day"]
    record.write(tmp_path / "profile.json")
    assert Profile.read(tmp_path / "profile.json") == record
    lines = (tmp_path / "profile.json").read_text().splitlines()
    assert [line.split(":")[0] for line in lines if "dtype" in line] == ['"id"', '"day"']
    first = (tmp_path / "profile.json").read_bytes()
    Profile(tables=profile.raw(tmp_path, [TABLE])).write(tmp_path / "profile.json")
    assert (tmp_path / "profile.json").read_bytes() == first


def test_large_and_whole_numbers_read_back(tmp_path: Path) -> None:
    column = profile.sketch(pl.Series([-1e300, 0.0, 12.0, 0.1, 1e15, 1.7e308]), "float64")
    record = Profile(tables={"a": TableProfile(months={}, columns={"x": column})})
    record.write(tmp_path / "p.json")
    assert Profile.read(tmp_path / "p.json") == record
    assert ",12," in (tmp_path / "p.json").read_text() and (tmp_path / "p.json").stat().st_size < 2000


def test_an_empty_profile_is_json(tmp_path: Path) -> None:
    for tables in ({}, {"a": TableProfile(months={}, columns={})}):
        Profile(tables=tables).write(tmp_path / "p.json")
        assert json.loads((tmp_path / "p.json").read_text())["tables"].keys() == tables.keys()
        assert Profile.read(tmp_path / "p.json").tables == tables


def test_windows_of_the_modelling_table(tmp_path: Path) -> None:
    declared = FeatureTable(
        task="binary", key=Column("id", "string", ""), time=Column("at", "datetime", ""),
        block=Column("at", "datetime", ""), target=Column("y", "int64", ""),
        excluded=Column("why", "string", "", nullable=True), features=(Column("x", "float64", ""),),
    )  # fmt: skip
    frame = pl.DataFrame({
        "id": ["a", "b"], "at": [datetime(2021, 3, 1), None], "x": [1.0, 2.0], "y": [0, 1]
    }, schema_overrides={"at": pl.Datetime("us")})  # fmt: skip
    for part, rows in {"train": 2, "validation": 1, "test": 0}.items():
        frames.write(frame.head(rows), tmp_path / f"{part}.parquet")
    found = profile.features(tmp_path, declared)
    assert [table.months for table in found.values()] == [
        {"2021-03": 1, "unknown": 1}, {"2021-03": 1}, {}
    ]  # fmt: skip
    assert set(found["test"].columns) == {"id", "at", "x", "y"}


def test_a_missing_damaged_or_foreign_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="things holds no month"):
        profile.raw(tmp_path, [TABLE])
    put(tmp_path, "2021-01", ROWS.drop("day"))
    with pytest.raises(DataError, match=r"things cannot be profiled[\s\S]*day"):
        profile.raw(tmp_path, [TABLE])
    path = put(tmp_path, "2021-01", ROWS)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="things cannot be profiled"):
        profile.raw(tmp_path, [TABLE])
