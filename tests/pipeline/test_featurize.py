"""Windows, exclusions and refusals of the modelling table, on small tables of every task."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainline.errors import ConfigError, DataError
from mainline.schema import Column, FeatureTable, Table
from mainline.settings import Month
from pipeline import featurize, frames
from pipeline.params import Data, load
from tests.pipeline.damaged import PANICS

LAST = Month(2021, 2)
DATA = Data(as_of="2021-02", train_months=2, validation_months=1, test_months=1)
BINARY = FeatureTable(
    task="binary",
    key=Column("id", "string", ""),
    time=Column("asked", "datetime", ""),
    block=Column("day", "date", ""),
    target=Column("y", "int64", ""),
    excluded=Column("why", "string", "", nullable=True),
    features=(Column("x", "float64", ""),),
)
REGRESSION = replace(BINARY, task="regression", target=Column("y", "float64", ""))
CLASSES = replace(BINARY, task="multiclass", target=Column("y", "string", ""), classes=("a", "b", "c"))


def table(declared: FeatureTable = BINARY, **columns: object) -> pl.DataFrame:
    """A row every twelve hours from November to February, the last hour of each month among them."""
    start = datetime(2020, 11, 1, 11, 59)
    times = [start + timedelta(hours=12 * i) for i in range(240)]
    target = {"binary": [0, 1], "regression": [0.25, -1.5], "multiclass": ["a", "b"]}[declared.task] * 120
    frame = pl.DataFrame(
        {
            "id": [f"{i:04}" for i in range(240)],
            "asked": times,
            "day": [time.date() for time in times],
            "x": [float(i) for i in range(240)],
            "y": target,
            "why": [None] * 240,
        },
        schema=frames.polars_schema(declared.columns),
    )
    return frame.with_columns(**columns)


def test_every_row_is_in_the_window_of_its_month() -> None:
    whole = table()
    parts = featurize.split(whole, DATA, BINARY)
    assert pl.concat(parts.values()).equals(whole.drop("why"))
    months = {name: sorted(set(part["asked"].dt.month())) for name, part in parts.items()}
    assert months == {"train": [11, 12], "validation": [1], "test": [2]}
    edge = parts["validation"].row(-1, named=True)
    assert edge["asked"] == datetime(2021, 1, 31, 23, 59)


def test_excluded_rows_are_left_out_and_counted() -> None:
    reason = pl.when(pl.col("x") % 10 == 0).then(pl.lit("../x\n")).when(pl.col("x") < 3).then(pl.lit("b"))
    whole = table(why=reason, y=pl.when(reason.is_null()).then("y"))
    parts = featurize.split(whole, DATA, BINARY)
    record = featurize.summary(whole, DATA, BINARY)
    assert record.train.excluded == {"../x\n": 13, "b": 2}
    assert record.train.rows == parts["train"].height == 122 - 15
    assert (record.test.first_month, record.test.last_month) == ("2021-02", "2021-02")
    assert record.validation.blocks == 31
    assert sum(part.height for part in parts.values()) + 24 + 2 == 240


def test_target_shares_follow_the_task() -> None:
    assert featurize.summary(table(), DATA, BINARY).test.target == {"mean": 0.5}
    assert featurize.summary(table(REGRESSION), DATA, REGRESSION).test.target == {"mean": -0.625}
    shares = featurize.summary(table(CLASSES), DATA, CLASSES).test.target
    assert shares == {"a": 0.5, "b": 0.5, "c": 0.0}


@given(st.permutations(range(240)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_rows_and_columns_does_not_matter(order: list[int]) -> None:
    whole = table()
    shuffled = whole[order].select(sorted(whole.columns)).with_columns(helper=1)
    assert featurize.check(shuffled, BINARY, LAST).equals(whole)


@pytest.mark.parametrize("key", ["0001", None])
def test_a_key_in_train_and_test_is_refused(key: str | None) -> None:
    twice = table(id=pl.when(pl.col("x") == 239).then(pl.lit(key)).otherwise("id"))
    with pytest.raises(DataError, match="train and test overlap"):
        featurize.check(twice, BINARY, LAST)


@pytest.mark.parametrize("time", [datetime(2021, 3, 1), datetime(2999, 1, 1), None])
def test_future_or_missing_times_are_refused(time: datetime | None) -> None:
    late = table(asked=pl.when(pl.col("x") == 7).then(pl.lit(time)).otherwise("asked"))
    with pytest.raises(
        DataError, match=r"1 rows .* lie after data\.as_of 2021-02, or have no asked"
    ) as caught:
        featurize.check(late, BINARY, LAST)
    assert "'0007'" in str(caught.value)


def test_other_columns_than_declared_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        featurize.check(table(x=pl.lit(1)).drop("day"), BINARY, LAST)
    assert "x is Int32, should be Float64" in str(caught.value)
    assert "day is missing" in str(caught.value)


@pytest.mark.parametrize("declared", [BINARY, CLASSES])
def test_a_target_of_one_class_is_refused(declared: FeatureTable) -> None:
    with pytest.raises(DataError, match="target y has the single value"):
        featurize.split(table(declared, y=pl.col("y").first()), DATA, declared)


def test_a_constant_target_is_a_regression_of_its_own() -> None:
    assert featurize.split(table(REGRESSION, y=pl.lit(1.0)), DATA, REGRESSION)["test"].height == 56


def test_no_rows_left_in_a_window_is_refused() -> None:
    why = pl.when(pl.col("asked") > datetime(2021, 2, 1)).then(pl.lit("cancelled"))
    with pytest.raises(DataError, match="test window has no rows left"):
        featurize.split(table(why=why), DATA, BINARY)


def test_a_missing_target_without_a_reason_is_refused() -> None:
    with pytest.raises(DataError, match="1 rows of train have no y"):
        featurize.split(table(y=pl.when(pl.col("x") != 5).then("y")), DATA, BINARY)


def test_a_target_that_is_no_number_is_refused() -> None:
    with pytest.raises(DataError, match="1 rows of train have no y"):
        holes = pl.when(pl.col("x") == 5).then(float("nan")).otherwise("y")
        featurize.split(table(REGRESSION, y=holes), DATA, REGRESSION)


@pytest.mark.parametrize("as_of", ["2021-01", "2021-03", "1999-01"])
def test_windows_outside_the_data_are_refused(as_of: str) -> None:
    with pytest.raises(ConfigError, match="reach outside the data"):
        featurize.split(table(), DATA.model_copy(update={"as_of": as_of}), BINARY)
    with pytest.raises(ConfigError, match="no month at all"):
        featurize.split(table().head(0), DATA, BINARY)


# Reading the raw tables

RAW = Table("things", (Column("id", "string", ""), Column("day", "date", "")), ("id",), "day")
ROWS = pl.DataFrame({"id": ["a", "../x\n"], "day": [date(2021, 1, 1), date(2021, 1, 2)]})


def put(root: Path, month: str, frame: pl.DataFrame) -> Path:
    path = root / "things" / f"month={month}.parquet"
    frames.write(frame, path)
    return path


def test_months_after_the_last_and_extra_columns_are_not_read(tmp_path: Path) -> None:
    put(tmp_path, "2021-01", ROWS)
    put(tmp_path, "2021-02", ROWS.select("day", "id", extra=1))
    put(tmp_path, "2021-03", ROWS)
    assert featurize.scan(tmp_path, RAW, LAST).collect().equals(pl.concat([ROWS, ROWS]))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (ROWS.drop("id"), "id is missing"),
        (ROWS.with_columns(day=pl.lit("x")), "day is String, should be Date"),
        (pl.DataFrame(), "id is missing"),
    ],
    ids=["missing", "retyped", "no columns"],
)
def test_a_raw_file_with_other_columns_is_named(tmp_path: Path, frame: pl.DataFrame, words: str) -> None:
    put(tmp_path, "2021-01", ROWS)
    path = put(tmp_path, "2021-02", frame)
    with pytest.raises(DataError, match=str(path)) as caught:
        featurize.scan(tmp_path, RAW, LAST)
    assert words in str(caught.value)


def test_a_truncated_or_missing_raw_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no month up to 2021-02"):
        featurize.scan(tmp_path, RAW, LAST)
    path = put(tmp_path, "2021-01", ROWS)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=str(path)):
        featurize.scan(tmp_path, RAW, LAST)


def test_a_file_on_which_polars_panics_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_bytes(PANICS)
    damaged = nw.from_native(pl.scan_parquet(tmp_path / "x.parquet"))
    monkeypatch.setattr(featurize, "RAW", ())
    monkeypatch.setattr(featurize.features, "build", lambda _tables, _params: damaged)
    with pytest.raises(DataError, match="cannot be computed") as caught:
        featurize.build(load(), tmp_path)
    assert caught.value.why
