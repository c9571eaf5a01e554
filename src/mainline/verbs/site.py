"""`mainline site`: one page of what Git, the records of the watch and the forge say."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mainline import champion, ledger, policy, promotion
from mainline.drift import Drift
from mainline.errors import ConfigError, ForgeError, GitError, RecordError, of_exit_code
from mainline.exported import MANIFEST, METRICS
from mainline.forge import repository_of
from mainline.forge_pulls import Desk
from mainline.git import ORIGIN, Git
from mainline.promotion import Book
from mainline.records import Manifest, Metrics, Record
from mainline.report import escape
from mainline.retraining.state import PREFIX
from mainline.state import Change, Evaluation, Pull, Resource, State, Version
from mainline.untrusted import inert
from mainline.verbs import parsing, status
from mainline.watching import Watch

OUT = Path("site")
DATA = "state.json"  # beside the page, for a program
# What is copied beside the page where it is there: its source, its address on the page, what it is.
BESIDE = (
    (Path("reports/drift.html"), "drift.html", "Drift in full", "Evidently's report", "mainline monitor"),
    (Path("reports/report.html"), "report.html", "Review", "of the newest candidate", "mainline report"),
    (
        Path("reports/data_docs/raw"), "data_docs/raw/index.html", "Data Docs",
        "what the raw data must hold, and held", "mainline run",
    ),
    (
        Path("reports/data_docs/features"), "data_docs/features/index.html", "Data Docs of the features",
        "what the modelling tables must hold, and held", "mainline run",
    ),
)  # fmt: skip
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Tools:
    """What site calls: room `monitoring`, which this one does not import."""

    draw: Sequence[str] = (sys.executable, "-m", "monitoring", "site")


TOOLS = Tools()


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline site`."""
    verb = parsing.add(
        names,
        "site",
        site,
        "one static page: releases, the watch, drift, data, retraining pull requests",
        """\
  mainline site                                      site/index.html, to open or to publish as it is
  mainline site --offline                            by this clone's tags; asks nobody
  mainline site --mlflow-url https://mlflow.example  with a link to MLflow""",
    )
    verb.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="the page goes here (%(default)s)")
    verb.add_argument("--drift", type=Path, default=Drift.location, metavar="FILE", help="(%(default)s)")
    verb.add_argument("--watch", type=Path, default=Watch.location, metavar="FILE", help="(%(default)s)")
    verb.add_argument("--mlflow-url", metavar="URL", help="of MLflow's pages, for a link")
    verb.add_argument("--offline", action="store_true", help="ask neither origin nor the forge")


def site(options: argparse.Namespace, tools: Tools = TOOLS) -> int:
    """Collect, draw, and put the pages that it links to beside it. Raises MainlineError."""
    if options.out.exists() and not options.out.is_dir():
        raise ConfigError(f"--out {options.out} is no folder", remedy="name one, or none: it is made")
    state = collect(Git(), options)
    state.write(State.location)
    _draw([*tools.draw, "--state", str(State.location), "--out", str(options.out)])
    for source, address, *_ in BESIDE:
        _copy(source, options.out / address.removesuffix("/index.html"))
    state.write(options.out / DATA)
    (options.out / ".nojekyll").touch()  # GitHub Pages would leave out what starts with an underscore
    page = options.out / "index.html"
    if options.json:
        print(json.dumps({"page": str(page), "state": str(options.out / DATA), "notes": state.notes}))
        return 0
    for note in state.notes:
        print(f"note: {note}", file=sys.stderr)
    print(page)
    return 0


def collect(git: Git, options: argparse.Namespace) -> State:
    """Everything that the page shows. What cannot be had becomes a note on it. Raises MainlineError."""
    notes: list[str] = []
    book = _book(git, policy.release().model, notes, offline=options.offline)
    told = status.tell(book)
    drift, watch = _read(Drift, options.drift, notes), _read(Watch, options.watch, notes)
    if drift and watch and (drift.until, drift.reference.version) != (watch.until, watch.release):
        notes.append("drift.json and watch.json are not of the same watch: mainline monitor")
    pulls, why = _pulls(git, book.model, offline=options.offline)
    return State(
        model=book.model,
        deciding=policy.gate().deciding,
        commit=git("rev-parse", "HEAD"),
        repository=_address(git),
        at=_now(),
        now={stage: Change.model_validate(turn) for stage, turn in told["stages"].items()},
        versions=[_version(git, book, one) for one in told["versions"]],
        history=[Change.model_validate(turn) for turn in reversed(told["history"])],
        drift=drift,
        watch=watch,
        pulls=pulls,
        pulls_note=why,
        resources=_resources(options.mlflow_url, notes),
        notes=notes,
    )


