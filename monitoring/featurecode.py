"""Whether the code at hand computes the features as the commit of the model in production did."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

CODE, SCHEMA = "src/usecase/", "src/usecase/schema.py"  # types are compared column by column
STAGES = ("ingest", "featurize")
SECTION = "featurize"  # of params.yaml


def changed(commit: str, root: Path = Path()) -> list[str]:
    """What of the use case, and of its parameters, is no longer what `commit`'s lock says of its features.

    Empty, too, where nothing can be known: no such commit, or one without a lock.
    """
    stages = _locked(commit, root)
    code = {
        one["path"]: one.get("md5")
        for name in STAGES
        for one in stages.get(name, {}).get("deps", [])
        if one["path"].startswith(CODE) and one["path"] != SCHEMA
    }
    found = sorted(path for path, md5 in code.items() if _md5(root / path) != md5)
    before = stages.get(SECTION, {}).get("params", {}).get("params.yaml", {}).get(SECTION)
    if before is not None and before != yaml.safe_load((root / "params.yaml").read_bytes()).get(SECTION):
        found.append(f"params.yaml: {SECTION}")
    return found


def _locked(commit: str, root: Path) -> dict[str, Any]:
    if not re.fullmatch("[0-9a-f]{40}", commit):
        return {}
    try:
        done = subprocess.run(
            ["git", "show", f"{commit}:./dvc.lock"], cwd=root, capture_output=True, check=True
        )
    except (subprocess.CalledProcessError, OSError):
        return {}
    return dict((yaml.safe_load(done.stdout) or {}).get("stages", {}))


def _md5(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError:
        return None
