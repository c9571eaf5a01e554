"""What the service of a stage answers with, and which bytes it is."""

from __future__ import annotations

import json
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.deploy.state import State


@dataclass(frozen=True, slots=True)
class Digests:
    """sha256 of the model, as the service tells it, and of the Bento that was deployed."""

    model: str
    bento: str


def provenance(port: int) -> dict[str, Any]:
    """What it says of its model; empty when it does not answer."""
    url = f"http://127.0.0.1:{port}/provenance"
    with suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=5) as answer:
        return dict(json.loads(answer.read()))
    return {}


def digests(port: int, folder: Path) -> Digests:
    """Of what is served; `folder` holds the stage's state."""
    active = State.read(folder / State.location).active
    model = provenance(port).get("manifest", {}).get("files", {}).get("model.onnx", "")
    return Digests(str(model), active.digest if active else "")
