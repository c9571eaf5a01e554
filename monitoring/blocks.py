"""Many JSON lines at once, where all of them are what the strict reader of `lines` would take.

Arrow's reader is as strict about types, but takes a missing field for null, lines that are cut or joined, and
NaN. So the keys of each line are counted, too: an object has a key once at most (else Arrow refuses), so a
line with as many keys as there are columns has all of them. What is in doubt is left to the strict reader.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.json  # type: ignore[import-untyped]
from numpy.typing import NDArray

from mainline.schema import DType, FeatureTable
from monitoring.reference import AT, SCORE, VERSION
from monitoring.rows import typed

LONGEST = 1_000_000  # bytes of a line
DOUBTFUL = re.compile(rb"\\(?![bfnrt/]|u[0-9a-cA-CE-Fe-f])")  # escaped quotes would miscount; surrogates
NEWLINE, QUOTE, COLON = b'\n":'
BEFORE_TEXT = np.frombuffer(b":,[{ \t\r\n", np.uint8)  # what a quote that opens a string follows
READ = pyarrow.json.ReadOptions(block_size=2 * LONGEST)
TYPES: dict[DType, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.string(),
    "datetime": pa.string(),
}


class Blocks:
    """Lines of one schema."""

    def __init__(self, table: FeatureTable) -> None:
        self.table = table
        self._features = {one.name: TYPES[one.dtype] for one in table.features}
        self._needed = {
            "at": pa.string(), "model": pa.string(), "version": pa.string(), "key": TYPES[table.key.dtype],
            "time": pa.string(), "features": pa.struct(self._features.items()),
        }  # fmt: skip
        if table.task != "multiclass":
            self._needed["score"] = pa.float64()
        self._options = pyarrow.json.ParseOptions(
            explicit_schema=pa.schema(self._needed.items()), unexpected_field_behavior="infer"
        )

    def frame(self, block: bytes) -> pl.DataFrame | None:
        """The rows of `block`, which ends with a newline; None unless every line is as it should be."""
        keys = _keys(block)
        if keys is None:
            return None
        try:
            block.decode("utf-8")
            read = pyarrow.json.read_json(pa.BufferReader(block), READ, self._options)
        except (pa.ArrowException, UnicodeDecodeError):
            return None
        width = _width(read.schema)
        if width is None or len(keys) != read.num_rows or (keys != width).any():
            return None
        rows = pl.from_arrow(read)
        return self._named(rows) if isinstance(rows, pl.DataFrame) and self._fits(rows) else None

    def _fits(self, rows: pl.DataFrame) -> bool:
        """No feature too many, and nothing null that must not be."""
        features = rows.schema["features"]
        if not isinstance(features, pl.Struct) or len(features.fields) != len(self._features):
            return False
        return "score" in rows.columns and not any(rows[name].null_count() for name in self._needed)

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame | None:
        """As `Lines` gives them, without the numbers of the lines; None where a number is none."""
        score, inside = self._scores(rows["score"]), rows["features"].struct.unnest()
        if score is None or not all(one.is_finite().all() for one in inside.select(pl.selectors.float())):
            return None
        head = rows.select(
            pl.col("at").alias(AT), "model", pl.col("version").alias(VERSION), score.alias(SCORE),
            pl.col("time").alias(self.table.time.name),
        )  # fmt: skip
        features = [typed(one, inside[one.name]) for one in self.table.features]
        return head.with_columns(*features, typed(self.table.key, rows["key"]))

    def _scores(self, scores: pl.Series) -> pl.Series | None:
        classes = self.table.classes
        if self.table.task != "multiclass":
            return scores if scores.is_finite().all() else None
        if isinstance(scores.dtype, pl.Struct):
            by_class = scores.struct.unnest()
            if set(by_class.columns) != set(classes) or any(one.null_count() for one in by_class):
                return None
            scores = by_class.select(pl.concat_list(classes)).to_series()
        if not (isinstance(scores.dtype, pl.List) and scores.dtype.inner.is_numeric()):
            return None
        if (scores.list.len() != len(classes)).any() or scores.explode().null_count():
            return None
        return scores.cast(pl.List(pl.Float64))


def _keys(block: bytes) -> NDArray[np.int64] | None:
    """How many keys each line has; None where that, or a line's length, is in doubt."""
    if b"\\" in block and DOUBTFUL.search(block):
        return None
    content = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(content == NEWLINE)
    if np.diff(ends, prepend=-1).max(initial=0) > LONGEST:
        return None
    quotes = np.flatnonzero(content == QUOTE)
    colons = quotes[content[quotes + 1] == COLON]  # a quote is never last: the newline is
    if np.isin(content[colons - 1], BEFORE_TEXT).any():  # a text that begins with a colon
        return None
    return np.diff(np.searchsorted(colons, ends), prepend=0)


def _width(schema: pa.Schema | pa.StructType) -> int | None:
    """Keys of a line that has all columns; None where that is not one number."""
    width = 0
    for one in schema:
        inside = 0
        if pa.types.is_struct(one.type):
            nested = _width(one.type)
            if nested is None:
                return None
            inside = nested
        elif pa.types.is_list(one.type) and pa.types.is_nested(one.type.value_type):
            return None
        width += 1 + inside
    return width
