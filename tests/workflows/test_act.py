"""ci.yml as it is, run by the real act on a use case whose pipeline takes seconds."""

from __future__ import annotations

import shutil

import pytest

from mainline.records import Validation
from mainline.review import Gate, LockState, Run
from tests import clones
from tests.servers import STRANGER
from tests.workflows.act import DEFAULT
from tests.workflows.conftest import World

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("act")]


def test_a_change_of_documentation_trains_and_pulls_nothing_and_is_promoted(world: World) -> None:
    world.change("words", "README.md", "# words\n")
    world.garble()
    ran = world.pull_request("words")
    assert ran.code == 0, ran.output
    assert ran.jobs == dict.fromkeys(("quality", "lock", "data", "gate", "report", "required"), "success")
    assert LockState.read(world.artifact("review-lock") / "lock.json").state == "current"
    assert Run.read(world.artifact("review-data") / "run.json").ran == []
    gate = Gate.read(world.artifact("reports-gate") / "gate.json")
    assert (gate.verdict, gate.basis) == ("promote", "same model")
    assert "promote" in (world.artifact("report") / "report.md").read_text().splitlines()[0].lower()


def test_a_stale_lock_is_trained_pushed_and_then_current(world: World) -> None:
    before = world.change("tune", "params.yaml", world.params("train", keep_checkpoints=3))
    ran = world.pull_request("tune")
    assert ran.jobs["train"] == "success", ran.output
    assert "gate" not in ran.jobs and "report" not in ran.jobs
    assert ran.jobs["required"] == "failure" and "superseded" in ran.output
    after = clones.git(world.origin, "rev-parse", "tune")
    assert after != before
    assert clones.git(world.origin, "rev-parse", f"{after}^") == before
    changed = clones.git(world.origin, "diff", "--name-only", before, after).splitlines()
    assert "dvc.lock" in changed and not [name for name in changed if name.startswith((".", "src/"))]

    again = world.pull_request("tune")
    assert again.code == 0, again.output
    assert "train" not in again.jobs and again.jobs["required"] == "success"


def test_a_commit_that_a_newer_one_superseded_is_not_trained_and_says_nothing(world: World) -> None:
    older = world.change("tune", "params.yaml", world.params("train", keep_checkpoints=3))
    work = world.folder / "work-tune"
    (work / "README.md").write_text("# words\n")
    clones.commit(work, "newer")
    clones.git(work, "push", "--quiet", "origin", "tune")
    newer = clones.git(work, "rev-parse", "HEAD")
    ran = world.pull_request("tune", sha=older)
    assert ran.jobs["train"] == "success" and f"superseded by {newer}" in ran.output, ran.output
    assert "gate" not in ran.jobs and "report" not in ran.jobs
    assert ran.jobs["required"] == "failure", "the newer commit's run decides"
    assert clones.git(world.origin, "rev-parse", "tune") == newer


def test_another_model_is_compared_and_its_plots_come_with_the_report(world: World) -> None:
    world.change("slower", "params.yaml", world.params("train", lr=0.009))
    assert world.pull_request("slower").jobs["train"] == "success"
    ran = world.pull_request("slower")
    assert Gate.read(world.artifact("reports-gate") / "gate.json").basis == "same rows", ran.output
    assert list(world.artifact("plots").glob("*.svg"))
    assert "data:image/svg+xml;base64," in (world.artifact("report-page") / "report.html").read_text()


def test_data_that_fails_its_expectations_stops_everything(world: World) -> None:
    expectations = clones.git(world.origin, "show", f"{DEFAULT}:src/usecase/expectations.py")
    asked = expectations.replace("min_value=20,", "min_value=2000,")
    assert asked != expectations
    world.change("short", "src/usecase/expectations.py", asked)
    ran = world.pull_request("short")
    assert ran.jobs["data"] == "failure", ran.output
    assert "train" not in ran.jobs and "gate" not in ran.jobs
    assert ran.jobs["report"] == "success" and ran.jobs["required"] == "failure"
    assert Validation.read(world.artifact("reports-data") / "validation.json").status == "failed"
    report = (world.artifact("report") / "report.md").read_text()
    assert "validation failed" in report.splitlines()[0].lower(), report[:1000]


