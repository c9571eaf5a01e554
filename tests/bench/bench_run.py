"""Seconds of a cold pipeline by stage, how much of them is start-up, and of a run with nothing to do."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests import clones

BARS = {"cold": 90.0, "no-op": 5.0}  # seconds, on 2 cores


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        root = clones.copy(Path(folder) / "clone")
        (root / "dvc.lock").unlink()  # or stages whose committed outputs are right would be skipped
        cold, done = _timed(root, "run", "--json")
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)
            return 1
        noop, _ = _timed(root, "run")
    seconds = json.loads(done.stdout.splitlines()[-1])["seconds"]
    print("| stage | seconds | of it start-up |\n|---|---:|---:|")
    for stage, spent in seconds.items():
        print(f"| {stage} | {spent['total']:.1f} | {spent['startup']:.1f} |")
    startup = sum(spent["startup"] for spent in seconds.values())
    stages = sum(spent["total"] for spent in seconds.values())
    print(f"| DVC and ours | {cold - stages:.1f} | |")
    print(f"| cold run (bar {BARS['cold']:.0f}) | {cold:.1f} | {startup:.1f} ({startup / cold:.0%}) |")
    print(f"| nothing to do (bar {BARS['no-op']:.0f}) | {noop:.1f} | ({noop / cold:.1%} of a cold run) |")
    return 0


def _timed(root: Path, *arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    started = time.perf_counter()
    done = clones.mainline(root, *arguments)
    return time.perf_counter() - started, done


if __name__ == "__main__":
    sys.exit(main())
