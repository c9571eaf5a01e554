"""Batches that broke a critical expectation, kept by their bytes, with the reason beside them.

Evidence: nothing here is ever removed or replaced by the pipeline. Bytes that fail again, for another
reason, get a second one beside the first: `-2.json`, `-2.txt`.
"""

from __future__ import annotations

from pathlib import Path

from mainline.errors import RecordError
from mainline.records import Batch, Rejection, write_atomically
from pipeline import paths
from pipeline.validation import memory


def place(table: str, month: str | None, path: Path) -> Path | None:
    """Where a batch belongs: the same bytes, the same place. None when there is no file to keep."""
    digest = memory.sha256(path)
    if not digest:
        return None
    folder = paths.QUARANTINE / table
    return (folder / f"month={month}" if month else folder) / f"{digest[:12]}.parquet"


def put(path: Path, where: Path, batch: Batch) -> None:
    """Copy the batch and write why it is there, for machines (.json) and for people (.txt)."""
    if memory.sha256(where) != memory.sha256(path):
        write_atomically(where, path.read_bytes())
    rejection = Rejection(sha256=memory.sha256(path), batch=batch)
    reason = _free(where.with_suffix(".json"), rejection)
    rejection.write(reason)
    lines = [f"{batch.table} {batch.month or ''}".strip() + f", {batch.rows:,} rows, rejected:"]
    for check in batch.failures:
        lines += [
            "",
            f"{check.severity}: {check.column or 'table'}: {check.expectation} {check.expected}".rstrip(),
        ]
        lines += [f"  observed: {check.observed}"]
        lines += [
            "  row: " + ", ".join(f"{name} {value}" for name, value in row.items()) for row in check.sample
        ]
    write_atomically(reason.with_suffix(".txt"), ("\n".join(lines) + "\n").encode())


def _free(reason: Path, rejection: Rejection) -> Path:
    """The first of `reason`, `-2`, `-3` ... that nothing, or just this rejection, is written to."""
    path, number = reason, 1
    while path.exists() and not _says(path, rejection):
        number += 1
        path = reason.with_stem(f"{reason.stem}-{number}")
    return path


def _says(path: Path, rejection: Rejection) -> bool:
    try:
        return Rejection.read(path) == rejection
    except RecordError:
        return False
