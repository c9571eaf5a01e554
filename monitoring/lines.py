"""A log as JSON lines. Blocks of faultless lines are parsed at once; of a block with any other, each line for
itself, which says what is wrong with it. Either way the same rows come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from mainline.schema import DType, FeatureTable
from monitoring.blocks import LONGEST, Blocks
from monitoring.reference import AT, FITS, SCORE, VERSION
from monitoring.rows import AHEAD, LINE, Rows, parsed, typed
from pipeline.text import inert

BLOCK_BYTES = 8_000_000  # read at once
PIECE_BYTES = 1_000_000  # of a block with a faulty line, tried again before its lines are taken one by one
JSON_TYPES: dict[DType, Any] = {
    "string": str,
    "int64": Annotated[int, Field(ge=-(2**63), le=2**63 - 1)],
    "float64": float,
    "bool": bool,
    "date": str,
    "datetime": str,
}
_typed: Any = TypedDict  # made from data, which type checkers do not follow


class Lines:
    """Files of JSON lines, checked by `rows`."""

    def __init__(self, rows: Rows) -> None:
        self.rows, self.table, self.found = rows, rows.table, rows.found
        self._blocks = Blocks(rows.table)
        self._line = _adapter(self.table, "score", "features").validator
        self._heads = [_adapter(self.table, *kept).validator for kept in (("score",), ())]
        features = {one.name: None for one in self.table.features}
        self._nothing = {"score": None, "features": features, FITS: False}

    def batches(self, path: Path) -> Iterator[pl.DataFrame]:
        """The rows of one file that can be used."""
        for number, block in _blocks(path):
            if block is None:
                self._too_long(number)
            elif (frame := self._at_once(number, block)) is not None:
                yield frame
            else:
                yield from self._in_pieces(number, block)

    def _at_once(self, number: int, block: bytes) -> pl.DataFrame | None:
        frame = self._blocks.frame(block)
        if frame is None:
            return None
        self.found.lines += frame.height
        return self.rows.checked(frame.with_row_index(LINE, offset=number))

    def _in_pieces(self, number: int, block: bytes) -> Iterator[pl.DataFrame]:
        start = 0
        while start < len(block):
            end = block.find(b"\n", start + PIECE_BYTES) + 1 or len(block)
            piece = block[start:end]
            frame = self._at_once(number, piece) if end - start < len(block) else None
            yield self._one_by_one(number, piece) if frame is None else frame
            number += piece.count(b"\n")
            start = end

    def _one_by_one(self, first: int, piece: bytes) -> pl.DataFrame:
        waiting: list[dict[str, Any]] = []
        numbers: list[int] = []
        for number, line in enumerate(piece.split(b"\n"), first):
            if not line.strip():
                continue
            if len(line) > LONGEST:
                self._too_long(number, waiting)
                continue
            self.found.lines += 1
            try:
                row = self._line.validate_json(line)
            except ValidationError as error:
                row = self._refused(error, number, line, waiting)
            if row is not None:
                self.found.begin(None if self.found.begun else _own_day(row))
                waiting.append(row)
                numbers.append(number)
        return self.rows.checked(self._frame(waiting, numbers))

    def _too_long(self, number: int, before: list[dict[str, Any]] | None = None) -> None:
        self.found.lines += 1
        self.found.refuse("too long", "", self.rows.file, number, {self._day_of(before or []): 1})

    def _day_of(self, before: list[dict[str, Any]]) -> date | None:
        """That of the newest row before which says one."""
        days = (_own_day(line) for line in reversed(before))
        return next((day for day in days if day), self.found.last)

    def _refused(
        self, error: ValidationError, number: int, line: bytes, before: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Count a line that is none of this version's. One of another is still a row, if it says when."""
        try:
            content = from_json(line)
        except ValueError:
            content = None
        said = content if isinstance(content, dict) else {}
        days: dict[date | None, int] = {_own_day(said) or self._day_of(before): 1}
        version = self.rows.version
        other = version is not None and said.get("version") not in (None, version)
        if not (other and said.get("model") == self.rows.model):
            self._explain(error, number, line, days)
            return None
        head = self._headed(line)
        if head is None or not _timely(said):
            self.found.others += 1
            self.found.count(days)
        return head if _timely(said) else None

    def _headed(self, line: bytes) -> dict[str, Any] | None:
        """What is left of a line without its features, with its score where that is one."""
        for head in self._heads:
            try:
                return {**self._nothing, **head.validate_json(line)}
            except ValidationError:
                continue
        return None

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
                return self.found.refuse("not UTF-8", "", self.rows.file, number, days)
            return self.found.refuse("not JSON", "", self.rows.file, number, days)
        for one in problems:
            if one["loc"][:1] == ("features",) and len(one["loc"]) == 2:
                name = inert(str(one["loc"][1]))
                if one["type"] == "missing":
                    self.found.missing[name] += 1
                elif one["type"] == "extra_forbidden":
                    self.found.extra[name] += 1
        where = ".".join(str(part) for part in first["loc"])
        reason = "another schema" if first["loc"][:1] == ("features",) else "not a prediction"
        return self.found.refuse(reason, where, self.rows.file, number, days)

    def _frame(self, lines: list[dict[str, Any]], numbers: list[int]) -> pl.DataFrame:
        head = {
            LINE: pl.Series(numbers, dtype=pl.Int64),
            AT: pl.Series([line["at"] for line in lines], dtype=pl.String),
            "model": pl.Series([line["model"] for line in lines], dtype=pl.String),
            VERSION: pl.Series([line["version"] for line in lines], dtype=pl.String),
            SCORE: self.rows.scores([line["score"] for line in lines]),
            self.table.time.name: pl.Series([line["time"] for line in lines], dtype=pl.String),
        }
        features = [typed(one, [line["features"][one.name] for line in lines]) for one in self.table.features]
        head[FITS] = pl.Series([line.get(FITS, True) for line in lines], dtype=pl.Boolean)
        key = typed(self.table.key, [line["key"] for line in lines])
        return pl.DataFrame(head).with_columns(*features, key)


def _adapter(table: FeatureTable, *kept: str) -> TypeAdapter[Any]:
    """One line of the log; of its score and features those that are `kept`."""
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
    more = {"score": score, "features": features}
    line = _typed("Line", fields | {name: more[name] for name in kept})
    line.__pydantic_config__ = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    return TypeAdapter(line)


def _own_day(line: Mapping[str, Any]) -> date | None:
    """As `Rows.dated` takes it: of its time unless that is from the future, else of its answer."""
    moment: datetime | None = parsed(line.get("time")) if _timely(line) else parsed(line.get("at"))
    return moment.date() if moment else None


def _timely(line: Mapping[str, Any]) -> bool:
    time, at = parsed(line.get("time")), parsed(line.get("at"))
    return time is not None and (at is None or time - at <= AHEAD)


def _blocks(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Whole lines and the number of the first; None for one that is longer than a block may end with."""
    rest, skipping, number = b"", False, 1
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            if skipping:
                end = block.find(b"\n") + 1
                if not end:
                    continue
                block, number, skipping = block[end:], number + 1, False
            block = rest + block
            cut = block.rfind(b"\n") + 1
            if cut:
                yield number, block[:cut]
                number += block.count(b"\n", 0, cut)
            rest = block[cut:]
            if len(rest) > LONGEST:
                yield number, None
                rest, skipping = b"", True
    if rest.strip():
        yield number, rest + b"\n"
