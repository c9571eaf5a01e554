"""What is known of a scored partition, in a folder, a bucket or a database; and how its file is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from mainline.errors import ConfigError
from mainline.records import Part
from pipeline.text import inert

CHUNK = 65_536  # rows in memory at once; scores depend on no other size
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


class Done(Part):
    """A finished partition. `bytes`: of the file; null in a table. `etag`: of the object, in a bucket only.

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
    etag: str | None = None


FILE_ONLY = {"bytes", "etag"}  # fields that a table has not


@dataclass(frozen=True, slots=True)
class Partition:
    """Rows that are scored together or not at all. `frames`: from the start, typed, CHUNK rows each."""

    name: str
    sha256: str
    rows: int
    frames: Callable[[], Iterator[pl.DataFrame]]


def home(version: str) -> str:
    """The folder of a version. Raises ConfigError for what could be a path."""
    if not SAFE.fullmatch(version):
        raise ConfigError(f"{inert(version)!r} is no version of a model")
    return f"version={version}"


def file_name(partition: str) -> str:
    return partition if partition.endswith(".parquet") else f"{partition}.parquet"


def refuse_other(known: Done | None, partition: str, source: str) -> None:
    """`known`: of its file. Raises ConfigError where another partition or source has written it."""
    if known is not None and (known.partition, known.source) != (partition, source):
        raise ConfigError(
            f"{inert(known.partition)} is here already, from {inert(known.source)}",
            remedy="give each source a folder of its own, or the same name: --source NAME",
        )
