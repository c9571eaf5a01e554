"""score.yml as it is, run by the real act: a folder of Parquet, scored by the model in production."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.workflows.act import DEFAULT, Ran
from tests.workflows.conftest import World
from tests.workflows.test_act_release import merge, promoted, tagged, tags

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("act")]


def scored(world: World) -> Ran:
    """score.yml, started by the clock."""
    return world.run("score.yml", "schedule", {"schedule": "41 6 2 * *"}, DEFAULT)


def test_without_a_place_for_the_scores_it_stays_quiet(world: World) -> None:
    world.variables |= {"SCORE_INPUT": str(world.folder / "rows")}
    ran = scored(world)
    assert ran.code == 0, ran.output
    assert ran.jobs == {}


def test_a_folder_is_scored_by_the_model_in_production(world: World, trained: Path) -> None:
    merge(world, "first")
    assert promoted(world).code == 0
    tagged(world, "release", "v1.0.0", "--target", "none")
    before = tags(world)
    rows, scores = world.folder / "rows", world.folder / "scores"
    rows.mkdir()
    shutil.copy(trained / "main/data/features/test.parquet", rows / "part.parquet")
    world.variables |= {"SCORE_INPUT": str(rows), "SCORE_OUTPUT": str(scores)}

    ran = scored(world)
    assert ran.jobs == {"score": "success"}, ran.output
    (written,) = scores.glob("version=v1.0.0/*.parquet")
    found, given = pl.read_parquet(written), pl.read_parquet(rows / "part.parquet")
    assert sorted(found["key"]) == sorted(given["wine"]) != []
    assert set(found["version"]) == {"v1.0.0"} and found["score"].null_count() == 0
    assert tags(world) == before

    noted = written.stat().st_mtime_ns
    again = scored(world)
    assert again.jobs == {"score": "success"}, again.output
    assert written.stat().st_mtime_ns == noted, "what is scored is not scored again"
