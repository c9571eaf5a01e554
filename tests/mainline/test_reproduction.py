"""Identical within a device class, within the interval across classes, different otherwise."""

from __future__ import annotations

import pytest

from mainline.records import Figure, Metrics
from mainline.reproduction import compare, outputs


def metrics(value: float | None, low: float | None = 0.4, high: float | None = 0.6) -> Metrics:
    return Metrics(
        task="binary", rows=10, blocks=2, resamples=100, confidence=0.95, parameters=1, model_bytes=1,
        threshold=None, figures={"auc": Figure(value=value, low=low, high=high)}, baselines={}, slices=[],
        worst_slice=None, importance={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("same_bytes", "same_class", "old", "new", "verdict"),
    [
        (True, True, 0.5, 0.5, "identical"),
        (True, False, 0.5, 0.5, "identical"),
        (False, False, 0.5, 0.59, "within the interval"),
        (False, False, 0.5, 0.61, "different"),
        (False, True, 0.5, 0.5, "different"),  # the same class owes the same bytes
        (False, False, 0.5, None, "different"),
        (False, False, None, None, "within the interval"),
        (False, False, None, 0.5, "different"),
    ],
)
def test_verdict(same_bytes: bool, same_class: bool, old: float, new: float, verdict: str) -> None:
    there = {"model": "a", "data": "d"}
    here = there if same_bytes else {**there, "model": "b"}
    found = compare(there, here, metrics(old), metrics(new), same_device_class=same_class)
    assert found.verdict == verdict
    assert found.differing == (() if same_bytes else ("model",))


def test_without_an_interval_only_the_same_value_agrees() -> None:
    for value, verdict in ((0.5, "within the interval"), (0.500001, "different")):
        found = compare(
            {"m": "a"}, {"m": "b"}, metrics(0.5, None, None), metrics(value), same_device_class=False
        )
        assert found.verdict == verdict


def test_an_output_that_only_one_side_has_differs() -> None:
    found = compare({"m": "a"}, {"m": "a", "n": "b"}, metrics(0.5), metrics(0.5), same_device_class=False)
    assert found.differing == ("n",)


def test_no_device_may_change_the_data() -> None:
    found = compare({"data/raw": "a"}, {"data/raw": "b"}, metrics(0.5), metrics(0.5), same_device_class=False)
    assert found.verdict == "different"


def test_outputs_of_a_lock() -> None:
    lock = {
        "stages": {
            "a": {"outs": [{"path": "x", "md5": "1"}]},
            "b": {"outs": [{"path": "y", "md5": "2"}]},
            "c": {},
        }
    }
    assert outputs(lock) == {"x": "1", "y": "2"}
