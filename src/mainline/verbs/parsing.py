"""What every verb's command line has in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Verb = Callable[[argparse.Namespace], int]
Names = argparse._SubParsersAction  # argparse has no public name for what `add_subparsers` returns


def add(
    names: Names[argparse.ArgumentParser],
    name: str,
    function: Verb,
    text: str,
    examples: str,
) -> argparse.ArgumentParser:
    """A parser for `mainline NAME`, with `--json` and examples below its help."""
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
