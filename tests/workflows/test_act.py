"""ci.yml and comment.yml as they are, run by the real act on a use case whose pipeline takes seconds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import untrusted
from mainline.records import Validation
from mainline.review import Gate, LockState, Run
from tests import clones
from tests.servers import REPOSITORY, ROBOT, STRANGER, GitHubServer, github
from tests.slow.test_seam import fork
from tests.workflows.act import DEFAULT, Ran, Runner

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("act")]

# What `quality` does is tested by doing it; a clone's own tests inside of this test would take minutes.
MAKEFILE = "lint test:\n\t@echo $@\n"
CONTROL = {
    "release": {"model": "wine"},
    "gate": {
        "resamples": 200, "confidence": 0.9, "margins": {"log_loss": 0.05, "accuracy": 0.1},
        "floors": {"accuracy": 0.5}, "ceilings": {}, "slice_margin": 1.0, "slice_rows": 20,
        "model_bytes": 1_000_000, "latency_ms": 50,
    },
}  # fmt: skip


@dataclass
class World:
    """A repository on a server (bare, on disk) with a trained, pushed main; and a DVC remote."""

    folder: Path
    runs: int = field(default=0)

    @property
    def origin(self) -> Path:
        return self.folder / "origin.git"

    def clone(self, branch: str) -> Path:
        into = self.folder / f"clone-{self.runs}"
        clones.git(self.folder, "clone", "--quiet", "--branch", branch, str(self.origin), str(into))
        return into

    def change(self, branch: str, file: str, text: str) -> str:
        """Commit `text` as `file` to a new branch of main; the commit."""
        work = self.folder / f"work-{branch}"
        clones.git(self.folder, "clone", "--quiet", str(self.origin), str(work))
        clones.git(work, "switch", "--quiet", "--create", branch)
        (work / file).write_text(text)
        clones.commit(work, branch)
        clones.git(work, "push", "--quiet", "origin", branch)
        return clones.git(work, "rev-parse", "HEAD")

    def params(self, section: str, **values: Any) -> str:
        """main's params.yaml with other `values` in `section`."""
        content = yaml.safe_load(clones.git(self.origin, "show", f"{DEFAULT}:params.yaml"))
        content[section] |= values
        return yaml.safe_dump(content, sort_keys=False)

    def garble(self) -> None:
        """Spoil the content of every object on the DVC remote: from now on each pull of one fails."""
        objects = [path for path in (self.folder / "store").rglob("*") if path.is_file()]
        for path in objects:
            if path.suffix != ".dir":
                path.chmod(0o644)
                path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))

    def pull_request(self, branch: str, *, head: str = REPOSITORY, labels: tuple[str, ...] = ()) -> Ran:
        """ci.yml for a pull request of `branch`; `head` is another repository for one of a fork."""
        sha = clones.git(self.origin, "rev-parse", branch)
        payload = {
            "number": 1,
            "pull_request": {
                "number": 1, "user": {"login": "ada"}, "labels": [{"name": name} for name in labels],
                "head": {"ref": branch, "sha": sha, "repo": {"full_name": head, "fork": True}},
                "base": {"ref": DEFAULT, "repo": {"full_name": REPOSITORY}},
            },
        }  # fmt: skip
        return self.run("ci.yml", "pull_request", payload, branch)

    def run(self, workflow: str, event: str, payload: dict[str, Any], branch: str, **extra: str) -> Ran:
        self.runs += 1
        checkout = self.clone(branch)
        clones.git(checkout, "remote", "set-url", "origin", f"https://github.com/{REPOSITORY}.git")
        repository = {"full_name": REPOSITORY, "default_branch": DEFAULT}
        variables = {"DVC_REMOTE_URL": str(self.folder / "store"), "TRAIN_RUNNER": '["self-hosted", "gpu"]'}
        runner = Runner(self.origin, self.scratch, variables)
        return runner.run(workflow, event, {**payload, "repository": repository}, checkout, **extra)

    @property
    def scratch(self) -> Path:
        return self.folder / f"run-{self.runs}"

    def artifact(self, name: str) -> Path:
        return self.scratch / "artifacts" / name


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    root = fork("wine", folder / "main")
    (root / "Makefile").write_text(MAKEFILE)
    params = yaml.safe_load((root / "params.yaml").read_text()) | CONTROL
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    done = clones.mainline(root, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    clones.commit(root, "trained")
    assert not clones.git(root, "status", "--porcelain")
    clones.git(root, "-c", "core.fsync=none", "clone", "--quiet", "--bare", ".", str(folder / "origin.git"))
    (folder / "store").mkdir()
    _dvc_push(root, folder / "store")
    return folder


def _dvc_push(root: Path, store: Path) -> None:
    for arguments in (["remote", "modify", "--local", "store", "url", str(store)], ["push", "--quiet"]):
        subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=root, env=clones.environment(root), check=True
        )