def _book(git: Git, model: str, notes: list[str], *, offline: bool) -> Book:
    if not offline:
        try:
            return ledger.refresh(git, model)
        except GitError as error:
            notes.append(f"origin's tags: {inert(error.what)}; these are the tags of this clone")
    return ledger.here(git, model)


def _version(git: Git, book: Book, told: dict[str, Any]) -> Version:
    version, tag = book.find(told["version"])
    try:
        record, problem = promotion.record(book.model, version, tag), ""
    except RecordError as error:
        record, problem = None, inert(": ".join(filter(None, (error.what, error.why))))
    return Version(
        **{name: told[name] for name in ("version", "commit", "who", "when", "why")},
        problem=problem[:500],
        record=record,
        evaluation=_evaluation(git, record.commit) if record else None,
    )


def _evaluation(git: Git, commit: str) -> Evaluation | None:
    """What the commit recorded of its model; None where it has no such record, or one of another form."""
    content, manifest = champion.blob(git, commit, METRICS), champion.blob(git, commit, MANIFEST)
    try:
        metrics = Metrics.model_validate_json(content or b"")
        windows = Manifest.model_validate_json(manifest).windows if manifest else {}
    except ValidationError:
        return None
    return Evaluation(rows=metrics.rows, blocks=metrics.blocks, figures=metrics.figures, windows=windows)


def _read(kind: type[R], path: Path, notes: list[str]) -> R | None:
    if not path.exists():
        notes.append(f"{path} is not here: mainline monitor")
        return None
    try:
        return kind.read(path)
    except RecordError as error:
        notes.append(inert(f"{error.what}: {error.why}")[:500])
        return None


def _pulls(git: Git, model: str, *, offline: bool) -> tuple[list[Pull] | None, str]:
    """The bot's pull requests; None where nobody was asked, and why."""
    if offline or not os.environ.get("GITHUB_TOKEN"):
        why = "--offline was given" if offline else "GITHUB_TOKEN is not set"
        return None, f"The forge was not asked for pull requests: {why}."
    try:
        desk = Desk.from_environment(origin=_origin(git), retries=1)
        found = desk.pulls(f"{PREFIX}{model}")
    except ForgeError as error:
        return None, f"The forge did not say which pull requests there are: {inert(error.what)[:300]}."
    listed = [
        Pull(
            number=one.number, title=escape.visible(one.title, 300), url=escape.url(one.url), state=one.state,
            opened=_iso(one.created), closed=_iso(one.closed) if one.closed else None,
        )
        for one in found
    ]  # fmt: skip
    return listed, ""


def _resources(mlflow: str | None, notes: list[str]) -> list[Resource]:
    """The pages that can be linked to."""
    found = []
    for source, address, name, about, verb in BESIDE:
        if source.exists():
            found.append(Resource(name=name, about=about, href=address))
        else:
            notes.append(f"{source} is not here: {verb}")
    if mlflow and not (address := escape.url(mlflow)):
        # What is no page may well be a database's address, with its password.
        notes.append("there is no link to MLflow: --mlflow-url is not https://… without a password")
    elif mlflow:
        found.append(Resource(name="MLflow", about="the runs, and a view of the registry", href=address))
    found.append(Resource(name="state.json", about="all of this page, for a program", href=DATA))
    return found


def _draw(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL)  # what it says of itself is said here
    if done.returncode:
        raise of_exit_code(done.returncode)(
            f"the page could not be drawn (exit code {done.returncode})", why="its message is above"
        )


def _copy(source: Path, target: Path) -> None:
    """The source as it is now; an older copy does not stay."""
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copyfile(source, target)


def _address(git: Git) -> str | None:
    """The repository's pages, for links."""
    name = os.environ.get("GITHUB_REPOSITORY") or repository_of(_origin(git))
    server = os.environ.get("GITHUB_SERVER_URL") or "https://github.com"
    return (escape.url(f"{server}/{name}") or None) if name else None


def _origin(git: Git) -> str:
    try:
        return git("remote", "get-url", ORIGIN)
    except GitError:
        return ""


def _now() -> str:
    """The clock, or SOURCE_DATE_EPOCH, by which builds are made repeatable."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    return _iso(datetime.fromtimestamp(int(given), UTC) if given.isdecimal() else datetime.now(UTC))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
