"""`python -m tests.e2e`: the whole loop on one machine, narrated. `make demo` calls it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from rich.console import Console

from mainline.interrupts import insistent
from tests.e2e import leftovers, needs
from tests.e2e.narration import Narrator
from tests.e2e.play import Play, Stopped
from tests.e2e.stage import opened
from tests.e2e.steps import STEPS
from usecase.source import SOURCES

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str] | None = None) -> int:
    """0 when every step went well, 1 when one did not, 130 after Ctrl-C, SIGTERM, or a closed terminal."""
    options = _parser().parse_args(arguments)
    if why := needs.lacking(sys.platform, needs.git_version(), SOURCES):
        print(why, file=sys.stderr)
        return 1
    terminals = [stream for stream in (1, 2) if os.isatty(stream)]
    asked, end = _end_as_ctrl_c(terminals)
    tell = Narrator(Console(stderr=options.json, soft_wrap=False))
    folder = Path(tempfile.mkdtemp(prefix="mainline-demo-"))
    code = 1
    try:
        with insistent(end):
            code = _play(options, folder, tell)
    except KeyboardInterrupt:
        tell.console.print("\nstopped")
    except OSError:
        if all(map(os.isatty, terminals)):
            raise
        asked.append(signal.SIGHUP)  # a word to a terminal that is gone failed before the signal was here
        _hush(terminals)
    finally:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave anything behind
        leftovers.end(str(folder))
        code = 130 if asked else code
        if code == 1 or (options.keep and signal.SIGHUP not in asked):
            tell.console.print(f"logs and data: {folder}", soft_wrap=True)
        elif not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return code


def _end_as_ctrl_c(terminals: list[int]) -> tuple[list[int], Callable[[int, FrameType | None], None]]:
    """SIGTERM too, and SIGHUP of a terminal that is closed; under nohup it is none of ours.

    Those that come are added to the list; the function is what each of them calls.
    """
    asked: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    def hung_up(number: int, frame: FrameType | None) -> None:
        _hush(terminals)
        end(number, frame)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, hung_up)
    return asked, end


def _hush(terminals: list[int]) -> None:
    """Each word to a terminal that is closed is an error, which would end the ending."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in terminals:
        os.dup2(nowhere, stream)


def _play(options: argparse.Namespace, folder: Path, tell: Narrator) -> int:
    os.environ[leftovers.MARK] = str(folder)  # of everything that is started from here on
    (folder / "tmp").mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")  # what is left behind goes with the folder
    for name in ("MLFLOW_TRACKING_URI", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "CI"):
        os.environ.pop(name, None)
    with opened(folder, tell, fast=options.fast, width=options.width) as play:
        try:
            for step in STEPS:
                with tell.step(step.title):
                    step.function(play)
        except (Stopped, TimeoutError, AssertionError, OSError) as error:
            _failed(error, play)
            return 1
        tell.summary(play.pages.links)
        if options.json:
            print(json.dumps({"seconds": round(tell.passed(), 1), "steps": tell.steps}))
        if options.wait:
            tell.console.print("  Look around. Ctrl-C ends everything that was started.")
            while True:
                time.sleep(3600)
    return 0


def _failed(error: Exception, play: Play) -> None:
    play.tell.result(str(error), good=False)
    runs = [error.run] if isinstance(error, Stopped) and error.run else []
    runs += [run for run in play.runner.runs if run.status == "failure" and run not in runs]
    for run in runs[:6]:
        play.tell.say(f"{run.name} {run.id} {run.event.name} {run.jobs} {run.problem}: {run.log}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.e2e", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="a sample of the flights, a small model")
    parser.add_argument("--no-wait", dest="wait", action="store_false", help="end after the last step")
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and data")
    parser.add_argument("--json", action="store_true", help="seconds of each step as JSON; words to stderr")
    parser.add_argument("--width", type=int, default=3, help="runs of workflows at once (default: 3)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
