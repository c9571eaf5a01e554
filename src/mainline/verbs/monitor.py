"""`mainline monitor`: what the predictions of production ask for: quiet, a closer look, or a retraining."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mainline import backtests, deploying, exposition, policy, watched, watching
from mainline.deploy import surroundings
from mainline.drift import Drift, Window
from mainline.errors import Answer, ConfigError, Interrupted, MainlineError, of_exit_code
from mainline.git import Git
from mainline.profile import OTHER, Profile
from mainline.promotion import PRODUCTION
from mainline.records import Figure, Manifest, write_atomically
from mainline.untrusted import inert
from mainline.verbs import parsing
from mainline.watched import Watched
from mainline.watching import Watch

PREDICTIONS, LABELS = "MAINLINE_PREDICTIONS", "MAINLINE_LABELS"
SOURCE = "source"
YESTERDAY, LOGS = "yesterday", "log"  # days that --until knows by name
PAGE = Path("reports/drift.html")
WORK = Path(".mainline/watch")
MEASURED, SAMPLE, BACKTEST = WORK / "drift.json", WORK / "sample.parquet", WORK / "backtest.json"
PATIENCE = 300.0  # seconds for Evidently's page; it takes about ten
SHOWN = 12  # findings in the terminal
WIDE = 120  # characters, where nobody's terminal says
ANSWERS = {
    "quiet": 0,
    "watch": Answer.WATCH,
    "retrain": Answer.RETRAIN,
    "insufficient": Answer.INSUFFICIENT,
}
COLOURS = {"quiet": "green", "watch": "yellow", "retrain": "red", "insufficient": "yellow"}


@dataclass(frozen=True, slots=True)
class Tools:
    """What monitor calls: commands of room `monitoring`, which this one does not import."""

    check: Sequence[str] = (sys.executable, "-m", "monitoring", "check")
    backtest: Sequence[str] = (sys.executable, "-m", "monitoring", "backtest")
    draw: Sequence[str] = (sys.executable, "-m", "monitoring", "evidently_report")
    patience: float = PATIENCE
    before: Callable[[str], None] = lambda step: print(f"▸ {step}", file=sys.stderr, flush=True)


TOOLS = Tools()


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline monitor`."""
    verb = parsing.add(
        names,
        "monitor",
        monitor,
        "hold what production answered against what its model promised, and decide what that asks for",
        """\
  mainline monitor                                 0: quiet; 35: watch; 36: retrain; 37: too little data
  mainline monitor --log s3://bucket/predictions   else MAINLINE_PREDICTIONS, else the local deployment's
  mainline monitor --until yesterday               for a schedule: a log that stopped is noticed
  mainline monitor --until 2013-11-30              as of the end of that day
  mainline monitor --labels labels.parquet         else MAINLINE_LABELS, else from the raw data
  mainline monitor --json                          the record, which is also in reports/watch.json""",
    )
    verb.add_argument(
        "--log", metavar="PLACE", help="of the service: a folder, a file, or s3://bucket/prefix"
    )
    verb.add_argument("--labels", metavar="PLACE", help="Parquet with key and target, or `source`")
    verb.add_argument(
        "--features",
        choices=(SOURCE, "none"),
        help="`source`: computed anew from the raw data, and held against those served; `none`: not held "
        "against anything (default: source, where it has these months)",
    )
    verb.add_argument(
        "--until", metavar="DAY", help="the last day looked at, or `yesterday` (UTC); default: the log's"
    )
    verb.add_argument("--known-by", metavar="TIME", help="hide labels that were not known then; for a replay")
    verb.add_argument(
        "--stage", choices=deploying.STAGES, default=PRODUCTION, help="whose model is watched (%(default)s)"
    )
    verb.add_argument("--no-html", action="store_true", help=f"without Evidently's page, {PAGE}")
    verb.add_argument("--no-backtest", action="store_true", help="without training a model for the gain")
    verb.add_argument("--prometheus", metavar="FILE", type=Path, help="metrics for a textfile collector")


