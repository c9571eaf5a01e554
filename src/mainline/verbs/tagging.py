"""What `promote` and `release` do alike: tags that are pushed, and the view in MLflow that follows them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from mainline import ledger
from mainline.git import Git
from mainline.promotion import Book

VIEW_SECONDS = 600


def pushed(git: Git, book: Book, branch: str, made: Mapping[str, str]) -> Book | None:
    """Push the tags; what origin has then. None when another was faster. Raises GitError."""
    return ledger.refresh(git, book.model, branch) if ledger.push(git, made) else None


def view() -> None:
    """Bring the MLflow registry up to date, where there is one. It is a view: a failure is a warning."""
    if not os.environ.get("MLFLOW_TRACKING_URI") and not Path("mlflow.db").exists():
        return
    command = [sys.executable, "-m", "mainline.cli", "registry", "sync"]
    try:
        code = subprocess.run(command, stdout=sys.stderr, timeout=VIEW_SECONDS).returncode
    except subprocess.TimeoutExpired:
        code = -1
    if code:
        print(
            "warning: the MLflow registry is behind or was changed: mainline registry sync", file=sys.stderr
        )
