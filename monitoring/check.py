"""`python -m monitoring check`: measure what production answered, into reports/drift.json."""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from mainline import policy
from mainline.drift import Drift
from mainline.errors import ConfigError, DataError
from mainline.policy import MonitorPolicy
from monitoring import joining, observed, truth, windows
from monitoring.joining import Joined
from monitoring.logs import Reader
from monitoring.reference import PREDICTIONS, Reference
from monitoring.staging import Stage
from monitoring.truth import say
from pipeline import params
from usecase.schema import FEATURES

EXAMPLES = """examples:
  python -m monitoring check --reference .mainline/watch/reference --log .mainline/serving
  python -m monitoring check --reference REF --log s3://logs/flights --labels source --until 2013-11-30
  python -m monitoring check --reference REF --log log.jsonl --labels labels.parquet --html reports/drift.html
"""


def main(arguments: list[str]) -> int:
    """Write the record. Raises ConfigError, DataError, RecordError, SourceError."""
    options = _parser().parse_args(arguments)
    settings, watch = params.load(), policy.monitor()
    reference = Reference.read(
        options.reference, FEATURES, settings.evaluate.costs, settings.evaluate.calibration_bins
    )
    with tempfile.TemporaryDirectory(prefix="watch-") as folder:
        stage, reader = Stage(Path(folder)), _reader(reference)
        stage.fill(reader.batches(options.log), FEATURES.time.name, _progress)
        until = options.until or (stage.newest_whole_day() if stage.rows else _yesterday())
        first = _first_day(until, watch)
        known = truth.gather(options, settings, watch, first, until, stage, reference)
        say("check: measuring the windows")
        found = joining.observe(stage, known.labels, reference, first, until, options.known_by, known.anew)
        record = windows.record(found, reference, watch, until, known_by=options.known_by, log=reader.found)
        record = _counted(known.told(record), stage, until)
        record.write(options.out)
        if options.html:
            _html(options, stage, known.labels, reference, record)
    say(summary(record))
    told = {"until": record.until, "lines": reader.found.lines, "malformed": record.malformed.lines}
    print(json.dumps({**told, "out": str(options.out)}), flush=True)
    return 0


def _reader(reference: Reference) -> Reader:
    """Of lines as the version in production has them: the code at hand may be ahead of it."""
    return Reader(reference.table, reference.record.model, reference.record.version)


def _first_day(until: date, watch: MonitorPolicy) -> date:
    """The oldest day that any window looks at, those before the first ones included. Raises DataError."""
    try:
        recent = windows.trailing(until, watch.window_days, watch.windows + 1)[0][0]
        history = windows.months(until, watch.months + 1, date.min)[0][0]
    except (OverflowError, ValueError):  # of a calendar from the year 1 to 9999
        raise DataError(
            f"{until} is no day that windows can end with", remedy="correct the times, or give --until"
        ) from None
    return min(recent, history)


def _counted(record: Drift, stage: Stage, until: date) -> Drift:
    """With what only the log as a whole tells."""
    more = {"after": sum(rows for day, rows in stage.rows.items() if day > until)}
    quality = record.quality.model_copy(update=more) if record.quality else None
    return record.model_copy(update={"quality": quality})


def _html(
    options: argparse.Namespace, stage: Stage, labels: Joined | None, reference: Reference, record: Drift
) -> None:
    """Never on the path of the decision: whatever goes wrong here is a warning."""
    say("report: drawing it")
    try:
        warnings = _drawn(options, stage, labels, reference, record)
    except Exception as error:  # a library's report must not fail the watch
        warnings = [f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"]
    for one in warnings:
        say(f"warning: {options.html}: {one}")


def _drawn(
    options: argparse.Namespace, stage: Stage, labels: Joined | None, reference: Reference, record: Drift
) -> list[str]:
    """The newest window's rows against the reference's; what was left out."""
    from monitoring import evidently_report as report

    if options.reference_rows is None:
        return ["not drawn: it needs the reference's rows (--reference-rows)"]
    window, key = record.recent[-1], FEATURES.key.name
    days = stage.days(date.fromisoformat(window.first), date.fromisoformat(window.last))
    if not days:
        return ["not drawn: the newest window has no rows"]
    share = [report.sample(stage.read(group), key) for group in days]
    rows = report.sample(pl.concat(share), key)
    known = labels.read([day for group in days for day in group]) if labels else None
    part = observed.part(rows, known, reference, options.known_by)
    before = report.reference_rows(options.reference_rows, options.reference / PREDICTIONS, reference.table)
    return report.write(options.html, part.rows.filter(observed.OURS), before, reference.table)


def summary(record: Drift) -> str:
    """Some lines for a person."""
    lines = [f"{record.reference.model} {record.reference.version}, up to {record.until}"]
    for window in [*record.recent, *([record.newest] if record.newest else [])]:
        labels = window.labels
        share = "no labels" if labels.share is None else f"{labels.share:.0%} labelled"
        worst = max(window.columns, key=lambda one: (one.distance or 0) - (one.noise or 0), default=None)
        drift = f"; most drift: {worst.name} {worst.distance:.2f}" if worst and worst.distance else ""
        lines.append(f"{window.first} to {window.last}: {window.rows:,} rows, {share}{drift}")
    if record.quality and record.quality.after:
        lines.append(f"{record.quality.after:,} rows are of days after {record.until}: not looked at")
    if record.malformed.lines:
        reasons = ", ".join(f"{number:,} {name}" for name, number in record.malformed.reasons.items())
        lines.append(f"malformed: {reasons}")
    return "\n".join(lines)


def _yesterday() -> date:
    """For a log without rows, which has no day of its own."""
    return datetime.now(UTC).date() - timedelta(days=1)


def _progress(rows: int) -> None:
    say(f"log: {rows:,} rows")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no day", remedy="write it as YYYY-MM-DD") from None


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise ConfigError(f"{text!r} is no time", remedy="write it as YYYY-MM-DDTHH:MM") from None


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m monitoring check",
        description=__doc__.splitlines()[0].partition(": ")[2],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--reference", type=Path, required=True, help="folder of the model in production")
    made.add_argument("--log", required=True, help="file, folder, or s3:// prefix")
    made.add_argument("--labels", help="`source`: from the raw data; or a Parquet file, folder, s3:// prefix")
    made.add_argument(
        "--features",
        choices=truth.CHOICES,
        help="computed anew from the raw data and held against those served (default: where it can be had)",
    )
    made.add_argument("--until", type=_day, help="the last day (default: the newest whole one in the log)")
    made.add_argument("--known-by", type=_time, help="labels that became known later do not exist yet")
    made.add_argument("--out", type=Path, default=Drift.location, help="default: %(default)s")
    made.add_argument("--html", type=Path, help="also draw Evidently's report")
    made.add_argument("--reference-rows", type=Path, help="Parquet with features, for that report")
    made.add_argument(
        "--lookback", type=int, metavar="MONTHS", help="of raw data before the rows' own (default: all)"
    )
    return made
