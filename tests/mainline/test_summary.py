"""What a person sees: every headline exists for its task, undefined figures say so."""

from __future__ import annotations

import numpy as np
import pytest

from mainline.records import Figure, Metrics
from mainline.summary import HEADLINES, figures, timings
from pipeline.evaluation.figures import Rows, compute

TARGETS = {
    "binary": np.array([0, 1] * 20),
    "multiclass": np.array([0, 1, 2, 1] * 10),
    "regression": np.linspace(0, 1, 40),
}


@pytest.mark.parametrize("task", HEADLINES)
def test_each_headline_is_a_figure_that_evaluate_computes(task: str) -> None:
    """A misspelt name would show as "undefined" for ever."""
    target = TARGETS[task]
    classes = np.full((40, 3), 1 / 3)
    prediction = classes if task == "multiclass" else np.linspace(0.1, 0.9, 40)
    rows = Rows(task, target, np.zeros(40, dtype=np.int64))
    found = compute(rows, prediction, np.ones((1, 1)))
    assert set(HEADLINES[task]) <= set(found)


def test_the_table_shows_intervals_and_what_is_undefined() -> None:
    metrics = Metrics(
        task="binary", rows=10, blocks=2, resamples=100, confidence=0.9, parameters=1, model_bytes=1,
        threshold=None, baselines={"base_rate": {}}, slices=[], worst_slice=None, importance={},
        figures={
            "log_loss": Figure(value=0.5, low=0.4, high=0.6),
            "roc_auc": Figure(value=None, low=None, high=None),
            "brier": Figure(value=0.25, low=None, high=None),
        },
    )  # fmt: skip
    table = figures(metrics)
    shown = {row[0]: row[1:] for row in table.rows}
    assert table.header == ("figure", "model [90% interval]", "base rate")
    assert shown["log loss"] == ("0.5000 [0.4000, 0.6000]", "undefined")
    assert shown["roc auc"][0] == "undefined" and shown["brier"][0] == "0.2500"


def test_timings_add_up() -> None:
    table = timings({"a": {"total": 2.0, "startup": 0.5}, "b": {"total": 1.0, "startup": 0.25}})
    assert table.rows[-1] == ("all", "3.0", "0.8")
