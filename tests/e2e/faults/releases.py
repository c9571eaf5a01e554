"""promote, release, rollback and deploy: real Git and DVC; a stand-in is built and served."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path

from mainline.deploy.state import State
from mainline.deploying import FOLDER
from tests.clones import git
from tests.deploy import standin
from tests.deploy.test_local import until
from tests.e2e import leftovers
from tests.e2e.faults.asking import asking, version
from tests.e2e.faults.scene import CHILD, CLI, Case, Scene
from tests.e2e.faults.stock import Stock, copy
from tests.e2e.faults.table import must
from tests.e2e.faults.wire import STEP, Moments
from tests.mainline.releasing import MODEL, World
from tests.ports import free_port

WRAPPER = """\
#!/bin/sh
case "$*" in *serving.run*) ;; *) exec {python} "$@";; esac
while [ "$1" != serving.run ]; do shift; done
shift
exec {python} {standin} "$@"
"""


@contextmanager
def world_of(stock: Stock, folder: Path, moments: Moments) -> Iterator[World]:
    """The stock's versions, with a Git server of their own behind a wire."""
    copy(stock.versions.root, folder)
    with stock.served(folder, moments) as root:
        yield World(root)


def tags(world: World, before: dict[str, str], new: tuple[str, ...], *, done: bool) -> None:
    """All the new ones or, before it is done, none; and no local tag that origin does not have."""
    made = {name: sha for name, sha in world.tags().items() if before.get(name) != sha}
    must(sorted(made) == sorted(new) or (not done and not made), f"new tags: {sorted(made)}")
    mine, theirs = world.tags(world.root), world.tags()
    must(mine.items() <= theirs.items(), f"local tags that are not origin's: {mine.keys() - theirs.keys()}")
    must(not git(world.root, "status", "--porcelain"), "the work tree is not clean")


@contextmanager
def _promote(stock: Stock, folder: Path) -> Iterator[Scene]:
    moments = Moments()
    with world_of(stock, folder, moments) as world:
        world.merge("next")
        check = partial(tags, world, world.tags(), (f"{MODEL}@v1.0.2", f"{MODEL}#staging#3"))
        yield Scene(
            world.root, ("promote",), moments, partial(check, done=True), partial(check, done=False), CHILD
        )


@contextmanager
def _back(stock: Stock, folder: Path) -> Iterator[Scene]:
    moments = Moments()
    with world_of(stock, folder, moments) as world:
        check = partial(tags, world, world.tags(), (f"{MODEL}#production#3",))
        yield Scene(
            world.root, ("rollback", "--target", "none"), moments, partial(check, done=True),
            partial(check, done=False), CLI, again=("release", "v1.0.0", "--target", "none"),
        )  # fmt: skip


@contextmanager
def _machine(folder: Path) -> Iterator[tuple[dict[str, str], int]]:
    """Environment of a deployment here, and its port; everything that it started is ended."""
    python, port = folder / "python", free_port()
    python.write_text(WRAPPER.format(python=sys.executable, standin=standin.__file__))
    python.chmod(0o755)
    extra = {
        FOLDER: str(folder / "deploy"), "MAINLINE_DEPLOY_PYTHON": str(python),
        "MAINLINE_PRODUCTION_PORT": str(port),
    }  # fmt: skip
    try:
        yield extra, port
    finally:
        leftovers.end(str(folder), grace=0)


def _serves(folder: Path, port: int, *versions: str) -> None:
    """One of these, by one process, and nothing is left to clear up."""
    until(lambda: _version(port) in versions)
    state = State.read(folder / "deploy/production" / State.location)
    must(state.active is not None and state.active.release in versions, f"the state: {state}")
    if len(versions) == 1:
        must(state.candidate is None and state.previous is None, "something is unfinished")
        until(lambda: len(_services(folder)) == 1)


def _services(folder: Path) -> list[int]:
    """The processes of the stand-in that serve from there."""
    found = []
    for pid in leftovers.marked(str(folder)):
        line = Path(f"/proc/{pid}/cmdline")
        if line.exists() and standin.__file__.encode() in line.read_bytes():
            found.append(pid)
    return found


def _version(port: int) -> str:
    with suppress(OSError, http.client.HTTPException, ValueError):
        return version(port)
    return ""


@contextmanager
def _release(stock: Stock, folder: Path) -> Iterator[Scene]:
    moments = Moments()
    with world_of(stock, folder, moments) as world, _machine(folder) as (extra, port):
        tagged = partial(tags, world, world.tags(), (f"{MODEL}#production#3",))

        def check() -> None:
            tagged(done=True)
            _serves(folder, port, "v1.0.0")

        yield Scene(
            world.root, ("release", "v1.0.0"), moments, check, partial(tagged, done=False), CHILD, extra=extra
        )


@contextmanager
def _deploy(stock: Stock, folder: Path) -> Iterator[Scene]:
    """v1.0.0 is served, and v1.0.1 is deployed in its place, while a client asks all the time."""
    moments = Moments()
    with world_of(stock, folder, moments) as world, _machine(folder) as (extra, port):
        to = ("--stage", "production", "--bake", "0.5")
        first = Scene(world.root, ("deploy", "v1.0.0", *to, "--force"), moments, lambda: None, extra=extra)
        must(first.run() == 0, f"v1.0.0 is not served:\n{first.words}")
        with asking(port) as asked:

            def check(*versions: str) -> None:
                _serves(folder, port, *versions)
                asked.check()

            yield Scene(
                world.root, ("deploy", "v1.0.1", *to), moments, partial(check, "v1.0.1"),
                partial(check, "v1.0.0", "v1.0.1"), extra=extra,
            )  # fmt: skip


@cache
def promote(stock: Stock) -> Case:
    return Case("promote", partial(_promote, stock))


@cache
def release(stock: Stock) -> Case:
    return Case("release", partial(_release, stock))


@cache
def rollback(stock: Stock) -> Case:
    return Case("rollback", partial(_back, stock))


@cache
def deploy(stock: Stock) -> Case:
    return Case("deploy", partial(_deploy, stock))


def at_writes(moment: str) -> bool:
    """Not at the steps, which the workflow's own test goes through."""
    return not moment.startswith(STEP)
