"""The retraining bot: its branch on a Git server, its pull request and its dashboard on a real forge."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import pytest

from mainline.errors import SupersededError
from tests.clones import git
from tests.e2e.faults.scene import CHILD, LIMIT, Case, Scene
from tests.e2e.faults.stock import Stock
from tests.e2e.faults.table import must
from tests.e2e.faults.wire import AFTER, BEFORE, Moments, wire
from tests.mainline import retrain_world
from tests.mainline.retrain_world import World
from tests.servers import Fault


def _one(world: World, main: str | None, *, done: bool) -> None:
    """One branch with one commit, one pull request, one dashboard; before it is done, none of it twice."""
    pulls, boards, tip = world.pulls(), world.dashboards(), world.tip()
    must(len(pulls) <= 1 and len(boards) <= 1, f"{len(pulls)} pull requests, {len(boards)} dashboards")
    must(world.tip("main") == main, "main moved")
    must(tip is None or git(world.origin, "rev-parse", f"{tip}^") == main, "not one commit on the branch")
    must(not git(world.root, "status", "--porcelain"), "the work tree is not clean")
    if done:
        must(tip and pulls and boards, f"branch {tip}, pulls {len(pulls)}, dashboards {len(boards)}")
        must(pulls[0]["state"] == "open", "the pull request is closed")
        must([one["name"] for one in pulls[0]["labels"]] == ["retraining"], f"{pulls[0]['labels']}")


def _shown(world: World) -> list[object]:
    """What the bot left for others to see."""
    pulls = world.pulls()
    said = [{name: one[name] for name in ("number", "state", "title", "body", "labels")}
            for one in (*pulls, *world.dashboards())]  # fmt: skip
    return [world.tip(), *said, *(world.notes(pull["number"]) for pull in pulls)]


@contextmanager
def _scene(stock: Stock, folder: Path, moments: Moments) -> Iterator[tuple[World, Scene]]:
    here = Path.cwd()
    with (
        pytest.MonkeyPatch.context() as patch,
        retrain_world.build(stock.forge, folder, patch) as world,
        wire(world.http.url, moments) as remote,
        wire(world.server.url, moments) as forge,
    ):
        os.chdir(here)  # the world's builder goes there, for tests that call the verb in their own process
        git(world.root, "remote", "set-url", "origin", f"{remote.url}/flights.git")
        patch.setenv("GITHUB_API_URL", forge.url)
        check = partial(_one, world, world.tip("main"))
        yield (
            world,
            Scene(
                world.root,
                ("retrain",),
                moments,
                partial(check, done=True),
                partial(check, done=False),
                CHILD,
            ),
        )


@contextmanager
def _retrain(stock: Stock, folder: Path) -> Iterator[Scene]:
    with _scene(stock, folder, Moments()) as (_, scene):
        yield scene


@cache
def retrain(stock: Stock) -> Case:
    return Case("retrain", partial(_retrain, stock))


@dataclass
class Meeting(Moments):
    """Of two programs, neither pushes before both have read the same; then the second after the first."""

    arrived: int = 0
    both: threading.Event = field(default_factory=threading.Event)
    pushed: threading.Event = field(default_factory=threading.Event)

    def ask(self, path: str) -> None:
        if not path.endswith("service=git-receive-pack"):
            return
        with self.lock:
            self.arrived += 1
            number = self.arrived
        if number == 1:
            self.both.wait(LIMIT)
        elif number == 2:
            self.both.set()
            self.pushed.wait(LIMIT)

    def hear(self, moment: str) -> Fault | None:
        if moment.startswith(AFTER):
            self.pushed.set()
        return super().hear(moment)


def two(stock: Stock, folder: Path) -> list[int]:
    """Two bots at once: their exit codes. A third one then writes nothing."""
    with _scene(stock, folder, Meeting()) as (world, scene):
        both = [scene.start(scene.command) for _ in range(2)]
        told = [one.communicate(timeout=LIMIT)[0] for one in both]
        codes = sorted(one.returncode for one in both)
        must(codes == [0, SupersededError.exit_code], "\n".join(told))
        scene.check()
        before = _shown(world)
        must(scene.rerun() == 0, scene.words)
        scene.check()
        writes = [moment for moment in scene.moments.seen if moment.startswith(BEFORE)]
        must(not writes and _shown(world) == before, f"a third bot wrote: {writes}\n{scene.words}")
        return codes
