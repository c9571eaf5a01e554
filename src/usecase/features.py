"""Features known at scheduled departure, against Narwhals' lazy API: the same code for Polars and PySpark.

What had already happened when a flight was about to leave are sums over events, seen from a moment in time.
An event has a place (`by`), a minute (`at`, since 1970) and integer values. A moment of prediction (`asked`)
sees the sum of all events up to it. An event that ends is followed by its negative. Everything is one
running sum over events and moments in order of time: no join by inequality, which Narwhals lacks on PySpark,
and integers, so that neither order nor threads change a digit.
"""

from __future__ import annotations

from collections.abc import Sequence

import narwhals as nw

from usecase.params import Featurize
from usecase.schema import FEATURES

HOUR, DAY = 60, 1440  # minutes
FOR_EVER = 0
GRACE = 10  # minutes after its scheduled departure at which a flight that has not left is overdue
LIMIT = 6 * HOUR  # later than that a flight is not waited for: most of those were cancelled
UNKNOWN_TAXI = 4 * HOUR  # on the ground at most, where the scheduled arrival is unknown
STORM = 200  # mph; faster winds are errors of the instrument


def build(tables: dict[str, nw.LazyFrame], params: Featurize) -> nw.LazyFrame:
    """The modelling table: one row for every raw flight, all columns of FEATURES, in no particular order."""
    flights = _timed(tables["flights"], params)
    weather = _weather(tables["weather"])
    joined = _operations(flights).join(weather, on=["origin", "weather_hour"], how="left")
    labelled = joined.with_columns(*_calendar(), *_slices(), *_outcome())
    return labelled.select(*[column.name for column in FEATURES.columns])