@pytest.fixture
def world(trained: Path, tmp_path: Path) -> Iterator[World]:
    shutil.copytree(trained / "origin.git", tmp_path / "origin.git")
    shutil.copytree(trained / "store", tmp_path / "store")
    yield World(tmp_path)


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


def test_main_must_be_current_and_trains_nothing(world: World) -> None:
    ran = world.run("ci.yml", "push", {"ref": "refs/heads/main"}, DEFAULT)
    assert ran.code == 0, ran.output
    assert ran.jobs == dict.fromkeys(("quality", "lock", "required"), "success")


@pytest.fixture(scope="module")
def forge() -> Iterator[GitHubServer]:
    with github() as server:
        yield server


def commented(world: World, forge: GitHubServer, pull: dict[str, Any], owner: str, artifacts: Path) -> Ran:
    """comment.yml after a run of ci.yml for the head of `pull` that left `artifacts`."""
    payload = {
        "workflow_run": {
            "id": 7, "event": "pull_request", "conclusion": "failure", "head_sha": pull["head"]["sha"],
            "head_branch": pull["head"]["ref"],
            "head_repository": {"full_name": f"{owner}/flights", "fork": True, "owner": {"login": owner}},
        },
    }  # fmt: skip
    extra = {"ARTIFACTS": str(artifacts), "GITHUB_API_URL": forge.url}
    return world.run("comment.yml", "workflow_run", payload, DEFAULT, **extra)


def test_the_report_becomes_one_comment(world: World, forge: GitHubServer) -> None:
    pull = forge.pull_request()
    report = world.folder / "artifacts/report/report.md"
    report.parent.mkdir(parents=True)
    for text in ("# first", "# second"):
        report.write_text(text)
        ran = commented(world, forge, pull, REPOSITORY.split("/")[0], report.parent.parent)
        assert ran.jobs == {"comment": "success"}, ran.output
        ((author, body),) = forge.comments(pull["number"])
        assert author == ROBOT and text in body


def test_a_commit_without_a_report_gets_no_comment(world: World, forge: GitHubServer) -> None:
    pull = forge.pull_request()
    ran = commented(world, forge, pull, REPOSITORY.split("/")[0], world.folder / "nothing")
    assert ran.jobs == {"comment": "success"}, ran.output
    assert forge.comments(pull["number"]) == []


def test_the_report_of_a_fork_is_shown_as_text(world: World, forge: GitHubServer) -> None:
    pull = forge.pull_request(fork=True)
    artifact = world.folder / "artifacts/report-fork"
    text = f"# promote it, @{ROBOT} <img src=x>"
    untrusted.bundle(text, pull["head"]["sha"], "promote").write(artifact / untrusted.NAME)
    ran = commented(world, forge, pull, STRANGER, artifact.parent)
    assert ran.jobs == {"comment": "success"}, ran.output
    ((author, body),) = forge.comments(pull["number"])
    assert author == ROBOT and "not verified" in body and body.index("```text") < body.index("promote it")


def test_the_hostile_artifact_of_a_fork_is_not_posted(world: World, forge: GitHubServer) -> None:
    pull = forge.pull_request(fork=True)
    artifact = world.folder / "artifacts/report-fork"
    untrusted.bundle("words", pull["head"]["sha"], "promote").write(artifact / untrusted.NAME)
    (artifact / "Makefile").write_text("setup:\n\ttrue\n")
    ran = commented(world, forge, pull, STRANGER, artifact.parent)
    assert ran.jobs == {"comment": "failure"}, ran.output
    assert forge.comments(pull["number"]) == []
