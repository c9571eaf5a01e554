"""One run of a workflow, and the machine on which act runs it: checkout, command line, environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import clones
from tests.e2e import leftovers
from tests.e2e.filters import Event
from tests.e2e.hub import MAIN, Hub
from tests.servers import OWNER, REPOSITORY
from tests.workflows import act

BIN = Path(__file__).parent / "bin"


@dataclass
class Run:
    """One run of a workflow. `folder` holds its artifacts, its log and act's own files."""

    id: int
    file: str
    event: Event
    sha: str
    folder: Path
    pull: int | None = None
    name: str = ""
    status: str = "queued"  # running, success, failure, cancelled
    jobs: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    seconds: float = 0.0
    finished: float = 0.0  # by time.monotonic()

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def mark(self) -> str:
        """The second one, of this run alone."""
        return f"run {self.folder}"

    @property
    def ended(self) -> bool:
        return self.status in ("success", "failure", "cancelled")

    def artifact(self, name: str) -> Path:
        return self.folder / "artifacts" / name


@dataclass(frozen=True)
class Machine:
    """What all runs share: the forge, the repository's variables and secrets, and an environment."""

    hub: Hub
    variables: Mapping[str, str]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]

    def checkout(self, run: Run) -> Path:
        """The commit whose workflow files run; act takes `github.sha` from here."""
        checkout = run.folder / "checkout"
        clones.git(run.folder, "clone", "--quiet", str(self.hub.repository.path), str(checkout))
        clones.git(checkout, "checkout", "--quiet", "-B", MAIN, run.sha)
        clones.git(checkout, "remote", "set-url", "origin", f"https://github.com/{REPOSITORY}.git")
        return checkout

    def command(self, run: Run, artifacts: Path) -> list[str]:
        """act's, for the event of this run."""
        file = run.folder / "event.json"
        repository = {"full_name": REPOSITORY, "default_branch": MAIN, "owner": {"login": OWNER}}
        file.write_text(json.dumps({**run.event.payload, "repository": repository}))
        environment = {
            "ORIGIN": self.hub.origin(), "ARTIFACTS": str(artifacts),
            "TESTS_VENV": str(Path(sys.executable).parent.parent), "GITHUB_RUN_ID": str(run.id),
            "GITHUB_API_URL": self.hub.url, "GITHUB_SERVER_URL": self.hub.url, leftovers.RUN: run.mark,
            **self.environment,
        }  # fmt: skip
        platforms = dict.fromkeys(("ubuntu-latest", "self-hosted"), "-self-hosted")
        return [
            str(Path(sys.executable).parent / "act"), run.event.name, "--json", "--eventpath", str(file),
            "--workflows", f".github/workflows/{run.file}", "--no-cache-server", "--concurrent-jobs", "2",
            "--action-cache-path", str(run.folder / "act"), "--defaultbranch", MAIN,
            *_flags("--platform", platforms), *_flags("--local-repository", act._standins()),
            *_flags("--env", environment), *_flags("--var", self.variables),
            *_flags("--secret", {"GITHUB_TOKEN": act.TOKEN, **self.secrets}),
        ]  # fmt: skip

    def surroundings(self, run: Run) -> dict[str, str]:
        """act's own environment: this one, without what names another repository."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GIT_"))}
        return {
            **kept, "XDG_CACHE_HOME": str(run.folder / "cache"),
            "PATH": f"{BIN}{os.pathsep}{kept['PATH']}", leftovers.RUN: run.mark, **self.environment,
        }  # fmt: skip


def _flags(name: str, values: Mapping[str, str]) -> list[str]:
    return [word for key, value in values.items() for word in (name, f"{key}={value}")]
