"""Processes that outlive whoever started them, found again without ever mistaking another one for them.

A pid is reused; a pid with its start time on the same boot of the machine is not. Linux only (/proc).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mainline.errors import ConfigError
from mainline.records import Part

PROC = Path("/proc")
POLL = 0.05  # seconds
# The child waits for one line before it becomes the command: a process that nobody noted down never runs.
GATE = 'read go && exec "$@" </dev/null'


class Process(Part):
    """A process and the session that it leads. `started`: boot of the machine, and ticks since then."""

    pid: int
    started: str


def check_machine() -> None:
    """Raises ConfigError where processes cannot be told apart."""
    if not (PROC / "self/stat").exists():
        raise ConfigError("the local target needs Linux", remedy="use --target kubernetes, or compose")


def spawn(
    command: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    note: Callable[[Process], None],
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start the command in a session of its own, after `note` has written down which process it is.

    `environment`: all that it gets; without it, ours.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            ["/bin/sh", "-c", GATE, "sh", *command],
            cwd=cwd, env=environment, stdin=subprocess.PIPE,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    assert child.stdin is not None  # noqa: S101 - it is a pipe
    with child.stdin:
        process = Process(pid=child.pid, started=_started(child.pid) or "")
        note(process)
        with suppress(BrokenPipeError):
            child.stdin.write(b"go\n")
    child.returncode = 0  # it is nobody's child to wait for; see `_reap`
    return process


def alive(process: Process) -> bool:
    """Whether this very process runs (a zombie does not)."""
    return bool(process.started) and _started(process.pid) == process.started


def stop(process: Process, *, grace: float) -> None:
    """End the process and its session: SIGTERM to it, after `grace` seconds SIGKILL to what is left."""
    if alive(process):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    ends = time.monotonic() + grace
    while alive(process) and time.monotonic() < ends:
        time.sleep(POLL)
    for pid in _session(process):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    ends = time.monotonic() + 5
    while alive(process) and time.monotonic() < ends:
        time.sleep(POLL)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log."""
    try:
        content = log.read_bytes()[-4000:].decode(errors="replace")
    except OSError:
        return ""
    return "\n        ".join(content.splitlines()[-lines:])


def _session(process: Process) -> list[int]:
    """The session's processes. While one of them lives, the kernel gives its number to no other process."""
    if not process.started or _started(process.pid) not in (process.started, None):
        return []
    boot = process.started.partition(":")[0]
    if boot != _boot():
        return []
    found = []
    for entry in PROC.iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields and int(fields[3]) == process.pid and fields[0] not in "ZX":
            found.append(int(entry.name))
    return found


def _started(pid: int) -> str | None:
    _reap(pid)
    fields = _stat(pid)
    return f"{_boot()}:{fields[19]}" if fields and fields[0] not in "ZX" else None


def _stat(pid: int) -> list[str] | None:
    """/proc/PID/stat after the command's name: state, parent, group, session, …, start time as 20th."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None


def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
