"""Stage `validate`: hold every batch against what is expected of it.

A batch is a month of a raw table, or with `--features` one window of the modelling table. One that breaks a
critical expectation stops the pipeline and is copied to quarantine with the reason; nothing is dropped.
A batch that passed is not validated again until its bytes, its history or any code of the suite change.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from mainline.errors import ConfigError, DataError
from mainline.records import Batch, Check, Status, Validation
from pipeline import frames, paths
from pipeline.params import load
from pipeline.text import inert
from pipeline.validation import batches, datadocs, memory, quarantine
from pipeline.validation.batches import Subject
from usecase.schema import RAW

SHOWN = 5  # failures spelled out in the error


def main(arguments: list[str]) -> int:
    """Write reports/validation.json, or reports/validation_features.json for `--features`, and Data Docs.

    Raises DataError when a batch breaks a critical expectation or cannot be read; the record comes first.
    """
    params = load()
    sample_rows = params.validate_.sample_rows
    match arguments:
        case []:
            run(batches.raw(RAW, params.data.last_month), paths.VALIDATION, paths.DATA_DOCS, sample_rows)
        case ["--features"]:
            run(batches.features(params.data), paths.FEATURE_VALIDATION, paths.FEATURE_DATA_DOCS, sample_rows)
        case _:
            raise ConfigError(
                f"validate does not know {' '.join(arguments)!r}", remedy="give --features, or nothing"
            )
    return 0


def run(subjects: Sequence[Subject], record: Path, site: Path, sample_rows: int) -> Validation:
    """Validate what is not remembered; write record and Data Docs. Raises DataError for critical failures.

    A batch that failed is no history for those after it.
    """
    code = memory.fingerprint(str(sample_rows))
    found: list[Batch] = []
    pages: dict[Path, str] = {}
    failed: set[Path] = set()
    new = 0
    with frames.Reader() as reader:
        for subject in subjects:
            good = [path for path in subject.earlier if path not in failed]
            key = memory.key(code, subject.path, [*subject.basis, *map(memory.sha256, good)])
            known = memory.recall(key)
            batch, page = known or _validate(subject, good, sample_rows, reader)
            new += known is None
            if batch.status == "failed":
                failed.add(subject.path)
            elif known is None:
                memory.keep(key, batch, page)
            _tell(batch)
            found.append(batch)
            pages[datadocs.location(batch.table, batch.month)] = page
    memory.prune()
    result = Validation(status=_worst([batch.status for batch in found]), batches=found)
    result.write(record)
    index = datadocs.publish(pages, site, found)
    print(f"validate: {new} of {len(found)} batches new or changed, {result.status}; {index}", flush=True)
    _stop(found)
    return result


def _tell(batch: Batch) -> None:
    for check in batch.failures:
        print(f"validate: {check.severity}: {describe(batch, check)}", flush=True)


def describe(batch: Batch, check: Check) -> str:
    """One failure in one line: where, what was expected, what was observed, a few rows."""
    where = f"{_name(batch)}, {check.column}" if check.column else _name(batch)
    expected = f" ({check.expected})" if check.expected else ""
    text = f"{where}: {check.expectation}{expected}: {check.observed}"
    rows = "; ".join(", ".join(f"{column} {value}" for column, value in row.items()) for row in check.sample)
    return f"{text}; for example {rows}" if rows else text


def _name(batch: Batch | Subject) -> str:
    return f"{batch.table} {batch.month}" if batch.month else batch.table


def _validate(
    subject: Subject, good: Sequence[Path], sample_rows: int, reader: frames.Reader
) -> tuple[Batch, str]:
    """The batch's record and its page in the Data Docs."""
    started = time.perf_counter()
    try:
        frame = reader.read(subject.path)
    except DataError as error:
        return _batch(subject, 0, 1, [_unreadable(error)]), ""
    from pipeline.validation import expect  # Great Expectations takes seconds to import

    outcome = expect.run(
        _name(subject),
        frame,
        subject.columns,
        subject.suite(good),
        key=subject.key,
        sample_rows=sample_rows,
    )
    batch = _batch(subject, frame.height, outcome.checks, outcome.failures)
    seconds = time.perf_counter() - started
    counts = f"{batch.rows:,} rows, {batch.checks} expectations"
    print(f"validate: {_name(batch)}: {counts}, {batch.status} ({seconds:.1f} s)", flush=True)
    return batch, datadocs.page(outcome.result, batch.status)


def _unreadable(error: DataError) -> Check:
    return Check(
        expectation="expect_file_to_be_readable_parquet",
        column=None,
        expected="",
        severity="critical",
        success=False,
        observed=inert(f"{error.what}: {error.why}" if error.why else error.what, 400),
        unexpected=0,
        sample=[],
    )


def _batch(subject: Subject, rows: int, checks: int, failures: list[Check]) -> Batch:
    """The record; a batch with a critical failure is put into quarantine."""
    status = _worst(["failed" if check.severity == "critical" else "warning" for check in failures])
    place = quarantine.place(subject.table, subject.month, subject.path) if status == "failed" else None
    batch = Batch(
        table=subject.table,
        month=subject.month,
        rows=rows,
        status=status,
        checks=checks,
        failures=failures,
        quarantine=place.as_posix() if place else None,
    )
    if place:
        quarantine.put(subject.path, place, batch)
    return batch


def _worst(found: Sequence[Status]) -> Status:
    order: tuple[Status, ...] = ("failed", "warning", "passed")
    return next((status for status in order if status in found), "passed")


def _stop(found: Sequence[Batch]) -> None:
    failed = [batch for batch in found if batch.status == "failed"]
    broken = [
        describe(batch, check) for batch in failed for check in batch.failures if check.severity == "critical"
    ]
    if not broken:
        return
    more = [f"and {len(broken) - SHOWN} more, in the record"] if len(broken) > SHOWN else []
    kept = ", ".join(batch.quarantine for batch in failed[:SHOWN] if batch.quarantine)
    raise DataError(
        f"critical expectations are broken by {', '.join(map(_name, failed))}",
        why="\n       ".join([*broken[:SHOWN], *more]),
        remedy="repair the source and run again, or correct the expectation in src/usecase"
        + (f"; kept for you: {kept}" if kept else ""),
    )
