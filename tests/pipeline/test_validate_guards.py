"""What Great Expectations lets pass and we do not; every guard is shown beside Great Expectations alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from math import inf, nan

import great_expectations.expectations as gxe
import polars as pl
import pytest
from great_expectations.expectations.expectation import Expectation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainline.errors import ConfigError
from mainline.records import Check
from mainline.schema import Column, Table
from mainline.settings import Month
from pipeline.text import inert
from pipeline.validation import checks, datadocs, expect, suites

MONTH = Month(2020, 2)
ORDERS = Table(
    "orders",
    (
        Column("id", "string", "key"),
        Column("day", "date", "of the order"),
        Column("at", "datetime", "of the order, UTC"),
        Column("amount", "float64", "paid", minimum=0, maximum=1000),
        Column("weight", "float64", "no range", nullable=True),
        Column("pieces", "int64", "ordered", nullable=True, minimum=0),
        Column("shop", "string", "closed set", values=("north", "south")),
        Column("gift", "bool", "no range, no set"),
    ),
    key=("id",),
    time="day",
)


def orders(rows: int = 40) -> pl.DataFrame:
    numbers = range(rows)
    days = [date(2020, 2, 1) + timedelta(days=number % 29) for number in numbers]
    return pl.DataFrame(
        {
            "id": [f"order {number}" for number in numbers],
            "day": days,
            "at": [datetime(day.year, day.month, day.day, 12) for day in days],
            "amount": [float(number) for number in numbers],
            "weight": [None if number % 3 == 0 else number / 7 for number in numbers],
            "pieces": [None if number % 5 == 0 else number for number in numbers],
            "shop": [("north", "south")[number % 2] for number in numbers],
            "gift": [number % 4 == 0 for number in numbers],
        },
        schema_overrides={"at": pl.Datetime("us"), "weight": pl.Float64, "pieces": pl.Int64},
    )


def broken(column: str, value: object) -> pl.DataFrame:
    """Good orders, but for one cell in row 7."""
    frame = orders()
    cells = frame[column].to_list()
    cells[7] = value
    return frame.with_columns(pl.Series(column, cells, dtype=frame.schema[column]))


def validate(frame: pl.DataFrame) -> list[Check]:
    suite = suites.raw(ORDERS, MONTH)
    return expect.run("orders 2020-02", frame, ORDERS.columns, suite, key=ORDERS.key, sample_rows=3).failures


def alone(frame: pl.DataFrame, *expectations: Expectation) -> bool:
    """The verdict of Great Expectations without us."""
    batch = expect._definition().get_batch(batch_parameters={"dataframe": frame.to_pandas()})
    return bool(batch.validate(suites_of(*expectations)).success)


def suites_of(*expectations: Expectation) -> object:
    import great_expectations as gx

    return gx.ExpectationSuite("alone", expectations=list(expectations))


def test_good_orders_pass() -> None:
    outcome = expect.run(
        "orders", orders(), ORDERS.columns, suites.raw(ORDERS, MONTH), key=ORDERS.key, sample_rows=3
    )
    assert outcome.failures == []
    assert outcome.checks > 2 * len(ORDERS.columns)


def test_an_empty_suite_is_an_error() -> None:
    assert alone(orders())
    with pytest.raises(ConfigError, match="orders 2020-02 is empty"):
        expect.run("orders 2020-02", orders(), ORDERS.columns, [], key=("id",), sample_rows=3)


def test_zero_rows_are_critical() -> None:
    nothing = orders().head(0)
    assert alone(
        nothing,
        gxe.ExpectColumnValuesToNotBeNull(column="amount"),
        gxe.ExpectColumnValuesToBeBetween(column="amount", min_value=0, max_value=1),
        gxe.ExpectColumnValuesToBeUnique(column="id"),
    )
    failure = only(validate(nothing))
    assert (failure.expectation, failure.severity) == ("expect_table_row_count_to_be_between", "critical")
    assert failure.observed == "0"


@pytest.mark.parametrize("column", ["pieces", "weight"])
def test_an_all_null_column_is_critical(column: str) -> None:
    nulls = orders().with_columns(pl.lit(None, orders().schema[column]).alias(column))
    assert alone(
        nulls,
        gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0, max_value=1),
        gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[1]),
        gxe.ExpectColumnValuesToBeUnique(column=column),
    )
    failure = only(validate(nulls))
    assert (failure.column, failure.severity) == (column, "critical")


@pytest.mark.parametrize("value", [inf, -inf, nan])
def test_a_number_that_is_none_is_critical(value: float) -> None:
    frame = broken("weight", value)
    assert alone(frame, gxe.ExpectColumnValuesToBeOfType(column="weight", type_="float64"))
    failure = only(validate(frame))
    assert (failure.column, failure.severity, failure.unexpected) == ("weight", "critical", 1)
    assert failure.sample == [{"id": '"order 7"', "weight": str(value)}]


@pytest.mark.parametrize(
    ("column", "value", "expectation"),
    [
        ("amount", 1000.5, "expect_column_values_to_be_between"),
        ("amount", None, "expect_column_values_to_not_be_null"),
        ("pieces", -1, "expect_column_values_to_be_between"),
        ("shop", "west", "expect_column_values_to_be_in_set"),
        ("id", "order 6", "expect_column_values_to_be_unique"),
        ("day", date(2020, 3, 1), "expect_column_values_to_be_between"),
        ("day", date(9999, 1, 1), "expect_column_values_to_be_between"),
        ("day", date(2020, 1, 31), "expect_column_values_to_be_between"),
    ],
)
def test_one_broken_cell_is_found_and_named(column: str, value: object, expectation: str) -> None:
    failure = only(validate(broken(column, value)))
    assert (failure.column, failure.expectation, failure.severity) == (column, expectation, "critical")
    assert failure.unexpected == (2 if column == "id" else 1)
    assert failure.sample[-1]["id"] == ('"order 6"' if column == "id" else '"order 7"')


TWO = replace(ORDERS, key=("shop", "at"))  # each of them repeats, the two together do not


@pytest.mark.parametrize(
    ("changed", "unexpected"),
    [
        ({}, 0),
        ({"shop": "north"}, 0),  # in row 7, which is south: no other order of that time
        ({"at": datetime(2020, 2, 3, 12)}, 0),  # row 2 is of that time, and of the north
        ({"shop": "north", "at": datetime(2020, 2, 3, 12)}, 2),  # both as in row 2
    ],
)
def test_two_rows_with_one_key_of_two_columns_are_critical(changed: dict, unexpected: int) -> None:
    frame = orders(29)
    cells = frame.to_dicts()
    cells[7] |= changed
    frame = pl.DataFrame(cells, schema=frame.schema)
    failures = expect.run(
        "two", frame, TWO.columns, suites.raw(TWO, MONTH), key=TWO.key, sample_rows=3
    ).failures
    assert [each.unexpected for each in failures] == [unexpected] * bool(unexpected)
    for failure in failures:
        assert failure.expectation == "expect_compound_columns_to_be_unique"
        assert (failure.column, failure.severity) == (None, "critical")
        assert failure.sample == [{"shop": '"north"', "at": "2020-02-03 12:00:00"}] * 2


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ("amount", pl.Float32),
        ("pieces", pl.Float64),
        ("pieces", pl.Int32),
        ("shop", pl.Categorical),
        ("gift", pl.Int64),
        ("day", pl.Datetime("us")),
        ("at", pl.Datetime("ns")),
        ("at", pl.Datetime("us", "UTC")),
        ("at", pl.String),
    ],
)
def test_a_column_of_another_type_is_critical(column: str, dtype: pl.DataType) -> None:
    frame = orders().with_columns(pl.col(column).cast(dtype))
    failure = only(validate(frame))
    assert (failure.column, failure.severity) == (column, "critical")
    assert failure.expectation == "expect_column_values_to_be_of_type"
    assert failure.observed == inert(str(frame.schema[column]))


def test_pandas_alone_takes_an_integer_for_a_float() -> None:
    """The reason why types are compared before conversion."""
    frame = orders().with_columns(pl.col("pieces").cast(pl.Float64))
    assert frame.to_pandas()["pieces"].dtype == orders().to_pandas()["pieces"].dtype


def test_a_missing_and_an_extra_column_are_named() -> None:
    frame = orders().rename({"amount": "@team\n../x"})
    failure = only(validate(frame))
    assert failure.expectation == "expect_table_columns_to_match_set"
    assert failure.severity == "critical"
    assert "missing: amount" in failure.observed
    assert "\\x40team\\x5cn../x" in failure.observed or "\\x40team\\n../x" in failure.observed


def test_an_expectation_that_cannot_be_evaluated_is_critical() -> None:
    words = gxe.ExpectColumnValuesToMatchRegex(column="amount", regex="(", severity="warning")
    failures = expect.run("orders", orders(), ORDERS.columns, [words], key=("id",), sample_rows=3).failures
    assert only(failures).severity == "critical"
    assert only(failures).observed.startswith("cannot be evaluated")


def test_large_integers_are_not_rounded() -> None:
    """As floats the two keys would be one."""
    columns = (Column("key", "int64", ""), Column("x", "int64", "", nullable=True))
    frame = pl.DataFrame({"key": [2**60, 2**60 + 1], "x": [2**60 + 1, None]})
    suite = [*suites.columns(columns), suites.unique(("key",))]
    suite.append(gxe.ExpectColumnValuesToBeInSet(column="x", value_set=[2**60 + 1]))
    assert expect.run("keys", frame, columns, suite, key=("key",), sample_rows=1).failures == []


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [(0, 9, "0"), (9, 9, "100"), (502, 504, "99.6"), (999_999, 1_000_000, "99.9"), (1, 400, "0.25"),
     (1, 20, "5"), (1, 3, "33.3"), (1, 10**7, "below 0.01"), (0, 0, "0")],
)  # fmt: skip
def test_a_share_of_rows_is_read_at_a_glance(count: int, total: int, text: str) -> None:
    observed = checks._observed({"unexpected_count": count, "element_count": total, "missing_count": 0})
    assert observed == f"{count:,} of {total:,} rows ({text} %)"


HOSTILE = [
    "a\nb",
    "../../etc",
    "=cmd|' /C calc'!A0",
    "@team",
    "<script>alert(1)</script>",
    "$x ${y}",
    "`x`",
    "x" * 500,
]


def test_hostile_values_are_inert_in_record_and_page() -> None:
    frame = orders().with_columns(shop=pl.Series(HOSTILE * 5))
    outcome = expect.run(
        "orders 2020-02", frame, ORDERS.columns, suites.raw(ORDERS, MONTH), key=ORDERS.key, sample_rows=10
    )
    shown = [row["shop"] for row in only(outcome.failures).sample]
    assert len(shown) == 10
    for text in shown:
        assert text.isprintable() and not set(text) & set("@<>`$"), text
        assert text[0] == text[-1] == '"' and len(text) < 100
    page = datadocs.page(outcome.result, "failed")
    assert "<script" not in page and "http" not in page
    assert "script" in page, "the value itself is to be seen"


@settings(max_examples=200, deadline=None)
@given(st.text(), st.integers(1, 50))
def test_inert_text_has_nothing_to_act_on(text: str, limit: int) -> None:
    safe = inert(text, limit)
    assert safe.isprintable() or safe == ""
    assert not set(safe) & set("@<>`|[]*&$")
    assert len(safe) <= 10 * limit
    assert inert("plain text, 1.5 %") == "plain text, 1.5 %"


ROW = st.fixed_dictionaries(
    {
        "day": st.dates(date(2020, 2, 1), date(2020, 2, 29)),
        "at": st.datetimes(datetime(1600, 1, 1), datetime(9000, 1, 1)),
        "amount": st.floats(0, 1000),
        "weight": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "pieces": st.none() | st.integers(0, 2**62),
        "shop": st.sampled_from(["north", "south"]),
        "gift": st.booleans(),
    }
)
WRONG: dict[str, list[object]] = {
    "day": [date(2020, 1, 31), date(2020, 3, 1), None],
    "amount": [-1.0, 1001.0, nan, inf, None],
    "weight": [nan, -inf],
    "pieces": [-1],
    "shop": ["east", "", None],
    "gift": [None],
    "id": [None, "taken"],
}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(ROW, min_size=2, max_size=6),
    st.data(),
)
def test_any_frame_that_fits_passes_and_one_broken_cell_fails(rows: list[dict], data: st.DataObject) -> None:
    first = {**rows[0], "weight": 1.0, "pieces": 1, "id": "taken"}
    cells = [first, *({**row, "id": f"order {number}"} for number, row in enumerate(rows[1:]))]
    types = orders().schema
    assert validate(pl.DataFrame(cells, schema=types)) == []
    column = data.draw(st.sampled_from(sorted(WRONG)))
    cells[-1] = {**cells[-1], column: data.draw(st.sampled_from(WRONG[column]))}
    failures = validate(pl.DataFrame(cells, schema=types))
    assert {failure.column for failure in failures} == {column}
    assert all(failure.severity == "critical" for failure in failures)


def only(failures: list[Check]) -> Check:
    assert len(failures) == 1, [(failure.column, failure.expectation) for failure in failures]
    return failures[0]
