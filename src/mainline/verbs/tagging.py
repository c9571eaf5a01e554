"""What `promote` and `release` do alike: tags that are pushed, and MLflow, which may hold nobody up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from mainline import ledger, releases
from mainline.git import Git
from mainline.promotion import Book

VIEW_SECONDS = 20.0  # a release takes less than two minutes, whatever MLflow does


def pushed(git: Git, book: Book, branch: str, made: Mapping[str, str]) -> Book | None:
    """Push the tags; what origin has then. None when another was faster. Raises GitError."""
    return ledger.refresh(git, book.model, branch) if ledger.push(git, made) else None


def view(seconds: float = VIEW_SECONDS) -> None:
    """Bring the MLflow registry up to date, where there is one. It is a view: a failure is a warning."""
    if not os.environ.get("MLFLOW_TRACKING_URI") and not Path("mlflow.db").exists():
        return
    command = [sys.executable, "-m", "mainline.cli", "registry", "sync"]
    catches_up = "the view will catch up: mainline registry sync"
    try:
        code = subprocess.run(command, stdout=sys.stderr, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        print(f"warning: MLflow took longer than {seconds:g} s; {catches_up}", file=sys.stderr)
        return
    if code:
        print(f"warning: the MLflow registry is behind or was changed; {catches_up}", file=sys.stderr)


def run(seconds: float = VIEW_SECONDS) -> str | None:
    """The run that trained the model of the work tree, where MLflow is a server: others see no local file's.

    None where there is no such run or no answer, with a warning.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://")):
        return None
    command = [sys.executable, "-m", "mainline.cli", "registry", "run", "--json"]
    null = subprocess.DEVNULL
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=null, timeout=seconds)
        found: str | None = TypeAdapter(releases.Run | None).validate_python(json.loads(done.stdout)["run"])
    except (subprocess.SubprocessError, ValueError, LookupError):
        print("warning: MLflow did not say which run trained this: the record names none", file=sys.stderr)
        return None
    return found
