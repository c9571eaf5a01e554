"""`mainline VERB`: turns errors into exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mainline import verbs
from mainline.errors import MainlineError

DESCRIPTION = "The control plane: what is merged is what is served."
EXIT_CODES = """\
exit codes:
  0  done                        15  damaged or foreign checkpoint
  1  unforeseen crash            16  a file is not the one its record names
  2  wrong usage                 17  two forms of the model disagree
  11 params.yaml is wrong        18  DVC, its cache or its remote failed
  12 the source does not answer  19  a record is missing or malformed
  13 the data is not acceptable  20  a reproduction gave something else
  14 training failed             21  git failed
  75 stopped by a signal, state saved; the same command goes on from there
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; see EXIT_CODES."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.verb(options))
    except MainlineError as error:
        print(f"mainline {options.name}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (`| head`): no traceback at exit
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mainline",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = parser.add_subparsers(dest="name", metavar="VERB", required=True)

    run = _verb(
        names,
        "run",
        verbs.run,
        "run what changed in the pipeline, then show the figures",
        """\
  mainline run                 everything that is not up to date
  mainline run featurize       only up to that stage
  mainline run --dry-run       which stages would run, and why
  mainline run --json          the figures for a program""",
    )
    run.add_argument("stages", nargs="*", help="stages of dvc.yaml (default: all)")
    run.add_argument("--dry-run", action="store_true", help="say what would run; change nothing")

    again = _verb(
        names,
        "reproduce",
        verbs.reproduce,
        "train again from an empty cache and compare",
        """\
  mainline reproduce           clone HEAD, run everything, compare with dvc.lock
  mainline reproduce --keep    leave the clone to look at""",
    )
    again.add_argument("--keep", action="store_true", help="do not remove the clone")
    return parser


def _verb(
    names: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    function: verbs.Verb,
    text: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser = names.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.set_defaults(verb=function)
    return parser


if __name__ == "__main__":
    sys.exit(main())
