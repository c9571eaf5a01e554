"""The flights' columns, declared once: raw tables, modelling table, and everything derived from them.

Minutes of the clock are local; `scheduled` and `observed` are UTC without a zone (they never jump).
Months are those of the local day, for raw tables and for the train, validation and test windows alike.
"""

from __future__ import annotations

from dataclasses import replace

from mainline.schema import Column, DType, FeatureTable, Table

ORIGINS = ("EWR", "JFK", "LGA")

_DAY = Column("day", "date", "local date", example="2013-07-05")
_KEY = Column(
    "flight_key",
    "string",
    "local date and time of scheduled departure, origin, carrier and flight number",
    example="2013-07-05_1715_JFK_B6118",
)
_LOCAL = Column("scheduled_local", "datetime", "scheduled departure, local", example="2013-07-05T17:15:00")
_ORIGIN = Column("origin", "string", "airport of departure", values=ORIGINS, example="JFK")
_CARRIER = Column("carrier", "string", "airline, two-letter IATA code", example="B6")
_DEST = Column("dest", "string", "airport of arrival", example="BOS")
_MINUTE = Column(
    "minute_of_day", "int64", "scheduled departure, local", "min", minimum=0, maximum=1439, example=1035
)
_DISTANCE = Column("distance", "int64", "between the airports", "mi", minimum=1, maximum=6000, example=187)
_DURATION = Column(
    "duration",
    "int64",
    "scheduled time from gate to gate; null where the destination's time zone is unknown",
    "min",
    nullable=True,
    minimum=10,
    maximum=1439,
    example=71,
)
_SEATS = Column("seats", "int64", "of this aircraft", nullable=True, minimum=1, maximum=900, example=150)

FLIGHTS = Table(
    "flights",
    (
        _KEY,
        _DAY,
        Column("scheduled", "datetime", "scheduled departure, UTC"),
        _LOCAL,
        _DURATION,
        _CARRIER,
        Column("carrier_name", "string", "null when the airline table lacks the carrier", nullable=True),
        Column("flight", "int64", "flight number", minimum=1, maximum=9999),
        Column("tailnum", "string", "registration of the aircraft", nullable=True),
        _ORIGIN,
        _DEST,
        Column("dest_name", "string", "null when the airport table lacks the destination", nullable=True),
        _DISTANCE,
        Column("plane_year", "int64", "built in", nullable=True, minimum=1930, maximum=2100),
        Column("plane_model", "string", "null when the aircraft table lacks the aircraft", nullable=True),
        _SEATS,
        Column("dep_delay", "int64", "departure; null: cancelled", "min", True, minimum=-120, maximum=3000),
        Column("arr_delay", "int64", "arrival; null: cancelled, diverted", "min", True, -180, 3000),
        Column("air_time", "int64", "time in the air", "min", nullable=True, minimum=5, maximum=1200),
    ),
    key=("flight_key",),
    time="day",
)


def _measured(
    name: str, description: str, unit: str, low: float, high: float | None, example: float
) -> Column:
    """Of the weather; some hours lack it."""
    kind: DType = "int64" if isinstance(example, int) else "float64"
    return Column(name, kind, description, unit, True, low, high, example=example)


WEATHER = Table(
    "weather",
    (
        _ORIGIN,
        _DAY,
        Column("observed", "datetime", "UTC"),
        _measured("temp", "temperature", "°F", -40, 130, 75.9),
        _measured("dewp", "dew point", "°F", -60, 100, 64.4),
        _measured("humid", "relative humidity", "%", 0, 100, 67.5),
        _measured("wind_dir", "wind comes from; 0: calm", "°", 0, 360, 200),
        _measured("wind_speed", "wind; one of 1048 was recorded", "mph", 0, None, 11.5),
        _measured("wind_gust", "gusts", "mph", 0, 250, 18.4),
        _measured("precip", "in the hour before", "in", 0, 15, 0.0),
        _measured("pressure", "at sea level", "hPa", 870, 1090, 1016.2),
        _measured("visib", "visibility, cut at 10", "mi", 0, 10, 10.0),
    ),
    key=("origin", "observed"),
    time="day",
)

RAW = (FLIGHTS, WEATHER)


def _number(name: str, description: str, unit: str = "", **limits: float) -> Column:
    return Column(name, "float64", description, unit, nullable=True, **limits)  # type: ignore[arg-type]


def _observed(name: str) -> Column:
    """A feature that is a column of the weather table, some hours old."""
    found = next(column for column in WEATHER.columns if column.name == name)
    return replace(found, nullable=True)


def _delay(name: str, description: str) -> Column:
    return _number(name, f"mean delay: {description}", "min", minimum=-30, maximum=120)


def _waiting(name: str, description: str) -> tuple[Column, Column]:
    """Flights that should have left and have not: how many, and for how long together."""
    return (
        _number(f"{name}_waiting", f"overdue departures {description}", minimum=0, maximum=500),
        _number(f"{name}_overdue", f"minutes of overdue departures {description}", "min", minimum=0),
    )


FEATURES = FeatureTable(
    task="binary",
    key=_KEY,
    time=_LOCAL,
    block=_DAY,
    target=Column("late", "int64", "arrived more than 15 minutes late", minimum=0, maximum=1),
    excluded=Column(
        "excluded", "string", "why there is no target", nullable=True, values=("cancelled", "diverted")
    ),
    features=(
        _MINUTE,
        Column("weekday", "int64", "1: Monday", minimum=1, maximum=7, example=5),
        _CARRIER,
        _ORIGIN,  # not _DEST: a hundred effects of earlier months mislead; its recent delays below do not
        _DISTANCE,
        _DURATION,
        _number("age", "years since the aircraft was built", "a", minimum=-1, maximum=100),
        _SEATS,
        *map(
            _observed, ("temp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
        ),
        _number("congestion", "departures of this airport scheduled in the hour up to this one", minimum=1),
        _delay("origin_left", "departures of this airport, last hour"),
        _delay("carrier_left", "departures of this airline at this airport, last 2 hours"),
        _delay("origin_arrived", "arrivals from this airport, last 3 hours"),
        _delay("dest_arrived", "arrivals at this destination, last 6 hours"),
        _delay("route_arrived", "arrivals on this route, last 28 days"),
        _delay("number_arrived", "arrivals under this flight number, last 28 days"),
        _delay("aircraft_left", "departures of this aircraft, last 18 hours"),
        _delay("aircraft_arrived", "arrivals of this aircraft, last 18 hours"),
        _number(
            "aircraft_gap", "since this aircraft's last scheduled departure, at most a day", "min", minimum=0
        ),
        *_waiting("origin", "of this airport"),
        *_waiting("carrier", "of this airline at this airport"),
        *_waiting("dest", "to this destination"),
        *_waiting("aircraft", "of this aircraft"),
    ),
    slices=(
        _CARRIER,
        _ORIGIN,
        Column("hour_band", "string", "of scheduled departure", values=("05-08", "09-12", "13-16", "17-23")),
        Column("month", "string", "of scheduled departure"),
        Column(
            "weather",
            "string",
            "as observed before",
            values=("clear", "rain", "low visibility", "wind", "unknown"),
        ),
    ),
)
