"""What people do at the forge from their clones, and what they wait for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mainline.report.headline import ACCEPT
from tests import clones
from tests.e2e import services
from tests.e2e.hub import MAIN, Hub, Pull
from tests.e2e.ideas import Idea
from tests.e2e.narration import Narrator
from tests.e2e.pages import Pages
from tests.e2e.runner import Runner
from tests.e2e.runs import Run
from tests.e2e.services import Digests
from tests.imports import ROOT

MODEL = "flight-delay"
WATERMARK = '#{sha} "CML watermark'


class Stopped(Exception):
    """The play cannot go on: something is not as it must be. `run` is the one to look at."""

    def __init__(self, what: str, run: Run | None = None) -> None:
        super().__init__(what)
        self.run = run


@dataclass
class Play:
    """Everything that the steps use. `ports` are those of the two stages' services."""

    folder: Path
    hub: Hub
    runner: Runner
    pages: Pages
    tell: Narrator
    ports: dict[str, int]
    fast: bool = False
    model: str = MODEL
    mlflow: str = ""
    environment: dict[str, str] = field(default_factory=dict)  # of runs, and of people's commands
    versions: list[str] = field(default_factory=list)
    released: dict[str, Digests] = field(default_factory=dict)  # by version
    opened: dict[int, float] = field(default_factory=dict)  # when, by time.monotonic()
    ideas: list[tuple[Idea, Pull]] = field(default_factory=list)  # proposed; the better one first
    watched: Run | None = None  # the newest release

    # People

    def person(self, name: str) -> Path:
        """Their clone, on the newest main."""
        root = self.folder / name
        if not root.exists():
            clones.git(self.folder, "clone", "--quiet", self.hub.origin(f"{name}-token"), str(root))
            self.settle(root, name)
        else:
            clones.git(root, "checkout", "--quiet", MAIN)
            clones.git(root, "pull", "--quiet", "--ff-only", "--tags", "--force", "origin", MAIN)
        return root

    def settle(self, root: Path, name: str) -> None:
        """Who they are, and where the data is."""
        clones.git(root, "config", "user.name", name.capitalize())
        clones.git(root, "config", "user.email", f"{name}@example.org")
        store = f"['remote \"store\"']\n    url = {self.folder / 'store'}\n"
        here = f"['remote \"here\"']\n    url = {ROOT / '.dvc/cache'}\n"
        (root / ".dvc/config.local").write_text(store + here)

    def command(
        self,
        root: Path,
        *arguments: str,
        accept: tuple[int, ...] = (0,),
        extra: Mapping[str, str] | None = None,
    ) -> str:
        """A command of ours in a clone; what it printed. Raises Stopped."""
        environment = clones.environment(root, {"COLUMNS": "120", **self.environment, **(extra or {})})
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=root, env=environment,
            capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        if done.returncode not in accept:
            raise Stopped(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def propose(self, idea: Idea, who: str = "ada") -> Pull:
        """Branch, edit, commit, push, pull request."""
        root = self.person(who)
        clones.git(root, "checkout", "--quiet", "-B", idea.branch, f"origin/{MAIN}")
        idea.change(root)
        clones.git(root, "commit", "--quiet", "--all", "--message", idea.title)
        clones.git(root, "push", "--quiet", "--force", "origin", idea.branch)
        pull = self.hub.open_pull(idea.branch, idea.title, idea.words, who)
        self.opened[pull.number] = time.monotonic()
        self.tell.hand(f"git push origin {idea.branch}")
        self.tell.say(f"pull request {pull.number}: {idea.title}  {self.hub.home}/pull/{pull.number}")
        return pull

    # What CI answers

    def reviewed(self, number: int) -> tuple[str, Run]:
        """The comment on the newest commit of a pull request, and the run of that commit. Raises Stopped."""

        before: list[tuple[int, str]] = []

        def answered() -> tuple[str, Run] | None:
            ours = [run for run in list(self.runner.runs) if run.pull == number]
            now = [(run.id, run.status) for run in ours]
            if now == before:  # the API has a limit, as GitHub's has
                return None
            before[:] = now
            runs = [run for run in ours if run.file == "ci.yml"]
            told = [run for run in ours if run.file == "comment.yml"]
            if not runs or len(told) < len(runs) or not all(run.ended for run in ours):
                return None
            sha = self.hub.pull(number).sha
            if runs[-1].sha != sha:  # CI pushed the lock: its run is about to begin
                return None
            texts = [text for _, text in self.hub.api.comments(number)]
            found = [text for text in texts if WATERMARK.format(sha=sha) in text]
            if not found:
                raise Stopped(f"pull request {number} got no comment on {sha[:10]}", runs[-1])
            return found[0], runs[-1]

        with self.tell.waiting(f"CI looks at pull request {number}"):
            text, run = self.runner.until(f"the comment on pull request {number}", answered)
        if len(self.hub.api.comments(number)) != 1:
            raise Stopped(f"pull request {number} has {len(self.hub.api.comments(number))} comments", run)
        return text, run

    def verdict(self, number: int, idea: Idea, *, good: bool) -> str:
        """Wait for the comment; it, the training and the check `required` must fit. Its first line."""
        text, run = self.reviewed(number)
        posted = self.runner.of("comment.yml", pull=number)[-1].finished or time.monotonic()
        told = posted - self.opened[number]
        line = text.splitlines()[0].lstrip("# ")
        if idea.says.lower() not in text.lower():
            what = f"the comment on pull request {number} does not say {idea.says!r}"
            raise Stopped(f"{what}:\n{text[:3000]}", run)
        if (run.jobs.get("required") == "success") != good:
            raise Stopped(f"pull request {number}: required is {run.jobs.get('required')}", run)
        trained = any("train" in other.jobs for other in self.runner.of("ci.yml", pull=number))
        if trained != idea.trained:
            raise Stopped(f"pull request {number} was {'' if trained else 'not '}trained", run)
        jobs = ", ".join(name for name, result in run.jobs.items() if result == "failure")
        self.tell.result(line, good=good)
        did = "CI trained" if trained else "nothing was trained"
        failed = f"failed: {jobs}" if jobs else "required passed"
        self.tell.say(f"one comment, {told:.0f} s after it was opened; {did}; {failed}")
        return line

    def accept(self, number: int, who: str = "grace") -> Run:
        """A person answers for a hold, and CI runs once more: no run listens to labels. Raises Stopped."""
        self.tell.say(f"{who} sets the label {ACCEPT}, closes the pull request and opens it again")
        self.hub.label(number, ACCEPT, who)
        self.hub.set_state(number, "closed", who)
        self.hub.set_state(number, "open", who)
        text, run = self.reviewed(number)
        self.tell.result(text.splitlines()[0].lstrip("# "))
        if run.jobs.get("required") != "success":
            raise Stopped(f"pull request {number} was accepted: {run.jobs}", run)
        return run

    def merge(self, number: int, who: str = "grace") -> None:
        sha = self.hub.merge(number, f"{who}-token")
        self.tell.result(f"merged as {sha[:10]}")

    # What follows a merge

    def promoted(self) -> str:
        """The version that the newest promote made. Raises Stopped."""
        sha = str(self.hub.repository.tip(MAIN))
        with self.tell.waiting("promote: package once, test as a running service, tag"):
            run = self.runner.until(
                "promote", lambda: next(
                    (one for one in self.runner.of("promote.yml", sha=sha)
                     if one.ended or one.jobs.get("promote") in ("success", "failure")), None,
                ),
            )  # fmt: skip
        if run.jobs.get("promote") != "success":
            raise Stopped("promote failed", run)
        commits = {self.hub.repository.git("rev-parse", f"{tag}^{{commit}}"): tag for tag in self.tags("@")}
        if sha not in commits:
            raise Stopped("promote made no version", run)
        version = commits[sha].partition("@")[2]
        self.versions.append(version)
        self.tell.result(f"{commits[sha]} is in staging: built once, tested as a running service")
        return version

    def tags(self, sign: str) -> list[str]:
        """Of the model, oldest first: `@` of versions, `#production#` of a stage."""
        names = self.hub.repository.git("tag", "--list", f"{self.model}{sign}*", "--sort=creatordate")
        return names.splitlines()

    def release(self, *arguments: str) -> float:
        """A person pushes the tag; seconds until production answers with that version. Raises Stopped.

        The workflow goes on: it watches the new service before it stops the old one, see `settled`.
        """
        self.settled()
        root, before = self.person("grace"), set(self.tags("#production#"))
        self.tell.hand(f"mainline {' '.join(arguments)} --target none")
        told = json.loads(self.command(root, "mainline.cli", *arguments, "--target", "none", "--json"))
        began = time.monotonic()
        tag = next(iter(set(self.tags("#production#")) - before), "")
        run = self.runner.until(
            "release.yml",
            lambda: next((r for r in self.runner.of("release.yml") if tag in r.event.ref), None),
        )
        with self.tell.waiting(f"{tag}: verify, start beside the old one, move the port"):
            self.runner.until("production", lambda: run.ended or self.serves("production") == told["version"])
        seconds = time.monotonic() - began
        if self.serves("production") != told["version"]:
            raise Stopped(f"production answers with {self.serves('production')}, not {told['version']}", run)
        self.tell.result(f"{tag}: production answers with {told['version']} after {seconds:.1f} s")
        self._same(told["version"], run)
        self.watched = run
        return seconds

    def settled(self) -> None:
        """The newest release, if there is one, was watched to its end. Raises Stopped."""
        if (run := self.watched) is None:
            return
        with self.tell.waiting("watching it before the old one is stopped"):
            self.runner.until("the end of the release", lambda: run.ended)
        if run.status != "success":
            raise Stopped("the release did not take", run)

    def _same(self, version: str, run: Run) -> None:
        """A version is the same bytes each time that it is served."""
        found = services.digests(self.ports["production"], self.folder / "deploy/production")
        if self.released.setdefault(version, found) != found or not (found.model and found.bento):
            raise Stopped(f"{version} was {self.released[version]}, and is {found}", run)

    def staged(self, version: str) -> None:
        """Staging answers with what the newest promote made; it is deployed beside the release."""
        run = self.runner.of("promote.yml")[-1]
        with self.tell.waiting(f"staging gets {version}"):
            self.runner.until("staging", lambda: run.ended or self.serves("staging") == version)
        if self.serves("staging") != version:
            raise Stopped(f"staging answers with {self.serves('staging') or 'nothing'}, not {version}", run)

    def serves(self, stage: str) -> str:
        """The version that a stage answers with; empty when it does not."""
        return str(services.provenance(self.ports[stage]).get("version", ""))

    def may_start(self, run: Run) -> bool:
        """The gate compares with production: what CI trained meanwhile waits for the first release."""
        return run.event.type != "synchronize" or bool(self.serves("production"))

    def may_merge(self, pull: Pull) -> str:
        """The ruleset's check `required` on the newest commit."""
        runs = [run for run in self.runner.of("ci.yml", pull=pull.number) if run.sha == pull.sha]
        return "" if runs and runs[-1].jobs.get("required") == "success" else "required has not passed"
