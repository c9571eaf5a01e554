"""`python -m monitoring VERB`: one module a verb; errors become exit codes."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import TYPE_CHECKING

from mainline.interrupts import insistent

if TYPE_CHECKING:
    from mainline.errors import MainlineError

VERBS = {
    "check": "measure what production answered, into reports/drift.json",
    "replay": "send real months to a running service, with or without a fault",
    "backtest": "would a model trained with the newest months have been better?",
    "evidently_report": "draw a sample that check kept, beside the reference's rows",
    "site": "draw what `mainline site` collected as one page",
}


def main(arguments: list[str] | None = None) -> int:
    """The verb's exit code, that of its error, or 2 for a verb that does not exist."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] not in VERBS:
        lines = [f"  {name:17} {text}" for name, text in VERBS.items()]
        print("\n".join(["usage: python -m monitoring VERB", "", *lines]), file=sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the temporary folders go on either
    try:
        with insistent():
            return _run(arguments)
    except KeyboardInterrupt:
        from mainline.errors import Interrupted

        return _told(arguments[0], Interrupted("stopped", remedy="run the same command again"))


def _run(arguments: list[str]) -> int:
    from mainline.errors import MainlineError  # here, so that Ctrl-C while it is read is one line too
    from pipeline import determinism

    determinism.pin()  # before numpy is there: a backtest trains the bytes that CI would
    try:
        module = importlib.import_module(f"monitoring.{arguments[0]}")
        return int(module.main(arguments[1:]) or 0)
    except MainlineError as error:
        return _told(arguments[0], error)
    except Exception as error:
        from monitoring import disk

        if not disk.full(error):
            raise
        return _told(arguments[0], disk.no_room(error))


def _told(verb: str, error: MainlineError) -> int:
    """Say what happened; its exit code."""
    from mainline.untrusted import told

    print(told(f"{verb}: {error}"), file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
