"""What a stage wants MLflow to know, as an append-only file; `pipeline.tracking.delivery` hands it over.

One session is one process that tracks: a folder `<start>-<pid>-<random>` that holds

- `events.jsonl`, a line an event: the first 16 hex digits of the body's sha256, a space, the body as JSON.
  The writer keeps it locked while it lives, so anyone can tell a running session from an abandoned one.
- `files/`, copies of the artifacts, because the originals may change before they are delivered.
- `state.json`, how far the delivery came, and `lock`, held by the one process that delivers.

Nothing here imports MLflow: a training pays microseconds an event, whether or not MLflow answers.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mainline.records import write_atomically

Event = dict[str, Any]


def encode(event: Event) -> bytes:
    """One line of `events.jsonl`. NaN and infinities are allowed: MLflow takes them."""
    body = json.dumps(event, ensure_ascii=True, separators=(",", ":")).encode()
    return hashlib.sha256(body).hexdigest()[:16].encode() + b" " + body + b"\n"


def decode(content: bytes) -> tuple[list[Event], int, int]:
    """The events in `content`, the bytes they took, and how many damaged lines were passed over.

    An unfinished last line is not taken: its writer may still be at it, or died there.
    """
    events: list[Event] = []
    taken = content.rfind(b"\n") + 1
    damaged = 0
    for line in content[:taken].splitlines():
        checksum, _, body = line.partition(b" ")
        if hashlib.sha256(body).hexdigest()[:16].encode() == checksum:
            events.append(json.loads(body))
        else:
            damaged += 1
    return events, taken, damaged


def try_lock(file: IO[bytes]) -> bool:
    """Take an exclusive lock that the kernel gives back when the process ends, however it ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[bool]:
    """Hold the lock file `path`; yields False when another process kept it for `seconds`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        deadline = time.monotonic() + seconds
        while not (mine := try_lock(file)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield mine


class Writer:
    """The writing side of a session; safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
        self.folder = root / name
        self.folder.mkdir(parents=True, mode=0o700)
        fresh = self.folder / "events.new"
        self._file = fresh.open("ab", buffering=0)  # nothing is left to write at `close`
        try_lock(self._file)
        fresh.rename(self.folder / "events.jsonl")  # nobody ever sees it unlocked
        self._mutex = threading.Lock()
        self._copies = 0

    def append(self, kind: str, **content: Any) -> None:
        """Write one event through to the operating system; after `close` it is dropped."""
        line = encode({"kind": kind, "ms": time.time_ns() // 1_000_000, **content})
        with self._mutex:
            if not self._file.closed:
                self._file.write(line)

    def keep(self, path: Path) -> str:
        """Copy a file or a folder into the session; the name it has there."""
        with self._mutex:
            self._copies += 1
            target = self.folder / "files" / str(self._copies) / path.name
        target.parent.mkdir(parents=True)
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target)
        return target.relative_to(self.folder).as_posix()

    def close(self) -> None:
        with self._mutex:
            self._file.close()


@dataclass(slots=True)
class State:
    """How far a session has been delivered, and whether `run_id` was made by it.

    `target` is a digest of the tracking URI: an URI may hold a password, and another server starts anew.
    """

    target: str = ""
    run_id: str = ""
    created: bool = False
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """The reading side."""

    folder: Path

    def abandoned(self) -> bool:
        """Whether its writer is gone. Raises FileNotFoundError when the session is."""
        with (self.folder / "events.jsonl").open("rb") as file:
            return try_lock(file)

    def read(self, offset: int) -> tuple[list[Event], int, int]:
        """Events from byte `offset`, the next offset, and the number of damaged lines."""
        with (self.folder / "events.jsonl").open("rb") as file:
            file.seek(offset)
            events, taken, damaged = decode(file.read())
        return events, offset + taken, damaged

    def state(self) -> State:
        """A missing or unreadable state means that nothing was delivered: delivering twice does no harm."""
        try:
            return State(**json.loads((self.folder / "state.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return State()

    def save(self, state: State) -> None:
        content = {name: getattr(state, name) for name in State.__slots__}
        write_atomically(self.folder / "state.json", json.dumps(content).encode())

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def sessions(root: Path) -> list[Session]:
    """Every session under `root`, oldest first."""
    return [Session(path.parent) for path in sorted(root.glob("*/events.jsonl"))]
