"""The gate's word on a merge: the one it gave on the pull request, if that was about this very model."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

from mainline import champion
from mainline.errors import RecordError
from mainline.exported import LOCK, Exported
from mainline.git import Git
from mainline.promotion import Book
from mainline.releases import Verdict
from mainline.review import Gate

Judge = Callable[[argparse.Namespace], int]


def judged(git: Git, head: str, book: Book, candidate: Exported, judge: Judge) -> Gate:
    """The gate's record, if it belongs to this lock and this model; else a new one. Raises MainlineError."""

    def fits(record: Gate) -> bool:
        return (record.lock_sha256, record.model_md5) == (lock_sha256(), candidate.model_md5)

    with contextlib.suppress(RecordError):
        if fits(record := Gate.read(Gate.location)):
            return record
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for our own answer
        judge(
            argparse.Namespace(champion=_champion(git, head, book), accept_hold=True, json=False, plots=False)
        )
    record = Gate.read(Gate.location)
    if not fits(record):
        raise RecordError(f"{Gate.location} is about another lock or model", remedy="run this again")
    return record


def verdict(judged: Gate) -> Verdict:
    """For the release record; a hold that was merged was accepted by that."""
    return Verdict(
        verdict="promote" if judged.verdict == "promote" else "hold",
        reason=judged.reason[:1000],
        champion=judged.champion.name[:200],
        accepted=judged.verdict != "promote",
    )


def lock_sha256() -> str:
    """Of the work tree's lock."""
    return hashlib.sha256(Path(LOCK).read_bytes()).hexdigest()


def _champion(git: Git, head: str, book: Book) -> str:
    """What the gate compares with: production, before there is one the first parent, before that nothing."""
    turn, passed = champion.in_production(git, book)
    for word in passed:
        print(f"warning: {word}", file=sys.stderr)
    if turn is not None:
        git("update-ref", f"refs/tags/{turn.assignment}", turn.tag.target)  # origin's, whatever was here
        return str(turn.assignment)
    parent = git("rev-list", "--parents", "--max-count=1", head).split()[1:2]
    if parent and champion.at(git, parent[0]):
        return parent[0]
    return champion.BASELINES
