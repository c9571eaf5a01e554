"""What is remembered of batches that passed: a batch, its history and the suite are known by digest.

Local and safe to delete. A damaged entry counts as none. The entries used last are kept, at most KEPT.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

import mainline
import pipeline
import usecase
from mainline.records import Batch, write_atomically
from pipeline import paths

KEPT = 1000  # about 80 kB each
LIBRARIES = ("great-expectations", "pandas", "polars", "pyarrow")
OWN = {
    mainline: ("records.py", "schema.py", "settings.py"),
    pipeline: ("frames.py", "text.py", "validate.py", "validation/*.py"),
    usecase: ("**/*.py",),
}


def sha256(path: Path) -> str:
    """Of a file's bytes; empty for a file that is not there."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*settings: str) -> str:
    """Of everything but data that an outcome depends on: our code, the libraries, the settings."""
    parts = [*settings, *(f"{library} {version(library)}" for library in LIBRARIES)]
    for package, patterns in OWN.items():
        folder = Path(package.__path__[0])
        files = sorted({file for pattern in patterns for file in folder.glob(pattern)})
        parts += [f"{file.name} {sha256(file)}" for file in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def key(code: str, path: Path, basis: Sequence[str]) -> str:
    """The name under which a batch's outcome is kept."""
    return hashlib.sha256("\n".join([code, sha256(path), *basis]).encode()).hexdigest()


def recall(name: str) -> tuple[Batch, str] | None:
    """The batch's record and its page, or None."""
    file = paths.VALIDATED / f"{name}.json"
    try:
        content = json.loads(file.read_bytes())
        os.utime(file)  # used just now
        return Batch.model_validate_json(json.dumps(content["batch"])), str(content["page"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def keep(name: str, batch: Batch, page: str) -> None:
    """Remember a batch that passed."""
    content = {"batch": batch.model_dump(mode="json"), "page": page}
    write_atomically(paths.VALIDATED / f"{name}.json", json.dumps(content).encode())


def prune(limit: int = KEPT) -> None:
    """Forget what was not used for the longest time, beyond `limit` entries."""
    found = sorted(paths.VALIDATED.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    for file in found[: max(0, len(found) - limit)]:
        file.unlink(missing_ok=True)
