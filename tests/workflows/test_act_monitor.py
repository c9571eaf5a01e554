"""monitor.yml as it is, run by the real act: what looks may write nothing, and what acts needs the App."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from mainline.drift import Drift
from mainline.watching import Watch
from tests import clones
from tests.workflows.act import DEFAULT, Ran
from tests.workflows.conftest import World
from tests.workflows.test_act_release import merge, promoted, tagged, tags

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("act")]
CLASSES = ("first", "second", "third")
FEATURES = ("alcohol", "malic_acid", "ash", "magnesium", "flavanoids", "hue", "proline")


def watched(world: World, event: str = "schedule") -> Ran:
    """monitor.yml, started by the clock or by hand."""
    return world.run("monitor.yml", event, {"schedule": "23 5 * * *", "inputs": {}}, DEFAULT)


def answered(log: Path, features: Path) -> int:
    """What a service would have logged for the test rows; the number of lines."""
    rows = pl.read_parquet(features)
    with log.open("w") as file:
        for index, row in enumerate(rows.iter_rows(named=True)):
            line = {
                "at": datetime.now(UTC).isoformat(), "request_id": f"{index:016x}", "model": "wine",
                "version": "v1.0.0", "key": row["wine"], "time": row["day"],
                "score": dict.fromkeys(CLASSES, 1 / 3),
                "decision": CLASSES[0], "features": {name: row[name] for name in FEATURES},
            }  # fmt: skip
            file.write(json.dumps(line, default=str) + "\n")
    return rows.height


def test_a_fork_stays_quiet(world: World) -> None:
    ran = watched(world)
    assert ran.code == 0, ran.output
    assert ran.jobs == {}


def test_a_person_starts_the_watch_where_the_clock_may_not(world: World) -> None:
    """And hears from the verb what it lacks."""
    ran = watched(world, "workflow_dispatch")
    assert ran.jobs == {"watch": "failure"}, ran.output
    assert "set MAINLINE_PREDICTIONS" in ran.output


def test_the_watch_looks_and_the_bot_asks_for_its_token(world: World, trained: Path) -> None:
    merge(world, "first")
    assert promoted(world).code == 0
    tagged(world, "release", "v1.0.0", "--target", "none")
    before = tags(world)
    log = world.folder / "predictions"
    log.mkdir()
    lines = answered(log / "predictions.jsonl", trained / "main/data/features/test.parquet")
    world.variables |= {"MONITOR": "on", "MAINLINE_PREDICTIONS": str(log), "MONITOR_UNTIL": "log"}

    ran = watched(world)
    assert ran.jobs == {"watch": "success", "retrain": "failure"}, ran.output
    assert "GITHUB_TOKEN" in ran.output, "without an App the verb says what to set up"
    watch = Watch.read(world.artifact("watch") / "watch.json")
    assert watch.verdict == "insufficient", watch.reason
    drift = Drift.read(world.artifact("watch") / "drift.json")
    assert drift.quality.lines == lines
    assert drift.reference.commit == clones.git(world.origin, "rev-parse", DEFAULT)
    page = (world.artifact("site") / "index.html").read_text()
    assert "v1.0.0" in page
    links = set(re.findall(r'href="([^"#:]+)"', page))
    assert links >= {"data_docs/raw/index.html", "data_docs/features/index.html", "state.json"}
    assert not [link for link in links if not (world.artifact("site") / link).is_file()]
    assert tags(world) == before
    assert clones.git(world.origin, "branch", "--list").split() == ["first", "*", DEFAULT]
