"""What a local deployment is: a folder with one state file, its lock, the releases' files and the logs."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from mainline.deploy.processes import Process
from mainline.errors import DeployError
from mainline.records import Part, Record

POLL = 0.05  # seconds


class Service(Part):
    """A service that was started. `digest`: sha256 of its Bento; `command` holds its port already."""

    release: str
    commit: str
    digest: str
    model_sha256: str
    port: int
    command: list[str]
    cwd: str
    log: str
    process: Process


class State(Record):
    """`active` gets the requests; `candidate` is being checked; `previous` waits until it is not needed.

    Between two commands both are None; where they are not, a command was cut off and the next one clears up.
    """

    location = Path("state.json")
    version: Literal[1] = 1
    stage: str
    host: str
    port: int
    active: Service | None = None
    candidate: Service | None = None
    previous: Service | None = None
    stopped: bool = False


class Front(Part):
    """What the front says of itself: where it sends requests, and how many other ports still answer."""

    pid: int
    backend: int | None
    draining: dict[str, int]


def read_front(folder: Path) -> Front | None:
    """What the front wrote last; None before it wrote anything."""
    try:
        return Front.model_validate(json.loads((folder / "front.json").read_text()))
    except (OSError, ValueError):
        return None


def held(path: Path) -> bool:
    """Whether a living process holds the lock: the kernel lets go of it when that process ends, however."""
    try:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


@contextmanager
def lock(path: Path, *, seconds: float, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock. Raises DeployError when another holds it longer than `seconds`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    ends, told = time.monotonic() + seconds, False
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= ends:
                    raise DeployError(
                        f"another command holds {path}", remedy="wait for it, or end it; then run this again"
                    ) from None
            if not told:
                waiting()
                told = True
            time.sleep(POLL)
        yield


@contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Hold the lock while the process lives; False when another process does (a look by `held` is short)."""
    try:
        with lock(path, seconds=0.5):
            yield True
    except DeployError:
        yield False
