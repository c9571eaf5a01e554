"""Main's gate beside the branch's, read from real commits: what cannot be read is not the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import mainbranch, mainpolicy, policy
from mainline.git import Git
from mainline.mainpolicy import Mains
from tests import clones
from tests.mainline.test_policy import GATE

EVALUATE = {"calibration_bins": 15, "costs": {"false_positive": 1, "false_negative": 3}}
SECTIONS: dict[str, Any] = {"gate": GATE, "evaluate": EVALUATE, "release": {"model": "m"}, "train": {"lr": 1}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A branch of main, without an origin."""
    clones.git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(SECTIONS, sort_keys=False))
    clones.commit(tmp_path, "main")
    clones.git(tmp_path, "switch", "--quiet", "--create", "feature")
    return tmp_path


def on_main(root: Path, content: str) -> None:
    clones.git(root, "switch", "--quiet", "main")
    (root / "params.yaml").write_text(content)
    clones.commit(root, "on main")
    clones.git(root, "switch", "--quiet", "feature")


def asked(root: Path, own: dict[str, Any] = SECTIONS) -> Mains | None:
    git = Git(root)
    return mainpolicy.mains(git, mainbranch.main_branch(git), own, policy.gate(own))


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    own = copy.deepcopy(SECTIONS)
    change(own)
    return own


def test_the_same_gate_is_asked_once(root: Path) -> None:
    assert asked(root) is None
    assert asked(root, changed(lambda own: own["train"].update(lr=2))) is None


def test_another_gate_on_main_is_asked_as_well(root: Path) -> None:
    own = changed(lambda own: own["gate"]["margins"].update(log_loss=9))
    assert asked(root, own) == Mains(policy.gate(SECTIONS))
    assert asked(root, changed(lambda own: own["gate"].update(floors={}))) == Mains(policy.gate(SECTIONS))


def test_another_deciding_figure_is_another_gate(root: Path) -> None:
    turned = changed(lambda own: own["gate"].update(margins=dict(reversed(GATE["margins"].items()))))
    found = asked(root, turned)
    assert found and found.policy and found.policy.deciding == "log_loss"
    one, other = policy.gate(SECTIONS), policy.gate(turned)
    assert one == other and not mainpolicy.same(one, other) and mainpolicy.same(one, one)


@pytest.mark.parametrize(
    "change",
    [
        lambda own: own["evaluate"].update(calibration_bins=1),
        lambda own: own["evaluate"]["costs"].update(false_negative=1),
        lambda own: own["evaluate"].update(more=1),
        lambda own: own.pop("evaluate"),
    ],
)
def test_another_way_of_measuring_is_main_s_to_judge(root: Path, change: Callable[..., object]) -> None:
    own = changed(change)
    assert asked(root, own) == Mains(policy.gate(SECTIONS), EVALUATE)
    git = Git(root)
    found, warnings = mainpolicy.changes(git, mainbranch.main_branch(git), own)
    assert found and not warnings and {one.key.split(".")[0] for one in found} == {"evaluate"}


def test_main_without_the_section_cannot_measure(root: Path) -> None:
    on_main(root, yaml.safe_dump({"gate": GATE}))
    found = asked(root)
    assert found and found.evaluate == {}, "which `compare` refuses, and that holds"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (yaml.safe_dump({**SECTIONS, "gate": {**GATE, "later": 1}}), "gate.later is not a known key"),
        (yaml.safe_dump({**SECTIONS, "gate": {"margins": {}}}), "gate.resamples is missing"),
        (yaml.safe_dump({"train": {}}), "gate is missing"),
        ("a: [", "is not YAML"),
        ("", "holds no sections"),
        (yaml.safe_dump({**SECTIONS, "gate": {**GATE, "x\n" * 500: 1}}), ""),
    ],
)
def test_a_gate_that_cannot_be_read_is_not_the_same(root: Path, content: str, why: str) -> None:
    """A branch may not get rid of main's gate by another schema of gates."""
    on_main(root, content)
    found = asked(root)
    assert found and found.policy is None
    assert found.why.startswith("the gate of main cannot be read: ") and why in found.why
    assert len(found.why) <= mainpolicy.LONGEST and "\n" not in found.why


def test_no_main_holds_where_there_is_an_origin(root: Path, tmp_path: Path) -> None:
    clones.git(root, "branch", "--delete", "main")
    assert asked(root) is None
    _, warnings = mainpolicy.changes(Git(root), None, SECTIONS)
    assert warnings == ["there is no main branch: changes of the gate cannot be seen"]
    clones.git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    clones.git(root, "remote", "add", "origin", str(tmp_path / "empty.git"))
    found = asked(root)
    assert found and found.policy is None and "origin has no main branch" in found.why


def test_the_model_is_called_as_on_main(root: Path) -> None:
    git = Git(root)
    own = changed(lambda own: own["release"].update(model="other"))
    assert mainpolicy.model(git, mainbranch.main_branch(git), own) == "m"
    assert mainpolicy.model(git, None, own) == "other"
