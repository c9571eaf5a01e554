"""The model in production as the watch needs it: its promises, and sketches of the rows it was made from."""

from __future__ import annotations

import calendar
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import ValidationError

from mainline import drift
from mainline.errors import ConfigError, RecordError
from mainline.profile import ColumnProfile, Profile, TableProfile
from mainline.records import Manifest, Metrics
from mainline.schema import Column, FeatureTable, Task
from mainline.settings import Month
from monitoring import featurecode, sketch, vocabulary
from monitoring.sketch import Bins
from monitoring.vocabulary import Vocabulary
from pipeline import frames
from pipeline.evaluation.figures import Decision
from pipeline.params import Costs
from pipeline.profile import sketch as sketched
from pipeline.text import inert
from usecase.schema import FEATURES

NAME = "reference.json"
PREDICTIONS = "predictions.parquet"
# Columns of the rows to be measured that the use case does not name; its own ones keep their names.
SCORE = "_score"  # P(1) or the value, float64; a list by class for multiclass
VERSION = "_version"  # of the model that answered
AT = "_at"  # when it answered, UTC
FITS = "_fits"  # the features are those of the version in production
MATCHED = "_matched"  # the features were computed anew for this row
ANEW = "_anew."  # before a feature's name: as computed from the raw data


@dataclass(frozen=True)
class Reference:
    """`train` sketches the columns, `score` the answers on the test rows. `days`, `score_days`: how many
    days lie in them. `bins`: of the calibration figures. `alike`: features that the code at hand computes as
    production's did, so that served and recomputed values may be compared; None: all of them. `known`: what
    the model knows of the features of which `train` does not name all values.
    """

    record: drift.Reference
    table: FeatureTable
    train: TableProfile | None
    score: ColumnProfile | None
    days: int
    score_days: int
    decision: Decision | None = None
    bins: int = 15
    alike: frozenset[str] | None = None
    known: Mapping[str, Vocabulary] = field(default_factory=dict)

    @classmethod
    def read(
        cls, folder: Path, table: FeatureTable = FEATURES, costs: Costs | None = None, bins: int = 15
    ) -> Reference:
        """What `mainline monitor` left in `folder`. Raises RecordError, IntegrityError for the model, and
        DataError for predictions and test rows.

        Features and classes are those of the manifest: `table`, of the code at hand, may be ahead of it.
        """
        record = _record(folder / NAME)
        metrics = Metrics.read(folder / Metrics.location.name)
        if metrics.task != table.task:
            raise RecordError(
                f"the model in production is of the task {metrics.task}, the use case is {table.task}",
                remedy="release a model of this use case first",
            )
        declared, table = table, released(folder / Manifest.location.name, table)
        profile = Profile.read(folder / Profile.location.name).tables.get("train")
        score, score_days = _scores(folder / PREDICTIONS, table)
        decision = None
        if metrics.threshold is not None and costs is not None:
            decision = Decision(metrics.threshold, costs.false_positive, costs.false_negative)
        days = _days(profile.months) if profile else 1
        alike = _alike(record, table, declared)
        known = _known(folder, table, profile)
        score_days = score_days or metrics.blocks
        return cls(record, table, profile, score, days, score_days, decision, bins, alike, known)

    @classmethod
    def of(
        cls,
        record: drift.Reference,
        train: pl.DataFrame,
        scored: pl.DataFrame | None = None,
        decision: Decision | None = None,
        table: FeatureTable = FEATURES,
    ) -> Reference:
        """From the rows themselves: `train` with features and target, `scored` with time and SCORE."""
        columns = [one for one in (*table.features, table.target) if one.name in train.columns]
        profile = TableProfile(
            months={}, columns={one.name: sketched(train[one.name], one.dtype) for one in columns}
        )
        days = train[table.time.name].cast(pl.Date).n_unique()
        texts = [one.name for one in table.categorical if one.name in train.columns]
        known = {name: Vocabulary(frozenset(train[name].drop_nulls())) for name in texts}
        if scored is None:
            return cls(record, table, profile, None, days, 1, decision, known=known)
        column = score_column(table)
        score = sketched(shown_score(scored[SCORE], table), column.dtype)
        score_days = scored[table.time.name].cast(pl.Date).n_unique()
        return cls(record, table, profile, score, days, score_days, decision, known=known)

    @cached_property
    def columns(self) -> dict[str, Bins]:
        """Of every feature, in the order of the schema."""
        sketches = self.train.columns if self.train else {}
        return {
            one.name: sketch.bins(one, sketches.get(one.name), self.known.get(one.name))
            for one in self.table.features
        }

    @cached_property
    def score_bins(self) -> Bins:
        return sketch.bins(score_column(self.table), self.score, self._classes)

    @cached_property
    def target_bins(self) -> Bins:
        target = self.table.target
        sketched = self.train.columns.get(target.name) if self.train else None
        return sketch.bins(target, sketched, self._classes)

    @property
    def _classes(self) -> Vocabulary | None:
        return Vocabulary(frozenset(self.table.classes)) if self.table.classes else None


