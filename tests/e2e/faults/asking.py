"""A client that asks a service all the while that something is done to it."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.faults.table import must

LONGEST = 5.0  # seconds without an answer, on a machine that is busy with the swap
PAUSE = 0.01  # seconds between two questions: it watches, and is no load


def version(port: int) -> str:
    """The version that answers there. Raises OSError, HTTPException or ValueError where none does."""
    address = f"http://127.0.0.1:{port}/provenance"
    with urllib.request.urlopen(address, timeout=LONGEST) as answer:
        return str(json.loads(answer.read())["version"])


@dataclass
class Asked:
    """What was answered: how often each version, and every question that got no answer."""

    versions: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raises Stopped where it was not always served."""
        must(self.versions, "nobody asked")
        must(not self.failed, f"{len(self.failed)} questions failed, first {self.failed[:1]}")


def _ask(port: int, asked: Asked, ending: threading.Event) -> None:
    while not ending.wait(PAUSE):
        try:
            found = version(port)
            asked.versions[found] = asked.versions.get(found, 0) + 1
        except Exception as error:  # the thread would keep it for itself, and ask no more
            asked.failed.append(repr(error))


@contextmanager
def asking(port: int) -> Iterator[Asked]:
    """Each question on a new connection, until the end."""
    asked, ending = Asked(), threading.Event()
    thread = threading.Thread(target=_ask, args=(port, asked, ending))
    thread.start()
    try:
        yield asked
    finally:
        ending.set()
        thread.join()
