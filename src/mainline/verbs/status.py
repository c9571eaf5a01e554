"""`mainline status`: every version and stage, with who, when and why, out of Git alone."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mainline import ledger, policy, promotion, releases
from mainline.errors import GitError, RecordError
from mainline.git import Git
from mainline.promotion import Book, Tag, Turn
from mainline.releases import Release
from mainline.tags import Assignment, Version
from mainline.untrusted import inert
from mainline.verbs import parsing

COLUMNS = ("version", "stages", "commit", "model", "data", "when", "who", "why")
WHERE_WIDE = ("model", "data", "who")  # left out of a narrow terminal; --json has all
WHOLE = ("version", "commit", "model", "when")  # never broken
WIDE = 140  # characters, where nobody's terminal says


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline status`."""
    verb = parsing.add(
        names,
        "status",
        status,
        "versions and stages, with who, when and why, from Git",
        """\
  mainline status             as origin has it
  mainline status --offline   as the tags of this clone have it
  mainline status --json      for a program""",
    )
    verb.add_argument("--offline", action="store_true", help="do not ask origin")


def status(options: argparse.Namespace) -> int:
    """Show them, the newest first."""
    git, model = Git(), policy.release().model
    book, strays = _book(git, model, offline=options.offline)
    told = tell(book)
    if options.json:
        print(json.dumps({**told, "strays": strays}))
        return 0
    _show(told)
    for name in strays:
        print(f"warning: the local tag {name} is not origin's: git tag -d '{name}'", file=sys.stderr)
    return 0


def _book(git: Git, model: str, *, offline: bool) -> tuple[Book, list[str]]:
    if offline:
        return ledger.here(git, model), []
    try:
        book = ledger.refresh(git, model)
    except GitError as error:
        print(f"warning: {error.what}; these are the tags of this clone", file=sys.stderr)
        return ledger.here(git, model), []
    return book, ledger.strays(git, book)


def tell(book: Book) -> dict[str, Any]:
    """All of it as plain values."""
    histories = [book.history(stage) for stage in book.stages()]
    turns = [turn for history in histories for turn in history]
    left = {one: version for history in histories for one, version in promotion.rollbacks(history).items()}
    now = {stage: book.current(stage) for stage in book.stages()}
    return {
        "model": book.model,
        "stages": {stage: _turn(turn, left) for stage, turn in now.items() if turn},
        "versions": [
            _version(version, tag, [turn for turn in turns if turn.version == version])
            for version, tag in sorted(book.versions().items(), reverse=True)
        ],
        "history": [
            _turn(turn, left) for turn in sorted(turns, key=lambda one: (one.tag.when, one.assignment))
        ],
    }


def _version(version: Version, tag: Tag, turns: list[Turn]) -> dict[str, Any]:
    problem, record = tag.problem, None
    if not problem:
        try:
            record = releases.parse(tag.message, name=tag.name)
        except RecordError as error:
            problem = f"{error.what}{f': {error.why}' if error.why else ''}"
    return {
        "version": str(version),
        "commit": tag.commit,
        "stages": [str(turn.assignment) for turn in turns],
        **_contents(record),
        **_people(tag),
        "problem": inert(problem),
    }


def _contents(record: Release | None) -> dict[str, Any]:
    return {
        "model_md5": record.model_md5 if record else None,
        "data_md5": record.data_md5 if record else None,
        "verdict": record.gate.verdict if record else None,
    }


def _turn(turn: Turn, left: Mapping[Assignment, Version]) -> dict[str, Any]:
    one = turn.assignment
    version = str(turn.version) if turn.version else None
    people = _people(turn.tag)
    if one in left:
        given = inert(promotion.reason(turn.tag)).replace("\n", " ")
        people["why"] = f"rollback from {left[one]}{f': {given}' if given else ''}"[:300]
    return {
        "stage": one.stage,
        "number": one.number,
        "version": version,
        "commit": turn.tag.commit,
        "left": str(left[one]) if one in left else None,
        **people,
    }


def _people(tag: Tag) -> dict[str, Any]:
    """Who, when and why; anybody may write a tag, so it is text that can be printed and no more."""
    why = promotion.reason(tag) or tag.message.split("\n", 1)[0]
    return {"who": inert(tag.who)[:100], "when": tag.when, "why": inert(why).replace("\n", " ")[:300]}


def _show(told: dict[str, Any]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    if not told["versions"]:
        console.print(f"{told['model']} has no version yet: mainline promote")
        return
    console.print(f"[bold]{told['model']}[/]")
    for stage, turn in told["stages"].items():
        version = turn["version"] or "a commit without a version"
        given = f"#{turn['number']}, {turn['when'][:16]}, {turn['who']}: {turn['why']}"
        console.print(f"  {stage:<12}[bold]{version}[/]  {escape(given)}")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown = [name for name in COLUMNS if console.width >= WIDE or name not in WHERE_WIDE]
    for name in shown:
        table.add_column(name, overflow="fold", no_wrap=name in WHOLE)
    for one in told["versions"]:
        row = dict(zip(COLUMNS, _row(told["model"], one), strict=True))
        table.add_row(*(escape(row[name]) for name in shown))
    console.print(table)


def _row(model: str, one: dict[str, Any]) -> tuple[str, ...]:
    stages = ", ".join(name.removeprefix(f"{model}#") for name in one["stages"])
    data = ", ".join(
        f"{path.removeprefix('data/')} {md5[:7]}" for path, md5 in (one["data_md5"] or {}).items()
    )
    return (
        one["version"], stages, (one["commit"] or "")[:9], (one["model_md5"] or "")[:7], inert(data),
        one["when"][:16], one["who"], one["problem"] or one["why"],
    )  # fmt: skip
