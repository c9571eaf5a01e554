"""`mainline verify` and `mainline trace`: from a tag to the bytes; from a prediction to its data."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from mainline import deploying, ledger, policy, predictions, verification
from mainline.deploy import surroundings
from mainline.errors import IntegrityError, RecordError, StorageError
from mainline.git import Git
from mainline.releases import Release
from mainline.untrusted import inert
from mainline.verbs import parsing

SHOWN = ("request_id", "version", "at", "key", "time", "score", "decision")
ROWS = 5  # of a request, for a person; --json has all
NO_RUN = (
    "not recorded: the commit of dvc.lock names none, and no server at MLFLOW_TRACKING_URI had one with the "
    "tag model.sha256 of its weights; next time: mainline promote --mlflow-run ID"
)


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline verify` and `mainline trace`."""
    verb = parsing.add(
        names,
        "verify",
        verify,
        "re-check a version from its tag to the bytes on the remote",
        """\
  mainline verify v1.3.0             each check, every byte; exit code 16 when one fails
  mainline verify v1.3.0 --no-data   without reading its data, which may be much
  mainline verify v1.3.0 --json      the same, for a program""",
    )
    verb.add_argument("version", help="as `mainline status` shows it: v1.3.0")
    verb.add_argument("--no-data", action="store_true", help="leave the data on the remote unread")
    verb = parsing.add(
        names,
        "trace",
        trace,
        "from one logged prediction to its version, commit, data and training run",
        """\
  mainline trace 6f1c…                         in the logs of the local deployments
  mainline trace 6f1c… --log logs/             the service's log files, or the folder with them
  mainline trace 6f1c… --log predictions.jsonl --json""",
    )
    verb.add_argument("request", help="request_id, as the service answered it")
    verb.add_argument("--log", type=Path, metavar="PATH", help="a file or a folder of *.jsonl")


def verify(options: argparse.Namespace) -> int:
    """Check everything, show everything. Returns IntegrityError's code when something does not hold."""
    git = Git()
    book = ledger.refresh(git, policy.release().model)
    version, tag = book.find(options.version)
    record, checks = verification.checks(git, book, version, tag)
    unasked: StorageError | None = None
    if record is not None and all(check.ok for check in checks):  # else anybody may have written it
        try:
            checks += verification.pushed(record, policy.registry())
            if not options.no_data:
                print(f"reading {', '.join(record.data_md5)} on the remote", file=sys.stderr)
                checks += verification.data(git.root, record)
        except StorageError as error:
            unasked = error
    holds = record is not None and unasked is None and all(check.ok for check in checks)
    if options.json:
        listed = [dataclasses.asdict(check) for check in checks]
        print(json.dumps({"version": str(version), "holds": holds, "checks": listed}))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for check in checks:
            word = "[green]holds[/]" if check.ok else "[bold red]fails[/]"
            console.print(f"{word}  {escape(inert(f'{check.name}: {check.text}'))}")
        word = "holds" if holds else "is not proven" if unasked else "does not hold"
        console.print(f"{tag.name} {word}")
    if unasked:
        raise unasked
    return 0 if holds else IntegrityError.exit_code


def trace(options: argparse.Namespace) -> int:
    """Find the prediction, then its version's record. Raises RecordError when either is not there."""
    found = _predictions(options.log, options.request)
    git = Git()
    book = ledger.refresh(git, policy.release().model)
    version, tag = book.find(str(found[0].get("version")))
    record = verification.record(book, version, tag)
    told = _told(found, record)
    if options.json:
        print(json.dumps(told))
        return 0
    console = Console(highlight=False, soft_wrap=True)
    for text in _shown(told):
        console.print(escape(inert(text)))
    return 0


def _predictions(log: Path | None, request: str) -> list[dict[str, Any]]:
    """From that log, else from those of the local deployments, production's first. Raises RecordError."""
    local = [surroundings.predictions(deploying.folder(stage)) for stage in reversed(deploying.STAGES)]
    *others, last = [log] if log else [place for place in local if place.is_dir()] or local[:1]
    for place in others:
        with contextlib.suppress(RecordError):
            return predictions.find(place, request)
    return predictions.find(last, request)


def _shown(told: dict[str, Any]) -> Iterator[str]:
    """The answer, then a few of the rows; a figure that the task does not have is null in the log."""
    yield f"version    {told['version']}"
    yield f"commit     {told['commit']}"
    for index, (path, md5) in enumerate(told["data"].items()):
        yield f"{'' if index else 'data':<11}{path} {md5}"
    yield f"model_md5  {told['model_md5']}"
    yield f"mlflow_run {told['mlflow_run'] or NO_RUN}"
    rows = told["predictions"]
    yield f"{len(rows):,} prediction{'s' if len(rows) > 1 else ''}:"
    for row in rows[:ROWS]:
        shown = {name: row[name] for name in SHOWN if row.get(name) is not None}
        yield f"  {', '.join(f'{name} {value}' for name, value in shown.items())}"
    if len(rows) > ROWS:
        yield f"  and {len(rows) - ROWS:,} more, which --json has"


def _told(found: list[dict[str, Any]], record: Release) -> dict[str, Any]:
    if wrong := {str(one.get("version")) for one in found} - {record.release}:
        raise RecordError(f"one request has lines of several versions: {record.release}, {', '.join(wrong)}")
    return {
        "predictions": found,
        "version": record.release,
        "commit": record.commit,
        "data": record.data_md5,
        "model_md5": record.model_md5,
        "bento_sha256": record.artifacts["bento"].sha256 if "bento" in record.artifacts else None,
        "gate": record.gate.model_dump(),
        "mlflow_run": record.mlflow_run,
    }
