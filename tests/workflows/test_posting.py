"""The lines of comment.yml's job that writes, run by a shell as GitHub runs them, against emulate."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mainline import cml
from tests import servers
from tests.mainline.test_comment import BY_CML, FAKE
from tests.servers import CUT, REPOSITORY, ROBOT, STRANGER, Fault, GitHubServer
from tests.workflows import verbs
from tests.workflows.verbs import GITHUB

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("emulate")]
JOB = verbs.load(GITHUB / "workflows/comment.yml")["jobs"]["comment"]
CHECK, CML, API, AGAIN, DOUBLES = (step for step in JOB["steps"] if "run" in step)
SECRET = f"{ROBOT}-token"
HOSTILE = "@/etc/passwd $(touch PWNED) `touch PWNED` \"; touch PWNED; ' \\ ${{ github.token }} \u2028 é"


@dataclass
class Job:
    """What `mainline comment --draft` handed over, and a machine with a `cml` for the steps after it."""

    folder: Path
    server: GitHubServer
    pull: dict[str, Any]
    outputs: dict[str, str] = field(default_factory=dict)
    path: str = os.environ["PATH"]

    def draft(self, text: str) -> dict[str, str]:
        (self.folder / "report.md").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "mainline.cli", "comment", "--file=report.md", "--draft=draft",
             f"--sha={self.pull['head']['sha']}", f"--pr={self.pull['number']}"],
            cwd=self.folder, env=self.environment(GITHUB_TOKEN=SECRET), capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.outputs = dict(line.split("=", 1) for line in done.stdout.splitlines())
        return self.outputs

    def step(self, step: dict[str, Any], **extra: str) -> subprocess.CompletedProcess[str]:
        """One step, with the values that its expressions have."""
        values = {
            "${{ vars.CML_SHA256 }}": extra.pop("checksum", ""),
            "${{ runner.temp }}/comment": str(self.folder / "draft"),
            "${{ github.event.workflow_run.head_sha }}": self.pull["head"]["sha"],
            "${{ github.token }}": SECRET, "1": "1", "20": "0",
            "${{ needs.draft.outputs.method == 'PATCH' && '4' || '0' }}":
                "4" if self.outputs.get("method") == "PATCH" else "0",
            **{f"${{{{ needs.draft.outputs.{name} }}}}": value for name, value in self.outputs.items()},
        }  # fmt: skip
        given = {name: values[text] for name, text in step["env"].items()}
        script = self.folder / "step.sh"
        script.write_text(step["run"])
        return subprocess.run(
            ["bash", "-e", str(script)], cwd=self.folder, env=self.environment(**given, **extra),
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def environment(self, **given: str) -> dict[str, str]:
        return {
            "PATH": self.path, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": self.server.url,
            "GITHUB_SERVER_URL": self.server.url, "GITHUB_SHA": "f" * 40, **given,
        }  # fmt: skip

    @property
    def comments(self) -> list[tuple[str, str]]:
        return self.server.comments(self.pull["number"])


@pytest.fixture(scope="module")
def running() -> Iterator[GitHubServer]:
    with servers.github() as server:
        yield server


@pytest.fixture
def job(running: GitHubServer, tmp_path: Path) -> Job:
    running.proxy.faults.clear()
    running.proxy.seen.clear()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cml").write_text(FAKE)
    (tmp_path / "bin/cml").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return Job(tmp_path, running, running.pull_request(), path=path)


@pytest.mark.parametrize(
    "order", [(CML, API, CML, API), (API, CML, API, CML)], ids=["cml first", "api first"]
)
def test_cml_and_the_api_keep_one_comment(job: Job, order: tuple[dict[str, Any], ...]) -> None:
    for index, step in enumerate(order):
        text = f"report {index} {HOSTILE}"
        assert job.draft(text)["cml"] == "true"
        done = job.step(step)
        assert done.returncode == 0, done.stderr
        ((author, body),) = job.comments
        assert author == ROBOT and body.startswith(f"{text}\n\n") and cml.is_report(body)
        assert job.pull["head"]["sha"] in body, "the mark names the commit that the report speaks of"
        assert job.draft(text) == {}, "it stands there"
    assert not list(job.folder.rglob("PWNED"))


def test_cml_runs_only_with_its_checksum(job: Job) -> None:
    right = hashlib.sha256(FAKE.encode()).hexdigest()
    assert job.step(CHECK, checksum=right).returncode == 0
    assert job.step(CHECK, checksum="0" * 64).returncode != 0
    assert "continue-on-error" not in CHECK and JOB["steps"].index(CHECK) < JOB["steps"].index(CML)


def test_cml_is_not_let_at_somebody_elses_comment(job: Job) -> None:
    job.server.comment(job.pull["number"], BY_CML, STRANGER)
    assert job.draft("report")["cml"] == "false"
    assert job.step(API).returncode == 0
    assert [author for author, _ in job.comments] == [STRANGER, ROBOT]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH", "/comments/", 500),
        Fault("PATCH", "/comments/", 502, after=True),
        Fault("PATCH", "/comments/", 429, {"Retry-After": "1"}),
        Fault("PATCH", "/comments/", 403, {"Retry-After": "1"}, {"message": "secondary rate limit"}),
    ],
    ids=lambda fault: f"{fault.status}{' after' if fault.after else ''}",
)
def test_an_edit_is_repeated(job: Job, fault: Fault) -> None:
    job.draft("first")
    assert job.step(API).returncode == 0
    job.draft("second")
    job.server.proxy.faults.append(fault)
    done = job.step(API)
    assert (done.returncode, fault.times) == (0, 0), done.stderr
    ((_, body),) = job.comments
    assert body.startswith("second\n")


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        (Fault("POST", "/comments", 502, after=True), True),
        (Fault("POST", "/comments", CUT, after=True), True),
        (Fault("POST", "/comments", 500), False),
        (Fault("POST", "/comments", CUT), False),
        (Fault("POST", "/comments", 429, {"Retry-After": "1"}), False),
    ],
    ids=lambda one: f"{one.status or 'cut'}{' after' if one.after else ''}" if isinstance(one, Fault) else "",
)
def test_a_creation_is_sent_again_only_where_its_mark_is_missing(job: Job, fault: Fault, made: bool) -> None:
    job.draft("report")
    for words in ("a person's words", BY_CML):  # the mark of another commit
        job.server.comment(job.pull["number"], words, STRANGER)
    job.server.proxy.faults.append(Fault(**{**vars(fault), "times": 1}))
    assert job.step(API).returncode != 0
    assert len(job.comments) == 2 + made
    job.server.proxy.faults.append(Fault("GET", "since=", 502))
    for _ in range(2):
        done = job.step(AGAIN)
        assert done.returncode == 0, done.stderr
        assert [author for author, _ in job.comments] == [STRANGER, STRANGER, ROBOT]
    assert job.draft("report") == {}


def test_what_cannot_be_looked_for_is_not_sent_again(job: Job) -> None:
    job.draft("report")
    job.server.proxy.faults.append(Fault("GET", "since=", 404, times=9))
    assert job.step(AGAIN).returncode != 0
    assert job.comments == []


def test_it_is_looked_for_among_what_was_said_since(job: Job) -> None:
    """Else a page of a hundred comments would be full of older ones."""
    before = datetime.now(UTC)
    look = job.draft("report")["look"]
    since = re.fullmatch(r"issues/\d+/comments\?per_page=100&since=([0-9T:-]{19}Z)", look)
    assert since and timedelta(minutes=1) < before - datetime.fromisoformat(since[1]) < timedelta(minutes=3)
    job.step(API)
    assert job.draft("other words")["look"] == "", "it is there, and is edited"


def test_the_order_of_the_steps_says_when() -> None:
    """After CML failed, and where a person runs the job again, a creation looks first."""
    first, after = API["if"], AGAIN["if"]
    assert "github.run_attempt == '1'" in first and "steps.posted.outcome == 'skipped'" in first
    assert API["continue-on-error"] == "${{ needs.draft.outputs.method == 'POST' }}"
    assert "method == 'POST'" in after and "steps.sent.outcome != 'success'" in after


def test_doubles_become_one_comment(job: Job) -> None:
    for number in range(4):
        job.server.comment(job.pull["number"], BY_CML if number != 1 else "a person's words", ROBOT)
    assert job.draft("report")["doubles"].count(",") == 1
    for step in (API, DOUBLES):
        done = job.step(step)
        assert done.returncode == 0, done.stderr
    bodies = [body for _, body in job.comments]
    assert bodies[0] == "a person's words" and bodies[1].startswith("report\n\n") and len(bodies) == 2


def test_a_missing_right_fails_and_no_step_shows_the_token_or_the_report(job: Job) -> None:
    job.draft("words")
    job.server.proxy.faults.append(
        Fault("POST", "/comments", 403, body={"message": "Resource not accessible"})
    )
    done = job.step(API)
    assert done.returncode != 0 and "403" in done.stderr
    assert SECRET not in done.stdout + done.stderr and "words" not in done.stdout


@pytest.mark.parametrize(("step", "program"), [(CML, "cml"), (API, "curl"), (DOUBLES, "curl")])
def test_no_process_shows_the_token_in_its_arguments(job: Job, step: dict[str, Any], program: str) -> None:
    for _ in range(2):
        job.server.comment(job.pull["number"], BY_CML, ROBOT)
    job.draft("report")
    fake = job.folder / "bin" / program
    fake.write_text(f'#!/bin/sh\necho "$@" > {job.folder}/arguments\n')
    fake.chmod(0o755)
    assert job.step(step).returncode == 0
    assert SECRET not in (job.folder / "arguments").read_text()


def test_what_is_handed_over_is_json_that_holds_the_text_and_its_mark(job: Job) -> None:
    job.draft(f"{HOSTILE}\n")
    assert sorted(path.name for path in (job.folder / "draft").iterdir()) == ["comment.json", "report.md"]
    handed = json.loads((job.folder / "draft/comment.json").read_text())
    assert handed == {"body": f"{HOSTILE}\n\n{cml.watermark(job.pull['head']['sha'])}"}
