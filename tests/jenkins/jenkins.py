"""Runs the Jenkinsfile in Runner.groovy, with npm-groovy-lint's Groovy and stand-ins for the verbs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.imports import ROOT

HERE = Path(__file__).parent
LINTER = ROOT / "tests" / "node_modules" / "npm-groovy-lint"
JENKINSFILE = ROOT / "Jenkinsfile"
# Writes what it was called with, and ends as the scenario says; `make setup` puts it where the verbs are.
STAND_IN = """\
#!/bin/sh
{ printf '%s\\037' "$(basename "$0")" "$@"; printf '\\036'; } >> "$STAND_INS/calls"
answers="$STAND_INS/exit/$(basename "$0")-$1"
code=$(cat "$answers${3%%=*}" 2>/dev/null || cat "$answers" 2>/dev/null || echo 0)
if [ "$(basename "$0") $1 $code" = "make setup 0" ]; then
    mkdir -p .venv/bin && cp "$STAND_INS/make" .venv/bin/mainline && cp "$STAND_INS/make" .venv/bin/dvc
fi
cat "$STAND_INS/say/$(basename "$0")-$1" 2>/dev/null
exit "$code"
"""


@dataclass(frozen=True)
class Scenario:
    """An event and what the verbs answer. `exits`: by program and first word, e.g. {"mainline-lock": 30}, or
    with the third as well, without the value of an option: {"mainline-run--while-tip-of": 23}.

    `says`: what a verb prints, by the same names. `refused`: nobody approves where a stage asks.
    `interrupted`: the script during which a person (ABORTED) or a newer build (NOT_BUILT) stops the build.
    `day`: of the month, when the build starts.
    """

    variables: dict[str, str]
    exits: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    refused: bool = False
    interrupted: str = ""
    interruption: str = "ABORTED"
    day: int = 2


@dataclass(frozen=True)
class Told:
    """What happened in order: `events` as Runner.groovy notes them, `calls` as the stand-ins saw them."""

    events: list[dict[str, Any]]
    calls: list[list[str]]
    result: str
    description: str | None
    stop: str | None
    root: Path

    def of(self, kind: str) -> list[Any]:
        return [event["what"] for event in self.events if event["kind"] == kind]

    @property
    def verbs(self) -> list[str]:
        """Make targets and verbs in order, without what prepares a machine."""
        called = [" ".join(call) for call in self.calls if call[0] != "dvc"]
        return [call for call in called if not call.startswith("make setup")]


def run(scenarios: dict[str, Scenario], folder: Path, jenkinsfile: Path = JENKINSFILE) -> dict[str, Told]:
    """Each scenario in folders of its own, all in one process of Java."""
    for name, scenario in scenarios.items():
        _prepare(folder / name, scenario)
    asked = [
        asdict(scenario) | {"root": str(folder / name), "shell": _environment(folder / name)}
        for name, scenario in scenarios.items()
    ]
    (folder / "scenarios.json").write_text(json.dumps(asked))
    done = subprocess.run(
        [java(), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{groovy()}/*",
         "groovy.ui.GroovyMain", str(HERE / "Runner.groovy"), str(jenkinsfile), "scenarios.json"],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    told = json.loads(done.stdout)
    return {
        name: Told(**one, calls=_calls(folder / name), root=folder / name)
        for name, one in zip(scenarios, told, strict=True)
    }


def java() -> str:
    found = shutil.which("java")
    assert found, "no java: apt-get install default-jre-headless (17 or newer)"
    return found


def groovy() -> Path:
    """The folder of Groovy's jars."""
    jars = LINTER / "lib" / "java" / "groovy" / "lib"
    assert jars.is_dir(), "npm-groovy-lint is missing: npm ci in tests/"
    return jars


def pasted(text: str) -> list[str]:
    """Lines of a Jenkinsfile that give `sh` a string in double quotes: Groovy would paste values."""
    lines = [re.sub(r"'(?:[^'\\]|\\.)*'", "", line) for line in text.splitlines()]
    return [line for line in lines if re.search(r"""(\bsh\b|\bscript:)[^/]*["/$]""", line)]


def _prepare(root: Path, scenario: Scenario) -> None:
    (root / "exit").mkdir(parents=True)
    (root / "say").mkdir()
    (root / "calls").touch()
    (root / "make").write_text(STAND_IN)
    (root / "make").chmod(0o755)
    for name, code in scenario.exits.items():
        (root / "exit" / name).write_text(str(code))
    for name, text in scenario.says.items():
        (root / "say" / name).write_text(text)


def _environment(root: Path) -> dict[str, str]:
    return {"PATH": f"{root}:/usr/bin:/bin", "STAND_INS": str(root), "BUILD_URL": "https://ci.test/job/7"}


def _calls(root: Path) -> list[list[str]]:
    return [call.split("\x1f")[:-1] for call in (root / "calls").read_text().split("\x1e")[:-1]]