def _timed(flights: nw.LazyFrame, params: Featurize) -> nw.LazyFrame:
    """With minutes since 1970: `at` scheduled, `asked` predicted, `left` and `arrived` known by all.

    A flight that leaves early counts from its scheduled time on: it must not see itself.
    """
    at, delay = nw.col("at"), nw.col("dep_delay")
    taken = nw.coalesce(nw.col("duration") + nw.col("arr_delay"), delay + nw.col("air_time") + UNKNOWN_TAXI)
    timed = flights.with_columns(_minutes("scheduled").alias("at")).with_columns(
        (at - params.lead_minutes).alias("asked"),
        ((at - params.weather_lag_hours * HOUR) // HOUR).alias("weather_hour"),
        (at + delay.clip(lower_bound=0)).alias("left"),
        (at + taken.clip(lower_bound=0)).alias("arrived"),
    )
    gap = (at - at.shift(1).over("tailnum", order_by=["at", "flight_key"])).clip(upper_bound=DAY)
    return timed.with_columns(
        nw.when(~nw.col("tailnum").is_null()).then(gap).cast(nw.Float64).alias("aircraft_gap")
    )


def _operations(flights: nw.LazyFrame) -> nw.LazyFrame:
    """With what was known of other flights, and of earlier ones of the same aircraft and number."""
    departures = _events(flights, "left", "dep_delay")
    arrivals = _events(flights, "arrived", "arr_delay")
    table = flights.join(_congestion(flights), on=["origin", "at"], how="left")
    for name, events, by, minutes in (
        ("origin_left", departures, ["origin"], HOUR),
        ("carrier_left", departures, ["origin", "carrier"], 2 * HOUR),
        ("origin_arrived", arrivals, ["origin"], 3 * HOUR),
        ("dest_arrived", arrivals, ["dest"], 6 * HOUR),
        ("route_arrived", arrivals, ["origin", "dest"], 28 * DAY),
        ("number_arrived", arrivals, ["carrier", "flight", "origin"], 28 * DAY),
        ("aircraft_left", departures, ["tailnum"], 18 * HOUR),
        ("aircraft_arrived", arrivals, ["tailnum"], 18 * HOUR),
    ):
        known = mean_of(flights, events, by, "delay", minutes, name)
        table = table.join(known, on=[*by, "asked"], how="left")
    for name, by in (
        ("origin", ["origin"]),
        ("carrier", ["origin", "carrier"]),
        ("dest", ["dest"]),
        ("aircraft", ["tailnum"]),
    ):
        table = table.join(waiting(flights, by, name, GRACE, LIMIT), on=[*by, "asked"], how="left")
    return table


def _events(flights: nw.LazyFrame, moment: str, delay: str) -> nw.LazyFrame:
    """Flights to which it happened, `at` that moment; one delay of hours must not outweigh all others."""
    happened = flights.filter(~nw.col(moment).is_null() & ~nw.col(delay).is_null())
    return happened.with_columns(nw.col(moment).alias("at"), nw.col(delay).clip(-30, 120).alias("delay"))


def _congestion(flights: nw.LazyFrame) -> nw.LazyFrame:
    """By (origin, at): departures scheduled in the hour up to and with `at`. The timetable is no secret."""
    one = nw.lit(1).cast(nw.Int64).alias("one")
    timetable = flights.select("origin", "at", one, nw.col("at").alias("asked"))
    sums = seen(timetable, timetable, ["origin"], ["one"], HOUR)
    return sums.select(
        "origin", nw.col("asked").alias("at"), nw.col("one").cast(nw.Float64).alias("congestion")
    )


def _weather(weather: nw.LazyFrame) -> nw.LazyFrame:
    """Observations by the hour at which they were there: 10:51 belongs to 11."""
    hour = (_minutes("observed") + 59) // 60
    wind = nw.when(nw.col("wind_speed") < STORM).then(nw.col("wind_speed"))
    return weather.with_columns(hour.alias("weather_hour"), wind.alias("wind_speed")).drop("day", "observed")


def _calendar() -> list[nw.Expr]:
    """By arithmetic: `dt.weekday` of Narwhals 2.28 calls Sunday 0 on PySpark, and 7 elsewhere."""
    local = _minutes("scheduled_local")
    age = nw.col("scheduled_local").dt.year().cast(nw.Int64) - nw.col("plane_year")
    return [
        (local % DAY).alias("minute_of_day"),
        ((local // DAY + 3) % 7 + 1).alias("weekday"),  # 1970 began on a Thursday
        age.cast(nw.Float64).alias("age"),
    ]


def _slices() -> list[nw.Expr]:
    hour = nw.col("scheduled_local").dt.hour()
    band = (
        nw.when(hour < 9)
        .then(nw.lit("05-08"))
        .when(hour < 13)
        .then(nw.lit("09-12"))
        .when(hour < 17)
        .then(nw.lit("13-16"))
        .otherwise(nw.lit("17-23"))
    )
    sky = (
        nw.when(nw.col("visib").is_null())
        .then(nw.lit("unknown"))
        .when(nw.col("precip") > 0)
        .then(nw.lit("rain"))
        .when(nw.col("visib") < 3)
        .then(nw.lit("low visibility"))
        .when(nw.col("wind_speed") > 20)
        .then(nw.lit("wind"))
        .otherwise(nw.lit("clear"))
    )
    month = nw.col("scheduled_local").dt.to_string("%Y-%m")
    return [band.alias("hour_band"), month.alias("month"), sky.alias("weather")]


def _outcome() -> list[nw.Expr]:
    """The target, and why there is none: never left, or left but never arrived at its destination."""
    why = (
        nw.when(nw.col("dep_delay").is_null())
        .then(nw.lit("cancelled"))
        .when(nw.col("arr_delay").is_null())
        .then(nw.lit("diverted"))
        .otherwise(nw.lit(None, nw.String))
    )
    return [_late().alias("late"), why.alias("excluded")]


def _late() -> nw.Expr:
    return (nw.col("arr_delay") > 15).cast(nw.Int64)


def _minutes(name: str) -> nw.Expr:
    """Whole minutes since 1970, by the calendar: Narwhals has no `dt.timestamp` on PySpark."""
    time = nw.col(name)
    year = time.dt.year().cast(nw.Int64)
    leap_days = (year - 1969) // 4 - (year - 1901) // 100 + (year - 1601) // 400
    days = (year - 1970) * 365 + leap_days + time.dt.ordinal_day().cast(nw.Int64) - 1
    return days * 1440 + time.dt.hour().cast(nw.Int64) * 60 + time.dt.minute().cast(nw.Int64)


def seen(
    flights: nw.LazyFrame,
    events: nw.LazyFrame,
    by: Sequence[str],
    values: Sequence[str],
    minutes: int = FOR_EVER,
) -> nw.LazyFrame:
    """Sums of `values` over events of (asked - minutes, asked], by each distinct (by, asked) of `flights`.

    `flights` has the columns `by` and `asked`, `events` has `by`, `at` and `values`, all int64 but `by`.
    Rows with a null in `by` are seen by no one.
    """
    nothing = [nw.lit(0).cast(nw.Int64).alias(value) for value in values]
    moments = flights.select(*by, "asked").unique()
    # Even ticks are events, odd ones moments: a moment comes after all events of its own minute.
    rows = [
        events.select(*by, (nw.col("at") * 2).alias("tick"), *values),
        moments.select(*by, (nw.col("asked") * 2 + 1).alias("tick"), *nothing),
    ]
    if minutes != FOR_EVER:
        end = ((nw.col("at") + minutes) * 2).alias("tick")
        rows.append(events.select(*by, end, *[-nw.col(value) for value in values]))
    running = (
        nw.concat(rows)
        .drop_nulls(list(by))
        .with_columns(*[nw.col(value).cum_sum().over(*by, order_by="tick") for value in values])
    )
    asked = running.filter(nw.col("tick") % 2 == 1).with_columns((nw.col("tick") // 2).alias("asked"))
    return asked.select(*by, "asked", *values)


def mean_of(
    flights: nw.LazyFrame, events: nw.LazyFrame, by: Sequence[str], value: str, minutes: int, name: str
) -> nw.LazyFrame:
    """By (by, asked), `name`: the mean of `value` over the events of the last minutes; null without any."""
    one = nw.lit(1).cast(nw.Int64)
    counted = events.select(*by, "at", nw.col(value).alias("total"), one.alias("count"))
    sums = seen(flights, counted, by, ("total", "count"), minutes)
    mean = nw.when(nw.col("count") > 0).then(nw.col("total") / nw.col("count"))
    return sums.select(*by, "asked", mean.alias(name))


def waiting(flights: nw.LazyFrame, by: Sequence[str], name: str, grace: int, limit: int) -> nw.LazyFrame:
    """By (by, asked), flights that should have left and have not: `name`_waiting, their number, and
    `name`_overdue, the sum of the minutes since they should have.

    A flight waits from `grace` minutes after its scheduled departure `at` until it leaves (`left`, null if it
    never does), at most `limit` minutes: when a flight was cancelled is not known.
    """
    due, one = nw.col("at"), nw.lit(1).cast(nw.Int64)
    flight = flights.select(*by, "at", "left", due.alias("due"), one.alias("count"))
    gone = nw.min_horizontal(nw.coalesce("left", due + limit), due + limit)
    end = nw.max_horizontal(gone, due + grace)
    begun = flight.select(*by, (due + grace).alias("at"), "due", "count")
    ended = flight.select(*by, end.alias("at"), -nw.col("due"), -nw.col("count"))
    sums = seen(flights, nw.concat([begun, ended]), by, ("due", "count"))
    overdue = nw.col("asked") * nw.col("count") - nw.col("due")
    return sums.select(
        *by,
        "asked",
        nw.col("count").cast(nw.Float64).alias(f"{name}_waiting"),
        overdue.cast(nw.Float64).alias(f"{name}_overdue"),
    )
