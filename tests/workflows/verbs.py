"""The verbs that our workflows call, in order, for the tests and for the parity with Jenkins."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.imports import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").rglob("action.yml"))
Event = Literal["pull_request", "fork", "push", "tag", "schedule"]
# The jobs that an event can reach; skipped ones of `needs` are left to the answers of the verbs.
REACHED: dict[Event, dict[str, set[str]]] = {
    "pull_request": {"ci.yml": {"quality", "lock", "data", "train", "gate", "report", "required"},
                     "comment.yml": {"draft", "comment"}},
    "fork": {"ci.yml": {"quality", "lock", "data", "gate", "report", "required"},
             "comment.yml": {"draft", "comment"}},
    "push": {"ci.yml": {"quality", "lock", "required"}, "promote.yml": {"promote", "deploy"}},
    "tag": {"release.yml": {"release"}},
    "schedule": {"monitor.yml": {"watch", "retrain"}, "score.yml": {"score"}},
}  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    """A workflow; YAML 1.1 reads its key `on` as true."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in content.items()}


def jobs() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Every job of every workflow: file, name, content."""
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield path, name, job


def commands(step: dict[str, Any]) -> list[str]:
    """The commands of a step's `run`, one a line, without what follows an `||` or where the output goes."""
    lines = str(step.get("run", "")).replace("\\\n", " ").splitlines()
    plain = [re.sub(r"^(\w+)=\$\((.*)\)", r"\2", line.strip()) for line in lines if line.strip()]
    return [re.split(r"\s*(?:\|\||>>)\s*", line)[0] for line in plain]


def verb(command: str) -> str | None:
    """`make lint`, `mainline gate`, without flags; None for any other program."""
    words = shlex.split(command)
    return " ".join(words[:2]) if words[0] in ("make", "mainline") else None


def github_verbs(event: Event) -> list[str]:
    """The verbs for an event in the order of the files: what jobs call that the event can reach.

    `pull_request` and `fork`: of our own branch and of a fork's. `push`: to main. `tag`: of production.
    Preparation (uv, the DVC remote) and what GitHub alone needs (`answers`,
    `required`) are left out.
    """
    found = []
    for name, reached in REACHED[event].items():
        for job, content in load(GITHUB / "workflows" / name)["jobs"].items():
            if job in reached:
                found += [
                    verb(line) for step in content["steps"] if _for(event, step) for line in commands(step)
                ]
    return [name for name in found if name and name not in ("mainline answers", "mainline required")]


def _for(event: Event, step: dict[str, Any]) -> bool:
    """Steps of a fork say so by comparing the two repositories, those for main alone by the event."""
    condition = str(step.get("if", ""))
    if "github.event_name == 'push'" in condition:
        return event == "push"
    if "!= github.repository" in condition:
        return event == "fork"
    return "== github.repository" not in condition or event != "fork"
