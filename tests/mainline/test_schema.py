"""A declaration that cannot be is refused where it is written, not after a training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline.errors import ConfigError
from mainline.schema import NUMBERS, Column, DType, FeatureTable, Table
from usecase.schema import FEATURES, RAW

KEY = Column("id", "string", "key")
DAY = Column("day", "date", "of the order")
AT = Column("at", "datetime", "of the order, UTC")
X = Column("x", "float64", "a feature", minimum=0, maximum=1)
SHOP = Column("shop", "string", "closed set", values=("north", "south"))
LATE = Column("late", "int64", "target", minimum=0, maximum=1)
WHY = Column("why", "string", "left out", nullable=True)
GOOD = FeatureTable("binary", KEY, AT, DAY, LATE, WHY, (X, SHOP), (SHOP,))
ORDERS = Table("orders", (KEY, DAY, X), ("id",), "day")


@pytest.mark.parametrize("declared", [GOOD, ORDERS, FEATURES, *RAW], ids=lambda one: type(one).__name__)
def test_what_is_good_stays_what_it_is(declared: Table | FeatureTable) -> None:
    assert replace(declared) == declared
    for column in declared.columns:
        assert replace(column) == column


def typed(column: Column, dtype: Any) -> Column:
    return Column(column.name, dtype, column.description, nullable=column.nullable)


@pytest.mark.parametrize(
    "changes",
    [
        {"block": AT},
        {"block": KEY},
        {"time": DAY},
        {"key": typed(KEY, "int64")},
        {"block": SHOP},
        {"target": typed(LATE, "bool")},
        {"task": "regression"},
        {"task": "multiclass", "target": typed(LATE, "string"), "classes": ("a", "b")},
        {"slices": ()},
        {"slices": (Column("month", "string", "no feature"),)},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_the_docstring_allows(changes: dict[str, Any]) -> None:
    replace(GOOD, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": (X, LATE)}, "target late is a feature, too"),
        ({"features": (X, KEY)}, "key id is a feature, too"),
        ({"features": (X, WHY)}, "excluded why is a feature, too"),
        ({"features": (X, AT)}, "time at is a feature, too"),
        ({"features": (X, X)}, "x is a feature twice"),
        ({"features": (X,), "slices": (SHOP, SHOP)}, "shop is a slice twice"),
        ({"features": (replace(X, name="probability"),)}, "probability has the name of the model's answer"),
        ({"features": ()}, "no features"),
        ({"features": X}, "features is no tuple of Column"),
        ({"features": ("x",)}, "features is no tuple of Column"),
        ({"slices": SHOP}, "slices is no tuple of Column"),
        ({"slices": (Column("pieces", "int64", ""),)}, "slice pieces is int64, not string"),
        ({"slices": (typed(X, "string"),)}, "x is declared float64 and string"),
        ({"key": "id"}, "its key is no Column"),
        ({"key": X}, "key x is float64, not string or int64"),
        ({"key": replace(KEY, nullable=True)}, "id is nullable"),
        ({"key": LATE}, "late is a key, time, target or excluded twice"),
        ({"time": Column("hour", "int64", "")}, "time hour is int64, not date or datetime"),
        ({"time": Column("at", "string", "")}, "time at is string, not date or datetime"),
        ({"block": X}, "block x is float64"),
        ({"block": LATE}, "target late is the block, too"),
        ({"block": typed(AT, "date")}, "at is declared date and datetime|at is declared datetime and date"),
        ({"excluded": SHOP, "features": (X,)}, "excluded shop is not nullable"),
        ({"excluded": Column("why", "bool", "", nullable=True)}, "excluded why is bool, not string"),
        ({"target": typed(LATE, "string")}, "target late is string, not int64 or float64 or bool"),
        ({"task": "ranking"}, "'ranking' is no task: choose of binary, multiclass, regression"),
        ({"task": "multiclass"}, "target late is int64, not string; a multiclass task needs its classes"),
        ({"classes": ("a", "b")}, "a binary task has no classes"),
    ],
    ids=str,
)
def test_a_feature_table_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        replace(GOOD, **changes)
    assert caught.value.what.startswith("the feature table")
    assert "src/usecase/schema.py" in caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"columns": (KEY, DAY, DAY)}, "day is a column twice"),
        ({"columns": KEY}, "columns is no tuple"),
        ({"key": "id"}, "key is no tuple"),
        ({"key": ()}, "its key names no column"),
        ({"key": ("id", "shop")}, "'shop' of its key is no column"),
        ({"time": "at"}, "its time 'at' is no column, not date or datetime"),
        ({"time": "x"}, "its time 'x' is float64"),
        ({"name": "../orders"}, "no name of a folder"),
        ({"name": ""}, "no name of a folder"),
    ],
    ids=str,
)
def test_a_raw_table_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(ORDERS, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dtype": "int"}, "it is int, not string or int64"),
        ({"minimum": 2}, "minimum is above"),
        ({"maximum": float("nan")}, "minimum is above"),
        ({"values": ("a",)}, "float64 has no closed set"),
        ({"dtype": "string"}, "string has no minimum"),
        ({"dtype": "date"}, "date has no minimum"),
        ({"name": ""}, "its name is no text"),
    ],
    ids=str,
)
def test_a_column_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(X, **changes)


PLAIN = ["x", "_x", "2nd", "Größe (m)", "年齢", "हिन्दी", "ash.alcalinity 2.5%", "код-1", "x" * 100]
ODD = [
    *(f"a{mark}b" for mark in "\"'`\\/|<>[]{}$,:;=@#\n\t\r\x00\x7f\u00a0\u200b\u2028\u202e\ud800\U0001f600"),
    "../a", "=a", "@a", "-a", ".a", " a", "a ", "%", "\u0308a", "u\u0308", "x" * 101,
]  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name(name: str) -> None:
    assert replace(X, name=name).name == name


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_could_break_a_format_is_refused_with_what_it_may_have(name: str) -> None:
    with pytest.raises(ConfigError, match="its name is not plain") as caught:
        replace(X, name=name)
    assert "letters and digits of any script" in caught.value.what and "- . % ( )" in caught.value.what
    assert repr(name) in caught.value.what


@given(st.text(max_size=8))
def test_an_accepted_name_needs_no_quoting(name: str) -> None:
    try:
        Column(name, "float64", "")
    except ConfigError:
        return
    assert (
        name.isprintable() and name == name.strip() and not set(name) & set("\"'`\\|/<>[]{}$,:;=@#&*!?^~+\n")
    )
    name.encode()


@pytest.mark.parametrize("values", ["north", ["north"], ("north", 1), ("north", "north")])
def test_a_set_of_values_that_is_none(values: Any) -> None:
    with pytest.raises(ConfigError, match=r"values is no tuple of str|north is a value twice"):
        Column("shop", "string", "", values=values)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match="at is string") as caught:
        replace(GOOD, features=(X, LATE), time=typed(AT, "string"))
    assert "target late" in caught.value.what


ENDS = st.none() | st.floats() | st.integers()


@given(st.sampled_from(get_args(DType)), ENDS, ENDS)
def test_a_range_is_one_of_numbers_or_refused(dtype: DType, low: float | None, high: float | None) -> None:
    good = (dtype in NUMBERS or low is None is high) and all(end == end for end in (low, high))
    good = good and (low is None or high is None or low <= high)
    try:
        column = Column("x", dtype, "", minimum=low, maximum=high)
    except ConfigError:
        assert not good
    else:
        assert good and (column.minimum, column.maximum) == (low, high)


ROLES = ("key", "time", "block", "target", "excluded")


@given(
    st.permutations([KEY, AT, DAY, LATE, WHY]), st.lists(st.sampled_from([X, SHOP, KEY, LATE]), max_size=3)
)
def test_no_column_is_both_asked_and_answered(columns: list[Column], features: list[Column]) -> None:
    """Whatever is mixed up: what is accepted has an answer that is no input."""
    try:
        table = replace(GOOD, **dict(zip(ROLES, columns, strict=True)), features=tuple(features))
    except ConfigError:
        return
    names = [column.name for column in table.features]
    assert not {table.key.name, table.time.name, table.target.name, table.excluded.name} & set(names)
    assert len(set(names)) == len(names) and table.time.dtype in ("date", "datetime")
