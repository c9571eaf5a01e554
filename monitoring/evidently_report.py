"""`python -m monitoring evidently_report`: Evidently's drift report of a sample, for people to look at.

No decision rests on it, and no decision waits for it: it is a process of its own, bounded in memory, and who
starts it bounds its time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import warnings
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from mainline.drift import Window
from mainline.records import Manifest, write_atomically
from mainline.schema import FeatureTable
from monitoring import observed
from monitoring.joining import Joined
from monitoring.observed import TARGET
from monitoring.reference import PREDICTIONS, SCORE, Reference, predicted, released, shown_score
from monitoring.staging import Stage
from monitoring.truth import say
from pipeline import frames
from pipeline.text import inert
from usecase.schema import FEATURES

ROWS = 5000  # of each side; 300,000 took 18 s and drew the same
CHARACTERS = 40  # of a category
MEMORY = 6 * 2**30  # bytes that it may ask for; it asks for 2.3, and uses 0.9


def main(arguments: list[str]) -> int:
    """Draw it. Raises DataError, RecordError, and whatever Evidently raises."""
    options = _parser().parse_args(arguments)
    bounded()
    table = released(options.reference / Manifest.location.name, FEATURES)
    before = reference_rows(options.reference_rows, options.reference / PREDICTIONS, table)
    for word in write(options.html, frames.read(options.sample), before, table):
        say(f"warning: {options.html}: {word}")
    return 0


def bounded() -> None:
    """What asks for more than MEMORY fails; and where memory runs out, this is the first to go."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    with contextlib.suppress(OSError):  # not every system has it
        Path("/proc/self/oom_score_adj").write_text("1000")


def live_rows(
    stage: Stage, labels: Joined | None, reference: Reference, window: Window, known_by: datetime | None
) -> pl.DataFrame | None:
    """A sample of what the version in production answered in a window; None without any row."""
    table, shares, known = reference.table, [], []
    key = table.key.name
    for group in stage.groups(date.fromisoformat(window.first), date.fromisoformat(window.last)):
        some = sample(stage.read(group), key)
        shares.append(some)
        if labels:
            known.append(labels.read(group).join(some.select(key), on=key, how="semi"))
    if not shares:
        return None
    rows = sample(pl.concat(shares), key)
    part = observed.part(rows, pl.concat(known).unique() if known else None, reference, known_by)
    names = [one.name for one in table.features]
    return part.rows.filter(observed.OURS).select(*names, SCORE, TARGET)


def write(path: Path, live: pl.DataFrame, before: pl.DataFrame, table: FeatureTable) -> list[str]:
    """Draw `live` against `before`; both with features, and SCORE and TARGET as far as they are known.

    Returns what was left out, and why. Raises whatever Evidently raises.
    """
    os.environ["DO_NOT_TRACK"] = "1"  # its telemetry; read at import
    warnings.simplefilter("ignore")
    from evidently import DataDefinition, Dataset, Report  # five seconds
    from evidently.metrics import ValueDrift
    from evidently.presets import DataDriftPreset

    one, two = _plain(before, table), _plain(live, table)
    names, left_out = usable(one, two)
    if not names:
        return [*left_out, "no column is left, so nothing is drawn"]
    texts = [name for name in names if one.schema[name] == pl.String]
    numbers = [name for name in names if name not in texts]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    sides = [
        Dataset.from_pandas(_pandas(side.select(names), texts), data_definition=definition)
        for side in (two, one)
    ]
    special = [name for name in ("prediction", "target") if name in names]
    features = [name for name in names if name not in special]
    metrics: list[Any] = [ValueDrift(column=name) for name in special]
    if features:
        metrics.append(DataDriftPreset(columns=features, include_tests=False))
    html = Report(metrics).run(*sides).get_html_str(as_iframe=False)
    write_atomically(path, _offline(html).encode())
    return left_out


def sample(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """ROWS rows at most, the same ones each time."""
    if rows.height <= ROWS:
        return rows
    lot = rows.with_columns(pl.col(key).cast(pl.String).hash(seed=11).alias("_lot"))
    return lot.sort("_lot").head(ROWS).drop("_lot")


def reference_rows(path: Path, predictions: Path, table: FeatureTable) -> pl.DataFrame:
    """A sample of the reference's rows with their target, and with their score where that was kept.

    Raises DataError.
    """
    rows = sample(frames.read(path), table.key.name)
    if table.target.name in rows.columns:
        rows = rows.with_columns(pl.col(table.target.name).alias(TARGET))
    if predictions.exists():
        scores = predicted(frames.read(predictions), table).select(table.key.name, SCORE)
        rows = rows.join(scores, on=table.key.name, how="left", maintain_order="left")
    return rows


def usable(before: pl.DataFrame, live: pl.DataFrame) -> tuple[list[str], list[str]]:
    """Columns with values on both sides (one without kills the report), and a word on each other one."""
    names, left_out = [], []
    for name in before.columns:
        if name not in live.columns:
            left_out.append(f"{inert(name)} is left out: the other side has it not")
        elif before[name].drop_nulls().len() == 0 or live[name].drop_nulls().len() == 0:
            left_out.append(f"{inert(name)} is left out: it has no values on one side")
        else:
            names.append(name)
    return names, left_out


def _plain(rows: pl.DataFrame, table: FeatureTable) -> pl.DataFrame:
    """Features, `prediction` and `target` as numbers and texts; infinite numbers as missing ones."""
    columns = []
    for one in table.features:
        if one.name in rows.columns:
            columns.append(_simple(rows[one.name]).alias(inert(one.name)))
    if SCORE in rows.columns:
        columns.append(_simple(shown_score(rows[SCORE], table)).alias("prediction"))
    if TARGET in rows.columns:
        target = rows[TARGET]
        whole = table.task != "regression" and target.dtype.is_numeric()
        columns.append(_simple(target.cast(pl.Int64).cast(pl.String) if whole else target).alias("target"))
    return pl.DataFrame(columns)


def _simple(values: pl.Series) -> pl.Series:
    if values.dtype in (pl.String, pl.Boolean):
        distinct = values.cast(pl.String).unique().drop_nulls()
        safe = [inert(one, CHARACTERS) for one in distinct]
        return values.cast(pl.String).replace(distinct, safe)
    numbers = values.to_physical() if values.dtype.is_temporal() else values
    numbers = numbers.cast(pl.Float64)
    return (
        numbers.to_frame()
        .select(pl.when(pl.first().is_finite()).then(pl.first()).alias(values.name))
        .to_series()
    )


def _pandas(rows: pl.DataFrame, texts: list[str]) -> Any:
    import pandas as pd

    columns = {
        name: rows[name].to_list() if name in texts else rows[name].to_numpy() for name in rows.columns
    }
    return pd.DataFrame(columns)


def _offline(html: str) -> str:
    """With a policy by which a browser loads nothing from any host; all that the page needs is in it."""
    policy = "default-src 'unsafe-inline' 'unsafe-eval' data: blob:"
    head, found, rest = html.partition("<head>")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return f"{head}{found}{meta}{rest}" if found else f"{meta}{html}"


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m monitoring evidently_report", description="draw Evidently's report of a sample"
    )
    made.add_argument("--reference", type=Path, required=True, help="folder of the model in production")
    made.add_argument("--reference-rows", type=Path, required=True, help="Parquet with its features")
    made.add_argument("--sample", type=Path, required=True, help="as `check --sample` writes it")
    made.add_argument("--html", type=Path, required=True, help="the page")
    return made
