"""`make demo FAST=1`, whole, as the test of everything; and that nothing of it is left, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import leftovers, needs
from tests.e2e.hub import APP, MAIN
from tests.e2e.steps import STEPS
from tests.imports import ROOT
from tests.servers import REPOSITORY
from usecase.source import SOURCES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("act"),
    pytest.mark.skipif(needs.FLIGHTS not in SOURCES, reason="the demo plays flights"),
]

COMMAND = (sys.executable, "-m", "tests.e2e", "--fast")
LIMIT = 1800  # seconds; about three minutes where nothing else runs
SOON = 60.0  # seconds until a run begins
ENDED = 10.0  # seconds until a process that was killed is gone


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the demo makes its folder."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(place), "PYTHONUNBUFFERED": "1", "TERM": "xterm"}


@contextmanager
def demo(
    place: Path, *options: str, session: tuple[str, ...] = ("setsid",), **streams: Any
) -> Iterator[subprocess.Popen[str]]:
    """The command in a session of its own; ended after LIMIT."""
    command = [*session, *COMMAND, *options]
    with subprocess.Popen(command, cwd=ROOT, env=environment(place), text=True, **streams) as process:
        limit = threading.Timer(LIMIT, process.terminate)
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            process.terminate()


def around(place: Path, word: str = "") -> list[int]:
    """Processes that bear the folder in their environment or among their words, and this word too."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes()
            if bytes(place) in words + (entry / "environ").read_bytes() and word.encode() in words:
                found.append(int(entry.name))
    return found


def until(ready: Callable[[], bool], seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while not (found := ready()) and time.monotonic() < ends:
        time.sleep(0.05)
    return found


def nothing_left(place: Path) -> bool:
    return until(lambda: not around(place), ENDED) and not list(place.iterdir())


def asked_for(home: str, workflow: str) -> None:
    """A run of it, by hand."""
    url = f"{home.removesuffix(REPOSITORY)}repos/{REPOSITORY}/actions/workflows/{workflow}/dispatches"
    headers = {"Authorization": "Bearer grace-token"}
    request = urllib.request.Request(url, json.dumps({"ref": MAIN}).encode(), headers, method="POST")
    urllib.request.urlopen(request, timeout=30).close()


def test_the_whole_loop_on_a_sample_and_ctrl_c_while_it_serves_and_works(place: Path) -> None:
    words, answer = [], place.parent / "answer.json"
    with answer.open("w") as out, demo(place, "--json", stdout=out, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            words.append(line)
            if "Look around" in line:
                break
        text = "".join(words)
        assert process.poll() is None and "Look around" in words[-1], text[-6000:]
        home = re.search(rf"http://127\.0\.0\.1:\d+/{REPOSITORY}", text)
        assert home and around(place, "serving"), "nothing is served"
        asked_for(home[0], "monitor.yml")
        assert until(lambda: bool(around(place, "monitor.yml")), SOON), "act does not run"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=120) == 130
    assert nothing_left(place)
    assert "\x1b[" not in text, "colours are for terminals"
    _told(json.loads(answer.read_text())["steps"])


def _told(steps: list[dict[str, Any]]) -> None:
    assert [step["step"] for step in steps] == [step.title for step in STEPS]
    assert all(step["seconds"] >= 0 for step in steps)
    by_title = {step.function.__name__: told for step, told in zip(STEPS, steps, strict=True)}
    assert by_title["watch"]["verdict"] == "retrain"
    assert by_title["retrain"]["opened_by"] == APP
    assert by_title["tidy"]["site_shows"], "the site was drawn after the last release"
    assert all(by_title[name]["answers_after"] > 0 for name in ("first_release", "better", "retrain"))


@pytest.mark.parametrize("word", ["Git server", "git push origin main"])
def test_ctrl_c_leaves_nothing_behind(place: Path, word: str) -> None:
    """At the start, and while the pipeline runs."""
    with demo(place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if word in line:
                break
        assert len(list(place.iterdir())) == 1 and len(around(place)) > 1
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert nothing_left(place)


DEAF = ("sh", "-c", 'trap "" HUP; exec "$0" "$@"')  # so that a word to the terminal is what fails first


@pytest.mark.parametrize("ears", [(), DEAF], ids=["told", "deaf"])
def test_a_closed_terminal_leaves_nothing_behind(place: Path, ears: tuple[str, ...]) -> None:
    """While the pipeline runs, and a moving line is drawn."""
    screen, terminal = os.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    with demo(place, session=("setsid", "--ctty", *ears), **streams) as process:
        os.close(terminal)
        shown = b""
        while b"the pipeline" not in shown:
            shown += os.read(screen, 4096)
        assert len(around(place)) > 1
        os.close(screen)
        assert process.wait(timeout=120) == 130
    assert nothing_left(place)


ONE_STEP = """
import subprocess, sys
from tests.e2e import __main__ as demo
from tests.e2e.play import Stopped
from tests.e2e.steps import Step

def step(play):
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    WHAT

demo.STEPS = (Step("a step", step),)
sys.exit(demo.main(["--fast", "--no-wait"]))
"""


def one_step(place: Path, what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ONE_STEP.replace("WHAT", what)], cwd=ROOT, env=environment(place),
        capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip


def test_a_step_that_fails_names_the_logs_and_leaves_no_process(place: Path) -> None:
    done = one_step(place, 'raise Stopped("it does not hold")')
    assert done.returncode == 1 and "it does not hold" in done.stdout, done.stdout + done.stderr
    (folder,) = place.glob("mainline-demo-*")
    assert f"logs and data: {folder}" in done.stdout
    assert until(lambda: not around(place), ENDED)


def test_without_waiting_it_ends_well_and_leaves_nothing(place: Path) -> None:
    done = one_step(place, "pass")
    assert done.returncode == 0, done.stdout + done.stderr
    assert nothing_left(place)


def test_what_was_detached_and_keeps_the_folder_alone_is_seen(place: Path) -> None:
    """Else that nothing is left would be said of nothing."""
    with subprocess.Popen(["sleep", "600"], env={"X": f"{place}/x"}, start_new_session=True) as process:
        assert until(lambda: around(place) == [process.pid], ENDED)
        assert around(place, "sleep") and not around(place, "act") and not leftovers.marked(str(place))
        process.kill()
    assert nothing_left(place)
