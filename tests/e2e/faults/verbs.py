"""run, push, comment and monitor: a small pipeline under real DVC, a report on a real forge, a watch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import yaml

from mainline.drift import Drift
from mainline.watching import Watch
from tests.clones import git
from tests.e2e.faults.scene import CHILD, Case, Scene
from tests.e2e.faults.stock import Stock, copy
from tests.e2e.faults.table import must
from tests.e2e.faults.wire import STEP, Moments, wire
from tests.monitoring import siting
from tests.servers import REPOSITORY, ROBOT


@contextmanager
def _run(stock: Stock, folder: Path) -> Iterator[Scene]:
    copy(stock.stages, folder)
    root = folder / "work"

    def check() -> None:
        must(
            (root / "dvc.lock").read_bytes() == (stock.done / "dvc.lock").read_bytes(),
            "the lock is not what one undisturbed run makes",
        )
        changed = git(root, "diff", "--name-only", "HEAD").split()
        must(changed == ["dvc.lock", "figures.json"], f"changed: {changed}")

    yield Scene(root, ("run",), Moments(), check)


@contextmanager
def _push(stock: Stock, folder: Path) -> Iterator[Scene]:
    """What CI does after a training: the lock's commit to the branch."""
    copy(stock.stages, folder, ("origin.git", "store"))
    shutil.copytree(stock.done, folder / "work", symlinks=True)
    moments, origin = Moments(), folder / "origin.git"
    with stock.served(folder, moments) as root:
        before, store = git(origin, "rev-parse", "topic"), folder / "store"

        def half() -> None:
            tip = git(origin, "rev-parse", "topic")
            must(before in (tip, git(origin, "rev-parse", "topic^")), "the branch is neither here nor there")
            must(tip == before or _stored(origin, store), "the lock names data that is nowhere")

        def check() -> None:
            half()
            must(git(origin, "rev-parse", "topic^") == before, "not one commit on the branch")
            must(not git(root, "status", "--porcelain"), "the work tree is not clean")
            must(git(root, "rev-parse", "HEAD") == git(origin, "rev-parse", "topic"), "HEAD did not follow")

        yield Scene(root, ("push",), moments, check, half)


def _stored(origin: Path, store: Path) -> bool:
    """Whether the store has every output that the lock on the branch names."""
    stages = yaml.safe_load(git(origin, "show", "topic:dvc.lock"))["stages"].values()
    cached = [one["md5"] for stage in stages for one in stage["outs"] if one["path"] != "figures.json"]
    return all((store / "files/md5" / md5[:2] / md5[2:]).exists() for md5 in cached)


@contextmanager
def _comment(stock: Stock, folder: Path, *, update: bool) -> Iterator[Scene]:
    moments, forge = Moments(), stock.forge
    number = int(forge.pull_request()["number"])
    report = folder / "report.md"
    with wire(forge.url, moments) as between:
        extra = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": between.url,
                 "GITHUB_SERVER_URL": between.url, "GITHUB_TOKEN": f"{ROBOT}-token"}  # fmt: skip
        command = ("comment", "--file", str(report), "--pr", str(number), "--via", "api")
        scene = Scene(folder, command, moments, lambda: None, extra=extra)
        if update:
            report.write_text("# an earlier report\n")
            must(scene.rerun() == 0, scene.words)
        report.write_text("# the report\n")

        def half() -> None:
            must(len(forge.comments(number)) <= 1, "there are two comments")

        def check() -> None:
            found = [text for who, text in forge.comments(number) if who == ROBOT]
            must(len(found) == 1 and "# the report" in found[0], f"comments: {found}")

        scene.half, scene.check = half, check
        yield scene


@contextmanager
def _monitor(stock: Stock, folder: Path) -> Iterator[Scene]:
    copy(stock.versions.root, folder)
    root = folder / "work"
    git(root, "remote", "set-url", "origin", "../origin.git")
    (root / "measured.json").write_text(siting.drift().model_dump_json())
    scene = Scene(root, ("monitor", "--log", "here"), Moments(), lambda: None, program=CHILD)
    scene.answer = scene.rerun()
    first = (root / Watch.location).read_bytes()
    earlier = Watch.read(root / Watch.location).model_copy(update={"reason": "of yesterday"})
    earlier.write(root / Watch.location)

    def half() -> None:
        told = Watch.read(root / Watch.location)
        if scene.moments.hit == f"{STEP}▸ page":  # for people, after the decision
            check()
        else:
            must(told == earlier, f"decided, though it was killed: {told}")
        Drift.read(root / Drift.location)

    def check() -> None:
        must((root / Watch.location).read_bytes() == first, "another answer than the undisturbed one")

    scene.half, scene.check = half, check
    yield scene


@cache
def run(stock: Stock) -> Case:
    return Case("run", partial(_run, stock))


@cache
def push(stock: Stock) -> Case:
    return Case("push", partial(_push, stock))


@cache
def comment(stock: Stock, *, update: bool) -> Case:
    return Case("comment", partial(_comment, stock, update=update))


@cache
def monitor(stock: Stock) -> Case:
    return Case("monitor", partial(_monitor, stock))
