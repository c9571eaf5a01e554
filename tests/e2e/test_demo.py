"""`make demo FAST=1`, whole, as the test of everything; and that nothing of it is left, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import leftovers
from tests.e2e.steps import STEPS
from tests.imports import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("act")]

COMMAND = (sys.executable, "-m", "tests.e2e", "--fast")
LIMIT = 1800  # seconds; about three minutes where nothing else runs


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


def left(folder: Path) -> list[int]:
    """Processes that a demo started whose folder is in there."""
    return [pid for path in folder.glob("mainline-demo-*") for pid in leftovers.marked(str(path))]


def test_the_whole_loop_on_a_sample(tmp_path: Path) -> None:
    command = [*COMMAND, "--no-wait", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 0, done.stderr[-6000:]
    told = json.loads(done.stdout)
    assert [step["step"] for step in told["steps"]] == [step.title for step in STEPS]
    (watched,) = (step for step in told["steps"] if "verdict" in step)
    assert watched["verdict"] == "retrain", "the next step would ask for it by hand"
    assert "\x1b[" not in done.stderr, "colours are for terminals"
    assert not list(tmp_path.iterdir()) and not left(tmp_path)


@pytest.mark.parametrize("word", ["Git server", "git push origin main"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, word: str) -> None:
    """At the start, and while the pipeline runs."""
    with subprocess.Popen(
        [*COMMAND], cwd=ROOT, env=environment(tmp_path), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if word in line:
                break
        folders = list(tmp_path.glob("mainline-demo-*"))
        assert len(folders) == 1 and leftovers.marked(str(folders[0]))
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert not leftovers.marked(str(folders[0])) and not list(tmp_path.glob("mainline-demo-*"))


FAILS = """
import subprocess, sys
from tests.e2e import __main__ as demo
from tests.e2e.play import Stopped
from tests.e2e.steps import Step

def fail(play):
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    raise Stopped("it does not hold")

demo.STEPS = (Step("a step", fail),)
sys.exit(demo.main(["--fast", "--no-wait"]))
"""


def test_a_step_that_fails_names_the_logs_and_leaves_no_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILS], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True,
        timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 1 and "it does not hold" in done.stdout, done.stdout + done.stderr
    (folder,) = tmp_path.glob("mainline-demo-*")
    assert f"logs and data: {folder}" in done.stdout
    assert not left(tmp_path)
