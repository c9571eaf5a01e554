"""The table of the walk-forward, from figures that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mainline.records import Walkforward
from pipeline import params, walkforward
from pipeline.evaluation.figures import Draws
from pipeline.walkforward import MODEL, RIVAL

KINDS = walkforward.SHOWN[walkforward.FEATURES.task]


def draws(model: float, trees: float, noise: float = 0.0) -> tuple[int, dict[str, Draws]]:
    """Figures of one month of 1000 rows; resamples of the model scatter by `noise`."""
    scatter = np.concatenate([[0.0], np.linspace(-noise, noise, 200)])
    return 1000, {
        MODEL: dict.fromkeys(KINDS, model + scatter),
        RIVAL: {kind: np.full(201, trees) for kind in KINDS},
    }


def test_the_mean_is_over_months_and_its_interval_over_their_resamples() -> None:
    mean = walkforward.told("mean", [draws(0.4, 0.5, 0.02), draws(0.6, 0.5, 0.04)], params.load())
    assert mean.rows == 2000
    for kind in KINDS:
        assert mean.figures[MODEL][kind] == 0.5
        difference = mean.differences[kind]
        assert difference.value == 0
        assert difference.low is not None
        assert difference.high is not None
        assert -0.03 < difference.low < -0.02
        assert 0.02 < difference.high < 0.03


def test_the_record_and_its_table(tmp_path: Path) -> None:
    settings = params.load()
    record = Walkforward(
        task=walkforward.FEATURES.task,
        resamples=200,
        confidence=0.95,
        months=[walkforward.told("2013-05", [draws(0.4, 0.5)], settings)],
        mean=walkforward.told("mean", [draws(0.4, 0.5)], settings),
    )
    record.write(tmp_path / "walkforward.json")
    assert Walkforward.read(tmp_path / "walkforward.json") == record
    lines = walkforward.markdown(record).splitlines()
    assert lines[2].startswith("| 2013-05 | 1,000 | 0.4000 | 0.5000 | -0.1000 [-0.1000, -0.1000] |")
    assert lines[3].startswith("| mean |")
    assert len({line.count("|") for line in lines[:4]}) == 1


def test_an_undefined_figure_is_told_as_such() -> None:
    rows, found = draws(float("nan"), 0.5)
    month = walkforward.told("2013-05", [(rows, found)], params.load())
    assert month.figures[MODEL][KINDS[0]] is None
    assert month.differences[KINDS[0]].value is None
    assert "–" in walkforward._line(month)
