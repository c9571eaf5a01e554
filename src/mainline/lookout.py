"""Ends a run that a newer commit of its branch made needless, as SIGTERM would.

CI that cancels such a run by itself cuts off what it pushes, too. So none is cancelled while it trains or
pushes: it looks itself, while it trains.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mainline.errors import GitError, SupersededError
from mainline.git import ORIGIN, Git

EVERY = 60.0  # seconds: what a needless training costs at most
LIMIT = 30.0  # seconds for an answer of origin


@dataclass
class Lookout:
    """Looks whether `branch` on origin is at the commit that HEAD is when this is made.

    `superseded`: why the run was ended, once it was. `say` is told once that origin gives no answer.
    """

    git: Git
    branch: str
    say: Callable[[str], None]
    every: float = EVERY
    limit: float = LIMIT
    superseded: SupersededError | None = None
    head: str = field(init=False)
    _told: bool = False

    def __post_init__(self) -> None:
        self.head = self.git("rev-parse", "HEAD")

    def ask(self) -> SupersededError | None:
        """What made the run needless; None while nothing did, or origin gives no answer."""
        try:
            tip, _ = self.git.remote_tip(self.branch, seconds=self.limit)
        except (GitError, OSError) as error:
            if not self._told:
                self.say(f"  {ORIGIN} cannot be asked where {self.branch} is, and the run goes on: {error}")
            self._told = True
            return None
        if tip == self.head:
            return None
        return SupersededError(
            f"superseded by {tip}" if tip else f"superseded: {self.branch} is gone",
            why=f"{self.branch} on {ORIGIN} is no longer at {self.head}; nothing more is run, all is kept",
            remedy="in CI nothing: the newer commit's run takes over",
        )

    @contextmanager
    def watch(self, stop: Callable[[], None]) -> Iterator[None]:
        """In this block look every `every` seconds, and call `stop` when the run is needless."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(self.every):
                if (found := self.ask()) is not None and not over.is_set():
                    self.superseded = found
                    stop()
                    return

        threading.Thread(target=look, daemon=True).start()  # daemon: nobody waits for its last look
        try:
            yield
        finally:
            over.set()
