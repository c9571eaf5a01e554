"""`python -m monitoring check`: measure what production answered, into reports/drift.json."""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from mainline import policy
from mainline.drift import Drift
from mainline.errors import ConfigError, DataError
from mainline.policy import MonitorPolicy
from monitoring import evidently_report, joining, spans, truth, windows
from monitoring.joining import Joined
from monitoring.logs import Reader
from monitoring.reference import Reference
from monitoring.staging import Stage
from monitoring.truth import say
from pipeline import frames, params
from pipeline.text import inert
from usecase.schema import FEATURES

EXAMPLES = """examples:
  python -m monitoring check --reference .mainline/watch/reference --log .mainline/serving
  python -m monitoring check --reference REF --log s3://logs/flights --labels source --until 2013-11-30
  python -m monitoring check --reference REF --log log.jsonl --labels labels.parquet --sample sample.parquet
"""


def main(arguments: list[str]) -> int:
    """Write the record. Raises ConfigError, DataError, RecordError, SourceError."""
    options = _parser().parse_args(arguments)
    settings, watch = params.load(), policy.monitor()
    reference = Reference.read(
        options.reference, FEATURES, settings.evaluate.costs, settings.evaluate.calibration_bins
    )
    with tempfile.TemporaryDirectory(prefix="watch-") as folder:
        stage, reader = Stage(Path(folder), FEATURES.key.name), _reader(reference)
        stage.fill(reader.batches(options.log), FEATURES.time.name, _progress)
        until = options.until or (stage.newest_whole_day() if stage.rows else _yesterday())
        first = _first_day(until, watch)
        known = truth.gather(options, settings, watch, first, until, stage, reference)
        say("check: measuring the windows")
        found = joining.observe(stage, known.labels, reference, first, until, options.known_by, known.anew)
        record = windows.record(found, reference, watch, until, known_by=options.known_by, log=reader.found)
        record = _counted(known.told(record), stage, until)
        record.write(options.out)
        if options.sample:
            _sample(options, stage, known.labels, reference, record)
    say(summary(record))
    told = {"until": record.until, "lines": reader.found.lines, "malformed": record.malformed.lines}
    print(json.dumps({**told, "out": str(options.out)}), flush=True)
    return 0


def _reader(reference: Reference) -> Reader:
    """Of lines as the version in production has them: the code at hand may be ahead of it."""
    return Reader(reference.table, reference.record.model, reference.record.version)


def _first_day(until: date, watch: MonitorPolicy) -> date:
    """The oldest day that any window is of, or is compared with. Raises DataError."""
    try:
        return spans.oldest(until, watch)
    except (OverflowError, ValueError):  # of a calendar from the year 1 to 9999
        raise DataError(
            f"{until} is no day that windows can end with", remedy="correct the times, or give --until"
        ) from None


def _counted(record: Drift, stage: Stage, until: date) -> Drift:
    """With what only the log as a whole tells."""
    more = {"after": sum(rows for day, rows in stage.rows.items() if day > until)}
    quality = record.quality.model_copy(update=more) if record.quality else None
    return record.model_copy(update={"quality": quality})


def _sample(
    options: argparse.Namespace, stage: Stage, labels: Joined | None, reference: Reference, record: Drift
) -> None:
    """For Evidently, which draws it in a process of its own. What goes wrong here is a warning."""
    try:
        rows = evidently_report.live_rows(stage, labels, reference, record.recent[-1], options.known_by)
        if rows is None:
            say(f"warning: {options.sample}: not written: the newest window has no rows")
        else:
            frames.write(rows, options.sample)
    except Exception as error:  # only people look at it
        say(f"warning: {options.sample}: {type(error).__name__}: {inert(frames.why(error), 200)}")


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
    made.add_argument("--sample", type=Path, help="of the newest window's rows, for Evidently's report")
    made.add_argument(
        "--lookback", type=int, metavar="MONTHS", help="of raw data before the rows' own (default: all)"
    )
    return made
