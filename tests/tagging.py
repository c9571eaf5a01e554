"""Tags of versions and stages as `mainline` writes them, for tests that need no promotion."""

from __future__ import annotations

from pathlib import Path

from mainline import releases
from mainline.tags import Assignment, assignment
from tests.clones import git

IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org")


def annotate(root: Path, name: str, message: str, commit: str = "HEAD") -> str:
    """The tag's object."""
    git(root, *IDENTITY, "tag", "--annotate", "--cleanup=verbatim", "--message", message, name, commit)
    return git(root, "rev-parse", f"refs/tags/{name}")


def record(model: str, version: str, commit: str) -> releases.Release:
    """A record that names no artifacts."""
    gate = releases.Verdict(verdict="promote", reason="equal", champion="none", accepted=False)
    return releases.Release(
        model=model, release=version, commit=commit, lock_sha256="0" * 64, data_md5={}, model_md5="0" * 32,
        model_sha256="0" * 64, artifacts={}, image=None, figures={}, gate=gate, mlflow_run=None,
    )  # fmt: skip


def stage(root: Path, name: str, commit: str = "HEAD") -> None:
    """Give the stage a version of its own at the commit: both tags, the version's numbered as the stage's."""
    model = name.partition("#")[0]
    turn = assignment(name, model)
    assert isinstance(turn, Assignment)
    number = turn.number if turn.stage == "production" else 1000 + turn.number
    version = f"{model}@v0.{number}.0"
    commit = git(root, "rev-parse", f"{commit}^{{commit}}")
    words = releases.write(record(model, f"v0.{number}.0", commit), "words")
    target = annotate(root, version, words, commit)
    annotate(root, name, f"words\n\nVersion-Tag: {version} {target}\n", commit)
