"""A verb in a process of its own, with stand-ins for what other rooms do: git, DVC and the steps are real.

`python -m tests.e2e.faults.child VERB ...`: promote, release, monitor, retrain.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

from mainline import cli, deploying
from mainline.errors import MainlineError
from mainline.promotion import PRODUCTION
from mainline.verbs import monitor, promote, release, retrain
from tests.mainline import releasing

HERE = Path(__file__).parent
CONTENT = b"{}"  # of the SBOM
LIMITS = deploying.Limits(ready=20, bake=0.5, drain=20, stop=10, lock=60)


def _attach(built: object, folder: Path) -> dict[str, Path]:
    """What stands beside a Bento, small."""
    path = folder / "sbom.cdx.json"
    path.write_bytes(CONTENT)
    return {"sbom": path}


def _promote(options: argparse.Namespace) -> int:
    build, check = (sys.executable, str(HERE / "bento.py")), (sys.executable, str(HERE / "bento.py"), "check")
    tools = releasing.tools(build=build, check=check, attach=_attach, before=promote.TOOLS.before)
    return promote.promote(options, tools)


def _release(options: argparse.Namespace) -> int:
    target = deploying.local(PRODUCTION, limits=LIMITS)
    tools = dataclasses.replace(release.TOOLS, target=lambda _: target, view=lambda: None)
    return release.release(options, tools)


def _monitor(options: argparse.Namespace) -> int:
    python = sys.executable
    return monitor.monitor(
        options, monitor.Tools(check=(python, "stand_in.py"), backtest=(python, "backtested.py"))
    )


def _retrain(options: argparse.Namespace) -> int:
    return retrain.retrain(options, retrain.Settings(timeout=2, pause=0.05))


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "promote": _promote, "release": _release, "monitor": _monitor, "retrain": _retrain,
}  # fmt: skip


def main() -> int:
    """The verb's exit code."""
    options = cli.parser().parse_args()
    try:
        return VERBS[options.name](options)
    except MainlineError as error:
        print(f"mainline {options.name}: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
