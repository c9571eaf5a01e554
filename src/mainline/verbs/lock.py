"""`mainline lock`: does dvc.lock match the code, and is everything it names on the remote?"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape

from mainline import locks, worktree
from mainline.errors import Answer, ConfigError
from mainline.git import Git
from mainline.review import LockState, MissingObject, StaleStage
from mainline.storage import Dvc
from mainline.untrusted import line
from mainline.verbs import parsing

SHOWN = 20  # missing objects; the record names all
ANSWERS = {"current": 0, "stale": Answer.STALE, "broken": Answer.BROKEN}


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline lock`."""
    verb = parsing.add(
        names,
        "lock",
        lock,
        "prove that dvc.lock is current and pushed, without pulling any data",
        """\
  mainline lock                exit code 0: current; 30: stale, or other data is here;
                               31: broken, or not pushed yet
  mainline lock --no-remote    only whether it is current, e.g. without the remote's keys
  mainline lock --json         the record, which is also in .mainline/review/lock.json""",
    )
    verb.add_argument("--no-remote", action="store_true", help="do not ask the remote")
    verb.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="of the remote (default: 60)"
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, above 0 and at most 3600")
    return value


def lock(options: argparse.Namespace) -> int:
    """Look, judge, write the record and show it."""
    found, seen = check(ask_remote=not options.no_remote, seconds=options.timeout)
    found.write(LockState.location)
    itself = locks.judge(worktree.elsewhere(seen), found.commit, found.lock_sha256)
    if options.json:
        print(found.model_dump_json())
    elif found.state == "stale" and itself.state == "current":
        _show_old_data(itself, worktree.other(seen), asked=not options.no_remote)
    else:
        show(found, asked=not options.no_remote)
    return ANSWERS[found.state]


def check(*, ask_remote: bool = True, seconds: float = 60) -> tuple[LockState, locks.Survey]:
    """The judgement and what it rests on. Raises ConfigError outside of a pipeline's folder."""
    need_pipeline()
    commit, sha256 = Git()("rev-parse", "HEAD"), digest()
    seen = Dvc().survey(ask_remote=ask_remote, seconds=seconds)
    return locks.judge(seen, commit, sha256), seen


def need_pipeline() -> None:
    """Raises ConfigError outside of a pipeline's folder."""
    if not Path("dvc.yaml").is_file():
        raise ConfigError("there is no dvc.yaml here", remedy="run from the root of the repository")


def digest() -> str | None:
    """sha256 of dvc.lock as it is now; None when there is none."""
    path = Path(locks.LOCK)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def show(found: LockState, *, asked: bool = True, stream: TextIO | None = None) -> None:
    """Print it for a person, on standard output unless given."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    console.print(f"dvc.lock is {_headline(found, asked=asked)}")
    if found.problem:
        console.print(f"  {_plain(found.problem)}")
    for reasons, stages in _by_reasons(found.stale).items():
        console.print(f"  [bold]{_plain(', '.join(stages))}[/] would run: {_plain('; '.join(reasons))}")
    for item in found.missing[:SHOWN]:
        console.print(f"  {_told(item)}: {_plain(_named(item))}")
    if len(found.missing) > SHOWN:
        console.print(f"  and {len(found.missing) - SHOWN} more, in {LockState.location}")
    for name in found.unproven:
        console.print(f"  not proven without the remote: {_plain(name)}")
    if remedy := _remedy(found):
        console.print(f"  do: {remedy}")


def _show_old_data(lock_itself: LockState, paths: list[str], *, asked: bool) -> None:
    """What to say where only data in the work tree is not the lock's, as after a `git pull`."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"dvc.lock is {_headline(lock_itself, asked=asked)}")
    console.print(f"  [bold yellow]the work tree has other data[/] than it names: {_plain(', '.join(paths))}")
    console.print("  do: mainline run --pull, which brings it, and runs only what nobody pushed")


def _by_reasons(stale: list[StaleStage]) -> dict[tuple[str, ...], list[str]]:
    """The stages by why they would run: one changed library concerns most of them."""
    found: dict[tuple[str, ...], list[str]] = {}
    for one in stale:
        found.setdefault(tuple(one.reasons), []).append(one.stage)
    return found


def _plain(text: str) -> str:
    return escape(line(text))


def _headline(found: LockState, *, asked: bool) -> str:
    place = _plain(found.remote or "the remote")
    if found.state == "broken" and found.unpushed:
        number = len(found.missing)
        objects = f"{number:,} object{'s are' if number > 1 else ' is'}"
        return f"[bold yellow]not pushed yet[/]: {objects} in DVC's cache here, and not on {place}"
    colour = {"current": "green", "stale": "yellow", "broken": "red"}[found.state]
    word = f"[bold {colour}]{found.state}[/]"
    if found.state != "current":
        return word
    said = f" and pushed: {found.objects:,} objects on {place}" if asked else " (the remote was not asked)"
    return f"{word}{said}"


def _told(item: MissingObject) -> str:
    return item.told if item.here else f"{item.state} on the remote"


def _named(item: MissingObject) -> str:
    return f"{item.path}{'/' if item.file else ''}{item.file} ({item.md5})"


def _remedy(found: LockState) -> str:
    if found.state == "stale":
        return "mainline run, or let CI do it"
    if any(item.state == "damaged" for item in found.missing):
        return "delete what is damaged from the remote, then dvc push, which leaves alone what is there"
    if found.unpushed:
        return f"{'mainline run, then ' if found.stale else ''}mainline push; on main: dvc push"
    if found.missing:
        return "dvc push where the data is; or run the stages again: dvc repro --force, then dvc push"
    if "merge conflict" in found.problem:
        return "take either side of the conflict, then mainline run"
    if "remote" in found.problem:
        return "dvc push, where the data is; a team's store: data/README.md; on GitHub: .github/README.md"
    return ""