def test_a_training_that_fails_is_told(world: World) -> None:
    before = world.change("wild", "params.yaml", world.params("train", lr=1e30))
    ran = world.pull_request("wild")
    assert ran.jobs["train"] == "failure", ran.output
    assert ran.jobs["report"] == "success" and ran.jobs["required"] == "failure"
    assert clones.git(world.origin, "rev-parse", "wild") == before, "nothing is pushed"
    report = (world.artifact("report") / "report.md").read_text()
    assert "stage train" in report.splitlines()[0], report[:1000]


def test_a_blocked_gate_blocks_the_merge(world: World) -> None:
    world.change("strict", "params.yaml", world.params("gate", floors={"accuracy": 1.01}))
    ran = world.pull_request("strict")
    assert ran.jobs["gate"] == "failure", ran.output
    assert Gate.read(world.artifact("reports-gate") / "gate.json").verdict == "block"
    assert ran.jobs["report"] == "success" and ran.jobs["required"] == "failure"
    assert "gate: failure" in ran.output


def test_a_hold_is_accepted_by_the_label(world: World) -> None:
    """main's own policy would not promote what the pull request's looser one lets through."""
    world.change("strict", "params.yaml", world.params("gate", floors={"accuracy": 1.01}))
    clones.git(world.origin, "update-ref", f"refs/heads/{DEFAULT}", "strict")
    world.change("loose", "params.yaml", world.params("gate", floors={"accuracy": 0.5}))
    ran = world.pull_request("loose", labels=("bug",))
    assert ran.jobs["gate"] == ran.jobs["required"] == "failure", ran.output
    assert Gate.read(world.artifact("reports-gate") / "gate.json").verdict == "hold"
    ran = world.pull_request("loose", labels=("bug", "accept-hold"))
    assert ran.jobs["gate"] == ran.jobs["required"] == "success", ran.output
    assert Gate.read(world.artifact("reports-gate") / "gate.json").accepted


def test_a_run_started_by_hand_trains_a_branch(world: World) -> None:
    before = world.change("bump", "params.yaml", world.params("train", keep_checkpoints=4))
    ran = world.run("ci.yml", "workflow_dispatch", {"ref": "refs/heads/bump", "inputs": {}}, "bump")
    assert ran.jobs["train"] == "success" and "superseded" in ran.output, ran.output
    assert clones.git(world.origin, "rev-parse", "bump^") == before


def test_a_fork_is_never_trained(world: World) -> None:
    before = world.change("idea", "params.yaml", world.params("train", lr=0.02))
    ran = world.pull_request("idea", head=f"{STRANGER}/flights")
    assert ran.jobs["lock"] == "success", ran.output
    assert "train" not in ran.jobs and "provision" not in ran.jobs
    assert ran.jobs["required"] == "failure" and "never trained here" in ran.output
    assert clones.git(world.origin, "rev-parse", "idea") == before
    assert [path.name for path in world.artifact("report-fork").iterdir()] == ["report.json"]


DEPENDABOT = "dependabot[bot]"


def test_a_run_that_dependabot_started_asks_no_remote_and_is_not_trained(world: World) -> None:
    before = world.change("bumped", "params.yaml", world.params("train", keep_checkpoints=5))
    shutil.rmtree(world.folder / "store")
    ran = world.pull_request("bumped", author=DEPENDABOT, actor=DEPENDABOT)
    assert ran.jobs["lock"] == "success", ran.output
    assert LockState.read(world.artifact("review-lock") / "lock.json").state == "stale"
    assert "train" not in ran.jobs and ran.jobs["required"] == "failure"
    assert clones.git(world.origin, "rev-parse", "bumped") == before


@pytest.mark.parametrize(
    ("author", "actor"), [(DEPENDABOT, "ada"), ("ada", DEPENDABOT)], ids=["pushed on top", "not its own"]
)
def test_the_remote_is_asked_for_whatever_is_not_wholly_dependabots(
    world: World, author: str, actor: str
) -> None:
    """Else a person's lock on Dependabot's branch would pass without its data."""
    world.change("bumped", "README.md", "# words\n")
    shutil.rmtree(world.folder / "store")
    ran = world.pull_request("bumped", author=author, actor=actor, only="lock")
    assert ran.jobs == {"lock": "failure"}, ran.output
    assert LockState.read(world.artifact("review-lock") / "lock.json").state == "broken"


def test_main_must_be_current_and_trains_nothing(world: World) -> None:
    ran = world.run("ci.yml", "push", {"ref": "refs/heads/main"}, DEFAULT)
    assert ran.code == 0, ran.output
    assert ran.jobs == dict.fromkeys(("quality", "lock", "required"), "success")
