"""The stage on which the demo plays, set up and taken down: a repository, a forge, a runner, MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests import clones
from tests.e2e import ideas, sample
from tests.e2e.hub import APP
from tests.e2e.hubserver import hub
from tests.e2e.leftovers import MARK
from tests.e2e.narration import Narrator
from tests.e2e.pages import Pages
from tests.e2e.play import Play
from tests.e2e.runner import Runner
from tests.ports import free_port


def prepare(root: Path, folder: Path, *, fast: bool) -> None:
    """This repository's files as the first commit of a new one; `fast`: its flights are a sample."""
    clones.copy(root)
    # The flights are of 2013 and the releases of today: the watch would wait for days that never come.
    ideas.param(root, "cooldown_days", 0)
    delivery = folder / "deliveries/sample"
    if fast:
        sample.write(delivery)
        content = yaml.safe_load((root / "params.yaml").read_text())
        _merge(content, sample.SMALL | {"ingest": {"source": str(delivery)}})
        (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def _merge(content: dict[str, Any], other: dict[str, Any]) -> None:
    """Sections are merged; the gate's limits are replaced."""
    for key, value in other.items():
        if isinstance(value, dict) and key not in ("margins", "floors", "ceilings"):
            _merge(content[key], value)
        else:
            content[key] = value


@contextmanager
def opened(folder: Path, tell: Narrator, *, fast: bool, width: int = 3) -> Iterator[Play]:
    """The stage, empty; the forge and the runner are ended, the services are left to `leftovers`."""
    staging, production, page = free_port(), free_port(), free_port()
    ports = {"staging": staging, "production": production}
    mlflow = "" if fast else f"http://127.0.0.1:{page}"
    deploy = folder / "deploy"
    variables = {
        "DVC_REMOTE_URL": str(folder / "store"), "APP_CLIENT_ID": APP, "DEPLOY_TARGET": "local",
        "MAINLINE_DEPLOY_DIR": str(deploy), "MONITOR": "on", "MONITOR_UNTIL": "log",
        "MAINLINE_PREDICTIONS": str(deploy / "production/predictions"), "MLFLOW_TRACKING_URI": mlflow,
        "RETRAIN_GROUPS": "--group pipeline" if fast else "",
    }  # fmt: skip
    environment = {
        MARK: str(folder), "MAINLINE_STAGING_PORT": str(staging), "MAINLINE_PRODUCTION_PORT": str(production),
    }  # fmt: skip
    environment |= {"MAINLINE_BAKE_SECONDS": "1"} if fast else {}
    (folder / "store").mkdir(exist_ok=True)
    with ExitStack() as stack:
        forge = stack.enter_context(hub(folder))
        runner = Runner(
            forge, folder / "runs", {name: value for name, value in variables.items() if value},
            environment=environment, secrets={"APP_PRIVATE_KEY": "a key"}, width=width,
        )  # fmt: skip
        stack.callback(runner.close)
        pages = Pages(forge, runner, {"runs": folder / "runs"})
        forge.page = pages
        play = Play(folder, forge, runner, pages, tell, ports, fast, mlflow=mlflow, environment=environment)
        forge.may_merge = play.may_merge
        if mlflow:
            stack.callback(_start_mlflow(folder, page).terminate)
        yield play


def _start_mlflow(folder: Path, port: int) -> subprocess.Popen[bytes]:
    store = f"sqlite:///{folder / 'mlflow.db'}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--host", "127.0.0.1",
        "--artifacts-destination", str(folder / "mlartifacts"), "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    with (folder / "mlflow.log").open("wb") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=os.environ)
