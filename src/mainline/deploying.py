"""The deploy targets by name: what `mainline deploy`, `release` and `rollback` call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from mainline.deploy.interface import Deployed, Stage, Target
from mainline.deploy.kubernetes import Kubernetes
from mainline.deploy.local import COMMAND, Limits, Local

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
FOLDER = "MAINLINE_DEPLOY_DIR"  # where the local target keeps its state; CI wipes the work tree


def local(
    stage: Stage, *, port: int | None = None, host: str = "127.0.0.1", limits: Limits | None = None
) -> Local:
    """The local target of a stage."""
    folder = Path(os.environ.get(FOLDER) or ".mainline/deploy") / stage
    return Local(folder.resolve(), stage, port or PORTS[stage], host, COMMAND, limits or Limits())


def target(name: Name, stage: Stage) -> Target:
    """The target with its defaults."""
    return local(stage) if name == "local" else Kubernetes(stage)
