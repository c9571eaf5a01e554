"""A stand-in for `serving.build` and `serving.check`; what it builds, tests/deploy/standin.py serves."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path


def build(version: str, out: Path) -> dict[str, object]:
    model = hashlib.sha256(Path("models/model.onnx").read_bytes()).hexdigest()
    path = out / f"flight-delay-{version}.bento"
    path.write_text(json.dumps({"version": version, "model_sha256": model}))
    content = path.read_bytes()
    with Path(".mainline/builds").open("a") as log:
        log.write(f"{version}\n")
    return {"path": str(path), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


if __name__ == "__main__":
    if sys.argv[1] == "check":
        print(json.dumps({"ready_s": 0.1}))
    else:  # --version VERSION --out FOLDER
        print(json.dumps(build(sys.argv[2], Path(sys.argv[4]))))
