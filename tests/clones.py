"""Temporary copies of this repository's work tree, each a repository of its own with an empty DVC cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.imports import ROOT


def copy(into: Path) -> Path:
    """All files that git tracks or would track, committed as they are now, changed or not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)
    git(into, "init", "--quiet", "--initial-branch=main")
    commit(into, "as it is")
    return into


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(root: Path, message: str) -> None:
    git(root, "add", "--all")
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    git(root, *identity, "commit", "--quiet", "--allow-empty", "--message", message)


def environment(root: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The clone's own sources come before the installed ones; no MLflow server is asked for."""
    env = {**os.environ, "PYTHONPATH": str(root / "src"), **(extra or {})}
    env.pop("MLFLOW_TRACKING_URI", None)
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return env


def mainline(
    root: Path, *arguments: str, extra: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """`mainline ARGUMENTS` in a clone; `prefix` is put before the command, e.g. taskset."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "mainline.cli", *arguments],
        cwd=root, env=environment(root, extra), capture_output=True, text=True, timeout=900,
    )  # fmt: skip
