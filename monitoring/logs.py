"""The log of predictions, in batches that fit into memory; what cannot be used is counted, never a crash.

JSON lines as the service writes them, or Parquet with the same columns (features in a struct, or each a
column). Held as strictly as the service holds a request: the same types, no feature too many or too few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from mainline.drift import Malformed
from mainline.errors import DataError
from mainline.schema import Column, DType, FeatureTable
from monitoring.reference import AT, SCORE, VERSION, as_array
from pipeline.frames import DTYPES
from pipeline.ingest import S3_LIST, S3_READ
from pipeline.text import inert

BLOCK_BYTES = 8_000_000  # read at once
LONGEST = 1_000_000  # bytes of a line
BATCH_ROWS = 20_000
AHEAD = timedelta(days=31)  # a row's time may lie after its answer; further away it is an error
SAMPLES = 5
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
class Found:
    """What reading came upon. `lines`: in all; the rest as in the record's Malformed and Quality."""

    lines: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)

    def refuse(self, reason: str, sample: str, lines: int = 1) -> None:
        if self.reasons[reason] == 0 and len(self.samples) < SAMPLES:
            self.samples.append(inert(f"{reason}: {sample}", 160))
        self.reasons[reason] += lines

    @property
    def malformed(self) -> Malformed:
        reasons = dict(sorted(self.reasons.items()))
        return Malformed(lines=sum(reasons.values()), reasons=reasons, samples=self.samples)


