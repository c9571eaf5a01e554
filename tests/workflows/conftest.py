"""A repository with a trained main, on disk: the world in which act runs the workflows."""

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

from tests import clones, watchpolicy
from tests.servers import REPOSITORY
from tests.slow.test_seam import fork
from tests.workflows.act import DEFAULT, Ran, Runner

# What `quality` does is tested by doing it; a clone's own tests inside of this test would take minutes.
MAKEFILE = "lint test test-ci:\n\t@echo $@\n"
CONTROL = {
    "release": {"model": "wine"},
    "gate": {
        "resamples": 200, "confidence": 0.9, "margins": {"log_loss": 0.05, "accuracy": 0.1},
        "floors": {"accuracy": 0.5}, "ceilings": {}, "slice_margin": 1.0, "slice_rows": 20,
        "model_bytes": 1_000_000, "latency_ms": 50,
    },
    "monitor": watchpolicy.SECTION,
}  # fmt: skip


@dataclass
class World:
    """A repository on a server (bare, on disk) with a trained, pushed main; and a DVC remote."""

    folder: Path
    runs: int = field(default=0)
    variables: dict[str, str] = field(default_factory=dict)

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

    def pull_request(
        self,
        branch: str,
        *,
        head: str = REPOSITORY,
        labels: tuple[str, ...] = (),
        author: str = "ada",
        sha: str = "",
        **how: str,
    ) -> Ran:
        """ci.yml for a pull request of `branch`; `head` is another repository for one of a fork.

        `sha`: of the branch an earlier commit, when its run gets to work late.
        """
        sha = sha or clones.git(self.origin, "rev-parse", branch)
        payload = {
            "number": 1,
            "pull_request": {
                "number": 1, "user": {"login": author}, "labels": [{"name": name} for name in labels],
                "head": {"ref": branch, "sha": sha, "repo": {"full_name": head, "fork": True}},
                "base": {"ref": DEFAULT, "repo": {"full_name": REPOSITORY}},
            },
        }  # fmt: skip
        return self.run("ci.yml", "pull_request", payload, branch, **how)

    def run(self, workflow: str, event: str, payload: dict[str, Any], branch: str, **extra: str) -> Ran:
        self.runs += 1
        checkout = self.clone(branch)
        clones.git(checkout, "remote", "set-url", "origin", f"https://github.com/{REPOSITORY}.git")
        repository = {"full_name": REPOSITORY, "default_branch": DEFAULT}
        variables = {"DVC_REMOTE_URL": str(self.folder / "store"), "TRAIN_RUNNER": '["self-hosted", "gpu"]'}
        variables |= self.variables
        runner = Runner(self.origin, self.scratch, variables)
        return runner.run(workflow, event, {**payload, "repository": repository}, checkout, **extra)

    @property
    def scratch(self) -> Path:
        return self.folder / f"run-{self.runs}"

    def artifact(self, name: str) -> Path:
        return self.scratch / "artifacts" / name


@pytest.fixture(scope="session")
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
