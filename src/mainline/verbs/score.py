"""`mainline score`: rows by the batch, scored by the model in production, each exactly once."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mainline import ledger, objects, policy, promotion, releases, verification
from mainline.errors import ConfigError, IntegrityError, Interrupted, RecordError
from mainline.git import Git
from mainline.promotion import Book
from mainline.releases import Release
from mainline.verbs import parsing

FOLDER = Path(".mainline/score")
GRACE = 60  # seconds that the scoring may take to roll back when it is stopped
BENTO = verification.NEEDED


@dataclass(frozen=True, slots=True)
class Tools:
    """What score calls."""

    batch: Sequence[str] = (sys.executable, "-m", "serving.batch")


TOOLS = Tools()


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline score`."""
    verb = parsing.add(
        names,
        "score",
        score,
        "score a month, Parquet files or a table with the model in production",
        """\
  mainline score --month 2013-11 --output scores      again: only days that are new or changed
  mainline score --input s3://bucket/rows --output s3://bucket/scores --dry-run
  mainline score --input rows/ --output 'duckdb:///data/flights.duckdb?table=scores'
  mainline score --input 'postgresql://reader@db/flights?table=features' --by day --since 2013-11-01 \\
                 --output 'postgresql://writer@db/flights?schema=ml&table=scores'
  mainline score --version v1.2.0 --month 2013-11 --output scores

Scores are in OUTPUT/version=…/PARTITION.parquet, or in the table by (key, version). Passwords belong into
PGPASSWORD or ~/.pgpass.""",
    )
    model = verb.add_mutually_exclusive_group()
    model.add_argument("--version", help="as in its tag: v1.2.0")
    model.add_argument("--stage", default=promotion.PRODUCTION, help="whose model (default: %(default)s)")
    model.add_argument("--working-tree", action="store_true", help="the model of models/, to try")
    rows = verb.add_mutually_exclusive_group(required=True)
    rows.add_argument("--month", metavar="YYYY-MM", help="of the use case's source")
    rows.add_argument("--input", metavar="PLACE", help="Parquet, s3:// prefix, duckdb:…, postgresql:…")
    verb.add_argument(
        "--output", required=True, metavar="PLACE", help="folder, s3://…, duckdb:…, postgresql:…"
    )
    verb.add_argument("--by", choices=("day", "month"), help="partitions of a table (month)")
    verb.add_argument("--since", metavar="DAY", help="of a table: only from this day on")
    verb.add_argument("--until", metavar="DAY", help="of a table: only to the end of this day")
    verb.add_argument("--keep", choices=("first",), help="of rows that share a key; else they are refused")
    verb.add_argument("--source", metavar="NAME", help="by which later runs know the input")
    verb.add_argument("--threads", metavar="N", help="default: all cores")
    verb.add_argument("--force", action="store_true", help="score again what is finished")
    verb.add_argument("--prune", action="store_true", help="take away what the input no longer has")
    verb.add_argument("--dry-run", action="store_true", help="show the partitions; change nothing")


VALUES = ("month", "input", "output", "by", "since", "until", "keep", "source", "threads")
SWITCHES = ("force", "prune", "dry_run", "json")


def score(options: argparse.Namespace, tools: Tools = TOOLS) -> int:
    """Find the model, fetch and check it, score. Returns the exit code of the scoring. Raises ConfigError."""
    _check(options)
    given = [f"--{name}={value}" for name in VALUES if (value := getattr(options, name)) is not None]
    given += [f"--{name.replace('_', '-')}" for name in SWITCHES if getattr(options, name)]
    if options.working_tree:
        return _run([*tools.batch, "--working-tree", *given])
    git = Git()
    print("▸ which model origin's tags name", file=sys.stderr, flush=True)
    record = _record(git, options)
    print(f"▸ {record.model} {record.release}: its Bento, by digest", file=sys.stderr, flush=True)
    bento = _fetched(git, record)
    sha256 = record.artifacts[BENTO].sha256
    return _run([*tools.batch, f"--bento={bento}", f"--sha256={sha256}", *given])


def _check(options: argparse.Namespace) -> None:
    """Raises ConfigError before anything is fetched."""
    for name in ("month", "input", "output"):
        if getattr(options, name) == "":
            raise ConfigError(f"--{name} is empty", remedy="is the variable set that it was taken from?")


def _record(git: Git, options: argparse.Namespace) -> Release:
    """What origin's tags say of the version. Raises GitError, RecordError, IntegrityError."""
    book = ledger.refresh(git, policy.release().model)
    version, tag = book.find(options.version or _current(book, options.stage))
    record = verification.record(book, version, tag)
    ledger.check_signature(git, tag)
    if BENTO not in record.artifacts:
        raise IntegrityError(f"{record.release} has no Bento", remedy="was it made by `mainline promote`?")
    return record


def _current(book: Book, stage: str) -> str:
    turn = book.current(stage)
    if turn is None or turn.version is None:
        known = ", ".join(book.stages()) or "none was ever assigned"
        raise RecordError(
            f"no version of {book.model} is in {stage}", why=f"stages: {known}",
            remedy="mainline status; or name one: --version, --working-tree",
        )  # fmt: skip
    return str(turn.version)


def _fetched(git: Git, record: Release) -> Path:
    """The Bento by its digest; one that is here already is checked again, not fetched."""
    named: releases.Artifact = record.artifacts[BENTO]
    path = git.root.resolve() / FOLDER / named.sha256 / named.name
    if path.is_file() and objects.digests(path).sha256 == named.sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    only = record.model_copy(update={"artifacts": {BENTO: named}})
    return verification.fetch(git.root, only, path.parent)[BENTO]


def _run(command: list[str]) -> int:
    """Its exit code; a signal is passed on, and its rollback waited for. Raises Interrupted."""
    with subprocess.Popen(command) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
            raise Interrupted("stopped", remedy="the same command goes on from there") from None
    if code < 0:
        name = signal.Signals(-code).name
        raise Interrupted(
            f"the scoring was ended by {name}", why="by hand, or the machine had no memory left",
            remedy="what is finished stays; the same command goes on from there",
        )  # fmt: skip
    return code
