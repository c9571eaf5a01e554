"""The rows of a request as msgspec structs: parsed, and written to the log, in a fraction of pydantic's time.

Pydantic keeps the last word (`schemas`): a body that is refused here is put to it, and it says why or takes
it. What is taken here pydantic takes too, with the same values; a test holds the two together. They differ in
one thing: what a time says beyond microseconds is rounded here and cut there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Self

import msgspec
from pydantic import BaseModel

from mainline.schema import FeatureTable
from serving import schemas

TEXTS = 2  # where the texts begin in a row, after its key and its time; the numbers follow them
TYPES: dict[str, Any] = {
    "string": Annotated[str, msgspec.Meta(max_length=schemas.LONGEST)],
    "int64": Annotated[int, msgspec.Meta(ge=-schemas.INT64, le=schemas.INT64 - 1)],
    "float64": float,
    "bool": bool,
    "date": date,
    "datetime": datetime,
}
Row = Any  # a struct made from data, see `row_type`
_list: Any = list


def row_type(table: FeatureTable) -> type[msgspec.Struct]:
    """`key`, `time`, then a field a feature, the texts first; in JSON under the names of their columns."""
    columns = {"key": table.key, "time": table.time}
    columns |= {f"f{place}": one for place, one in enumerate((*table.categorical, *table.numeric))}
    fields = [
        (field, TYPES[one.dtype] if field in ("key", "time") else TYPES[one.dtype] | None)
        for field, one in columns.items()
    ]
    names = {field: one.name for field, one in columns.items()}
    # Nothing in a row leads back to it: the garbage collector need not look.
    return msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)


def taken(table: FeatureTable, given: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Out of dictionaries that pydantic let through, or of the example."""
    found: list[Row] = msgspec.convert(given, _list[row_type(table)])
    return found


def request_model(table: FeatureTable, max_rows: int) -> type[BaseModel]:
    """`schemas.request_model`, parsed so: its `rows` are structs."""
    slow: Any = schemas.request_model(table, max_rows)
    row = row_type(table)
    some = Annotated[_list[row], msgspec.Meta(min_length=1, max_length=max_rows)]
    body = msgspec.defstruct("Body", [("rows", some)], forbid_unknown_fields=True)
    decode: Any = msgspec.json.Decoder(body).decode

    class Request(slow):  # type: ignore[misc]
        @classmethod
        def model_validate_json(cls, json_data: bytes, **given: Any) -> Self:
            try:
                found = decode(json_data).rows
            except ValueError:  # whatever it is, pydantic words it
                worded = super().model_validate_json(json_data, **given)
                found = msgspec.convert(worded.rows, _list[row])
            made: Self = cls.model_construct(rows=found)
            return made

    Request.__doc__ = slow.__doc__
    return Request
