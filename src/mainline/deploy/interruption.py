"""What a signal does to a command that is halfway."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from mainline.errors import Interrupted


@contextmanager
def _handling(handler: Callable[..., None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call `handler`; signals belong to the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def interruptible() -> Iterator[None]:
    """A signal undoes what was begun, and raises Interrupted."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with _handling(interrupt):
        try:
            yield
        except KeyboardInterrupt:
            raise Interrupted(
                "stopped; what is served is as before", remedy="run the same command again"
            ) from None


def undisturbed() -> AbstractContextManager[None]:
    """Clearing up takes seconds and is not cut short. (SIG_IGN would be inherited by what is started.)"""
    return _handling(lambda *_: None)