def monitor(options: argparse.Namespace, tools: Tools = TOOLS) -> int:
    """Find, measure, decide, record, show. Raises MainlineError; the last answer then stays, with its day."""
    options.until = _until(options.until, datetime.now(UTC).date())
    try:
        drift, watch = _watch(options, tools)
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was decided", remedy="run the same command again") from None
    drift.write(Drift.location)
    watch.write(Watch.location)
    PAGE.unlink(missing_ok=True)  # of an earlier answer
    if options.prometheus:
        write_atomically(options.prometheus, exposition.text(watch, drift, datetime.now(UTC)).encode())
    if options.json:
        print(watch.model_dump_json())
    else:
        _show(drift, watch)
    if SAMPLE.exists():
        _draw(tools)
    return ANSWERS[watch.verdict]


def _watch(options: argparse.Namespace, tools: Tools) -> tuple[Drift, Watch]:
    rules = policy.monitor()
    place = _place(options)
    tools.before("reference")
    found = watched.prepare(Git(), options.stage)
    for warning in (*found.warnings, *_vocabularies(found)):
        print(f"warning: {warning}", file=sys.stderr)
    tools.before("check")
    for old in (MEASURED, SAMPLE):
        old.unlink(missing_ok=True)
    _run([*tools.check, *_flags(options, place)], "the check of the predictions")
    drift = Drift.read(MEASURED)
    watch = watching.decide(drift, rules)
    if options.no_backtest or not backtests.wanted(watch.findings):
        return drift, watch
    tools.before("backtest")
    drift = _backtested(drift, found, tools)
    return drift, watching.decide(drift, rules)


def _vocabularies(found: Watched) -> list[str]:
    """Fetch the model where its profile names too few values of a feature to tell a new one: it knows which
    it knows. A warning where it cannot be had.
    """
    folder = watched.FOLDER
    train = Profile.read(folder / Profile.location.name).tables.get("train")
    texts = Manifest.read(folder / Manifest.location.name).vocabularies
    if train is None or not any(OTHER in one.shares for name, one in train.columns.items() if name in texts):
        return []
    try:
        watched.fetch_model(Git(), found)
    except MainlineError as error:
        release = found.release.release
        return [f"the model of {release} is missing ({error.what}): new categories are not looked for"]
    return []


def _place(options: argparse.Namespace) -> str:
    """Where the predictions are. Raises ConfigError when nothing says it."""
    local = surroundings.predictions(deploying.folder(options.stage))
    place = options.log or os.environ.get(PREDICTIONS) or (str(local) if local.is_dir() else "")
    if not place:
        raise ConfigError(
            "nothing says where the service logs its predictions",
            why=f"there is no local deployment of {options.stage}, which would have {local}",
            remedy=f"--log PLACE, or set {PREDICTIONS}",
        )
    return place


def _flags(options: argparse.Namespace, place: str) -> list[str]:
    rows = watched.FOLDER / watched.ROWS
    chosen = {
        "--reference": str(watched.FOLDER),
        "--log": place,
        "--labels": options.labels or os.environ.get(LABELS) or SOURCE,
        "--features": options.features,
        "--until": options.until,
        "--known-by": options.known_by,
        "--out": str(MEASURED),
        "--sample": str(SAMPLE) if rows.exists() and not options.no_html else None,
    }
    return [word for flag, value in chosen.items() if value for word in (flag, value)]


def _until(text: str | None, today: date) -> str | None:
    """The day that is meant; none for the log's. Raises ConfigError."""
    if text in (None, "", LOGS):
        return None
    if text == YESTERDAY:
        return (today - timedelta(days=1)).isoformat()
    try:
        return date.fromisoformat(str(text)).isoformat()
    except ValueError:
        raise ConfigError(
            f"--until {str(text)[:40]!r} is no day",
            remedy=f"write it as YYYY-MM-DD, {YESTERDAY}, or {LOGS} for the log's newest",
        ) from None


