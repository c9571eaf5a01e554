"""`mainline VERB`: turns errors into exit codes."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mainline.errors import Interrupted, MainlineError
from mainline.verbs import (
    comment,
    deploy,
    gate,
    lock,
    monitor,
    pipeline,
    promote,
    push,
    registry,
    release,
    report,
    required,
    retrain,
    score,
    site,
    status,
    verify,
)

# In the order of the help.
VERBS = (
    pipeline,
    lock,
    gate,
    push,
    report,
    comment,
    required,
    promote,
    release,
    deploy,
    score,
    status,
    verify,
    monitor,
    retrain,
    site,
    registry,
)
DESCRIPTION = "The control plane: what is merged is what is served."
EXIT_CODES = """\
exit codes:
  0  done                        16 a file is not the one its record names
  1  unforeseen crash            17 two forms of the model disagree
  2  wrong usage                 18 DVC, its remote or the disk failed
  11 params.yaml is wrong        19 a record is missing or malformed
  12 the source does not answer  20 a reproduction gave something else
  13 the data is not acceptable  21 git failed
  14 training failed             22 the forge failed
  15 damaged or foreign          23 the branch moved on meanwhile
     checkpoint                  24 a deployment did not take
                                 25 MLflow, Sigstore or a database failed
  75 stopped by a signal, state saved; the same command goes on from there
answers other than yes, where nothing failed:
  30 the lock is stale           32 the gate holds: a person decides
  31 the lock is broken          33 the gate blocks
  34 somebody else changed the registry
  35 the watch looks closer      36 the watch asks for a retraining
  37 the watch has too little data to say
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; see EXIT_CODES."""
    options = parser().parse_args(arguments)
    try:
        with _stoppable():
            return int(options.verb(options))
    except MainlineError as error:
        print(f"mainline {options.name}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (`| head`): no traceback at exit
        return 0


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM, as CI sends it, ends a verb as Ctrl-C does. Raises Interrupted for both."""
    ours = threading.current_thread() is threading.main_thread()  # others may not set handlers
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if ours else None
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("stopped", remedy="run the same command again") from None
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    command = argparse.ArgumentParser(
        "mainline",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = command.add_subparsers(dest="name", metavar="VERB", required=True)
    for module in VERBS:
        module.register(names)
    return command


if __name__ == "__main__":
    sys.exit(main())
