"""`python -m tests.e2e.faults --write` plays every scenario, counts, and writes the table of README.md.

Without `--write` it prints the table; with names it plays those alone, and the other rows stay.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.e2e import leftovers
from tests.e2e.faults.forks import FORKS
from tests.e2e.faults.kinds import FAULTS, QUICK, SCENARIOS
from tests.e2e.faults.loop import LOOP, first
from tests.e2e.faults.stock import stocked
from tests.e2e.faults.table import BROKEN, Row, Scenario, World, broken, table, write
from tests.e2e.faults.tracking import CLOSED, THROUGHOUT
from tests.e2e.narration import Narrator
from tests.e2e.play import Play, Stopped
from tests.e2e.stage import opened


def played(wanted: Sequence[Scenario[World]], world: World, tell: Narrator) -> list[Row]:
    """Their rows; of one that did not hold, what did not: the others are played nevertheless."""
    rows: list[Row] = []
    for scenario in wanted:
        with tell.step(scenario.name):
            try:
                rows += scenario.rows(world)
            except Exception as error:  # whatever it is, hours of others would be lost with it
                log = getattr(getattr(error, "run", None), "log", "")
                tell.result(f"{scenario.name} did not hold: {error} {log}", good=False)
                rows += broken(scenario, error)
    return rows


def loop(play: Play, wanted: list[Scenario[Play]]) -> list[Row]:
    """Those that need the whole loop. MLflow is down all the while."""
    play.model = "wine"
    play.runner.variables |= {"MLFLOW_TRACKING_URI": CLOSED}
    for name in ("DEPLOY_TARGET", "MONITOR"):
        play.runner.variables.pop(name)
    with play.tell.step("a trained main, one version"):
        first(play)
    return played(wanted, play, play.tell)


def play_all(folder: Path, names: list[str]) -> list[Row]:
    """The rows of these scenarios; of all, where none is named."""
    tell, rows = Narrator(Console(stderr=True)), []
    with stocked(folder) as stock:
        rows += played([one for one in QUICK if not names or one.name in names], stock, tell)
    if wanted := [one for one in (*LOOP, *FORKS) if not names or one.name in names]:
        with opened(folder, tell, fast=True) as play:
            # Of a few runs nobody asks how they met MLflow: one alone may not train at all.
            rows += loop(play, wanted if names else [*wanted, THROUGHOUT])
    return rows


def main() -> int:
    known = [one.name for one in SCENARIOS]
    parser = argparse.ArgumentParser("python -m tests.e2e.faults", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--write", action="store_true", help="the rows into README.md")
    options = parser.parse_args()
    if unknown := {*options.scenarios} - {*known}:
        parser.error(f"{', '.join(unknown)}: there are {', '.join(known)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="mainline-demo-"))
    os.environ[leftovers.MARK] = str(folder)
    (folder / "tmp").mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")  # what is left behind goes with the folder
    code = 1
    try:
        rows = play_all(folder, options.scenarios)
        print(table(rows))
        if options.write:
            write(rows, FAULTS)
        code = 1 if any(row.held.startswith(BROKEN) for row in rows) else 0
    except Stopped as error:
        print(f"{error}\n{error.run.log if error.run else ''}", file=sys.stderr)
    finally:
        leftovers.end(str(folder))
        if code == 0:
            shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
