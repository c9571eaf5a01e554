"""What is known of a scored partition, the same in a folder's manifest and a database's bookkeeping table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from mainline.records import Part

CHUNK = 65_536  # rows in memory at once; scores depend on no other size


class Done(Part):
    """A finished partition. `bytes`: of the file; null in a table.

    `scored_at`: ISO, UTC; here and not in the rows, so that these are the same in every run.
    """

    source: str
    partition: str
    rows: int
    input_sha256: str
    model: str
    version: str
    manifest_sha256: str
    scored_at: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """Rows that are scored together or not at all. `frames`: from the start, typed, CHUNK rows each."""

    name: str
    sha256: str
    rows: int
    frames: Callable[[], Iterator[pl.DataFrame]]
