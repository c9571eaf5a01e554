"""What every verb's command line has in common."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable

Verb = Callable[[argparse.Namespace], int]
Names = argparse._SubParsersAction  # argparse has no public name for what `add_subparsers` returns
# Of each verb, the exit codes that belong to what it does.
CODES: dict[str, tuple[int, ...]] = {
    "run": (12, 13, 14, 15, 17, 18, 23),
    "reproduce": (20,),
    "lock": (30, 31),
    "gate": (32, 33),
    "push": (18, 23, 30, 31),
    "report": (19,),
    "comment": (22,),
    "required": (33,),
    "answers": (19,),
    "promote": (23, 24, 30, 31, 33),
    "release": (16, 23, 24),
    "rollback": (16, 23, 24),
    "deploy": (16, 24),
    "score": (13, 16, 25),
    "status": (21,),
    "verify": (16,),
    "trace": (19,),
    "monitor": (35, 36, 37),
    "retrain": (19, 22, 23),
    "site": (21,),
    "registry": (25, 34),
}
WORDS = {
    0: "done",
    1: "unforeseen crash",
    2: "wrong usage",
    10: "what the verb had started crashed",
    11: "params.yaml or an option is wrong",
    12: "the source does not answer",
    13: "the data is not acceptable",
    14: "training failed",
    15: "damaged or foreign checkpoint",
    16: "a file is not the one its record names",
    17: "two forms of the model disagree",
    18: "DVC, its remote or the disk failed",
    19: "a record is missing or malformed",
    20: "a reproduction gave something else",
    21: "git failed",
    22: "the forge failed",
    23: "the branch moved on meanwhile",
    24: "a deployment did not take",
    25: "MLflow, Sigstore or a database failed",
    75: "stopped by a signal, state saved: the same command goes on from there",
}
ANSWERS = {
    30: "the lock is stale",
    31: "the lock is broken",
    32: "the gate holds: a person decides",
    33: "the gate blocks",
    34: "somebody else changed the registry",
    35: "the watch looks closer",
    36: "the watch asks for a retraining",
    37: "the watch has too little data to say",
}


def add(
    names: Names[argparse.ArgumentParser],
    name: str,
    function: Verb,
    text: str,
    examples: str,
) -> argparse.ArgumentParser:
    """A parser for `mainline NAME`, with `--json`, and with examples and exit codes below its help."""
    parser = names.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"examples:\n{examples}\n\n{_codes(name)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, also of a failure")
    parser.set_defaults(verb=function)
    return parser


def exit_codes() -> str:
    """For the help of `mainline`."""
    failed, answered = ("\n".join(f"  {n:<2} {text}" for n, text in d.items()) for d in (WORDS, ANSWERS))
    return f"exit codes:\n{failed}\nanswers other than yes, where nothing failed:\n{answered}\n"


def _codes(name: str) -> str:
    told = "; ".join(f"{code} {(WORDS | ANSWERS)[code]}" for code in CODES[name])
    return textwrap.fill(f"exit codes: 0 done; {told}; all others: mainline --help", 100)
