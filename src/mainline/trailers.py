"""What a lock's commit says of the run that made it, as trailers of its message, written and read here.

    Stage-Seconds: train=26.1 evaluate=8.0
    Stages-Cached: ingest validate
    MLflow-Run: 1/359c15fbb4634e6882ac95abc6e7f437

Anybody writes messages, and a squash puts these lines in the middle of one: the last word on a stage counts,
and whatever is not of the form is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

SECONDS, CACHED, MLFLOW = "Stage-Seconds", "Stages-Cached", "MLflow-Run"
STAGE = re.compile(r"[\w.@-]{1,200}", re.ASCII)
NUMBER = re.compile(r"\d{1,9}(\.\d{1,3})?", re.ASCII)
RUN = re.compile(r"(\d{1,20})/([0-9a-f]{32})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Told:
    """`seconds` of the stages that ran; `cached` ones came from the run cache; `mlflow`: experiment, run."""

    seconds: dict[str, float] = field(default_factory=dict)
    cached: tuple[str, ...] = ()
    mlflow: tuple[str, str] | None = None


def write(told: Told) -> str:
    """The lines; empty when there is nothing to say. Stages whose names have spaces are left out."""
    ran = " ".join(f"{name}={value:.1f}" for name, value in told.seconds.items() if STAGE.fullmatch(name))
    cached = " ".join(name for name in told.cached if STAGE.fullmatch(name))
    run = "/".join(told.mlflow or ())
    lines = ((SECONDS, ran), (CACHED, cached), (MLFLOW, run if RUN.fullmatch(run) else ""))
    return "\n".join(f"{name}: {words}" for name, words in lines if words)


def read(message: str) -> Told:
    """What a commit's message tells."""
    seconds = {}
    for word in _words(message, SECONDS):
        stage, _, text = word.rpartition("=")
        if STAGE.fullmatch(stage) and NUMBER.fullmatch(text):
            seconds[stage] = float(text)
    cached = dict.fromkeys(word for word in _words(message, CACHED) if STAGE.fullmatch(word))
    runs = [found for word in _words(message, MLFLOW) if (found := RUN.fullmatch(word))]
    return Told(
        seconds,
        tuple(name for name in cached if name not in seconds),
        (runs[-1][1], runs[-1][2]) if runs else None,
    )


def _words(message: str, name: str) -> Iterator[str]:
    for line in re.findall(rf"^{name}:(.*)$", message, re.MULTILINE):
        yield from line.split()
