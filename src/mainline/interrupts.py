"""A Ctrl-C that Python swallowed comes again.

A signal's exception is raised wherever the interpreter happens to be. In a destructor, or in a callback whose
errors C code ignores, it is printed as "Exception ignored in" and gone: the command would go on as if nobody
had stopped it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

PAUSE = 0.05  # seconds: what swallowed the first is over by then


@contextlib.contextmanager
def insistent(handler: Callable[..., Any] = signal.default_int_handler) -> Iterator[None]:
    """In this block a KeyboardInterrupt that is swallowed calls `handler` again, as SIGINT does."""
    main = threading.current_thread()
    if main is not threading.main_thread():  # signals are the main thread's alone
        yield
        return
    before, over = sys.unraisablehook, threading.Event()

    def again() -> None:
        if not over.wait(PAUSE) and main.ident is not None:
            signal.pthread_kill(main.ident, signal.SIGINT)

    def hook(swallowed: Any) -> None:
        if not issubclass(swallowed.exc_type, KeyboardInterrupt) or threading.current_thread() is not main:
            before(swallowed)
            return
        signal.signal(signal.SIGINT, handler)
        threading.Thread(target=again, daemon=True).start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        over.set()
