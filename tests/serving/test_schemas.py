"""Request and answer of every task, from small tables: what is refused, and what the documentation shows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mainline.schema import Column, FeatureTable, Task
from serving import schemas
from tests.serving import toys

TASKS: list[Task] = ["binary", "multiclass", "regression"]
REQUEST = schemas.request_model(toys.table("binary"), max_rows=3)
ROW = {"key": "k", "time": "2020-01-02T03:04:05", "c": "a", "x": 0.5, "d": "b", "y": 3}
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none())


def _parse(rows: Any) -> Any:
    return REQUEST.model_validate_json(json.dumps({"rows": rows}))


def _refused(rows: Any) -> tuple[Any, ...]:
    with pytest.raises(ValidationError) as caught:
        _parse(rows)
    return caught.value.errors()[0]["loc"]


@pytest.mark.parametrize("task", TASKS)
def test_the_example_is_a_valid_request(task: Task) -> None:
    table = toys.table(task)
    request = schemas.request_model(table, 1)
    request.model_validate_json(json.dumps({"rows": [schemas.example(table)]}))
    assert request.model_json_schema()["example"]["rows"][0] == schemas.example(table)


@pytest.mark.parametrize("name", ROW)
def test_a_missing_field_is_refused_by_its_name(name: str) -> None:
    assert _refused([{key: value for key, value in ROW.items() if key != name}]) == ("rows", 0, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", "0.5"), ("x", True), ("y", 3.5), ("y", "3"), ("y", 2**63), ("c", 7), ("c", "x" * 201),
     ("key", None), ("time", None), ("time", "yesterday"), ("time", 5), ("surplus", 1), ("x", [1])],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_the_name_of_its_field(name: str, value: Any) -> None:
    location = _refused([ROW, {**ROW, name: value}])
    assert location[:3] == ("rows", 1, name)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_is_finite(text: str) -> None:
    body = json.dumps({"rows": [ROW]}).replace("0.5", text)
    with pytest.raises(ValidationError):
        REQUEST.model_validate_json(body)


@pytest.mark.parametrize("rows", [[], [ROW] * 4, ROW, None])
def test_the_number_of_rows_is_limited(rows: Any) -> None:
    assert _refused(rows) == ("rows",)


def test_only_the_first_bad_row_is_told() -> None:
    """A thousand bad rows must not make an answer larger than the request."""
    with pytest.raises(ValidationError) as caught:
        _parse([{}, {}, {}])
    assert {error["loc"][1] for error in caught.value.errors()} == {0}


@pytest.mark.parametrize("name", ["c", "x", "d", "y"])
def test_null_is_a_value_of_every_feature(name: str) -> None:
    assert _parse([{**ROW, name: None}]).rows[0][name] is None


def test_what_is_out_of_range_or_unknown_is_let_through() -> None:
    assert _parse([{**ROW, "x": 99, "y": -4, "c": "unheard of"}])


@given(st.dictionaries(st.sampled_from([*ROW, "surplus"]), VALUES))
def test_a_request_is_refused_or_typed(changes: dict[str, Any]) -> None:
    try:
        row = REQUEST.model_validate({"rows": [{**ROW, **changes}]}).rows[0]  # type: ignore[attr-defined]
    except ValidationError:
        return
    assert set(row) == set(ROW)
    assert row["c"] is None or isinstance(row["c"], str)
    assert row["y"] is None or (isinstance(row["y"], int) and not isinstance(row["y"], bool))


def test_the_documentation_shows_names_units_ranges_and_an_example() -> None:
    shown = REQUEST.model_json_schema()["$defs"]["Row"]["properties"]["x"]
    assert shown["description"] == "a number; [m]; usual: -1 to 1"
    assert (shown["x-unit"], shown["x-minimum"], shown["x-maximum"]) == ("m", -1, 1)
    assert shown["examples"] == [0.0]
    assert "minimum" not in json.dumps(shown["anyOf"])  # it is no limit


def test_dates_and_flags_are_features_too() -> None:
    kinds = ("string", "int64", "float64", "bool", "date", "datetime")
    features = tuple(Column(f"f_{kind}", kind, kind) for kind in kinds)  # type: ignore[arg-type]
    base = toys.table("binary")
    table = FeatureTable("binary", base.key, base.time, base.block, base.target, base.excluded, features)
    schemas.request_model(table, 1).model_validate_json(json.dumps({"rows": [schemas.example(table)]}))


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_has_what_its_task_needs(task: Task) -> None:
    told = {
        "binary": {"probability": 0.25, "decision": False},
        "multiclass": {"probabilities": {"one": 0.2, "two": 0.7, "three": 0.1}, "decision": "two"},
        "regression": {"value": 12.5},
    }[task]
    head = {"request_id": "r", "model": "m", "version": "v1.0.0"}
    answer = schemas.answer_model(toys.table(task))
    assert answer.model_validate({**head, "predictions": [{"key": "k", **told}]})
    with pytest.raises(ValidationError):
        answer.model_validate({**head, "predictions": [{"key": "k"}]})