def _backtested(drift: Drift, found: Watched, tools: Tools) -> Drift:
    """With what a model of the newest labelled month would gain; as it was where that cannot be trained."""
    month = backtests.newest_labelled_month(drift, policy.monitor().labelled_share)
    if month is None:
        return drift
    try:
        model = watched.fetch_model(Git(), found)
        BACKTEST.unlink(missing_ok=True)
        flags = ["--as-of", month, "--champion", str(model), "--out", str(BACKTEST)]
        _run([*tools.backtest, *flags], "the backtest")
        figures = {name: Figure(**one) for name, one in json.loads(BACKTEST.read_text()).items()}
    except MainlineError as error:
        print(f"warning: no backtest: {error}", file=sys.stderr)
        return drift
    return drift.model_copy(update={"backtest": figures})


def _run(command: Sequence[str], what: str) -> None:
    """Its progress is ours, its JSON stands in the record. Raises the error that its exit code names."""
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise of_exit_code(done.returncode)(
            f"{what} failed (exit code {done.returncode})", why="its message is above"
        )


def _draw(tools: Tools) -> None:
    """Evidently's page, for people. The answer is given, and nothing that happens here can change it."""
    sys.stdout.flush()
    rows = watched.FOLDER / watched.ROWS
    places = {"--reference": watched.FOLDER, "--reference-rows": rows, "--sample": SAMPLE, "--html": PAGE}
    command = [*tools.draw, *(str(word) for pair in places.items() for word in pair)]
    try:
        tools.before("page")
        code = subprocess.run(command, stdout=subprocess.DEVNULL, timeout=tools.patience).returncode
    except KeyboardInterrupt:
        raise Interrupted(f"stopped: no {PAGE}; the answer stands in {Watch.location}") from None
    except subprocess.TimeoutExpired:
        print(f"warning: no {PAGE}: not drawn within {tools.patience:g} s", file=sys.stderr)
    except OSError as error:
        print(f"warning: no {PAGE}: {error}", file=sys.stderr)
    else:
        if code:
            print(f"warning: no {PAGE}: the process that draws it ended with {code}", file=sys.stderr)


def _show(drift: Drift, watch: Watch) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    colour, reason = COLOURS[watch.verdict], _once(watch.verdict, watch.reason)
    console.print(f"[bold {colour}]{watch.verdict}[/]: {reason}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    first = next((name for window in drift.recent for name in window.figures), "loss")
    names = ["window", "rows", "labels", first.replace("_", " "), "of it unexpected"]
    if drift.task == "regression":
        names.pop()  # a value expects no loss of itself
    for name in names:
        table.add_column(name, justify="left" if name == "window" else "right", no_wrap=True)
    for window in (*drift.recent, *([drift.newest] if drift.newest else [])):
        table.add_row(*_row(window)[: len(names)])
    console.print(table)
    told = [one for one in watch.findings if one.outcome != "quiet"]
    for one in told[:SHOWN]:
        console.print(f"  {one.outcome:<12} {_once(one.outcome, one.text)}", soft_wrap=True)
    if len(told) > SHOWN:
        console.print(f"  and {len(told) - SHOWN} more in {Watch.location}")
    console.print(f"  numbers      {Drift.location}, {Watch.location}")


def _once(word: str, text: str) -> str:
    """The text, for the console, without `insufficient data: ` where the word before it says so."""
    return escape(inert(text).removeprefix(f"{word} data: "))


def _row(window: Window) -> tuple[str, ...]:
    share = window.labels.share
    first = next(iter(window.figures.values()), None)
    return (
        f"{window.first} … {window.last[5:]}",
        f"{window.rows:,}",
        "none" if share is None else f"{share:.0%}",
        _number(first),
        _number(window.excess),
    )


def _number(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} ±{(figure.high - figure.low) / 2:.4f}"
