"""Intervals: whole blocks, deterministic, of the right width, and null rather than pretended."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipeline.evaluation import bootstrap, figures
from pipeline.evaluation.figures import Rows


def test_a_resample_draws_as_many_blocks_as_there_are():
    weights = bootstrap.draw(31, 200)
    assert weights.shape == (201, 31)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 31).all()
    assert len(np.unique(weights, axis=0)) == 201


def test_the_same_seed_draws_the_same_and_another_does_not():
    assert (bootstrap.draw(10, 100) == bootstrap.draw(10, 100)).all()
    assert (bootstrap.draw(10, 100) != bootstrap.draw(10, 100, seed=1)).any()


def test_block_codes_follow_the_sorted_blocks():
    codes, blocks = bootstrap.block_codes(pl.Series(["b", "a", "c", "b"]))
    assert codes.tolist() == [1, 0, 2, 1]
    assert blocks == 3


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_few_blocks_have_a_value_and_no_interval(blocks: int):
    rows = Rows("regression", np.arange(8.0), np.arange(8) % blocks)
    draws = figures.compute(rows, np.arange(8.0) + 1, bootstrap.draw(blocks, 1000))
    assert bootstrap.summary(draws["mae"], 0.95).model_dump() == {"value": 1.0, "low": None, "high": None}


def test_an_undefined_value_and_mostly_undefined_resamples_are_null():
    nan = float("nan")
    assert bootstrap.summary(np.array([nan, 1, 2]), 0.95).model_dump() == {
        "value": None,
        "low": None,
        "high": None,
    }
    assert bootstrap.summary(np.array([1.0, nan, nan, 2]), 0.95).low is None
    mostly = bootstrap.summary(np.array([1.0, *range(19), nan]), 0.9)
    assert mostly.low == pytest.approx(0.9)
    assert mostly.high == pytest.approx(17.1)


def test_written_numbers_have_six_significant_digits():
    assert bootstrap.rounded(0.123456789) == 0.123457
    assert bootstrap.rounded(float("inf")) is None


def covered(by_block: bool, trials: int = 250) -> float:
    """How often the interval of `gap` holds its truth, 0, when the rows of each of 40 days share a rate."""
    random, hits = np.random.default_rng(11), 0
    p = np.full(40 * 30, 0.5)
    for _ in range(trials):
        rate = np.repeat(random.choice([0.2, 0.8], 40), 30)
        y = (random.random(1200) < rate).astype(float)
        block = np.repeat(np.arange(40), 30) if by_block else np.arange(1200)
        draws = figures.compute(
            Rows("binary", y, block), p, bootstrap.draw(block.max() + 1, 200), only={"gap"}
        )
        found = bootstrap.summary(draws["gap"], 0.9)
        hits += found.low <= 0 <= found.high
    return hits / trials


@pytest.mark.slow
def test_intervals_by_block_cover_and_intervals_by_row_would_not():
    assert 0.84 <= covered(by_block=True) <= 0.95
    assert covered(by_block=False) < 0.5


def test_a_paired_difference_is_sharper_than_two_intervals_tell():
    random = np.random.default_rng(5)
    block = np.repeat(np.arange(30), 50)
    logit = random.normal(-1, 1, 1500)
    y = (random.random(1500) < 1 / (1 + np.exp(-logit - random.normal(0, 0.4, 30)[block]))).astype(float)
    good, worse = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-0.2 * logit))
    rows = Rows("binary", y, block)
    found = bootstrap.paired(rows, good, worse, resamples=400, names=["log_loss", "roc_auc"])
    alone = bootstrap.summary(figures.compute(rows, good, bootstrap.draw(30, 400))["log_loss"], 0.95)
    assert set(found) == {"log_loss", "roc_auc"}
    assert set(bootstrap.paired(rows, good, worse, resamples=100)) > {
        "log_loss",
        "roc_auc",
        "ks",
        "calibration_slope",
    }
    assert found["log_loss"].high < 0
    assert found["log_loss"].high - found["log_loss"].low < alone.high - alone.low
    assert found["roc_auc"].value == 0  # the same order
    assert bootstrap.paired(rows, good, good, resamples=100)["roc_auc"].high == 0
