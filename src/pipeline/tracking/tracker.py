"""Experiment tracking: a stage appends events to its spool, and a process of its own hands them to MLflow.

So MLflow's import (seconds) and its answers (slow, wrong or none) never stand in a training's way: what was
not delivered when the stage ends stays under `.mainline/mlflow` and is sent at the next start.
`MAINLINE_TRACKING=defer` only spools (a machine without network); MLflow is chosen by `MLFLOW_TRACKING_URI`
and `MLFLOW_EXPERIMENT_NAME` as usual.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import yaml

from mainline.errors import Interrupted
from pipeline import paths
from pipeline.tracking.spool import Writer

Status = Literal["FINISHED", "FAILED", "KILLED"]

PATIENCE = 30.0  # seconds that a stage waits at its end for MLflow to take what is left
KILLED_PATIENCE = 10.0  # after SIGTERM, somebody is about to send SIGKILL
SAMPLE_EVERY = 10.0  # seconds between two samples of the machine
REFUSED = 3  # exit code of a delivery that has told the user itself why it could not finish


class Tracker:
    """One run, or one stage's share of a run; see `start` and `attach`. Every method returns at once,
    but for `finish`, which waits a bounded time. None raises because of MLflow."""

    def __init__(self, *, sample: bool = False) -> None:
        self._writer = Writer(paths.SPOOL)
        self._full = False
        self._done = threading.Event()
        self._delivery: subprocess.Popen[bytes] | None = None
        self._sampler = threading.Thread(target=self._sample, daemon=True) if sample else None

    @classmethod
    def start(cls, key: str, *, params: Mapping[str, Any], resume: bool = False) -> Self:
        """Begin the run of `key`, a fingerprint of what is trained; nested `params` are joined with dots.

        `resume`: go on with the latest run of that key that did not finish, if there is one.
        """
        tracker = cls(sample=True)
        tracker._say("start", key=key, resume=resume)
        tracker._say("params", values=flatten(params))
        tracker.tags(provenance("train"))
        return tracker._go()

    @classmethod
    def attach(cls, model_sha256: str) -> Self:
        """Add to the run tagged `model.sha256` (training tags it); a new run when MLflow knows none."""
        tracker = cls()
        tracker._say("attach", model=model_sha256)
        return tracker._go()

    def _go(self) -> Self:
        if self._sampler:
            self._sampler.start()
        if os.environ.get("MAINLINE_TRACKING") != "defer":
            command = [sys.executable, "-m", "pipeline.tracking.delivery", str(self._writer.folder)]
            # A session of its own: Ctrl-C ends the training, which then says how its run ended.
            self._delivery = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
            )
        return self

    def _say(self, kind: str, file: Path | None = None, **content: Any) -> None:
        """Spool one event, with a copy of `file`. A full disk costs the run its record, not the training."""
        if self._full:
            return
        try:
            if file is not None:
                content["file"] = self._writer.keep(file)
            self._writer.append(kind, **content)
        except OSError as error:
            self._full = True
            reason = error.strerror or error
            print(f"warning: MLflow's record of this run ends here: {reason}", file=sys.stderr, flush=True)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers; they reach MLflow in batches. A null is left out."""
        known = {name: float(value) for name, value in values.items() if value is not None}
        self._say("metrics", values=known, step=step)

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags, e.g. `{"model.sha256": ...}`, by which `attach` finds the run."""
        self._say("tags", values={name: str(value) for name, value in values.items()})

    def dataset(self, name: str, digest: str, rows: int) -> None:
        """Log a data set as an input of the run. MLflow keeps 36 characters of the digest."""
        self._say("dataset", name=name, digest=digest[:36], rows=rows)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Log a file (or a folder) under `folder` of the run's artifacts, as it is now."""
        self._say("artifact", file=path, folder=folder)

    def onnx_model(self, path: Path, inputs: Sequence[tuple[str, str]], outputs: Sequence[str]) -> None:
        """Log an ONNX file as an MLflow model with signature; `inputs` are (name, "string" or "float")."""
        self._say("onnx_model", file=path, inputs=list(inputs), outputs=list(outputs))

    def finish(self, status: Status = "FINISHED") -> None:
        """Say how it ended and wait a bounded time for MLflow. Calling it again does nothing."""
        if self._done.is_set():
            return
        self._done.set()
        self._say("finish", status=status)
        self._writer.close()
        if self._delivery:
            self._await(self._delivery, KILLED_PATIENCE if status == "KILLED" else PATIENCE)

    def _await(self, delivery: subprocess.Popen[bytes], seconds: float) -> None:
        try:
            code = delivery.wait(seconds)
            reason = f"its delivery ended with code {code}"
        except subprocess.TimeoutExpired:
            delivery.kill()
            code, reason = delivery.wait(), f"it took longer than {seconds:.0f} s"
        if code not in (0, REFUSED):
            warn(f"MLflow has not received everything ({reason})")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish("FINISHED")
        else:
            self.finish("KILLED" if issubclass(kind, (Interrupted, KeyboardInterrupt)) else "FAILED")

    def _sample(self) -> None:
        import psutil  # only a training is sampled

        started = time.monotonic()
        psutil.cpu_percent()  # the first call only starts the measurement
        while not self._done.wait(SAMPLE_EVERY):
            values = {
                "system/cpu_percent": psutil.cpu_percent(),
                "system/memory_percent": psutil.virtual_memory().percent,
                "system/process_peak_mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
            torch = sys.modules.get("torch")  # never imported for this
            if torch and torch.cuda.is_initialized():
                values["system/gpu_memory_mebibytes"] = torch.cuda.memory_allocated() / 2**20
            self.metrics(values, step=int(time.monotonic() - started))


def warn(what: str) -> None:
    """The one way in which tracking complains."""
    text = f"warning: {what}; nothing is lost: it is kept in {paths.SPOOL} and sent at the next start"
    print(text, file=sys.stderr, flush=True)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as MLflow's flat texts: `{"model": {"width": 64}}` is `{"model.width": "64"}`."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = str(value)
    return flat


def provenance(stage: str, root: Path = Path()) -> dict[str, str]:
    """Tags: the commit, whether tracked files differ from it, and the md5 of each thing `stage` reads.

    What cannot be known (no repository, no lock yet) is left out. Outputs and `dvc.lock` do not count as
    changes: they are written while the stages run.
    """
    tags: dict[str, str] = {}
    try:
        tags["mlflow.source.git.commit"] = _git(root, "rev-parse", "HEAD")
        made = [f":!{path}" for path in ("dvc.lock", paths.REPORTS, paths.MODELS)]
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *made)
        tags["git.dirty"] = str(bool(changed)).lower()
    except (subprocess.CalledProcessError, OSError):
        pass
    return tags | {f"dvc.{path}": md5 for path, md5 in _locked(stage, root).items()}


def _git(root: Path, *arguments: str) -> str:
    """Not the control plane's adapter to Git: a change of that would train every model again."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _locked(stage: str, root: Path) -> dict[str, str]:
    """The md5 in `dvc.lock` of what earlier stages made and `stage` depends on."""
    try:
        lock = yaml.safe_load((root / "dvc.lock").read_bytes())["stages"]
        needed = set(yaml.safe_load((root / "dvc.yaml").read_bytes())["stages"][stage]["deps"])
        made = {out["path"]: out["md5"] for locked in lock.values() for out in locked.get("outs", [])}
    except (OSError, yaml.YAMLError, LookupError, TypeError):
        return {}
    return {path: md5 for path, md5 in made.items() if path in needed}