@dataclass
class Reader:
    """Reads `place` for one model; `found` fills while `batches` runs."""

    table: FeatureTable
    model: str
    found: Found = field(default_factory=Found)

    def __post_init__(self) -> None:
        self._line = _adapter(self.table).validator
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
                parts = self._parquet(name) if name.endswith(".parquet") else self._lines(Path(name))
                yield from (rows for rows in parts if rows.height)

    def _lines(self, path: Path) -> Iterator[pl.DataFrame]:
        waiting: list[dict[str, Any]] = []
        for line in _split(path, self.found):
            try:
                waiting.append(self._line.validate_json(line))
            except ValidationError as error:
                self._explain(error, line)
            if len(waiting) == BATCH_ROWS:
                yield self._frame(waiting)
                waiting = []
        if waiting:
            yield self._frame(waiting)

    def _explain(self, error: ValidationError, line: bytes) -> None:
        """Why a line was refused: one reason a line, each feature that it names."""
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        first = problems[0]
        text = line[:200].decode("utf-8", errors="replace")
        if first["type"] == "json_invalid":
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return self.found.refuse("not UTF-8", text)
            return self.found.refuse("not JSON", text)
        for one in problems:
            if one["loc"][:1] == ("features",) and len(one["loc"]) == 2:
                name = inert(str(one["loc"][1]))
                if one["type"] == "missing":
                    self.found.missing[name] += 1
                elif one["type"] == "extra_forbidden":
                    self.found.extra[name] += 1
        where = ".".join(str(part) for part in first["loc"]) or "line"
        reason = "another schema" if first["loc"][:1] == ("features",) else "not a prediction"
        return self.found.refuse(reason, f"{where}: {first['msg']}: {text}")

    def _frame(self, lines: list[dict[str, Any]]) -> pl.DataFrame:
        names = [one.name for one in self.table.features]
        if len(names) == 1:
            values: Any = [[line["features"][names[0]] for line in lines]]
        else:
            values = zip(*(self._features(line["features"]) for line in lines), strict=True)
        typed = [_column(one, list(column)) for one, column in zip(self.table.features, values, strict=True)]
        keys = [line["key"] for line in lines]
        head = {
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
        frame = frame.with_columns(_moment(AT), _moment(time.name))
        frame = self._keep(frame, pl.col("model") == self.model, "another model", "model")
        frame = self._keep(frame, pl.col(self.table.key.name).is_not_null(), "no key", time.name)
        frame = self._keep(frame, pl.col(time.name).is_not_null(), "no time", self.table.key.name)
        future = pl.col(time.name) > pl.col(AT) + AHEAD
        frame = self._keep(frame, ~future.fill_null(False), "from the future", time.name)
        good = pl.Series(_possible(frame[SCORE], self.table))
        frame = self._keep(frame, pl.lit(good), "not a score", self.table.key.name)
        frame = frame.with_columns(pl.col(time.name).cast(DTYPES[time.dtype]))
        names = [AT, VERSION, SCORE, self.table.key.name, time.name, *(c.name for c in self.table.features)]
        return frame.select(list(dict.fromkeys(names)))

    def _keep(self, frame: pl.DataFrame, good: pl.Expr, reason: str, shown: str) -> pl.DataFrame:
        marked = frame.with_columns(good.fill_null(False).alias("_good"))
        bad = marked.filter(~pl.col("_good"))
        if bad.height:
            self.found.refuse(reason, str(bad[shown][0]), bad.height)
        return marked.filter("_good").drop("_good")

    def _parquet(self, name: str) -> Iterator[pl.DataFrame]:
        options = S3_READ if name.startswith("s3://") else None
        try:
            lazy = pl.scan_parquet(name, glob=False, hive_partitioning=False, storage_options=options)
            height = lazy.select(pl.len()).collect().item()
            for start in range(0, height, BATCH_ROWS * 5):
                rows = lazy.slice(start, BATCH_ROWS * 5).collect()
                self.found.lines += rows.height
                yield self._typed(rows, name)
        except (pl.exceptions.PolarsError, OSError) as error:
            self.found.lines += 1
            self.found.refuse("not Parquet", f"{name}: {str(error).splitlines()[0]}")

    def _typed(self, rows: pl.DataFrame, name: str) -> pl.DataFrame:
        """A batch of Parquet in the types of the schema; none of it when its columns are others."""
        wanted = {one.name: DTYPES[one.dtype] for one in self.table.features}
        if isinstance(rows.schema.get("features"), pl.Struct):
            inside = {one.name for one in rows.schema["features"].fields}  # type: ignore[attr-defined]
            self.found.extra.update({inert(one): rows.height for one in inside - wanted.keys()})
            if inside - wanted.keys():
                self.found.refuse("another schema", name, rows.height)
                return rows.clear()
            rows = rows.unnest("features")
        own = {AT: "at", VERSION: "version", SCORE: "score", "model": "model"}
        aliases = {self.table.key.name: "key", self.table.time.name: "time"} | own
        named = {
            other: one for one, other in aliases.items() if one not in rows.columns and other in rows.columns
        }
        rows = rows.rename(named)
        rows = rows if AT in rows.columns else rows.with_columns(pl.lit(None, pl.String).alias(AT))
        needed = [*wanted, *aliases]
        lacking = [one for one in needed if one not in rows.columns]
        self.found.missing.update({one: rows.height for one in lacking if one in wanted})
        if lacking:
            self.found.refuse("another schema", f"{name} lacks {', '.join(lacking)}", rows.height)
            return rows.clear()
        try:
            typed = rows.with_columns(
                *(whole(rows[one], wanted[one]).cast(wanted[one]) for one in wanted),
                pl.col(self.table.key.name).cast(DTYPES[self.table.key.dtype]),
            )
            return self._checked(typed.with_columns(self._parquet_scores(typed[SCORE]).alias(SCORE)))
        except pl.exceptions.PolarsError as error:
            self.found.refuse("another schema", f"{name}: {str(error).splitlines()[0]}", rows.height)
            return rows.clear()

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


def _adapter(table: FeatureTable) -> TypeAdapter[Any]:
    """One line of the log."""
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
        "score": score,
        "features": features,
    }
    line = _typed("Line", fields)
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


def _split(path: Path, found: Found) -> Iterator[bytes]:
    """Lines without their ends; longer ones than LONGEST are counted and passed over, blank ones too."""
    rest, skipping = b"", False
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if skipping:
                    skipping = False
                elif line.strip():
                    found.lines += 1
                    if len(line) <= LONGEST:
                        yield line
                    else:
                        found.refuse("too long", line[:80].decode("utf-8", errors="replace"))
            if len(rest) > LONGEST:
                if not skipping:
                    found.lines += 1
                    found.refuse("too long", rest[:80].decode("utf-8", errors="replace"))
                rest, skipping = b"", True
    if rest.strip() and not skipping:
        found.lines += 1
        yield rest
