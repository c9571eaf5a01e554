"""Runs our own workflows with the real `act`, on this machine, against a bare repository on disk.

Only third-party actions have stand-ins (standins/): ours, the verbs and the conditions are the real ones. Not
shown: GitHub's own checks (rights, environments, concurrency, the ruleset) and what starts a run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.imports import ROOT
from tests.servers import ROBOT

WORKFLOWS = ROOT / ".github/workflows"
STANDINS = Path(__file__).parent / "standins"
TOKEN = f"{ROBOT}-token"  # of emulate
DEFAULT = "main"
USES = re.compile(r"uses: ([\w.-]+/[\w.-]+)@([0-9a-f]{40})")


@dataclass
class Ran:
    """What a run did: the result of each job that was not skipped, and what their steps printed."""

    code: int
    jobs: dict[str, str] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True)
class Runner:
    """A machine: `origin` is the bare repository, `scratch` a folder for everything else."""

    origin: Path
    scratch: Path
    variables: Mapping[str, str]

    def run(
        self,
        workflow: str,
        event: str,
        payload: Mapping[str, Any],
        checkout: Path,
        *,
        actor: str = "ada",
        only: str = "",
        **extra: str,
    ) -> Ran:
        """Run `workflow` as of the commit in `checkout`, started by `actor`; of its jobs `only` this one.

        `extra` is added to its environment.
        """
        self.scratch.mkdir(parents=True, exist_ok=True)
        file = self.scratch / "event.json"
        file.write_text(json.dumps(payload))
        environment = {
            "ORIGIN": str(self.origin), "ARTIFACTS": str(self.scratch / "artifacts"),
            "TESTS_VENV": str(Path(sys.executable).parent.parent), **extra,
        }  # fmt: skip
        command = [
            str(Path(sys.executable).parent / "act"), event, "--json", "--eventpath", str(file),
            "--workflows", f".github/workflows/{workflow}", "--no-cache-server", "--concurrent-jobs", "2",
            "--platform", "ubuntu-latest=-self-hosted", "--platform", "self-hosted=-self-hosted",
            "--action-cache-path", str(self.scratch / "act"), "--defaultbranch", DEFAULT,
            *_flags("--local-repository", _standins()), *_flags("--env", environment),
            *_flags("--var", self.variables), "--secret", f"GITHUB_TOKEN={TOKEN}",
            "--actor", actor, *(("--job", only) if only else ()),
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=checkout, env=self._env(), capture_output=True, text=True, timeout=900
        )
        return _read(done)

    def _env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GIT_"))}
        return {**kept, "XDG_CACHE_HOME": str(self.scratch / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}


def _flags(name: str, values: Mapping[str, str]) -> list[str]:
    return [word for key, value in values.items() for word in (name, f"{key}={value}")]


def _standins() -> dict[str, str]:
    files = [*WORKFLOWS.glob("*.yml"), *(ROOT / ".github/actions").rglob("action.yml")]
    used = {found for file in files for found in USES.findall(file.read_text())}
    return {f"{action}@{sha}": str(STANDINS / action.split("/")[1]) for action, sha in used}


def _read(done: subprocess.CompletedProcess[str]) -> Ran:
    ran, said = Ran(done.returncode), []
    for line in done.stdout.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            said.append(line)
            continue
        job = entry.get("jobID", "")
        if "jobResult" in entry:
            ran.jobs[job] = entry["jobResult"]
        if entry.get("raw_output") or entry.get("level") in ("error", "fatal"):
            said.append(f"{job}: {entry['msg'].rstrip()}")
    ran.output = "\n".join([*said, done.stderr])
    return ran
