"""Two parsers of a request: what msgspec takes pydantic takes too, with its values; else pydantic decides."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from mainline.schema import Column, FeatureTable
from serving import schemas
from serving.rows import request_model
from tests.serving import toys

KINDS = ("string", "int64", "float64", "bool", "date", "datetime")
BASE = toys.table("binary")
TABLE = FeatureTable(
    "binary", BASE.key, BASE.time, BASE.block, BASE.target, BASE.excluded,
    tuple(Column(kind, kind, kind) for kind in KINDS),  # type: ignore[arg-type]
)  # fmt: skip
FAST = request_model(TABLE, 3)
SLOW = schemas.request_model(TABLE, 3)
ROW = {name: json.dumps(value) for name, value in schemas.example(TABLE).items()}
HALVES = st.characters(categories=["Cs"]) | st.characters()
NUMBERS = st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
TIMES = st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]([Tt _][0-2][0-9]:[0-6][0-9](:[0-6][0-9]([.,][0-9]{0,9})?)?)?"
    r"([Zz]|[+-][0-2][0-9]:?[0-5]?[0-9]?)?",
    fullmatch=True,
)
VALUES = st.one_of(
    NUMBERS,
    st.integers(-(2**64), 2**64).map(str),
    st.floats().map(json.dumps),
    TIMES.map(json.dumps),
    st.datetimes().map(lambda one: json.dumps(one.isoformat())),
    st.dates().map(lambda one: json.dumps(one.isoformat())),
    st.text(HALVES, max_size=4).map(json.dumps),
    st.integers(199, 201).flatmap(lambda n: st.sampled_from("aé\U0001f600").map(lambda c: json.dumps(c * n))),
    st.sampled_from(
        ["null", "true", "false", "[]", "{}", '"', "", "nul", '"\\u12"', '"\t"', "01", "+1", ".5"]
    ),
)
NAMES = st.sampled_from([*ROW, "surplus", "Key"])
ROWS = st.lists(st.tuples(NAMES, VALUES), max_size=3)


def _body(changes: list[tuple[str, str]], without: str = "", rows: int = 1, ending: str = "") -> bytes:
    """One row and its changes at its end: a name that comes twice counts the last time."""
    pairs = [(name, value) for name, value in ROW.items() if name != without] + changes
    row = "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
    return f'{{"rows": [{", ".join([row] * rows)}]}}{ending}'.encode("utf-8", "surrogatepass")


def _agree(body: bytes) -> list[Any] | None:
    """The rows' values, or None where both refuse, with the same words."""
    try:
        expected = SLOW.model_validate_json(body).rows  # type: ignore[attr-defined]
    except ValidationError as refused:
        with pytest.raises(ValidationError) as caught:
            FAST.model_validate_json(body)
        assert caught.value.json(include_input=False) == refused.json(include_input=False)
        assert caught.value.title == refused.title
        return None
    found = FAST.model_validate_json(body).rows  # type: ignore[attr-defined]
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        for field, name in zip(row.__struct_fields__, row.__struct_encode_fields__, strict=True):
            _same(getattr(row, field), wanted[name])
    return list(found)


def _same(value: Any, wanted: Any) -> None:
    if isinstance(wanted, datetime):  # msgspec rounds to microseconds, pydantic cuts
        assert value.utcoffset() == wanted.utcoffset() and timedelta(0) <= value - wanted <= timedelta(
            0, 0, 1
        )
    else:
        assert (type(value), repr(value)) == (type(wanted), repr(wanted))


@given(ROWS)
@example([("float64", "1e400")])
@example([("float64", "1e-400")])
@example([("string", '"\\ud800"')])
@example([("string", '"\\udc00 "')])
@example([("string", '"\\ud83d\\ude00"')])
@example([("int64", "1.0")])
@example([("int64", str(2**63))])
@example([("datetime", '"2013-07-01T17:15"')])
@example([("string", json.dumps("\U0001f600" * 201))])
def test_both_parsers_agree(changes: list[tuple[str, str]]) -> None:
    _agree(_body(changes))


@given(st.sampled_from([*ROW]), ROWS)
def test_both_parsers_agree_on_a_missing_field(without: str, changes: list[tuple[str, str]]) -> None:
    _agree(_body(changes, without))


@given(st.binary(max_size=4), st.integers(0, 400), st.integers(0, 4))
def test_both_parsers_agree_on_a_spoilt_body(spoilt: bytes, at: int, cut: int) -> None:
    body = _body([])
    _agree(body[:at] + spoilt + body[at + cut :])


@pytest.mark.parametrize("ending", ["", " \n", "x", "{}", "\x00"])
@pytest.mark.parametrize("rows", range(5))
def test_both_parsers_agree_on_the_number_of_rows_and_the_end(rows: int, ending: str) -> None:
    taken = _agree(_body([], rows=rows, ending=ending)) is not None
    assert taken == (1 <= rows <= 3 and not ending.strip())


@pytest.mark.parametrize(
    "name", ["Größe (m)", "年齢", "हिन्दी-x 2.5%", "_1", "key 2", "f0", "class", "é" * 100]
)
def test_every_plain_name_of_a_column_is_parsed(name: str) -> None:
    """A schema refuses others; a quote or a line break would end the service at its start."""
    table = replace(TABLE, features=(Column(name, "float64", name),))
    body = json.dumps({"rows": [schemas.example(table)]}).encode()
    (row,) = request_model(table, 1).model_validate_json(body).rows  # type: ignore[attr-defined]
    assert row.__struct_encode_fields__[-1] == name and row.f0 == 0.0
    assert name in json.dumps(schemas.request_model(table, 1).model_json_schema(), ensure_ascii=False)


DEEP = [b"[" * 5000, b'{"rows": [' * 999]


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"rows": null}', b"\xff", *DEEP], ids=range(7))
def test_both_parsers_refuse_what_is_no_request(body: bytes) -> None:
    assert _agree(body) is None


def test_a_request_is_parsed_without_pydantic() -> None:
    """Seen by how a time beyond microseconds is taken; one that only pydantic knows is still taken."""
    (row,) = _agree(_body([("datetime", '"2013-07-01T17:15:00.9999999"')])) or ()
    assert row.f5 == datetime(2013, 7, 1, 17, 15, 1)
    (row,) = _agree(_body([("datetime", '"2013-07-01T17:15"')])) or ()
    assert row.f5 == datetime(2013, 7, 1, 17, 15)


def test_the_documentation_is_that_of_pydantic() -> None:
    assert FAST.model_json_schema() == SLOW.model_json_schema()
