"""A model trained to a month of 2013 and released.

The pipeline's own stages make it, it answers as a Bento, and `monitoring check` reads the service's own log.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import yaml

from mainline import drift, policy
from mainline.drift import Drift
from mainline.profile import Profile
from mainline.records import Manifest, Metrics, write_atomically
from mainline.settings import PARAMS, Month, read
from monitoring import check, reference, replay
from monitoring.logs import Reader
from pipeline import paths
from serving import build
from serving.process import running
from tests.imports import ROOT
from usecase.schema import FEATURES

STAGES = ("ingest", "featurize", "profile", "train", "evaluate", "export")
YEAR = 2013
HELD_OUT = 2  # of validation and test: what is left of the year trains, in the first months fewer than usual


@dataclass(frozen=True)
class Release:
    """`root`: a work tree with the model's records; code and service are those at hand. `month`: the last one
    that it knows."""

    root: Path
    month: int

    @classmethod
    def made(cls, root: Path, month: int) -> Release:
        """Trained, evaluated and packed in `root`, unless that is done already."""
        release = cls(root, month)
        if not release.bento.exists():
            started = time.perf_counter()
            release.train()
            release.pack()
            print(f"released 2013-{month:02}: {time.perf_counter() - started:.0f} s", flush=True)
        return release

    @property
    def version(self) -> str:
        return f"v1.{self.month}.0"

    @property
    def bento(self) -> Path:
        return self.root / f"{policy.release().model}-{self.version}.bento"

    @property
    def reference(self) -> Path:
        """What `mainline monitor` would fetch of it."""
        return self.root / "reference"

    @property
    def log(self) -> Path:
        """A folder for each month that it answered."""
        return self.root / "log"

    def train(self) -> None:
        """The stages that make a model, with windows that end with its month."""
        self.link_code()
        content = read(ROOT / PARAMS)
        data = content["data"]
        months = min(data["train_months"], self.month - HELD_OUT)
        content["data"] = data | {"as_of": str(Month(YEAR, self.month)), "train_months": months}
        write_atomically(self.root / PARAMS, yaml.safe_dump(content).encode())
        offline = {**os.environ, "MAINLINE_TRACKING": "defer"}
        for stage in STAGES:
            command = [sys.executable, "-m", "pipeline", stage]
            done = subprocess.run(command, cwd=self.root, env=offline, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{stage} of the model of 2013-{self.month:02}: {done.stderr}")

    def link_code(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        for name in ("src", "serving", "uv.lock"):
            if not (self.root / name).exists():
                (self.root / name).symlink_to(ROOT / name)

    def pack(self) -> None:
        """Its reference, then its Bento, which stands for all that is before it."""
        metrics = Metrics.read(self.root / Metrics.location)
        record = drift.Reference(
            model=policy.release().model,
            version=self.version,
            commit="0" * 40,  # none: the features are computed by the code at hand, then and now
            promoted=released(self.month).isoformat(),
            windows=Manifest.read(self.root / Manifest.location).windows,
            rows=metrics.rows,
            figures=metrics.figures,
        )
        self.reference.mkdir(exist_ok=True)
        for path in (Metrics.location, Manifest.location, Profile.location, paths.PREDICTIONS):
            shutil.copy(self.root / path, self.reference)
        write_atomically(self.reference / reference.NAME, record.model_dump_json().encode())
        build.build(self.root, self.version, self.root)

    def answer(self, rows: pl.DataFrame, into: Path) -> Path:
        """The log of the real service, asked for these rows; `into` is there once it holds all of them."""
        if not into.exists():
            partial = self.root / "answering"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            settings = {"SERVING_LOG_PATH": str(partial)}
            with running("--bento", str(self.bento), extra=settings) as service:
                replay.send(rows, f"http://127.0.0.1:{service.port}")
            into.parent.mkdir(parents=True, exist_ok=True)
            partial.rename(into)
        return into

    def answers(self, log: Path) -> pl.DataFrame:
        """Key, score and more of each line of a log."""
        reader = Reader(FEATURES, policy.release().model, self.version)
        return pl.concat(list(reader.batches(str(log))))

    def check(self, log: Path, until: date, out: Path, *flags: str) -> Drift:
        """What `python -m monitoring check` records of that log. Raises what it raises."""
        call = ["--reference", self.reference, "--log", log, "--until", until, "--out", out, *flags]
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()) as told:
            check.main([str(one) for one in call])
        if json.loads(told.getvalue())["malformed"]:
            raise RuntimeError(f"{log} has lines that cannot be used")
        return Drift.read(out)


def days(month: int) -> tuple[date, date]:
    first = Month(YEAR, month)
    return first.first_day, first.plus(1).first_day - timedelta(days=1)


def released(month: int) -> date:
    """A model trained to a month answers from the next month on."""
    return days(month)[1] + timedelta(days=1)
