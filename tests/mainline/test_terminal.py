"""Names from a pull request in a terminal or a log: no control characters, no commands to GitHub's runner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline import cli, untrusted
from mainline.errors import ConfigError
from mainline.review import Change, LockState, MissingObject, Rule, StaleStage
from mainline.verbs import gate, lock
from tests.mainline import reporting

HOSTILE = "x ##[add-mask]a\n::error title=y::z\x1b[31m\r"


def harmless(text: str) -> bool:
    lines = text.split("\n")
    commands = any(line.lstrip().startswith("::") or "##[" in line for line in lines)
    return not commands and all(map(str.isprintable, lines))


def test_a_lock_with_hostile_names(capsys: pytest.CaptureFixture[str]) -> None:
    state = LockState(
        state="broken", commit="0" * 40, lock_sha256=None, remote=HOSTILE, objects=1, problem=HOSTILE,
        stale=[StaleStage(stage=HOSTILE, reasons=[HOSTILE])], unproven=[HOSTILE],
        missing=[MissingObject(path=HOSTILE, md5="0" * 32, file=HOSTILE, state="missing")],
    )  # fmt: skip
    lock.show(state)
    lock.show(state.model_copy(update={"state": "current"}))
    assert harmless(capsys.readouterr().out)


def test_a_gate_with_hostile_names(capsys: pytest.CaptureFixture[str]) -> None:
    rule = Rule(name=HOSTILE, outcome="block", observed=None, limit=None, text=HOSTILE)
    change = Change(key=HOSTILE, before=HOSTILE, after=HOSTILE)
    gate._show(reporting.gate(rules=[rule], changes=[change], warnings=[HOSTILE], reason=HOSTILE))
    assert harmless(capsys.readouterr().out)


def test_an_error_with_hostile_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(options: object) -> int:
        raise ConfigError(HOSTILE, why=HOSTILE, remedy=HOSTILE)

    monkeypatch.setattr(lock, "lock", refuse)
    assert cli.main(["lock"]) == ConfigError.exit_code
    assert harmless(capsys.readouterr().err.removesuffix("\n"))


@given(st.text())
def test_what_is_told_is_harmless(text: str) -> None:
    assert harmless(untrusted.told(text))
    assert harmless(untrusted.line(text)) and "\n" not in untrusted.line(text)