def _record(path: Path) -> drift.Reference:
    try:
        return drift.Reference.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RecordError(
            f"{path} is not the record of a reference",
            why=str(error).splitlines()[0],
            remedy="mainline monitor writes it: run that",
        ) from None


def released(path: Path, table: FeatureTable) -> FeatureTable:
    """`table` with the features and classes of a manifest, where there is one."""
    if not path.exists():
        return table
    manifest = Manifest.read(path)
    try:
        features = tuple(_column(one) for one in manifest.inputs)
        numbers = {one.name for one in features if not one.categorical}
        slices = tuple(one for one in table.slices if one.name not in numbers)
        return replace(table, features=features, slices=slices, classes=tuple(manifest.classes))
    except (KeyError, TypeError, ConfigError) as error:
        raise RecordError(
            f"the inputs of {path} are no columns",
            why=f"{type(error).__name__}: {error}".splitlines()[0],
            remedy="release a version that this pipeline made",
        ) from None


def _column(declared: dict[str, Any]) -> Column:
    known = {one.name: declared[one.name] for one in fields(Column) if one.name in declared}
    return Column(**{**known, "values": tuple(declared.get("values", ()))})


def _known(folder: Path, table: FeatureTable, train: TableProfile | None) -> dict[str, Vocabulary]:
    """The vocabularies that are needed; a warning where they cannot be had."""
    names = vocabulary.unnamed(table, train.columns) if train else []
    known = vocabulary.read(folder, names)
    if blind := [inert(name) for name in names if name not in known]:
        print(
            f"warning: new categories are not looked for in {', '.join(blind)}: the sketch of the training "
            "rows does not name all values, and the model or its test rows are not there",
            file=sys.stderr,
            flush=True,
        )
    return known


def _alike(record: drift.Reference, released: FeatureTable, declared: FeatureTable) -> frozenset[str]:
    """Features of both tables, of the same type, unless the code that computes them has changed since."""
    if changed := featurecode.changed(record.commit):
        print(
            f"skew: not looked for: {', '.join(changed)} is not as in {record.version}",
            file=sys.stderr,
            flush=True,
        )
        return frozenset()
    types = {one.name: one.dtype for one in declared.features}
    return frozenset(one.name for one in released.features if types.get(one.name) == one.dtype)


def score_column(table: FeatureTable) -> Column:
    """The answer as a column: P(1), the value, or the likeliest class."""
    match table.task:
        case "binary":
            return Column("score", "float64", "answered probability", minimum=0, maximum=1)
        case "multiclass":
            return Column("score", "string", "most probable class", values=table.classes)
        case _:
            return Column("score", "float64", "answered value")


def shown_score(score: pl.Series, table: FeatureTable) -> pl.Series:
    """Scores as the column that `score_column` declares."""
    if table.task != "multiclass":
        return score.cast(pl.Float64)
    best = score.list.arg_max()
    return best.replace_strict(range(len(table.classes)), table.classes, default=None, return_dtype=pl.String)


def as_array(score: pl.Series, task: Task, classes: int) -> sketch.Array:
    """Scores [n], or [n, classes]."""
    if task == "multiclass":
        flat = score.explode().cast(pl.Float64).to_numpy() if score.len() else np.zeros(0)
        return flat.reshape(score.len(), classes)
    return score.cast(pl.Float64).to_numpy()


def predicted(frame: pl.DataFrame, table: FeatureTable) -> pl.DataFrame:
    """`reports/predictions.parquet` with its answers as SCORE."""
    match table.task:
        case "binary":
            return frame.with_columns(pl.col("probability").cast(pl.Float64).alias(SCORE))
        case "multiclass":
            parts = [pl.col(f"probability_{name}").cast(pl.Float64) for name in table.classes]
            return frame.with_columns(pl.concat_list(parts).alias(SCORE))
        case _:
            return frame.with_columns(pl.col("prediction").cast(pl.Float64).alias(SCORE))


def _scores(path: Path, table: FeatureTable) -> tuple[ColumnProfile | None, int]:
    if not path.exists():
        return None, 0
    frame = predicted(frames.read(path), table)
    score = sketched(shown_score(frame[SCORE], table), score_column(table).dtype)
    return score, frame[table.time.name].cast(pl.Date).n_unique()


def _days(months: dict[str, int]) -> int:
    known = [Month.parse(name) for name in months if name != "unknown"]
    return sum(calendar.monthrange(month.year, month.month)[1] for month in known) or 1
