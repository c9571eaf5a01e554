"""The runner: turns what happens at the forge into runs of the workflows by the real act, and keeps them.

Runs of a workflow whose concurrency group is a plain word wait for each other; other groups, and the
cancelling of older runs, are not modelled.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from tests.e2e import filters, leftovers
from tests.e2e.filters import Event
from tests.e2e.gitserver import ZERO, Pushed
from tests.e2e.hub import MAIN, Hub, Pull, is_github_token
from tests.e2e.runs import Machine, Run
from tests.servers import OWNER, REPOSITORY

TAGS = "refs/tags/"


class Runner:
    """Runs at most `width` workflows at once, and the jobs of each by two."""

    def __init__(self, hub: Hub, folder: Path, variables: Mapping[str, str], **settings: Any) -> None:
        self.hub, self.folder = hub, folder
        self.variables = dict(variables)
        self._machine = Machine(
            hub, self.variables, settings.get("environment", {}), settings.get("secrets", {})
        )
        self.runs: list[Run] = []
        self.held: set[str] = set()  # files whose runs do not start, for a test
        self.may_start: Callable[[Run], bool] = lambda _: True  # else it waits
        self.changed = threading.Condition()
        self._pool = ThreadPoolExecutor(settings.get("width", 2))
        self._groups: dict[str, threading.Lock] = {}
        self._ids = itertools.count(1)
        self._processes: set[subprocess.Popen[str]] = set()
        self._closed = False
        self._work_left: list[Run] = []
        hub.pushed, hub.acted, hub.dispatched = self.push, self.act, self.dispatch

    # What happens at the forge

    def push(self, pushed: Pushed) -> None:
        """A branch or tag moved: `push`, and `synchronize` of its pull requests."""
        if pushed.after == ZERO or not pushed.ref.startswith(("refs/heads/", TAGS)):
            return
        by_token = is_github_token(pushed.token)
        paths = (
            () if pushed.ref.startswith(TAGS) else self.hub.repository.changed(pushed.before, pushed.after)
        )
        sha = self.hub.repository.git("rev-parse", f"{pushed.after}^{{commit}}")
        payload = {"ref": pushed.ref, "before": pushed.before, "after": sha}
        self.start(Event("push", pushed.ref, payload, paths=paths, by_token=by_token), sha)
        if pushed.before != ZERO and pushed.ref.startswith("refs/heads/"):
            branch = pushed.ref.removeprefix("refs/heads/")
            for pull in self.hub.pulls("open"):
                if pull.branch == branch and not pull.fork:
                    self.act("synchronize", pull, pushed.token)

    def act(self, action: str, pull: Pull, token: str) -> None:
        """Something was done to a pull request."""
        base = pull.content["base"]
        payload = {"action": action, "number": pull.number, "pull_request": pull.content}
        by_token = is_github_token(token)
        event = Event("pull_request", base["ref"], payload, action, self._changed(pull), by_token=by_token)
        self.start(event, pull.sha, pull=pull.number)

    def _changed(self, pull: Pull) -> tuple[str, ...]:
        git = self.hub.repository.git
        with suppress(subprocess.CalledProcessError):
            base = git("merge-base", pull.content["base"]["sha"], pull.sha)
            return self.hub.repository.changed(base, pull.sha)
        return ()

    def dispatch(self, workflow: str, branch: str, token: str) -> None:
        """A person pressed the button, or a program did."""
        ref = f"refs/heads/{branch.removeprefix('refs/heads/')}"
        payload = {"ref": ref, "inputs": {}}
        event = Event("workflow_dispatch", ref, payload, by_token=is_github_token(token))
        self.start(event, str(self.hub.repository.refs()[ref]), only=workflow)

    def tick(self, workflow: str) -> None:
        """The hour of a schedule."""
        event = Event("schedule", f"refs/heads/{MAIN}", {"schedule": ""})
        self.start(event, str(self.hub.repository.tip(MAIN)), only=workflow)

    def start(self, event: Event, sha: str, *, only: str = "", pull: int | None = None) -> None:
        """Queue the workflows of that commit which the event starts."""
        for file in self._files(sha):
            workflow = self._workflow(sha, file)
            if only in ("", file) and file not in self.held and filters.started(workflow["on"], event):
                number = next(self._ids)
                run = Run(number, file, event, sha, self.folder / f"{number:03}-{Path(file).stem}", pull)
                run.name = str(workflow["name"])
                with self.changed:
                    self.runs.append(run)
                    self.changed.notify_all()
                if not self._closed:
                    self._work_left.append(run)
                    self._pool.submit(self._work, run, workflow)

    def _files(self, sha: str) -> list[str]:
        listed = self.hub.repository.git("ls-tree", "--name-only", sha, ".github/workflows/")
        return [Path(name).name for name in listed.splitlines() if name.endswith((".yml", ".yaml"))]

    def _workflow(self, sha: str, file: str) -> dict[str, Any]:
        content = yaml.safe_load(self.hub.repository.git("show", f"{sha}:.github/workflows/{file}"))
        return {"on" if key is True else key: value for key, value in content.items()}

    # Runs

    def _work(self, run: Run, workflow: dict[str, Any]) -> None:
        group = str((workflow.get("concurrency") or {}).get("group", ""))
        one = (
            threading.Lock()
            if "${{" in group or not group
            else self._groups.setdefault(group, threading.Lock())
        )
        with one:
            try:
                self.until("its turn", lambda: self._closed or self.may_start(run))
                self._execute(run, workflow)
            except Exception as error:  # the thread would keep it for itself
                run.status, run.problem = "failure", f"{type(error).__name__}: {error}"
        with self.changed:
            self.changed.notify_all()
        if not self._closed and run.event.name != "workflow_run":
            self.follow(run)
        self._work_left.remove(run)

    def _execute(self, run: Run, workflow: dict[str, Any]) -> None:
        if self._closed:
            run.status = "cancelled"
            return
        run.status, began = "running", time.monotonic()
        run.folder.mkdir(parents=True, exist_ok=True)
        code = self._wait(run)
        run.finished = time.monotonic()
        run.seconds = run.finished - began
        missing = filters.unrun(workflow, run.jobs)
        run.problem = f"jobs that did not run: {', '.join(missing)}" if missing else ""
        failed = code != 0 or missing or "failure" in run.jobs.values()
        run.status = "cancelled" if self._closed else "failure" if failed else "success"

    def _artifacts(self, run: Run) -> Path:
        """A run that follows another one reads what that one left."""
        if run.event.name == "workflow_run":
            other = next(one for one in self.runs if one.id == run.event.payload["workflow_run"]["id"])
            return other.folder / "artifacts"
        return run.folder / "artifacts"

    def _wait(self, run: Run) -> int:
        checkout = self._machine.checkout(run)
        command = self._machine.command(run, self._artifacts(run))
        with run.log.open("w", buffering=1) as log:  # by lines: it is looked at meanwhile
            process = subprocess.Popen(
                command, cwd=checkout, env=self._machine.surroundings(run), text=True, start_new_session=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
            )  # fmt: skip
            self._processes.add(process)
            assert process.stdout is not None
            for line in process.stdout:
                self._read(run, line, log.write)
            self._processes.discard(process)
            return process.wait()

    def _read(self, run: Run, line: str, write: Callable[[str], Any]) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            write(line)
            return
        job = entry.get("jobID", "")
        if "jobResult" in entry:
            with self.changed:
                run.jobs[job] = entry["jobResult"]
                self.changed.notify_all()
        if entry.get("raw_output") or entry.get("level") in ("error", "fatal"):
            write(f"{job}: {entry['msg'].rstrip()}\n")

    def follow(self, run: Run) -> None:
        """`workflow_run`, on main's files."""
        payload = run.event.payload.get("pull_request", {})
        head = payload.get("head", {})
        told = {
            "id": run.id, "name": run.name, "event": run.event.name, "conclusion": run.status,
            "head_sha": run.sha, "head_branch": head.get("ref", run.event.ref.split("/", 2)[-1]),
            "head_repository": head.get("repo") or {"full_name": REPOSITORY, "owner": {"login": OWNER}},
        }  # fmt: skip
        event = Event(
            "workflow_run", str(told["head_branch"]), {"action": "completed", "workflow_run": told},
            "completed", workflow=run.name,
        )  # fmt: skip
        self.start(event, str(self.hub.repository.tip(MAIN)), pull=run.pull)

    # Waiting and ending

    def until(self, what: str, ready: Callable[[], Any], seconds: float = 900) -> Any:
        """The first true answer of `ready`. Raises TimeoutError."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if found := ready():
                return found
            with self.changed:
                self.changed.wait(0.2)
        raise TimeoutError(f"{what}: not within {seconds:g} s")

    def of(self, file: str, **wanted: Any) -> list[Run]:
        """Runs of a workflow whose attributes are these, oldest first."""
        return [
            run for run in list(self.runs)
            if run.file == file and all(getattr(run, name) == value for name, value in wanted.items())
        ]  # fmt: skip

    def ended(self, file: str, count: int = 1, **wanted: Any) -> Run:
        """Wait for the count-th such run to end."""

        def ready() -> Run | None:
            found = self.of(file, **wanted)[count - 1 : count]
            return found[0] if found and found[0].ended else None

        found: Run = self.until(f"{file} {wanted or ''}", ready)
        return found

    def quiet(self) -> None:
        """Wait until nothing runs or waits, nor what one run starts at its end."""
        self.until("all runs", lambda: not self._work_left)

    def kill(self, run: Run) -> None:
        """End a run and what it started, as a machine that is switched off."""
        leftovers.end(run.mark, grace=0)

    def close(self) -> None:
        """End what runs; what waits does not begin."""
        self._closed = True
        for process in list(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        self._pool.shutdown(wait=False, cancel_futures=True)
