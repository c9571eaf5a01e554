"""`mainline VERB`: turns errors into exit codes."""

from __future__ import annotations

# Little else at the top: Ctrl-C while a module is read is a traceback, unless `main` reads it.
import io
import os
import signal
import sys
from typing import TYPE_CHECKING

from mainline.interrupts import insistent

if TYPE_CHECKING:
    import argparse
    from typing import Any

    from mainline.errors import MainlineError

# Modules of mainline.verbs, in the order of the help.
VERBS = (
    "pipeline", "lock", "gate", "push", "report", "comment", "required", "promote", "release", "deploy",
    "score", "status", "verify", "monitor", "retrain", "site", "registry",
)  # fmt: skip
# Verbs in a module of another name.
WITH = {
    "run": "pipeline",
    "reproduce": "pipeline",
    "answers": "required",
    "rollback": "release",
    "trace": "verify",
}
DESCRIPTION = "The control plane: what is merged is what is served."


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; its exit code. SIGTERM, as CI sends it, ends it as Ctrl-C does."""
    before = _on_sigterm(signal.default_int_handler)
    try:
        with insistent():
            return _run(arguments)
    except KeyboardInterrupt:  # before there was a verb
        from mainline.errors import Interrupted

        stopped = Interrupted("stopped", remedy="run the same command again")
        print(f"mainline: {stopped}", file=sys.stderr)
        return stopped.exit_code
    finally:
        _on_sigterm(before)


def _on_sigterm(handler: Any) -> Any:
    """The handler before. Only the main thread may set one."""
    try:
        return signal.signal(signal.SIGTERM, handler)
    except ValueError:
        return None


def _run(arguments: list[str] | None) -> int:
    import contextlib

    if isinstance(sys.stdout, io.TextIOWrapper):  # into a pipe, too: a job's log is to show where it is
        sys.stdout.reconfigure(line_buffering=True)
    words = sys.argv[1:] if arguments is None else arguments
    options = parser(words[0] if words else "").parse_args(words)
    code = 128 + signal.SIGPIPE  # the reader left while the verb was at work: nobody knows how far it came
    try:
        if not options.json:
            return _verb(options)[0]
        with contextlib.redirect_stdout(io.StringIO()) as told:
            code, error = _verb(options)
        print(told.getvalue() or _failure(code, error), end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python's last flush is not to fail
    return code


def _verb(options: argparse.Namespace) -> tuple[int, MainlineError | None]:
    from mainline.errors import DISK_FULL, Interrupted, MainlineError, StorageError
    from mainline.untrusted import told

    error: MainlineError
    try:
        return int(options.verb(options)), None
    except KeyboardInterrupt:
        error = Interrupted("stopped", remedy="run the same command again")
    except MainlineError as raised:
        error = raised
    except OSError as raised:
        if raised.errno not in DISK_FULL:
            raise
        error = StorageError(
            f"no room to write {raised.filename or 'a file'}",
            why=raised.strerror or "",
            remedy="free disk space, then run the same command again",
        )
    print(told(f"mainline {options.name}: {error}"), file=sys.stderr)
    return error.exit_code, error


def _failure(code: int, error: MainlineError | None) -> str:
    """For a program: one JSON object where the verb has printed none; nothing for a verb whose child has."""
    import json

    if not code:
        return ""
    said = {"error": error.what, "why": error.why, "remedy": error.remedy} if error else {}
    return json.dumps({"error": "its message is on standard error", **said, "exit_code": code}) + "\n"


def parser(verb: str = "") -> argparse.ArgumentParser:
    """The whole command line; of a verb that there is its part alone: to read every module takes longer."""
    import argparse
    import importlib

    from mainline.verbs.parsing import CODES, exit_codes

    command = argparse.ArgumentParser(
        "mainline",
        description=DESCRIPTION,
        epilog=exit_codes(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = command.add_subparsers(dest="name", metavar="VERB", required=True)
    for name in (WITH.get(verb, verb),) if verb in CODES else VERBS:
        importlib.import_module(f"mainline.verbs.{name}").register(names)
    return command


if __name__ == "__main__":
    sys.exit(main())
