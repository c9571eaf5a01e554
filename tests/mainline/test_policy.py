"""The gate's sections of params.yaml: strict, and every change of them told."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mainline import policy
from mainline.errors import ConfigError
from mainline.review import Change

GATE: dict[str, Any] = {
    "resamples": 2000,
    "confidence": 0.95,
    "margins": {"log_loss": 0.002, "roc_auc": 0.005},
    "floors": {"roc_auc": 0.65},
    "ceilings": {},
    "slice_margin": 0.03,
    "slice_rows": 300,
    "model_bytes": 1000,
    "latency_ms": 5,
}


def test_the_first_margin_decides_and_every_figure_is_named_once() -> None:
    found = policy.gate({"gate": GATE})
    assert found.deciding == "log_loss"
    assert found.names == ["log_loss", "roc_auc"]
    turned = {**GATE, "margins": dict(reversed(GATE["margins"].items()))}
    assert policy.gate({"gate": turned}).deciding == "roc_auc"


def test_the_repositorys_own_file_is_a_policy() -> None:
    assert policy.gate().margins
    assert policy.release().model


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("margins", {}), ("margins", {"log_loss": -0.1}), ("margins", {"log_loss": float("nan")}),
        ("confidence", 1.0), ("confidence", 0.0), ("resamples", 99), ("slice_margin", -1),
        ("latency_ms", 0), ("model_bytes", 0), ("floors", {"roc_auc": float("inf")}), ("floors", None),
        ("surprise", 1),
    ],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"gate.{key}"):
        policy.gate({"gate": {**GATE, key: value}})


@pytest.mark.parametrize("key", GATE)
def test_a_missing_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(ConfigError, match=f"gate.{key} is missing"):
        policy.gate({"gate": {name: value for name, value in GATE.items() if name != key}})


@pytest.mark.parametrize("content", [{}, {"gate": None}, {"gate": []}])
def test_a_missing_section_is_an_error_of_ours(content: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="gate"):
        policy.gate(content)


@pytest.mark.parametrize("name", sorted(policy.TWO_SIDED))
@pytest.mark.parametrize("key", ["margins", "floors", "ceilings"])
def test_a_figure_that_is_best_in_the_middle_is_no_limit(key: str, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"gate\.{key}: {name} is best at 0 or 1") as found:
        policy.gate({"gate": {**GATE, key: {"log_loss": 0.1, name: 0.1}}})
    assert "ece" in str(found.value)


small = st.floats(0, 1e9, exclude_min=True) | st.sampled_from([1e-6, 5e-324, 1e16, 1.0])
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e-6, -1e-300])
names = st.text(min_size=1).filter(lambda name: name not in policy.TWO_SIDED) | st.sampled_from(
    ["on", "no", "null", "1e-6", "~", "a: b", "#", "0x1", "2013-10-01", "<<", "&a", "*a", "\n"]
)
policies = st.builds(
    policy.GatePolicy,
    resamples=st.integers(100, 10**9),
    confidence=st.floats(0, 1, exclude_min=True, exclude_max=True),
    margins=st.dictionaries(names, st.floats(0, 1e9), min_size=1),
    floors=st.dictionaries(names, numbers),
    ceilings=st.dictionaries(names, numbers),
    slice_margin=small,
    slice_rows=st.integers(1, 10**9),
    model_bytes=st.integers(1, 10**12),
    latency_ms=small,
)
EVALUATE = {"costs": {"false_positive": 1, "false_negative": 1e-6}, "calibration_bins": 15, "on": None}


@given(policies, st.none() | st.just(EVALUATE))
def test_a_gate_that_is_written_is_the_one_that_is_read(made: policy.GatePolicy, evaluate: Any) -> None:
    """JSON is not YAML: 1e-06 would come back as text. The first margin still decides."""
    content = yaml.safe_load(policy.written(made, evaluate))
    found = policy.gate(content)
    assert found == made and found.deciding == made.deciding and found.names == made.names
    assert content.get("evaluate") == evaluate


def test_changes_are_told_key_by_key_and_only_those_of_the_control_plane() -> None:
    before = {"gate": GATE, "release": {"model": "m"}, "train": {"lr": 1}}
    after = copy.deepcopy(before)
    after["train"]["lr"] = 2
    assert policy.changes(before, after) == []
    after["gate"]["margins"] = {"log_loss": 0.5}
    after["monitor"] = {"every": "day"}
    del after["release"]
    before["evaluate"], after["evaluate"] = {"calibration_bins": 15}, {"calibration_bins": 1}
    assert policy.changes(before, after) == [
        Change(key="evaluate.calibration_bins", before="15", after="1"),
        Change(key="gate.margins.log_loss", before="0.002", after="0.5"),
        Change(key="gate.margins.roc_auc", before="0.005", after=None),
        Change(key="monitor.every", before=None, after='"day"'),
        Change(key="release.model", before='"m"', after=None),
    ]


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_like, json_like)
def test_no_change_of_a_section_is_silent(before: Any, after: Any) -> None:
    """Keys with dots could hide one behind another; strict parsing refuses such files anyway."""
    found = policy.changes({"gate": before}, {"gate": after})
    assert policy.changes({"gate": before}, {"gate": before}) == []
    if not dotted(before) and not dotted(after):
        assert bool(found) == (repr(before) != repr(after)) or same(before, after)


def dotted(value: Any) -> bool:
    return isinstance(value, dict) and any(
        "." in key or key == "" or dotted(one) for key, one in value.items()
    )


def same(before: Any, after: Any) -> bool:
    """Equal but for the order of keys."""
    return isinstance(before, dict) and isinstance(after, dict) and before == after
