"""What the flights' own expectations catch, month by month."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from mainline.records import Check
from mainline.settings import Month
from pipeline.frames import polars_schema
from pipeline.validation import expect, suites
from usecase import expectations
from usecase.schema import FLIGHTS, WEATHER

JULY = Month(2013, 7)


def flights(month: Month = JULY, a_day: int = 10) -> pl.DataFrame:
    """A good month: every day the same flights, one in twenty of them cancelled."""
    rows = []
    for number in range((month.plus(1).first_day - month.first_day).days * a_day):
        day = month.first_day + timedelta(days=number // a_day)
        local = datetime(day.year, day.month, day.day, 6) + timedelta(minutes=20 * (number % a_day))
        flew = number % 20 != 3
        rows.append(
            {
                "flight_key": f"{local:%Y-%m-%d_%H%M}_JFK_B6{100 + number % a_day}",
                "day": day,
                "scheduled": local + timedelta(hours=4),
                "scheduled_local": local,
                "duration": 71,
                "carrier": "B6",
                "carrier_name": "JetBlue Airways",
                "flight": 100 + number % a_day,
                "tailnum": "N516JB",
                "origin": "JFK",
                "dest": "BOS",
                "dest_name": "General Edward Lawrence Logan Intl",
                "distance": 187,
                "plane_year": 2000,
                "plane_model": "A320-232",
                "seats": 200,
                "dep_delay": number % 30 if flew else None,
                "arr_delay": number % 30 - 10 if flew else None,
                "air_time": 40 if flew else None,
            }
        )
    return pl.DataFrame(rows).select(FLIGHTS.names).cast(polars_schema(FLIGHTS.columns))  # type: ignore[arg-type]


def failures(frame: pl.DataFrame, earlier: list[pl.DataFrame] | None = None) -> list[Check]:
    history = [flights(JULY.plus(-1)), flights(JULY.plus(-2))] if earlier is None else earlier
    own = expectations.raw("flights", JULY, [month.lazy() for month in history])
    suite = [*suites.raw(FLIGHTS, JULY), *own]
    return expect.run("flights", frame, FLIGHTS.columns, suite, key=FLIGHTS.key, sample_rows=2).failures


def found(frame: pl.DataFrame) -> set[tuple[str | None, str]]:
    return {(failure.column, failure.severity) for failure in failures(frame)}


def test_a_good_month_passes_with_and_without_history() -> None:
    assert failures(flights()) == []
    assert failures(flights(), []) == []


def some(column: str, value: object, every: int, frame: pl.DataFrame | None = None) -> pl.DataFrame:
    """The good month, one row in `every` with another value."""
    frame = flights() if frame is None else frame
    new = pl.when(pl.int_range(pl.len()) % every == 0).then(pl.lit(value)).otherwise(column)
    return frame.with_columns(new.cast(frame.schema[column]).alias(column))


def without(columns: str, every: int) -> pl.DataFrame:
    """The good month, one flight in `every` without any of these columns."""
    frame = flights()
    for column in columns.split():
        frame = some(column, None, every, frame)
    return frame


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (some("carrier_name", None, 100), {("carrier_name", "critical")}),
        (some("dest_name", None, 10), {("dest_name", "warning")}),
        (some("dest_name", None, 100), set()),
        (some("dest", "ZZZ", 20), {("dest", "warning")}),
        (some("dest", "@team", 200), {("dest", "critical")}),
        (some("carrier", "=cmd", 200), {("carrier", "critical")}),
        (some("tailnum", "../../x\n", 200), {("tailnum", "warning")}),
        (some("flight_key", "2013-07-01_0600_JFK_B6100x", 1000), {("flight_key", "critical")}),
        (some("origin", "BOS", 200), {("origin", "critical")}),
        (some("carrier", "ZZ", 20), {("carrier", "warning")}),
        (some("carrier", "ZZ", 200), set()),
        (without("tailnum", 10), {("tailnum", "warning")}),
        (without("duration", 10), {("duration", "warning")}),
        (without("plane_model", 3), {("plane_model", "warning")}),
        (without("plane_year", 3), {("plane_year", "warning")}),
        (without("seats", 3), {("seats", "warning")}),
        (without("tailnum duration plane_model plane_year seats", 30), set()),
        (without("arr_delay air_time", 8), {("arr_delay", "warning")}),
        (without("dep_delay arr_delay air_time", 8), {("dep_delay", "warning"), ("arr_delay", "warning")}),
        (flights().with_columns(pl.col("air_time").fill_null(40)), {("air_time", "critical")}),
        (flights().with_columns(pl.col("arr_delay") + 100), {("arr_delay", "warning")}),
        (some("arr_delay", 2000, 1000), {("arr_delay", "warning")}),
        (some("air_time", None, 50), {("air_time", "critical")}),
        (some("scheduled", datetime(2013, 8, 1, 6), 200), {("scheduled", "critical")}),
        (some("day", date(2013, 8, 1), 200), {("day", "critical")}),
        (flights().filter(pl.col("day") < date(2013, 7, 31)), {("day", "critical")}),
        (flights(a_day=7), {(None, "warning")}),
        (flights(a_day=30), {(None, "warning"), (None, "critical")}),
        (flights().head(1), {("day", "critical"), (None, "critical"), (None, "warning")}),
    ],
    ids=lambda value: str(sorted(map(str, value))) if isinstance(value, set) else "",
)
def test_each_fault_has_its_severity(frame: pl.DataFrame, expected: set[tuple[str | None, str]]) -> None:
    assert found(frame) == expected


def test_nine_in_ten_arrivals_unknown_is_critical() -> None:
    rows = pl.int_range(pl.len())
    unknown = pl.when(rows % 10 == 0).then("arr_delay")
    times = pl.when(rows % 10 == 0).then("air_time")
    frame = flights().with_columns(unknown.alias("arr_delay"), times.alias("air_time"))
    assert found(frame) == {("arr_delay", "critical"), ("arr_delay", "warning")}


def test_a_cancelled_flight_that_arrived_is_critical() -> None:
    frame = flights().with_columns(arr_delay=pl.col("arr_delay").fill_null(0))
    assert ("arr_delay", "critical") in found(frame)
    frame = some("arr_delay", 2900, 2)
    assert ("arr_delay", "warning") in found(frame)


def weather() -> pl.DataFrame:
    """A good month: every hour of New York's July, in UTC."""
    hours = [datetime(2013, 7, 1, 4) + timedelta(hours=hour) for hour in range(31 * 24)]
    values = {"temp": 70.0, "dewp": 50.0, "humid": 60.0, "wind_dir": 180, "wind_speed": 10.0,
              "wind_gust": 20.0, "precip": 0.0, "pressure": 1015.0, "visib": 10.0}  # fmt: skip
    frame = pl.DataFrame({"observed": hours}).with_columns(
        origin=pl.lit("EWR"),
        day=(pl.col("observed") - timedelta(hours=4)).dt.date(),
        **{name: pl.lit(value) for name, value in values.items()},
    )
    return frame.select(WEATHER.names).cast(polars_schema(WEATHER.columns))  # type: ignore[arg-type]


