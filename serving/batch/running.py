"""One run: what is finished is left alone, the rest is scored, partition by partition."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import polars as pl

from mainline.errors import DataError
from pipeline.text import inert
from serving.batch.columns import SHOWN
from serving.batch.progress import Progress
from serving.batch.records import Done, Partition
from serving.batch.scoring import Scorer

State = Literal["finished", "new", "input changed", "model changed", "forced"]


class Source(Protocol):
    """`label`: by which a later run knows it again."""

    label: str

    def partitions(self) -> Iterator[Partition]:
        """Every one, in order; each is used before the next is asked for."""

    def close(self) -> None:
        """Let go of what is held."""


class Sink(AbstractContextManager["Sink"], Protocol):
    """Where scores go; see `folder` and `database`."""

    def done(self) -> dict[str, Done]:
        """What is finished."""

    def known(self) -> dict[str, Done]:
        """What there is of this source, finished or not."""

    def write(self, scored: Iterator[pl.DataFrame], done: Done) -> None:
        """All of the partition and its note, or nothing."""

    def drop(self, partitions: list[str]) -> None:
        """Take partitions away."""


@dataclass
class Summary:
    """What a run did, or would do. `states`: of each partition."""

    states: dict[str, State] = field(default_factory=dict)
    rows: int = 0
    skipped: int = 0
    gone: list[str] = field(default_factory=list)
    seconds: float = 0.0
    dry_run: bool = False

    def told(self) -> dict[str, Any]:
        """As JSON."""
        counts = {
            state: list(self.states.values()).count(state) for state in dict.fromkeys(self.states.values())
        }
        return {
            "partitions": counts, "rows": self.rows, "rows_finished_before": self.skipped,
            "removed": self.gone, "seconds": round(self.seconds, 3),
            "rows_per_second": None if self.dry_run or not self.rows else round(self.rows / self.seconds),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked for. `everything`: the source was read whole; what it lacks is gone from it."""

    source: str
    force: bool = False
    prune: bool = False
    dry_run: bool = False
    everything: bool = True


def run(source: Source, sink: Sink, scorer: Scorer, wish: Wish) -> Summary:
    """Score what is not finished. Raises MainlineError; what is finished by then stays finished."""
    found, progress, started = Summary(dry_run=wish.dry_run), Progress(), time.monotonic()
    with sink:
        before = sink.done()
        for partition in source.partitions():
            state = _state(before.get(partition.name), partition, scorer, force=wish.force)
            found.states[partition.name] = state
            if state == "finished":
                found.skipped += partition.rows
                continue
            found.rows += partition.rows
            if not wish.dry_run:
                sink.write(_scored(partition, scorer, progress), _done(partition, scorer, wish.source))
        found.gone = _gone(found, sink, wish)
    found.seconds = time.monotonic() - started
    return found


def _state(done: Done | None, partition: Partition, scorer: Scorer, *, force: bool) -> State:
    if done is None:
        return "new"
    if done.manifest_sha256 != scorer.sha256:
        return "model changed"
    if done.input_sha256 != partition.sha256:
        return "input changed"
    return "forced" if force else "finished"


def _gone(found: Summary, sink: Sink, wish: Wish) -> list[str]:
    """Partitions that the source no longer has: their rows may be elsewhere in it by now."""
    gone = [name for name in sink.known() if name not in found.states] if wish.everything else []
    if not gone or wish.dry_run:
        return gone
    if not wish.prune:
        shown = ", ".join(inert(name) for name in gone[:SHOWN])
        raise DataError(
            f"{len(gone)} partitions were scored that the source no longer has: {shown}",
            why="their rows may be in others by now, and would be there twice",
            remedy="all others are finished; --prune takes those away",
        )
    sink.drop(gone)
    return gone


def _scored(partition: Partition, scorer: Scorer, progress: Progress) -> Iterator[pl.DataFrame]:
    rows = 0
    for frame in partition.frames():
        yield scorer.score(frame)
        rows += frame.height
        progress.add(frame.height, partition.name)
    if rows != partition.rows:
        raise DataError(
            f"{inert(partition.name, 200)} changed while it was read: {rows:,} rows, not {partition.rows:,}",
            remedy="when it is complete, run the same command again",
        )
    if not rows:
        yield scorer.nothing()


def _done(partition: Partition, scorer: Scorer, source: str) -> Done:
    return Done(
        source=source, partition=partition.name, rows=partition.rows, input_sha256=partition.sha256,
        model=scorer.bundle.model, version=scorer.bundle.release, manifest_sha256=scorer.sha256,
        scored_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
