"""What a deployed process gets of the environment of whoever deploys: what it needs to serve, and no secrets.

A service outlives the job that started it, and so would the keys of the cloud, of Git and of MLflow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from mainline.errors import ConfigError

PYTHON = "MAINLINE_DEPLOY_PYTHON"  # the interpreter that serves, where it is not the one that deploys
LOG = "SERVING_LOG_PATH"
NAMES = frozenset((
    "PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "PYTHONPATH",
    "MAINLINE_DEPLOY_DIR", PYTHON,
))  # fmt: skip
PREFIXES = ("LC_", "SERVING_")
PLACES = (LOG, "SERVING_KEY")  # given relative to where the command runs, which is not where the service does


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What is handed on; everything else is left behind."""
    given = {name: text for name, text in environ.items() if name in NAMES or name.startswith(PREFIXES)}
    return given | {name: str(Path(given[name]).absolute()) for name in PLACES if given.get(name)}


def predictions(folder: Path) -> Path:
    """Where a service logs them, in the folder of its deployment."""
    return folder / "predictions"


def service(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """For a service: its predictions lie beside the deployment, unless whoever deploys has set a place."""
    return {LOG: str(predictions(folder).resolve()), **environment(environ)}


def python(environ: Mapping[str, str] = os.environ) -> str:
    """The interpreter of what is deployed. Raises ConfigError when there is none at that path."""
    given = environ.get(PYTHON, "")
    if given and not os.access(given, os.X_OK):
        raise ConfigError(f"{PYTHON} is {given}, which cannot be run", remedy="serving/deploy/README.md")
    return str(Path(given or sys.executable).absolute())  # not resolved: a link is what makes it a venv's
