"""Request and answer, generated from the use case's columns. Pure: a table in, pydantic types out.

What a column's range and closed set say is documentation here, not a limit: a null, an unknown category or a
number out of range is answered, and counted. Wrong types, missing and unknown fields are refused.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, create_model
from typing_extensions import TypedDict

from mainline.schema import Column, FeatureTable

LONGEST = 200  # characters of a string
INT64 = 2**63
TYPES: dict[str, Any] = {
    "string": str,
    "int64": int,
    "float64": float,
    "bool": bool,
    "date": date,
    "datetime": datetime,
}
EXAMPLES: dict[str, Any] = {
    "string": "x",
    "int64": 1,
    "float64": 1.0,
    "bool": True,
    "date": "2013-07-01",
    "datetime": "2013-07-01T17:15:00",
}
# Built from data, which type checkers do not follow.
_dictionary: Any = TypedDict
_model: Any = create_model
_list: Any = list
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def request_model(table: FeatureTable, max_rows: int) -> type[BaseModel]:
    """`{"rows": [...]}`: 1 to `max_rows` rows, each with the key, the time and every feature."""
    columns = {column.name: column for column in (table.key, table.time, *table.features)}
    identity = {table.key.name, table.time.name}
    # A dictionary, not a model: half the time, where it is pydantic that parses (serving/rows.py).
    row = _dictionary(
        "Row", {name: _field(column, null=name not in identity) for name, column in columns.items()}
    )
    row.__pydantic_config__ = STRICT
    row.__doc__ = "Everything that the model asks for; null where it is not known."
    rows = Annotated[
        _list[row], FailFast(), Field(min_length=1, max_length=max_rows, description="one prediction each")
    ]
    config = {**STRICT, "title": "Request", "json_schema_extra": {"example": {"rows": [example(table)]}}}
    made: type[BaseModel] = _model("Request", __config__=config, __doc__="Rows to predict.", rows=rows)
    return made


def answer_model(table: FeatureTable) -> type[BaseModel]:
    """What is answered to a request: one prediction a row, in the order of the rows."""
    key = _annotated(TYPES[table.key.dtype], Field(description="the row's"))
    fields: dict[str, Any] = {"key": key} | _prediction(table)
    prediction = _dictionary("Prediction", fields)
    made: type[BaseModel] = _model(
        "Answer",
        __doc__="One prediction a row, in the order of the rows.",
        request_id=(str, Field(description="names this answer in the log of predictions")),
        model=(str, Field(description="name of the model")),
        version=(str, Field(description="of the model")),
        predictions=_list[prediction],
    )
    return made


def example(table: FeatureTable) -> dict[str, Any]:
    """A plausible row, as JSON."""
    columns = {column.name: column for column in (table.key, table.time, *table.features)}
    return {name: _example(column) for name, column in columns.items()}


def _prediction(table: FeatureTable) -> dict[str, Any]:
    target = table.target
    match table.task:
        case "binary":
            told = f"of: {target.description}"
            return {
                "probability": Annotated[float, Field(description=told, ge=0, le=1)],
                "decision": Annotated[
                    bool, Field(description="the probability reaches the model's threshold")
                ],
            }
        case "multiclass":
            return {
                "probabilities": Annotated[dict[str, float], Field(description="of each class")],
                "decision": Annotated[str, Field(description="the most probable class")],
            }
        case _:
            unit = f" [{target.unit}]" if target.unit else ""
            return {"value": Annotated[float, Field(description=f"{target.description}{unit}")]}


def _field(column: Column, *, null: bool) -> Any:
    limits: dict[str, Any] = {}
    if column.dtype == "string":
        limits["max_length"] = LONGEST
    if column.dtype == "int64":
        limits |= {"ge": -INT64, "le": INT64 - 1}
    kind = _annotated(TYPES[column.dtype], Field(**limits))
    shown = Field(
        description=_described(column), examples=[_example(column)], json_schema_extra=_extra(column)
    )
    return _annotated(kind | None if null else kind, shown)


def _annotated(kind: Any, field: Any) -> Any:
    return Annotated[kind, field]


def _described(column: Column) -> str:
    words = [column.description]
    if column.unit:
        words.append(f"[{column.unit}]")
    if column.minimum is not None or column.maximum is not None:
        words.append(f"usual: {_bound(column.minimum)} to {_bound(column.maximum)}")
    if column.values:
        words.append(f"known: {', '.join(column.values)}")
    return "; ".join(words)


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


def _extra(column: Column) -> dict[str, Any]:
    """Under names of our own: JSON Schema's would be limits, and these are none."""
    found = {
        "x-unit": column.unit,
        "x-minimum": column.minimum,
        "x-maximum": column.maximum,
        "x-values": list(column.values),
    }
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _example(column: Column) -> Any:
    if column.example is not None:
        return column.example
    if column.values:
        return column.values[0]
    if column.dtype in ("int64", "float64"):
        least = max(column.minimum or 0, 0)
        return int(least) if column.dtype == "int64" else float(least)
    return EXAMPLES[column.dtype]