def of_weather(frame: pl.DataFrame) -> list[Check]:
    suite = [*suites.raw(WEATHER, JULY), *expectations.raw("weather", JULY, [])]
    return expect.run("weather", frame, WEATHER.columns, suite, key=WEATHER.key, sample_rows=2).failures


def test_the_anemometer_that_told_1048_is_a_warning() -> None:
    failures = of_weather(some("wind_speed", 1048.36058, 1000, weather()))
    assert [(check.column, check.severity, check.unexpected) for check in failures] == [
        ("wind_speed", "warning", 1)
    ]
    assert failures[0].sample[0]["wind_speed"] == "1048.36058"


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (weather(), set()),
        (weather().filter(pl.col("day") < date(2013, 7, 31)), {("day", "critical")}),
        (some("observed", datetime(2013, 8, 1, 6), 1000, weather()), {("observed", "critical")}),
        (some("wind_gust", 200, 1000, weather()), {("wind_gust", "warning")}),
        *(
            (some(name, None, every, weather()), {(name, "warning")})
            for name, every in {
                "temp": 20, "dewp": 20, "humid": 20, "wind_speed": 20, "precip": 20, "visib": 20,
                "wind_dir": 5, "pressure": 3,
            }.items()
        ),
        (some("temp", 70, 10, weather().with_columns(temp=None).cast({"temp": pl.Float64})),
         {("temp", "warning"), ("temp", "critical")}),
    ],
    ids=lambda value: str(sorted(map(str, value))) if isinstance(value, set) else "",
)  # fmt: skip
def test_each_fault_of_the_weather_has_its_severity(
    frame: pl.DataFrame, expected: set[tuple[str | None, str]]
) -> None:
    assert {(failure.column, failure.severity) for failure in of_weather(frame)} == expected


@pytest.mark.parametrize(("window", "least"), [("train", 1000), ("validation", 300), ("test", 300)])
def test_a_window_of_few_rows_is_critical(window: str, least: int) -> None:
    for rows, expected in ((least, []), (least - 1, ["critical"])):
        frame = pl.DataFrame({"late": [number % 5 // 4 for number in range(rows)]})
        failures = expect.run(
            window, frame, (), expectations.features(window), key=(), sample_rows=1
        ).failures
        assert [each.severity for each in failures if "row_count" in each.expectation] == expected


@pytest.mark.parametrize(("late", "severities"), [(0.2, []), (0.0, ["warning"]), (0.9, ["warning"])])
def test_an_unlikely_share_of_late_flights_is_a_warning(late: float, severities: list[str]) -> None:
    frame = pl.DataFrame({"late": [int(number < 1000 * late) for number in range(1000)]})
    outcome = expect.run("test", frame, (), expectations.features("test"), key=(), sample_rows=1)
    mine = [check for check in outcome.failures if check.column == "late"]
    assert [check.severity for check in mine] == severities
