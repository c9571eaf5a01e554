"""`mainline retrain` where the bot's own job trains: real DVC, in the clone, before the pull request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mainline.bot.keeper import Keeper
from mainline.errors import MainlineError, SupersededError
from mainline.retraining import markers
from tests import clones, servers
from tests.clones import git
from tests.mainline import retrain_world
from tests.mainline.pipelines import dvc, use_store
from tests.mainline.retrain_world import BRANCH, World
from tests.servers import GitHubServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("emulate")]
STAGE = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    params: [data.as_of]
    outs: [model.txt]
"""
TRAIN = """\
import json, yaml
from pathlib import Path
month = yaml.safe_load(Path("params.yaml").read_text())["data"]["as_of"]
Path("model.txt").write_text("model to " + month)
Path(".mainline/stages").mkdir(parents=True, exist_ok=True)
note = {"exit_code": 14, "seconds": {"total": 5400, "startup": 1}}
Path(".mainline/stages/train.json").write_text(json.dumps(note))
"""


@pytest.fixture(scope="module")
def running() -> Iterator[GitHubServer]:
    with servers.github() as server:
        yield server


@pytest.fixture
def world(running: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """main has a pipeline of one stage, run and pushed; the DVC remote is a folder beside the work tree."""
    with retrain_world.build(running, tmp_path, monkeypatch) as found:
        root = found.root
        git(root, "pull", "--quiet", "origin", "main")
        (root / "dvc.yaml").write_text(STAGE)
        (root / "train.py").write_text(TRAIN)
        (root / ".gitignore").write_text("/reports/\n/.mainline/\n")
        dvc(root, "init", "--quiet")
        use_store(root, Path("../../store"))
        params = yaml.safe_load((root / "params.yaml").read_text())
        params["monitor"]["retrain"]["where"] = "here"
        (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        dvc(root, "repro", "--quiet")
        dvc(root, "push", "--quiet", "--run-cache")
        clones.commit(root, "a pipeline")
        git(root, "push", "--quiet", "origin", "HEAD:main")
        yield found


def test_the_pull_request_comes_trained_with_its_data_on_the_remote(world: World) -> None:
    before = git(world.root, "status", "--porcelain", "--ignored")
    told = world.run()
    assert (told["outcome"], told["as_of"]) == ("opened", "2013-11")
    tip = str(world.tip())
    lock = yaml.safe_load(git(world.origin, "show", f"{tip}:dvc.lock"))
    [out] = lock["stages"]["train"]["outs"]
    stored = world.root.parent / "store/files/md5" / out["md5"][:2] / out["md5"][2:]
    assert stored.read_text() == "model to 2013-11"
    assert git(world.origin, "rev-parse", f"{tip}^^") == world.tip("main")
    assert git(world.root, "status", "--porcelain", "--ignored") == before
    world.settled()
    found = markers.read(world.pulls()[0]["body"])
    assert found is not None and [one.hours for one in found.trainings] == [1.5]


def test_a_training_that_fails_opens_nothing_and_keeps_its_exit_code(world: World) -> None:
    world.change("train.py", TRAIN + "raise SystemExit(1)\n")
    with pytest.raises(MainlineError, match="run --pull` failed") as raised:
        world.run()
    assert raised.value.exit_code == 14
    assert (world.tip(), world.pulls()) == (None, [])


def test_what_changed_during_the_training_is_not_overwritten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours may lie between the plan and the push."""
    still = Keeper._still

    def change_first(self: Keeper, step: object) -> None:
        world.change("other.txt", "x")
        still(self, step)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "_still", change_first)
        with pytest.raises(SupersededError, match="while the bot trained"):
            world.run()
    assert (world.tip(), world.pulls()) == (None, [])
    assert world.run()["outcome"] == "opened"


def test_a_run_that_was_stopped_before_the_lock_was_pushed_trains_no_second_time_for_nothing(
    world: World,
) -> None:
    """Its commit is there, the lock is not: the branch is made again, by the run cache."""
    world.run()
    tip = str(world.tip())
    git(world.origin, "update-ref", f"refs/heads/{BRANCH}", f"{tip}^")
    assert world.run()["outcome"] == "updated"
    assert "dvc.lock" in git(world.origin, "diff", "--name-only", f"{world.tip()}^", str(world.tip()))
    world.settled()
    assert os.listdir(world.root.parent / "store/runs")  # noqa: PTH208  (names are enough)
