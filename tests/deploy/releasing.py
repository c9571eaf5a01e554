"""Release records and stand-in Bentos for tests of the targets."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mainline.releases import Artifact, Release, Verdict

MODEL = "f" * 64


def release(
    folder: Path, version: str, *, image: str | None = None, model: str = MODEL, **says: Any
) -> tuple[Release, dict[str, Path]]:
    """A record and its files; `says` goes into the stand-in's Bento."""
    folder.mkdir(parents=True, exist_ok=True)
    bento = folder / f"flight-delay-{version}.bento"
    bento.write_text(json.dumps({"version": version, "model_sha256": MODEL, **says}))
    content = bento.read_bytes()
    artifact = Artifact(
        name=bento.name, md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(), bytes=len(content),
    )  # fmt: skip
    record = Release(
        model="flight-delay", release=version, commit="1" * 40, lock_sha256="2" * 64, data_md5={},
        model_md5="3" * 32, model_sha256=model, artifacts={"bento": artifact}, image=image, figures={},
        gate=Verdict(verdict="promote", reason="equal", champion="none", accepted=False), mlflow_run=None,
    )  # fmt: skip
    return record, {"bento": bento}
