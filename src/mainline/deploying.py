"""The deploy targets by name: what `mainline deploy`, `release` and `rollback` call."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from mainline.deploy.interface import Deployed, Stage, Target
from mainline.deploy.kubernetes import Kubernetes
from mainline.deploy.local import COMMAND, Local
from mainline.deploy.probes import LOCAL
from mainline.deploy.state import State
from mainline.deploy.swapping import Limits
from mainline.errors import ConfigError

__all__ = [
    "FOLDER",
    "NAMES",
    "PORTS",
    "STAGES",
    "Deployed",
    "Kubernetes",
    "Limits",
    "Local",
    "Target",
    "target",
]

Name = Literal["local", "kubernetes"]
NAMES: tuple[Name, ...] = ("local", "kubernetes")
STAGES: tuple[Stage, ...] = ("staging", "production")
PORTS: dict[Stage, int] = {"staging": 3001, "production": 3000}
BAKE = "MAINLINE_BAKE_SECONDS"
FOLDER = "MAINLINE_DEPLOY_DIR"  # where the local target keeps its state; CI wipes the work tree


def folder(stage: Stage) -> Path:
    """Where the local target keeps the state of a stage, and its service the predictions."""
    return (Path(os.environ.get(FOLDER) or ".mainline/deploy") / stage).resolve()


def local(
    stage: Stage, *, port: int | None = None, host: str | None = None, limits: Limits | None = None
) -> Local:
    """The local target of a stage; what is not said is as it is served now, for a release says neither.

    Raises ConfigError for what the environment names wrongly, RecordError for a damaged state.
    """
    place = folder(stage) / State.location
    now = State.read(place) if place.exists() else None
    if now is not None and not now.stopped:
        port, host = port or now.port, host or now.host
    return Local(
        folder(stage), stage, port or _port(stage), host or LOCAL, COMMAND, limits or Limits(bake=baking())
    )


def _port(stage: Stage) -> int:
    """MAINLINE_STAGING_PORT, MAINLINE_PRODUCTION_PORT: for a machine where the usual one is taken."""
    name = f"MAINLINE_{stage.upper()}_PORT"
    text = os.environ.get(name) or str(PORTS[stage])
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigError(f"{name} is {text!r}", remedy="a port, 1 to 65535")
    return int(text)


def baking() -> float:
    """MAINLINE_BAKE_SECONDS: how long a new service is watched before the old one stops."""
    text = os.environ.get(BAKE) or str(Limits().bake)
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text, re.ASCII):
        raise ConfigError(f"{BAKE} is {text!r}", remedy="seconds, 0 to 9999")
    return float(text)


def target(name: Name, stage: Stage) -> Target:
    """The target with its defaults."""
    return local(stage) if name == "local" else Kubernetes(stage)
