"""The log of predictions, in batches that fit into memory; what cannot be used is counted, never a crash.

JSON lines as the service writes them, or Parquet with the same columns (features in a struct, or each a
column). Held as strictly as the service holds a request: the same types, no feature too many or too few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from mainline.errors import DataError
from mainline.schema import Column, DType, FeatureTable
from monitoring.reading import Found
from monitoring.reference import AT, SCORE, VERSION, as_array
from pipeline.frames import DTYPES
from pipeline.ingest import S3_LIST, S3_READ
from pipeline.text import inert

BLOCK_BYTES = 8_000_000  # read at once
LONGEST = 1_000_000  # bytes of a line
BATCH_ROWS = 20_000
AHEAD = timedelta(days=31)  # a row's time may lie after its answer; further away it is an error
LINE, DAY = "_line", "_at_day"  # while a batch is checked: its number in the file, the day it counts on
JSON_TYPES: dict[DType, Any] = {
    "string": str,
    "int64": Annotated[int, Field(ge=-(2**63), le=2**63 - 1)],
    "float64": float,
    "bool": bool,
    "date": str,
    "datetime": str,
}
_typed: Any = TypedDict  # made from data, which type checkers do not follow


@dataclass
class Reader:
    """Reads `place` for one model; `found` fills while `batches` runs.

    `version`: the one in production. The lines of others need not have its schema, and are no faults: their
    features are null where they have not. None: every line is production's.
    """

    table: FeatureTable
    model: str
    version: str | None = None
    found: Found = field(default_factory=Found)

    def __post_init__(self) -> None:
        self._line = _adapter(self.table).validator
        self._head = _adapter(self.table, answered=False).validator
        self._nothing = {"score": None, "features": {one.name: None for one in self.table.features}}
        self._file = ""
        self._features = itemgetter(*[one.name for one in self.table.features])

    def batches(self, place: str) -> Iterator[pl.DataFrame]:
        """Rows with AT, VERSION, SCORE, key, time and features. Raises DataError: no such place.

        The service may set a file aside while we read: what has got another name is found the second time.
        """
        seen: set[object] = set()
        for name in _twice(place):
            try:
                same = name if name.startswith("s3://") else Path(name).stat().st_ino
            except FileNotFoundError:
                continue
            if same not in seen:
                seen.add(same)
                self._file = name.rpartition("/")[2]
                parts = self._parquet(name) if name.endswith(".parquet") else self._lines(Path(name))
                yield from (rows for rows in parts if rows.height)

    def _lines(self, path: Path) -> Iterator[pl.DataFrame]:
        waiting: list[dict[str, Any]] = []
        numbers: list[int] = []
        for number, line in _split(path, self._too_long):
            self.found.lines += 1
            try:
                row = self._line.validate_json(line)
            except ValidationError as error:
                row = self._refused(error, number, line, waiting)
            if row is not None:
                waiting.append(row)
                numbers.append(number)
            if len(waiting) == BATCH_ROWS:
                yield self._frame(waiting, numbers)
                waiting, numbers = [], []
        if waiting:
            yield self._frame(waiting, numbers)

    def _too_long(self, number: int) -> None:
        self.found.lines += 1
        self.found.refuse("too long", "", self._file, number, {self.found.last: 1})

    def _refused(
        self, error: ValidationError, number: int, line: bytes, before: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Count a line that is none of this version's. One of another is still a row, if it says when."""
        try:
            content = from_json(line)
        except ValueError:
            content = None
        said = content if isinstance(content, dict) else {}
        time, at = _parsed(said.get("time")), _parsed(said.get("at"))
        timely = time is not None and (at is None or time - at <= AHEAD)
        day = time if timely else at or (_day_of(before[-1]) if before else None)
        days: dict[date | None, int] = {day.date() if day else self.found.last: 1}
        other = self.version is not None and said.get("version") not in (None, self.version)
        if not (other and said.get("model") == self.model):
            self._explain(error, number, line, days)
            return None
        try:
            head = self._head.validate_json(line)
        except ValidationError:
            head = None
        if head is None or not timely:
            self.found.others += 1
            self.found.count(days)
            return None
        return {**head, **self._nothing}

    def _explain(
        self, error: ValidationError, number: int, line: bytes, days: Mapping[date | None, int]
    ) -> None:
        """Why a line was refused: one reason a line, each feature that it names."""
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        first = problems[0]
        if first["type"] == "json_invalid":
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return self.found.refuse("not UTF-8", "", self._file, number, days)
            return self.found.refuse("not JSON", "", self._file, number, days)
        for one in problems:
            if one["loc"][:1] == ("features",) and len(one["loc"]) == 2:
                name = inert(str(one["loc"][1]))
                if one["type"] == "missing":
                    self.found.missing[name] += 1
                elif one["type"] == "extra_forbidden":
                    self.found.extra[name] += 1
        where = ".".join(str(part) for part in first["loc"])
        reason = "another schema" if first["loc"][:1] == ("features",) else "not a prediction"
        return self.found.refuse(reason, where, self._file, number, days)

    def _frame(self, lines: list[dict[str, Any]], numbers: list[int]) -> pl.DataFrame:
        names = [one.name for one in self.table.features]
        if len(names) == 1:
            values: Any = [[line["features"][names[0]] for line in lines]]
        else:
            values = zip(*(self._features(line["features"]) for line in lines), strict=True)
        typed = [_column(one, list(column)) for one, column in zip(self.table.features, values, strict=True)]
        keys = [line["key"] for line in lines]
        head = {
            LINE: pl.Series(numbers, dtype=pl.Int64),
            AT: pl.Series([line["at"] for line in lines], dtype=pl.String),
            "model": pl.Series([line["model"] for line in lines], dtype=pl.String),
            VERSION: pl.Series([line["version"] for line in lines], dtype=pl.String),
            SCORE: self._scores([line["score"] for line in lines]),
            self.table.time.name: pl.Series([line["time"] for line in lines], dtype=pl.String),
        }
        frame = pl.DataFrame(head).with_columns(*typed, _column(self.table.key, keys))
        return self._checked(frame)

    def _scores(self, scores: list[Any]) -> pl.Series:
        """Null where it is no score."""
        if self.table.task != "multiclass":
            return pl.Series(scores, dtype=pl.Float64)
        classes = self.table.classes
        listed = [
            [one[name] for name in classes]
            if isinstance(one, dict) and one.keys() == set(classes)
            else one
            if isinstance(one, list) and len(one) == len(classes)
            else None
            for one in scores
        ]
        return pl.Series(listed, dtype=pl.List(pl.Float64))

    def _checked(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of this model with a time and a score, the times parsed; the others are counted."""
        time = self.table.time
        frame = self._dated(frame)
        frame = self._keep(frame, pl.col("model") == self.model, "another model", "model", every=True)
        self.found.others += frame.select((~self._ours).sum()).item()
        frame = self._keep(frame, pl.col(self.table.key.name).is_not_null(), "no key", "key")
        frame = self._keep(frame, pl.col(time.name).is_not_null(), "no time", "time")
        future = pl.col(time.name) > pl.col(AT) + AHEAD
        frame = self._keep(frame, ~future.fill_null(False), "from the future", "time")
        good = pl.lit(pl.Series(_possible(frame[SCORE], self.table)))
        frame = self._keep(frame, good | ~self._ours, "not a score", "score")
        self.found.count(_by_day(frame))
        frame = frame.with_columns(pl.col(time.name).cast(DTYPES[time.dtype]))
        names = [AT, VERSION, SCORE, self.table.key.name, time.name, *(c.name for c in self.table.features)]
        return frame.select(list(dict.fromkeys(names)))

    @property
    def _ours(self) -> pl.Expr:
        return pl.lit(True) if self.version is None else pl.col(VERSION).eq_missing(self.version)

    def _dated(self, frame: pl.DataFrame) -> pl.DataFrame:
        """With both times parsed, and DAY: the row's own, else its answer's, else that of the row before."""
        name = self.table.time.name
        lacking = [pl.lit(None, pl.String).alias(one) for one in (AT, name) if one not in frame.columns]
        frame = frame.with_columns(*lacking).with_columns(_moment(AT), _moment(name))
        time, at = pl.col(name), pl.col(AT)
        own = pl.when(at.is_null() | (time <= at + AHEAD)).then(time)
        day = pl.coalesce(own, at).cast(pl.Date).forward_fill()
        frame = frame.with_columns(day.fill_null(pl.lit(self.found.last, pl.Date)).alias(DAY))
        if frame.height:
            self.found.last = frame[DAY][-1]
        return frame

    def _keep(
        self, frame: pl.DataFrame, good: pl.Expr, reason: str, where: str, *, every: bool = False
    ) -> pl.DataFrame:
        """The good rows. The others are refused; of other versions only if `every`, else they only count."""
        marked = frame.with_columns(good.fill_null(False).alias("_good"))
        bad = marked.filter(~pl.col("_good"))
        refused = bad if every else bad.filter(self._ours)
        if refused.height:
            self.found.refuse(reason, where, self._file, refused[LINE][0], _by_day(refused))
        if not every:
            self.found.count(_by_day(bad.filter(~self._ours)))
        return marked.filter("_good").drop("_good")

    def _parquet(self, name: str) -> Iterator[pl.DataFrame]:
        options = S3_READ if name.startswith("s3://") else None
        try:
            lazy = pl.scan_parquet(name, glob=False, hive_partitioning=False, storage_options=options)
            height = lazy.select(pl.len()).collect().item()
            for start in range(0, height, BATCH_ROWS * 5):
                rows = lazy.slice(start, BATCH_ROWS * 5).collect()
                self.found.lines += rows.height
                named = self._named(rows.with_row_index(LINE, offset=start + 1))
                if self.version is not None and VERSION in named.columns:
                    yield self._headed(named.filter(~self._ours))
                    named = named.filter(self._ours)
                yield self._typed(named)
        except (pl.exceptions.PolarsError, OSError):
            self.found.lines += 1
            self.found.refuse("not Parquet", "", self._file, 1, {self.found.last: 1})

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """A batch of Parquet under our names."""
        own = {AT: "at", VERSION: "version", SCORE: "score", "model": "model"}
        aliases = {self.table.key.name: "key", self.table.time.name: "time"} | own
        rows = rows.rename(
            {
                other: one
                for one, other in aliases.items()
                if one not in rows.columns and other in rows.columns
            }
        )
        rows = rows if AT in rows.columns else rows.with_columns(pl.lit(None, pl.String).alias(AT))
        if VERSION in rows.columns:
            rows = rows.with_columns(pl.col(VERSION).cast(pl.String).fill_null(""))
        return rows

    def _headed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of other versions, without their features."""
        key, time = self.table.key, self.table.time.name
        if not {key.name, time, "model"} <= set(rows.columns):
            self.found.others += rows.height
            self.found.count(self._days(rows))
            return rows.clear()
        nothing = [pl.lit(None, DTYPES[one.dtype]).alias(one.name) for one in self.table.features]
        head = rows.select(
            LINE, AT, "model", VERSION, pl.col(key.name).cast(DTYPES[key.dtype], strict=False), time
        )
        scores = self._scores([None] * rows.height)
        return self._checked(head.with_columns(*nothing, scores.alias(SCORE)))

    def _typed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """A batch of Parquet in the types of the schema; none of it when its columns are others."""
        wanted = {one.name: DTYPES[one.dtype] for one in self.table.features}
        if not rows.height:
            return rows
        if isinstance(rows.schema.get("features"), pl.Struct):
            inside = {one.name for one in rows.schema["features"].fields}  # type: ignore[attr-defined]
            self.found.extra.update({inert(one): rows.height for one in inside - wanted.keys()})
            if inside - wanted.keys():
                return self._unfit(rows, min(inside - wanted.keys()))
            rows = rows.unnest("features")
        needed = [*wanted, self.table.key.name, self.table.time.name, AT, VERSION, SCORE, "model"]
        lacking = [one for one in needed if one not in rows.columns]
        self.found.missing.update({one: rows.height for one in lacking if one in wanted})
        if lacking:
            return self._unfit(rows, ", ".join(lacking))
        for name, dtype in (wanted | {self.table.key.name: DTYPES[self.table.key.dtype]}).items():
            try:
                values = whole(rows[name], dtype) if name in wanted else rows[name]
                rows = rows.with_columns(values.cast(dtype))
            except pl.exceptions.PolarsError:
                return self._unfit(rows, name)
        try:
            return self._checked(rows.with_columns(self._parquet_scores(rows[SCORE]).alias(SCORE)))
        except pl.exceptions.PolarsError:
            return self._unfit(rows, "score")

    def _unfit(self, rows: pl.DataFrame, where: str) -> pl.DataFrame:
        self.found.refuse("another schema", where, self._file, rows[LINE][0], self._days(rows))
        return rows.clear()

    def _days(self, rows: pl.DataFrame) -> dict[date | None, int]:
        try:
            return _by_day(self._dated(rows))
        except pl.exceptions.PolarsError:
            return {self.found.last: rows.height}

    def _parquet_scores(self, scores: pl.Series) -> pl.Series:
        if self.table.task == "multiclass":
            return self._scores(scores.to_list())
        return scores.cast(pl.Float64)


def whole(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """`values`, ready to become `dtype`: NaN is null where it has none.

    Raises InvalidOperationError where numbers would lose their fraction.
    """
    if not (values.dtype.is_float() and dtype.is_integer()):
        return values
    values = values.fill_nan(None)
    if not (values.drop_nulls() == values.drop_nulls().round()).all():
        raise pl.exceptions.InvalidOperationError(f"{inert(values.name)} has fractions, and is {dtype}")
    return values


def _adapter(table: FeatureTable, *, answered: bool = True) -> TypeAdapter[Any]:
    """One line of the log; not `answered`: without its score and features."""
    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    features = _typed("Features", {one.name: JSON_TYPES[one.dtype] | None for one in table.features})
    features.__pydantic_config__ = strict
    score = Any if table.task == "multiclass" else float
    fields = {
        "at": str,
        "model": str,
        "version": str,
        "key": JSON_TYPES[table.key.dtype],
        "time": str,
    }
    line = _typed("Line", fields | ({"score": score, "features": features} if answered else {}))
    line.__pydantic_config__ = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    return TypeAdapter(line)


def _column(declared: Column, values: list[Any]) -> pl.Series:
    if declared.dtype in ("date", "datetime"):
        text = pl.Series(declared.name, values, dtype=pl.String).to_frame()
        return text.select(_moment(declared.name).cast(DTYPES[declared.dtype])).to_series()
    return pl.Series(declared.name, values, dtype=DTYPES[declared.dtype])


def _moment(name: str) -> pl.Expr:
    """A date or a time (ISO) as the clock shows it, null when it is none; an offset from UTC is left out."""
    column = pl.col(name)
    text = column.cast(pl.String).str.replace(" ", "T", literal=True).str.slice(0, 19)
    full = pl.when(text.str.len_chars() == 10).then(text + "T00:00:00").otherwise(text)
    return full.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False).alias(name)


def _parsed(text: object) -> datetime | None:
    """As `_moment` takes it."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(f"{text[:10]}T{text[11:19] or '00:00:00'}", "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None


def _day_of(line: dict[str, Any]) -> datetime | None:
    return _parsed(line["time"]) or _parsed(line["at"])


def _by_day(frame: pl.DataFrame) -> dict[date | None, int]:
    return dict(frame.group_by(DAY, maintain_order=True).len().iter_rows())


def _possible(score: pl.Series, table: FeatureTable) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which scores are such: finite, and probabilities where they should be."""
    if table.task == "multiclass":
        whole = (score.is_not_null() & (score.list.len() == len(table.classes))).to_numpy()
        good = np.zeros(score.len(), dtype=bool)
        if whole.any():
            p = as_array(score.filter(pl.Series(whole)), table.task, len(table.classes))
            good[whole] = ((p >= 0) & (p <= 1)).all(axis=1) & (np.abs(p.sum(axis=1) - 1) < 1e-3)
        return good
    values = score.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    with np.errstate(invalid="ignore"):
        possible = (values >= 0) & (values <= 1) if table.task == "binary" else np.ones(len(values), bool)
    finite: np.ndarray[Any, np.dtype[np.bool_]] = np.isfinite(values) & possible
    return finite


def files(place: str) -> list[str]:
    """The files of a log in the order of their names, which is that of time; the one still written last.

    Raises DataError for a place that does not exist or cannot be listed.
    """
    if place.startswith("s3://"):
        return _objects(place)
    path = Path(place)
    if path.is_file():
        return [place]
    if not path.is_dir():
        raise DataError(f"{inert(place)} does not exist", remedy="give the file or folder of the predictions")
    listed = sorted([*path.glob("**/*.jsonl"), *path.glob("**/*.parquet")])
    return [
        str(one)
        for one in sorted(listed, key=lambda one: (one.parent, one.name == "predictions.jsonl", one.name))
    ]


def _twice(place: str) -> Iterator[str]:
    """The files, and then, after those were read, the files that there are now."""
    yield from files(place)
    if not place.startswith("s3://"):
        yield from files(place)


def _objects(place: str) -> list[str]:
    import s3fs  # type: ignore[import-untyped]  # a second that only an s3:// place pays
    from botocore.exceptions import BotoCoreError

    store = s3fs.S3FileSystem(config_kwargs=S3_LIST, use_listings_cache=False, skip_instance_cache=True)
    store.retries = 1
    root = place.rstrip("/")
    try:
        listed = [root] if root.endswith(".parquet") else sorted(store.glob(f"{root}/**/*.parquet"))
    except (OSError, BotoCoreError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{inert(place)} cannot be listed", why=why, remedy="check AWS_* and the network"
        ) from None
    return [one if one.startswith("s3://") else f"s3://{one}" for one in listed]


def _split(path: Path, too_long: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """Number and line without its end; those longer than LONGEST are told and passed over, blank ones too."""
    rest, skipping, number = b"", False, 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                number += 1
                if skipping:
                    skipping = False
                elif line.strip():
                    if len(line) <= LONGEST:
                        yield number, line
                    else:
                        too_long(number)
            if len(rest) > LONGEST:
                if not skipping:
                    too_long(number + 1)
                rest, skipping = b"", True
    if rest.strip() and not skipping:
        yield number + 1, rest
