"""What is being done, on standard error: standard output is for the summary."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from pipeline.text import inert

BEAT = 1.0  # seconds between two lines of progress


@contextmanager
def unheard(stream: TextIO) -> Iterator[None]:
    """Whoever reads may go: what is told is not the work. From then on it is told to nobody."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # or what is still in its buffer fails when the process ends
        os.close(nowhere)


def say(text: str) -> None:
    """Before what takes its time and would look like nothing."""
    with unheard(sys.stderr):
        print(inert(text, 300), file=sys.stderr, flush=True)


@dataclass
class Progress:
    """Rows and their speed on standard error: one line that changes on a terminal, elsewhere some lines."""

    stream: TextIO = sys.stderr
    rows: int = 0
    _started: float = field(default_factory=time.monotonic)
    _told: float = 0.0

    def add(self, rows: int, partition: str) -> None:
        self.rows += rows
        now = time.monotonic()
        if now - self._told < (BEAT if self.stream.isatty() else 10 * BEAT):
            return
        self._told = now
        speed = self.rows / max(now - self._started, 1e-9)
        end = "\r" if self.stream.isatty() else "\n"
        with unheard(self.stream):
            print(
                f"{self.rows:,} rows, {speed:,.0f}/s, in {inert(partition, 60)}  ", end=end, file=self.stream
            )
