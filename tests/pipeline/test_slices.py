"""Slices: every value counted, the missing too, and the worst is one that is certainly so."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mainline.records import Figure, Slice
from mainline.schema import Column, FeatureTable
from pipeline.evaluation import bootstrap, slices
from pipeline.evaluation.figures import Rows

TABLE = FeatureTable(
    task="binary",
    key=Column("key", "string", ""),
    time=Column("time", "datetime", ""),
    block=Column("day", "int64", ""),
    target=Column("y", "int64", ""),
    excluded=Column("excluded", "string", "", nullable=True),
    features=(Column("x", "float64", ""),),
    slices=(Column("group", "string", "", nullable=True),),
)


def broken_down(rows: int = 3000, resamples: int = 200) -> list[Slice]:
    """In group "bad" the score is noise; "" and null are one missing group, with rows on three days only."""
    random = np.random.default_rng(0)
    day, logit = np.arange(rows) % 30, random.normal(-1, 1.5, rows)
    group = np.array(["bad", "good"], dtype=object)[random.integers(0, 2, rows)]
    rare = (day < 3) & (random.random(rows) < 0.3)
    group[rare] = np.where(random.random(rare.sum()) < 0.5, "", None)
    y = (random.random(rows) < 1 / (1 + np.exp(-np.where(group == "bad", -1, logit)))).astype(float)
    frame = pl.DataFrame({"group": group.tolist(), "day": day})
    block, blocks = bootstrap.block_codes(frame["day"])
    weights = bootstrap.draw(blocks, resamples)
    return slices.breakdown(frame, TABLE, Rows("binary", y, block), 1 / (1 + np.exp(-logit)), weights, 0.95)


def test_every_row_is_in_one_slice_and_the_missing_have_a_name():
    found = broken_down()
    assert [item.value for item in found] == ["(missing)", "bad", "good"]
    assert sum(item.rows for item in found) == 3000
    assert found[0].figures["log_loss"].value is not None
    assert found[0].figures["log_loss"].low is None  # on three days only


def test_the_worst_slice_is_the_one_that_certainly_falls_short():
    found = broken_down()
    worst = slices.worst(found, min_rows=300)
    assert worst is not None and worst.value == "bad"
    assert worst.figures["shortfall"].low > 0.1
    assert slices.worst(found, min_rows=3000) is None
    assert slices.worst([], min_rows=1) is None


@pytest.mark.parametrize(("low", "chosen"), [(None, False), (0.0, False), (-0.1, False), (0.01, True)])
def test_a_shortfall_without_certainty_is_no_worst_slice(low: float | None, chosen: bool):
    item = Slice(
        column="a",
        value="b",
        rows=500,
        target=0.1,
        figures={"shortfall": Figure(value=0.2, low=low, high=1.0)},
    )
    assert slices.worst([item], 300) == (item if chosen else None)
