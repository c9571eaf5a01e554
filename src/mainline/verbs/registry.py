"""`mainline registry`: MLflow's registry as Git's tags say, what others changed in it; a model's run."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from mainline import ledger, policy
from mainline.errors import Answer, IntegrityError
from mainline.git import Git
from mainline.records import Manifest
from mainline.verbs import parsing
from mainline.view import Step, View, plan, view

WEIGHTS = "model.safetensors"  # in the manifest


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline registry`."""
    verb = parsing.add(
        names,
        "registry",
        registry,
        "keep the MLflow registry a view of Git's tags",
        """\
  mainline registry sync                what Git says, on an empty server or one that is behind
  mainline registry sync --dry-run      what would be done; change nothing
  mainline registry sync --heal         undo what somebody else changed, too
  mainline registry sync --tracking-uri http://127.0.0.1:5000
  mainline registry run                 the run that trained the model of the work tree""",
    )
    words = "sync: from Git to MLflow, never back; run: of these weights, by its tag model.sha256"
    verb.add_argument("action", choices=("sync", "run"), help=words)
    verb.add_argument("--tracking-uri", metavar="URI", help="default: MLFLOW_TRACKING_URI, or ./mlflow.db")
    verb.add_argument("--local", action="store_true", help="the tags of this clone; do not ask origin")
    verb.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
    verb.add_argument("--heal", action="store_true", help="undo what somebody else changed")


def registry(options: argparse.Namespace) -> int:
    """Sync. Returns Answer.OUT_OF_BAND while there is something that only --heal undoes."""
    if options.action == "run":
        return _run(options)
    git, model = Git(), policy.release().model
    book = ledger.here(git, model) if options.local else ledger.refresh(git, model)
    wanted, left = sync(
        git, view(book), options.tracking_uri, heal=options.heal, dry_run=options.dry_run, quiet=options.json
    )
    if options.json:
        steps = [asdict(step) for step in wanted]
        told = {"model": model, "steps": steps, "out_of_band": len(left), "unread": view(book).unread}
        print(json.dumps({**told, "dry_run": options.dry_run}))
    elif not wanted:
        print(f"the registry is what Git says of {model}")
    return Answer.OUT_OF_BAND if left else 0


def _run(options: argparse.Namespace) -> int:
    """Say which run it was; none is an answer, too. Raises RecordError, IntegrityError, ServiceError."""
    from mainline import registry as adapter

    weights = Manifest.read(Manifest.location).files.get(WEIGHTS)
    if weights is None:
        raise IntegrityError(f"{Manifest.location} names no {WEIGHTS}", remedy="make run")
    found = adapter.connect(options.tracking_uri).run_of(weights)
    print(json.dumps({"run": found}) if options.json else found or "no run has made these weights")
    return 0


def sync(
    git: Git,
    wanted: View,
    uri: str | None = None,
    *,
    heal: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> tuple[list[Step], list[Step]]:
    """Make the registry that view: all that was to do, and of it what somebody else did and is still so.

    Raises ServiceError, which a release must not depend on; StorageError, IntegrityError for files.
    """
    from mainline import registry as adapter

    for name, why in wanted.unread.items():
        print(f"left out: {ascii(name)[1:-1]}: {why}", file=sys.stderr)
    server = adapter.connect(uri)
    seen = server.seen(wanted.model)
    steps = plan(wanted, seen)
    mine = [step for step in steps if heal or not step.out_of_band]
    if not quiet:
        for step in steps:
            if dry_run or step not in mine:
                print(describe(step, will=dry_run and step in mine))
    if not dry_run:
        adapter.apply(server, git, wanted, seen, mine, lambda step: None if quiet else print(describe(step)))
    return steps, [step for step in steps if step.out_of_band and (dry_run or not heal)]


def describe(step: Step, *, will: bool = False) -> str:
    """One line for people."""
    match step.kind:
        case "register":
            said = f"register {step.subject}"
        case "tags":
            said = f"tags of {step.subject}: {ascii(step.found)[1:-1]}"
        case "alias":
            said = f"alias {step.subject}: {step.found or 'nothing'} -> {step.wanted or 'nothing'}"
        case "mark":
            said = f"alias {step.subject} is right already"
    if step.out_of_band:
        said += " (changed by somebody else; Git says otherwise)"
    return f"would {said}" if will and step.kind == "register" else said
