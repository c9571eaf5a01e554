"""Small tables of each task: rows as production has them, their labels, and the reference before them."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mainline import drift
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from mainline.schema import FeatureTable, Task
from monitoring import labels, observed, windows
from monitoring.observed import Observed
from monitoring.reading import Found
from monitoring.reference import SCORE, VERSION, Reference
from monitoring.tallies import DAY
from tests import watchpolicy
from tests.serving.toys import table

FIRST = date(2013, 11, 1)
UNTIL = date(2013, 11, 30)
POLICY = MonitorPolicy(
    window_days=10,
    windows=3,
    fault_days=2,
    months=2,
    confidence=0.9,
    resamples=200,
    minimum_rows=10,
    minimum_blocks=5,
    limits=watchpolicy.POLICY.limits,
    label_lag_days=1,
    labelled_share=0.8,
    cooldown_days=0,
    retrain=watchpolicy.POLICY.retrain,
)


def rows(task: Task, days: int = 30, a_day: int = 40, first: date = FIRST, seed: int = 1) -> pl.DataFrame:
    """With SCORE, and the target, which follows it."""
    random = np.random.default_rng(seed)
    n = days * a_day
    times = [
        datetime.combine(first, datetime.min.time()) + timedelta(days=k // a_day, minutes=k % a_day)
        for k in range(n)
    ]
    frame = pl.DataFrame(
        {
            "key": [f"{first}-{k}" for k in range(n)],
            "time": pl.Series(times, dtype=pl.Datetime("us")),
            "c": random.choice(["red", "green", "blue"], n),
            "x": random.normal(0, 0.3, n),
            "d": random.choice(["on", "off"], n),
            "y": random.integers(0, 50, n),
        }
    )
    score, target = _outcome(task, random, n)
    return frame.with_columns(pl.Series(SCORE, score), pl.Series("target", target))


def _outcome(task: Task, random: np.random.Generator, n: int) -> tuple[Any, Any]:
    if task == "binary":
        p = random.beta(2, 5, n)
        return p, (random.random(n) < p).astype(int)
    if task == "multiclass":
        p = random.dirichlet((2, 2, 2), n)
        codes = (random.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        return p.tolist(), [table(task).classes[code] for code in codes]
    value = random.normal(10, 3, n)
    return value, value + random.normal(0, 1, n)


def answered_by(before: str, until: date, first: date = date(2013, 10, 1), days: int = 61) -> pl.DataFrame:
    """Rows that version `before` answered up to `until`, and v1.0.0 from then on."""
    old = pl.col("time").cast(pl.Date) <= until
    return rows("binary", days, first=first).with_columns(
        pl.when(old).then(pl.lit(before)).otherwise(pl.lit("v1.0.0")).alias(VERSION)
    )


def labelled(frame: pl.DataFrame, task: Task = "binary") -> pl.DataFrame:
    return labels.normal(frame.select("key", "target"), table(task))


def reference(task: Task = "binary", **changes: Any) -> Reference:
    before = rows(task, 60, first=date(2013, 8, 1), seed=2)
    name = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}[task]
    record = drift.Reference(
        model="toy",
        version="v1.0.0",
        commit="0" * 40,
        promoted=None,
        windows={},
        rows=before.height,
        figures={name: Figure(value=0.5, low=0.4, high=0.6)},
    )
    return Reference.of(record, changes.get("train", before), before, table=changes.get("table", table(task)))


def at_once(
    rows: pl.DataFrame,
    labels: pl.DataFrame | None,
    reference: Reference,
    known_by: datetime | None = None,
    anew: pl.DataFrame | None = None,
) -> Observed:
    """What rows in memory say, without the disk that `joining` meets them on."""
    only = observed.part(rows, labels, reference, known_by, anew)

    def within(first: date, last: date, whose: str) -> list[pl.DataFrame]:
        return [only.outcomes.filter(pl.col(DAY).is_between(first, last) & pl.col(whose))]

    key = reference.table.key.name
    unknown = labels.join(rows.select(key), on=key, how="anti").height if labels is not None else 0
    return observed.gathered([only], within, unknown)


def measure(
    rows: pl.DataFrame,
    labels: pl.DataFrame | None,
    reference: Reference,
    policy: MonitorPolicy,
    until: date,
    *,
    known_by: datetime | None = None,
    anew: pl.DataFrame | None = None,
) -> drift.Drift:
    """The record from rows in memory, with SCORE, and from labels as `labels.normal` makes them."""
    found = at_once(rows, labels, reference, known_by, anew)
    return windows.record(found, reference, policy, until, known_by=known_by, log=Found(lines=rows.height))


def measured(
    frame: pl.DataFrame, known: pl.DataFrame | None = None, task: Task = "binary", **more: Any
) -> drift.Drift:
    found = measure(
        frame.drop("target"), known, more.pop("reference", reference(task)), POLICY, UNTIL, **more
    )
    return drift.Drift.model_validate_json(found.model_dump_json())  # what is written can be read


def column(window: drift.Window, name: str) -> drift.ColumnDrift:
    return next(one for one in window.columns if one.name == name)


def line(row: dict[str, Any], declared: FeatureTable, **changes: Any) -> bytes:
    """As the service logs it."""
    features = {one.name: row[one.name] for one in declared.features}
    content = {
        "at": "2013-12-01T00:00:00+00:00",
        "request_id": "0",
        "model": "toy",
        "version": "v1.0.0",
        "key": row["key"],
        "time": row["time"].isoformat(),
        "score": row[SCORE],
        "decision": False,
        "features": features,
    } | changes
    return json.dumps(content).encode() + b"\n"


def log(frame: pl.DataFrame, path: Path, task: Task = "binary") -> Path:
    path.write_bytes(b"".join(line(row, table(task)) for row in frame.to_dicts()))
    return path
