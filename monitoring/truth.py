"""What is known of the staged rows from elsewhere: their labels, and their features from the raw data."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from mainline.drift import Drift
from mainline.errors import MainlineError
from mainline.policy import MonitorPolicy
from monitoring import labels as labelling
from monitoring.joining import Joined
from monitoring.labels import SOURCE, Computed
from monitoring.reference import Reference
from monitoring.staging import Stage
from pipeline.params import Params
from pipeline.text import inert
from usecase.schema import FEATURES

NONE = "none"
CHOICES = (SOURCE, NONE)  # where features are computed anew from: the raw data, or nowhere


@dataclass(frozen=True)
class Truth:
    """`anew`: key and features; `unchecked`: why served features are not held against them, or not all."""

    labels: Joined | None = None
    anew: pl.DataFrame | None = None
    unchecked: list[str] = field(default_factory=list)

    def told(self, record: Drift) -> Drift:
        """The record with what only the labels and features as a whole tell, which is said, too."""
        notes = list(self.unchecked)
        newest = record.newest
        if self.anew is not None and newest and newest.rows and all(c.skew is None for c in newest.columns):
            notes.append("none of the newest rows is among those of the raw data")
        for one in notes:
            say(f"warning: skew: not looked for, or not everywhere: {one}")
        more = {"contradicting_labels": self.labels.contradicting if self.labels else 0, "unchecked": notes}
        return record.model_copy(
            update={"quality": record.quality.model_copy(update=more) if record.quality else None}
        )


def gather(
    options: argparse.Namespace,
    settings: Params,
    watch: MonitorPolicy,
    first: date,
    until: date,
    stage: Stage,
    reference: Reference,
) -> Truth:
    """Labels from `options.labels`, features from `options.features`. Raises what reading either raises; but
    features that nobody asked for are left out with a word where they cannot be had.
    """
    days = [day for day in stage.rows if first <= day <= until]
    place, why = options.labels, _unwanted(options, reference)
    computed, joined = Computed(labelling.none(FEATURES)), None
    if days and (place == SOURCE or not why):
        try:
            computed = labelling.from_source(
                settings, min(days), max(days), watch.label_lag_days, options.lookback
            )
        except MainlineError as error:
            if SOURCE in (place, options.features):
                raise
            why = [f"the raw data cannot be had: {inert(str(error).splitlines()[0], 200)}"]
        if computed.lacking and not why:
            why = [f"{settings.ingest.source} has no {', '.join(computed.lacking)}"]
    if place == SOURCE and days:
        joined = Joined.of([computed.labels], stage, FEATURES, first, until)
    elif place not in (None, SOURCE):
        say(f"labels: joining those of {inert(place)}")
        told = labelling.batches(place, FEATURES, options.known_by)
        joined = _said(Joined.of(told, stage, FEATURES, first, until), place)
    return Truth(joined, None if options.features == NONE else computed.anew, why)


def _unwanted(options: argparse.Namespace, reference: Reference) -> list[str]:
    """Why features need not be computed anew."""
    if options.features == NONE:
        return ["--features none"]
    if reference.alike is not None and not reference.alike:
        return [f"the features' code or parameters are not those of {reference.record.version}"]
    return []


def _said(labels: Joined, place: str) -> Joined:
    if not labels.labels:
        say(f"labels: {inert(place)} holds no labels yet")
    if labels.contradicting:
        why = "keys have labels that contradict each other: left out (known_at says which came last)"
        say(f"warning: {labels.contradicting:,} {why}")
    return labels


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
