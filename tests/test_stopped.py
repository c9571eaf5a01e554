"""Ctrl-C while a command still reads its modules: no traceback, and the exit code of a later Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mainline.errors import Interrupted
from tests.imports import ROOT

# Python runs a module of this name at its start. The import of PAUSED_AT says so, and waits for the signal.
SITE = """
import os, sys, time

class Pause:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["PAUSED_AT"]:
            sys.meta_path.remove(self)
            print("here", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Pause())
"""
SAYS = "stopped\n  do:  run the same command again\n"
MAINLINE = ("mainline.cli", "status")
CHECK = ("monitoring", "check", "--log", "x", "--reference", "y")


def stopped(folder: Path, command: tuple[str, ...], moment: str, number: signal.Signals) -> tuple[int, str]:
    """The exit code and what was said, of a command that got a signal when it began to import `moment`."""
    (folder / "sitecustomize.py").write_text(SITE)
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(folder), "PAUSED_AT": moment},
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "here\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["argparse", "mainline.verbs", "rich.console", "mainline.verbs.status"])
def test_mainline(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    assert stopped(tmp_path, MAINLINE, moment, number) == (Interrupted.exit_code, f"mainline: {SAYS}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["mainline.errors", "monitoring.check", "polars"])
def test_monitoring(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    assert stopped(tmp_path, CHECK, moment, number) == (Interrupted.exit_code, f"check: {SAYS}")


@pytest.mark.parametrize("moment", ["argparse", "uvicorn", "mainline.errors"])
def test_the_service(moment: str, tmp_path: Path) -> None:
    """130, as the shell has it, also when it is stopped later, while it makes its folder."""
    assert stopped(tmp_path, ("serving.run",), moment, signal.SIGINT) == (130, "")
