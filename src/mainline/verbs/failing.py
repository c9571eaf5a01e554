"""Of a stage that failed: its own exit code, and what it said, for a person and for a program."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mainline.errors import Interrupted

STAGES = Path(".mainline/stages")
CRASHED = 1  # no note, or none of an error of ours: what it printed last is no message
SAID = re.compile(r"([\w.-]+): (.+)")
PARTS = {"  why: ": "why", "  do:  ": "do"}  # as errors.MainlineError writes them
MORE = "        "  # the next line of such a part


def note(stage: str, root: Path = Path()) -> dict[str, Any]:
    """What the stage's last run left; empty where it left nothing."""
    try:
        return dict(json.loads((root / STAGES / f"{stage}.json").read_text()))
    except (OSError, ValueError):
        return {}


def of_stage(stage: str, output: Sequence[str], *, as_json: bool, root: Path = Path()) -> int:
    """The stage's own exit code; 1 when it crashed too early to leave one. `output`: what was shown of it."""
    code = int(note(stage, root).get("exit_code", CRASHED)) or CRASHED
    if code == Interrupted.exit_code:
        told = ("stopped; the state is saved", "", "the same command goes on from here")
        print("stopped; the state is saved: the same command goes on from here", file=sys.stderr)
    else:
        words = f"stage {stage} failed (exit code {code})"
        found = message(stage, output) if code != CRASHED else ("", "", "")
        told = found if found[0] else (words, "its message is on standard error", "")
        print(f"{words}; its message is above", file=sys.stderr)
    if as_json:
        _print(told, code, {"stage": stage})
    return code


def of_parameters(said: str, code: int, *, as_json: bool) -> int:
    """Likewise where params.yaml was refused, and no stage began. `said`: on standard error, passed on."""
    print(said, end="", file=sys.stderr)
    if code and as_json:
        what, why, remedy = message("params", said.splitlines())
        _print((what or "params.yaml is refused", why, remedy), code, {})
    return code


def message(stage: str, output: Sequence[str]) -> tuple[str, str, str]:
    """What the stage said last, why, and what to do, of the form `train: the loss became NaN`; else empty.

    The name before the colon may be the first part of the stage's, as `validate` of `validate-features`.
    """
    found = [(i, m) for i, line in enumerate(output) if (m := SAID.fullmatch(line))]
    found = [(i, m) for i, m in found if stage.startswith(m[1])]
    if not found:
        return "", "", ""
    first, said = found[-1]
    parts: dict[str, list[str]] = {"why": [], "do": []}
    part: list[str] | None = None
    for line in output[first + 1 :]:
        if (name := PARTS.get(line[:7])) is not None:
            part = parts[name]
            part.append(line[7:])
        elif part and line.startswith(MORE):
            part.append(line.strip())
        else:
            break
    return said[2], "\n".join(parts["why"]), "\n".join(parts["do"])


def _print(told: tuple[str, str, str], code: int, more: dict[str, str]) -> None:
    print(json.dumps({"error": told[0], "why": told[1], "remedy": told[2], **more, "exit_code": code}))
