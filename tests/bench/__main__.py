"""`make bench`: every benchmark, one after the other; each prints ratios measured in one run.

Arguments go to every benchmark: `--quick` for a first look.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from tests.imports import ROOT

TESTS = Path(__file__).parents[1]
BENCHES = [
    bench for room in ("bench", "usecase", "serving") for bench in sorted(TESTS.glob(f"{room}/bench_*.py"))
]


def main() -> int:
    model = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "?"
    )
    print(f"{platform.machine()}, {model.split(':')[-1].strip()}, Python {platform.python_version()}")
    failed = []
    for bench in BENCHES:
        print(f"\n## {bench.stem.removeprefix('bench_')}", flush=True)
        if subprocess.run([sys.executable, str(bench), *sys.argv[1:]], cwd=ROOT).returncode:
            failed.append(bench.name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
