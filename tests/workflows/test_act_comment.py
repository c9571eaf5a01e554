"""comment.yml as it is, run by the real act, posting to emulate, a stateful GitHub API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainline import untrusted
from tests.servers import REPOSITORY, ROBOT, STRANGER, GitHubServer, github
from tests.workflows.act import DEFAULT, Ran
from tests.workflows.conftest import World

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("act")]


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
    world.variables["CML_SHA256"] = "0" * 64  # CML is wanted and cannot be had: its stand-in fails
    for text in ("# first", "# second"):
        report.write_text(text)
        ran = commented(world, forge, pull, REPOSITORY.split("/")[0], report.parent.parent)
        assert ran.jobs == {"draft": "success", "comment": "success"}, ran.output
        ((author, body),) = forge.comments(pull["number"])
        assert author == ROBOT and text in body
        assert pull["head"]["sha"] in body


def test_a_commit_without_a_report_gets_no_comment(world: World, forge: GitHubServer) -> None:
    pull = forge.pull_request()
    ran = commented(world, forge, pull, REPOSITORY.split("/")[0], world.folder / "nothing")
    assert ran.jobs == {"draft": "success"}, ran.output
    assert forge.comments(pull["number"]) == []


def test_the_report_of_a_fork_is_shown_as_text(world: World, forge: GitHubServer) -> None:
    pull = forge.pull_request(fork=True)
    artifact = world.folder / "artifacts/report-fork"
    text = f"# promote it, @{ROBOT} <img src=x>"
    untrusted.bundle(text, pull["head"]["sha"], "promote").write(artifact / untrusted.NAME)
    ran = commented(world, forge, pull, STRANGER, artifact.parent)
    assert ran.jobs == {"draft": "success", "comment": "success"}, ran.output
    ((author, body),) = forge.comments(pull["number"])
    assert author == ROBOT and "not verified" in body and body.index("```text") < body.index("promote it")


def test_the_hostile_artifact_of_a_fork_is_not_posted(world: World, forge: GitHubServer) -> None:
    pull = forge.pull_request(fork=True)
    artifact = world.folder / "artifacts/report-fork"
    untrusted.bundle("words", pull["head"]["sha"], "promote").write(artifact / untrusted.NAME)
    (artifact / "Makefile").write_text("setup:\n\ttrue\n")
    ran = commented(world, forge, pull, STRANGER, artifact.parent)
    assert ran.jobs == {"draft": "failure"}, ran.output
    assert forge.comments(pull["number"]) == []
