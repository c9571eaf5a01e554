"""Stage `featurize`: build the modelling table once, split it by month, leave out rows without a target."""

from __future__ import annotations

import math
from pathlib import Path

import narwhals as nw
import polars as pl

from mainline.errors import DataError
from mainline.records import Features, Split
from mainline.schema import FeatureTable, Table
from mainline.settings import Month
from pipeline import frames, paths, windows
from pipeline.params import Data, Params, load
from usecase import features
from usecase.schema import FEATURES, RAW


def main(_arguments: list[str]) -> int:
    """Write data/features/*.parquet and reports/features.json. Raises ConfigError and DataError."""
    params = load()
    table = build(params, paths.RAW)
    parts = split(table, params.data)
    for name, part in parts.items():
        frames.write(part, paths.FEATURES / f"{name}.parquet")
    summary(table, params.data).write(paths.FEATURE_SUMMARY)
    rows = ", ".join(f"{part.height:,} {name}" for name, part in parts.items())
    print(f"featurize: {rows}; {len(FEATURES.features)} features", flush=True)
    return 0


def build(params: Params, root: Path) -> pl.DataFrame:
    """The modelling table of all raw months up to data.as_of, excluded rows too, ordered by (time, key).

    Raises DataError when a raw file cannot be read or has other columns than declared, and as `check` does.
    """
    last = params.data.last_month
    tables = {table.name: nw.from_native(scan(root, table, last)) for table in RAW}
    try:
        frame = features.build(tables, params.featurize).to_native().collect()
    except (*frames.UNREADABLE, nw.exceptions.NarwhalsError) as error:
        raise DataError(
            "the features cannot be computed from the raw data",
            why=frames.why(error),
            remedy="correct src/usecase/features.py, or the raw table it names",
        ) from None
    return check(frame, FEATURES, last)


def split(table: pl.DataFrame, data: Data, declared: FeatureTable = FEATURES) -> dict[str, pl.DataFrame]:
    """Rows of the train, validation and test windows that end with data.as_of, excluded rows left out.

    Cheap: `walkforward` cuts one table for every month. Raises ConfigError when a window reaches outside
    the data, DataError when a window is empty, or its target has a single class in train or gaps.
    """
    months = _months(table, declared)
    cut = windows.split(data)
    windows.check(cut, [Month(first.year, first.month) for first in months.unique().drop_nulls()])
    included = table[declared.excluded.name].is_null()
    parts = {}
    for name, window in cut.items():
        inside = months.is_between(window.first.first_day, window.last.first_day)
        parts[name] = table.filter(inside & included).drop(declared.excluded.name)
    _check_parts(parts, declared)
    return parts


def summary(table: pl.DataFrame, data: Data, declared: FeatureTable = FEATURES) -> Features:
    """Counts and target of each window, with the excluded rows by reason."""
    months = _months(table, declared)
    cut = windows.split(data)
    train, validation, test = (
        _summary(table.filter(months.is_between(w.first.first_day, w.last.first_day)), w, declared)
        for w in (cut.train, cut.validation, cut.test)
    )
    return Features(train=train, validation=validation, test=test)


def _summary(rows: pl.DataFrame, window: windows.Window, declared: FeatureTable) -> Split:
    reason = rows[declared.excluded.name]
    included = rows.filter(reason.is_null())
    counts = reason.drop_nulls().value_counts().sort(reason.name)
    return Split(
        first_month=str(window.first),
        last_month=str(window.last),
        rows=included.height,
        blocks=included[declared.block.name].n_unique(),
        excluded={str(name): int(count) for name, count in counts.iter_rows()},
        target=_target(included[declared.target.name], declared),
    )


def _target(target: pl.Series, declared: FeatureTable) -> dict[str, float]:
    """The mean, or the share of each class; `fsum` is exact, so that the order of rows does not matter."""
    rows = max(1, target.len())
    if declared.task == "multiclass":
        return {name: int((target == name).sum()) / rows for name in declared.classes}
    return {"mean": math.fsum(target.to_list()) / rows}


def _months(table: pl.DataFrame, declared: FeatureTable) -> pl.Series:
    """The first day of the month of each row's time: local if the use case's time is."""
    return table[declared.time.name].cast(pl.Date).dt.truncate("1mo")


def scan(root: Path, table: Table, last: Month) -> pl.LazyFrame:
    """All months of a raw table up to `last`, lazily. Raises DataError for other columns than declared."""
    named = (root / table.name).glob("month=*.parquet")
    files = sorted(path for path in named if Month.parse(path.stem.removeprefix("month=")) <= last)
    if not files:
        raise DataError(f"{root / table.name} holds no month up to {last}", remedy="run ingest: make run")
    wanted = frames.polars_schema(table.columns)
    for path in files:
        _check_types(str(path), frames.schema(path), wanted)
    return pl.scan_parquet(files, hive_partitioning=False, glob=False, extra_columns="ignore", schema=wanted)


def _check_types(name: str, found: dict[str, pl.DataType], wanted: dict[str, pl.DataType]) -> None:
    wrong = [
        f"{column} is {found.get(column, 'missing')}, should be {dtype}"
        for column, dtype in wanted.items()
        if found.get(column) != dtype
    ]
    if wrong:
        raise DataError(
            f"{name} has other columns than src/usecase/schema.py declares",
            why="; ".join(wrong),
            remedy="correct the source or the declaration; `python -m pipeline validate` shows all of it",
        )


def check(table: pl.DataFrame, declared: FeatureTable, last: Month) -> pl.DataFrame:
    """The declared columns, ordered by (time, key).

    Raises DataError for other columns than declared, keys that repeat (train and test could share rows),
    and rows without a time or after `last`.
    """
    wanted = frames.polars_schema(declared.columns)
    _check_types("the modelling table", dict(table.schema), wanted)
    ordered = table.select(list(wanted)).sort(declared.time.name, declared.key.name)
    keys, months = ordered[declared.key.name], _months(ordered, declared)
    repeated = keys.filter(keys.is_duplicated() | keys.is_null())
    _refuse(
        repeated,
        f"rows of the modelling table repeat a {declared.key.name}, or have none: train and test overlap",
    )
    wrong = keys.filter((months > last.first_day) | months.is_null())
    _refuse(
        wrong, f"rows of the modelling table lie after data.as_of {last}, or have no {declared.time.name}"
    )
    return ordered


def _refuse(keys: pl.Series, what: str) -> None:
    if keys.len():
        raise DataError(
            f"{keys.len()} {what}",
            why=f"for example {', '.join(map(repr, keys.head(3)))}",
            remedy="correct the source, or the joins in src/usecase/features.py",
        )


def _missing(target: pl.Series) -> pl.Series:
    return target.is_null() | target.is_nan() if target.dtype.is_float() else target.is_null()


def _check_parts(parts: dict[str, pl.DataFrame], declared: FeatureTable) -> None:
    target = declared.target.name
    for name, part in parts.items():
        if not part.height:
            raise DataError(
                f"the {name} window has no rows left",
                why=f"every row of it has a reason in {declared.excluded.name}",
                remedy="change data.as_of or the window lengths (data.*_months)",
            )
        _refuse(
            part.filter(_missing(part[target]))[declared.key.name],
            f"rows of {name} have no {target}, and no reason",
        )
    seen = parts["train"][target].unique()
    if declared.task != "regression" and seen.len() < 2:
        raise DataError(
            f"target {target} has the single value {seen[0]!r} in train",
            why="there is nothing to learn",
            remedy="lengthen data.train_months, or correct the target in src/usecase/features.py",
        )
