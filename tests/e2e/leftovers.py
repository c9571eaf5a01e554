"""Ends every process that bears a mark in its environment, however it was detached. Linux only (/proc)."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from mainline.deploying import FOLDER

MARK = "MAINLINE_DEMO"  # its value is the demo's folder
RUN = "MAINLINE_DEMO_RUN"  # of one run of a workflow, beside the other
POLL = 0.05  # seconds


def marked(value: str) -> list[int]:
    """Processes, but this one, in whose environment MARK or RUN has this value, or that are deployed there.

    What is deployed keeps little of its environment, and so no mark; its folder it keeps.
    """
    wanted, found = {f"{name}={value}".encode() for name in (MARK, RUN)}, []
    deployed = f"{FOLDER}={value}/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                names = (entry / "environ").read_bytes().split(b"\0")
                if wanted & {*names} or any(name.startswith(deployed) for name in names):
                    found.append(int(entry.name))
    return found


def end(value: str, grace: float = 5.0) -> int:
    """End them all, and what they start meanwhile; how many there were at once.

    While a process becomes another program (exec) it has no environment: nobody is left when two looks say
    so.
    """
    most, nobody, ends = 0, 0, time.monotonic() + grace
    while nobody < 2:
        pids, last = marked(value), time.monotonic() > ends
        most, nobody = max(most, len(pids)), 0 if pids else nobody + 1
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if last else signal.SIGTERM)
        time.sleep(POLL)
    return most
