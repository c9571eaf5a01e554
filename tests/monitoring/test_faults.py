"""Simulated faults: what they change, from which day on, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from mainline.errors import ConfigError
from mainline.schema import Column
from monitoring import faults
from tests.monitoring import toys
from tests.serving.toys import table

TABLE = table("binary")
ROWS = toys.rows("binary").drop("_score")
SINCE = date(2013, 11, 16)
OLD = pl.col("time").cast(pl.Date) < SINCE


@pytest.mark.parametrize("text", ["stuck:x", "unit:x", "unit:y", "category:c", "null:y:0.5", "flip"])
def test_a_fault_changes_its_column_from_its_day_on(text: str) -> None:
    fault = faults.parse(text, SINCE, TABLE)
    found = faults.apply(ROWS, fault, TABLE)
    name = fault.column or "target"
    assert found.drop(name).equals(ROWS.drop(name))
    assert found.filter(OLD).equals(ROWS.filter(OLD))
    assert not found.filter(~OLD)[name].equals(ROWS.filter(~OLD)[name])
    assert found.schema == ROWS.schema
    assert faults.apply(ROWS, fault, TABLE).equals(found)


def test_what_each_fault_does() -> None:
    def new(text: str) -> pl.DataFrame:
        return faults.apply(ROWS, faults.parse(text, SINCE, TABLE), TABLE).filter(~OLD)

    assert new("stuck:x")["x"].n_unique() == 1
    assert new("unit:x")["x"].mean() == pytest.approx((ROWS.filter(~OLD)["x"].mean() - 32) * 5 / 9)
    assert (new("category:c:0.2")["c"] == faults.NEWCOMER).mean() == pytest.approx(0.2, abs=0.05)
    assert new("null:y:0.5")["y"].null_count() / 600 == pytest.approx(0.5, abs=0.07)
    assert (new("flip")["target"] + ROWS.filter(~OLD)["target"]).unique().to_list() == [1]


def test_flips_of_other_tasks() -> None:
    classes = table("multiclass")
    rows = toys.rows("multiclass", days=1)
    flipped = faults.apply(rows, faults.parse("flip", None, classes), classes)
    assert (flipped["target"] != rows["target"]).all()
    values = toys.rows("regression", days=1)
    flipped = faults.apply(values, faults.parse("flip", None, table("regression")), table("regression"))
    assert (flipped["target"] + values["target"] == 0).all()


@pytest.mark.parametrize("text", ["stuck", "stuck:none", "boil:x", "null:x:2", "null:x:some", ""])
def test_other_faults_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        faults.parse(text, None, TABLE)


def test_zero_rows() -> None:
    assert faults.apply(ROWS.clear(), faults.parse("stuck:x", None, TABLE), TABLE).height == 0


def test_an_airport_that_nobody_knows() -> None:
    closed = replace(
        TABLE, features=(*TABLE.features, Column("place", "string", "one of two", values=("a", "b")))
    )
    fault = faults.parse("airport", None, closed)
    assert (fault.kind, fault.column, fault.value) == ("category", "place", "XXX")
