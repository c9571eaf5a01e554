"""Score rows by the batch: python -m serving.batch (--month M | --input PLACE) --output PLACE

The model is checked against its manifest before it is opened, as in the service. Prints a summary, as JSON
with --json; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from mainline.errors import ConfigError, Interrupted, MainlineError
from mainline.interrupts import insistent
from mainline.settings import Month
from pipeline.text import inert
from serving import run as service
from serving import settings, signature
from serving.batch import opening, places, running, writing
from serving.batch.places import Database, Place
from serving.batch.progress import unheard
from serving.batch.scoring import Scorer
from usecase.schema import FEATURES

SPOOL = Path(".mainline/score")


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        with insistent(stop):
            return score(options)
    except MainlineError as error:
        return _failed(error)
    except OSError as error:
        return _failed(writing.full(SPOOL, error))
    except KeyboardInterrupt:
        words = "what is finished stays, nothing is there by half"
        return _failed(Interrupted("stopped", why=words, remedy="the same command goes on from there"))


def _failed(error: MainlineError) -> int:
    """Its exit code, also where nobody reads what is said."""
    with unheard(sys.stderr):
        print(error, file=sys.stderr)
    return error.exit_code


def stop(*_: object) -> None:
    """Once: a terminal's Ctrl-C comes here and by way of `mainline score`, and would end the rollback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m serving.batch", description=__doc__.splitlines()[0])
    model = made.add_mutually_exclusive_group(required=True)
    model.add_argument("--bento", type=Path, help="an archive, or the folder it unpacks to")
    model.add_argument("--working-tree", action="store_true", help="the model of models/; needs `onnx`")
    made.add_argument("--sha256", help="refuse an archive with another digest")
    places_ = made.add_mutually_exclusive_group(required=True)
    places_.add_argument("--month", metavar="YYYY-MM", help="of the use case's source, a partition a day")
    places_.add_argument(
        "--input", metavar="PLACE", help="Parquet file, folder or s3:// prefix; duckdb:…; postgresql:…"
    )
    made.add_argument(
        "--output",
        required=True,
        metavar="PLACE",
        help="folder or s3:// prefix; duckdb:…?table=; postgresql:…?table=",
    )
    made.add_argument(
        "--by", choices=("day", "month"), default="month", help="partitions of a table (%(default)s)"
    )
    made.add_argument("--since", metavar="DAY", help="of a table: only from this day on")
    made.add_argument("--until", metavar="DAY", help="of a table: only to the end of this day")
    made.add_argument(
        "--keep", choices=("first",), default="", help="of rows that share a key; else they are refused"
    )
    made.add_argument(
        "--source", metavar="NAME", help="by which later runs know the input (default: what it is)"
    )
    made.add_argument("--force", action="store_true", help="score again what is finished")
    made.add_argument("--prune", action="store_true", help="take away what the input no longer has")
    made.add_argument("--threads", default="", metavar="N", help="default: all cores")
    made.add_argument("--dry-run", action="store_true", help="show the partitions; change nothing")
    made.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def score(options: argparse.Namespace) -> int:
    """Open, check, score, tell. Raises MainlineError."""
    given = None if options.input is None else places.parse(options.input)
    out = places.parse(options.output)
    choice = opening.Choice.parse(options.by, options.since, options.until, options.keep)
    threads = opening.threads(options.threads)
    _check(options, given, out)
    SPOOL.mkdir(parents=True, exist_ok=True)
    spool = Path(tempfile.mkdtemp(prefix="run-", dir=SPOOL))
    try:
        scorer = _scorer(options, spool, threads)
        shared = opening.shared(given, out, dry_run=options.dry_run)
        source = (
            opening.month(options.month, spool)
            if given is None
            else opening.source(given, FEATURES, spool, choice, shared=shared)
        )
        try:
            label = options.source or source.label
            wish = running.Wish(label, options.force, options.prune, options.dry_run, choice.everything)
            version = scorer.bundle.release
            sink = opening.sink(out, FEATURES, label, version, spool, dry_run=options.dry_run)
            summary = running.run(source, sink, scorer, wish)
        finally:
            source.close()
        with unheard(sys.stdout):
            _tell(options, summary, scorer, label)
        return 0
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def _check(options: argparse.Namespace, given: Place | None, out: Place) -> None:
    """Raises ConfigError for what cannot go together."""
    if options.month is not None:
        Month.parse(options.month, name="--month")
    if not isinstance(given, Database) and (options.since or options.until):
        raise ConfigError("--since and --until are for tables", remedy="--month, or name the files")
    if isinstance(given, str) and isinstance(out, str) and places.inside(out, given):
        raise ConfigError("--output is in --input: the scores would be input", remedy="take another folder")
    if isinstance(out, str) and not places.remote(out) and Path(out).exists() and not Path(out).is_dir():
        raise ConfigError(f"{inert(out, 200)} is no folder", remedy="--output takes a folder, or a database")
    if isinstance(given, Database) and isinstance(out, Database) and given.label == out.label:
        raise ConfigError("--output is --input", remedy="name another table")


def _scorer(options: argparse.Namespace, spool: Path, threads: int) -> Scorer:
    """The verified model. Raises IntegrityError, RecordError, ConfigError."""
    key = settings.load().key  # before `unpacked` leaves its note in the environment
    if options.working_tree:
        from mainline import policy
        from serving import staging

        root = spool / "src"
        staging.stage(Path.cwd(), root, policy.release().model, "working-tree", {})
    else:
        root = service.unpacked(options.bento, options.sha256)
    try:
        signature.check(root, key)
        return Scorer(root, FEATURES, threads)
    finally:
        if folder := os.environ.pop(service.UNPACKED, ""):
            shutil.rmtree(folder, ignore_errors=True)


def _tell(options: argparse.Namespace, summary: running.Summary, scorer: Scorer, label: str) -> None:
    told = {"model": scorer.bundle.model, "version": scorer.bundle.release, "source": label} | summary.told()
    told |= {"dry_run": options.dry_run, "odd": scorer.oddities()}
    if options.json:
        print(json.dumps(told))
        return
    if options.dry_run:
        for name, state in summary.states.items():
            print(f"  {state:14} {inert(name, 100)}")
    counts = ", ".join(f"{n:,} {state}" for state, n in told["partitions"].items()) or "none"
    word = "would be scored" if options.dry_run else "scored"
    speed = f" in {summary.seconds:.1f} s ({told['rows_per_second']:,}/s)" if told["rows_per_second"] else ""
    name = f"{scorer.bundle.model} {scorer.bundle.release}"
    print(f"{name}: {summary.rows:,} rows {word}{speed}; partitions: {counts}")
    for kind, names in told["odd"].items():
        if names and kind != "null":
            print(f"  {kind.replace('_', ' ')}: " + ", ".join(f"{name} {n:,}" for name, n in names.items()))


if __name__ == "__main__":
    sys.exit(main())
