"""Months in, months out, whatever the use case's raw tables are; sources that fail name themselves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest

from mainline.errors import ConfigError, SourceError
from mainline.schema import Table
from mainline.settings import Month
from pipeline import frames, ingest
from pipeline.validation import expect, suites
from tests.pipeline.damaged import ABORTS, PANICS
from usecase import source as usecase_source
from usecase.schema import RAW

MONTHS = [Month(2020, 11), Month(2020, 12), Month(2021, 1)]
HOSTILE = ["../../x", "a\nb", "=cmd()", "@team", "é\u202e"]
SAMPLE = {
    pl.String: HOSTILE, pl.Int64: range(5), pl.Float64: [0.5, float("inf"), float("nan"), -0.0, 1e300],
    pl.Boolean: [True, False, True, False, None],
}  # fmt: skip


def rows(table: Table, month: Month) -> pl.DataFrame:
    """Five rows of any table, with values nobody wants."""
    day = datetime(month.year, month.month, 28)
    columns = [
        pl.Series(name, SAMPLE.get(dtype.base_type(), [day] * 5)).cast(dtype)
        for name, dtype in frames.polars_schema(table.columns).items()
    ]
    return pl.DataFrame(columns)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for table in RAW:
        for month in MONTHS:
            frames.write(rows(table, month), ingest.raw_path(root, table, month))
    return root


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


def test_a_folder_comes_in_as_it_is_up_to_the_last_month(folder: Path, tmp_path: Path) -> None:
    source, target = ingest.connect(str(folder)), tmp_path / "raw"
    counts = ingest.ingest(source, MONTHS[1], target)
    assert counts == {table.name: 10 for table in RAW}
    expected = {name: content for name, content in files(folder).items() if "2021" not in name}
    assert files(target) == expected


def test_months_after_as_of_are_removed_and_others_are_replaced(folder: Path, tmp_path: Path) -> None:
    source, target = ingest.connect(str(folder)), tmp_path / "raw"
    ingest.ingest(source, MONTHS[2], target)
    ingest.raw_path(target, RAW[0], MONTHS[0]).write_bytes(b"an interrupted write")
    ingest.ingest(source, MONTHS[0], target)
    assert files(target) == {name: content for name, content in files(folder).items() if "2020-11" in name}


def test_rows_of_another_month_stay_for_validate_to_judge(folder: Path, tmp_path: Path) -> None:
    """Dropped here, nobody would miss them; a month after as_of is not read at all."""
    table = RAW[0]
    mixed = pl.concat([rows(table, month) for month in (MONTHS[1], MONTHS[2], Month(2999, 1))])
    frames.write(mixed, ingest.raw_path(folder, table, MONTHS[1]))
    ingest.raw_path(folder, table, MONTHS[2]).write_bytes(b"not read")
    counts = ingest.ingest(ingest.connect(str(folder)), MONTHS[1], tmp_path / "raw")
    assert counts[table.name] == 5 + 15
    kept = frames.read(ingest.raw_path(tmp_path / "raw", table, MONTHS[1]))
    assert kept.equals(mixed)
    suite = suites.raw(table, MONTHS[1])
    failed = expect.run("mixed", kept, table.columns, suite, key=table.key, sample_rows=1).failures
    assert (table.time, "critical", 10) in {(each.column, each.severity, each.unexpected) for each in failed}


@pytest.mark.parametrize("name", usecase_source.SOURCES)
def test_the_use_cases_own_source_gives_each_month_its_rows_only(name: str) -> None:
    for month in usecase_source.months(name)[:3]:
        for table in RAW:
            days = usecase_source.read(name, month)[table.name][table.time].cast(pl.Date)
            assert days.is_between(month.first_day, month.plus(1).first_day, closed="left").all()


@pytest.mark.parametrize(
    "change", ["zero rows", "missing", "extra", "retyped", "a time", "a duration", "no time"]
)
def test_odd_contents_are_left_for_validate_to_judge(folder: Path, tmp_path: Path, change: str) -> None:
    table = RAW[0]
    frame = rows(table, MONTHS[0])
    other = next(name for name in table.names if name != table.time)
    odd = {
        "zero rows": frame.head(0),
        "missing": frame.drop(other),
        "extra": frame.with_columns(extra=1),
        "retyped": frame.with_columns(pl.lit("text").alias(table.time)),
        "a time": frame.with_columns(pl.lit(time(1, 2)).alias(table.time)),
        "a duration": frame.with_columns(pl.lit(timedelta(days=3)).alias(table.time)),
        "no time": frame.drop(table.time),
    }[change]
    frames.write(odd, ingest.raw_path(folder, table, MONTHS[0]))
    ingest.ingest(ingest.connect(str(folder)), MONTHS[0], tmp_path / "raw")
    assert frames.read(ingest.raw_path(tmp_path / "raw", table, MONTHS[0])).equals(odd)


@pytest.mark.parametrize("damage", [0, 4, 100, PANICS, ABORTS], ids=["0", "4", "100", "panics", "aborts"])
def test_a_damaged_file_is_named(
    folder: Path, tmp_path: Path, damage: int | bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = ingest.raw_path(folder, RAW[-1], MONTHS[1])
    path.write_bytes(damage if isinstance(damage, bytes) else path.read_bytes()[:damage])
    with pytest.raises(SourceError, match=str(path)) as caught:
        ingest.ingest(ingest.connect(str(folder)), MONTHS[1], tmp_path / "raw")
    assert caught.value.why and "ingest.source" in caught.value.remedy
    assert not capfd.readouterr().err


def test_a_table_that_lacks_a_month_is_named(folder: Path, tmp_path: Path) -> None:
    path = ingest.raw_path(folder, RAW[-1], MONTHS[1])
    path.unlink()
    (folder / RAW[0].name / "notes.txt").touch()
    if len(RAW) == 1:
        frames.write(rows(RAW[0], MONTHS[1]), path)
        path.write_bytes(b"")
    with pytest.raises(SourceError, match=str(path)):
        ingest.ingest(ingest.connect(str(folder)), MONTHS[1], tmp_path / "raw")


@pytest.mark.parametrize("month", [Month(2020, 10), Month(2021, 2)])
def test_as_of_outside_the_data_says_what_there_is(folder: Path, tmp_path: Path, month: Month) -> None:
    with pytest.raises(ConfigError, match=f"data.as_of {month}") as caught:
        ingest.ingest(ingest.connect(str(folder)), month, tmp_path / "raw")
    assert "2020-11 to 2021-01" in str(caught.value)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ([], "it is empty"),
        (["sales.csv", "a\nb.csv"], r"it holds 'a\nb.csv', 'sales.csv'"),
        ([f"{RAW[0].name}/2020-11.parquet"], f"it holds '{RAW[0].name}', '{RAW[0].name}/2020-11.parquet'"),
        (["elsewhere/month=2020-11.parquet"], "it holds 'elsewhere', 'elsewhere/month=2020-11.parquet'"),
        ([f"{number}.csv" for number in range(9)], "'2.csv' and more"),
    ],
    ids=["empty", "csv", "other names", "another table", "many"],
)
def test_a_folder_without_a_month_says_what_is_read(tmp_path: Path, held: list[str], why: str) -> None:
    for name in held:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=f"{tmp_path} holds no month") as caught:
        ingest.connect(f"{tmp_path}/")
    assert why in caught.value.why
    for table in RAW:
        assert f"{tmp_path}/{table.name}/month=YYYY-MM.parquet" in caught.value.remedy


def test_an_unknown_name_and_a_file(tmp_path: Path) -> None:
    for name in ("nowhere", "data/nowhere", "", " "):
        with pytest.raises(ConfigError, match=f"ingest.source '{name}' is neither") as caught:
            ingest.connect(name)
        assert "no such folder" in caught.value.why
    (tmp_path / "sales.csv").touch()
    with pytest.raises(ConfigError, match="is neither") as caught:
        ingest.connect(str(tmp_path / "sales.csv"))
    assert caught.value.why == "it is a file"


@pytest.mark.parametrize("name", ["month=2020-13", "2021-02", "month=2021-02 (1)", "month=month=2021-02"])
def test_a_file_name_that_is_no_month(folder: Path, name: str) -> None:
    frames.write(rows(RAW[0], MONTHS[0]), folder / RAW[0].name / f"{name}.parquet")
    with pytest.raises(SourceError, match="holds a file that is no month") as caught:
        ingest.connect(str(folder))
    assert f"{name}.parquet" in caught.value.why
    assert "name it month=YYYY-MM.parquet" in caught.value.remedy


def test_a_use_case_without_a_source_of_its_own_is_told_of_folders_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.usecase_source, "SOURCES", ())
    with pytest.raises(ConfigError) as caught:
        ingest.connect(str(tmp_path / "nowhere"))
    assert caught.value.remedy == "give a folder that exists"


# An S3 API on loopback


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setitem(ingest.S3_LIST, "read_timeout", 1)
    return monkeypatch


@pytest.fixture
def bucket(keys: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    yield "s3://bucket/some/prefix"
    server.stop()


def upload(root: Path) -> None:
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    for path in root.rglob("*.parquet"):
        client.upload_file(str(path), "bucket", f"some/prefix/{path.relative_to(root)}")


@pytest.mark.slow
def test_an_s3_prefix_comes_in_like_a_folder(folder: Path, bucket: str, tmp_path: Path) -> None:
    damaged = ingest.raw_path(folder, RAW[0], MONTHS[2])
    damaged.write_bytes(damaged.read_bytes()[:50])
    upload(folder)
    source = ingest.connect(bucket)
    assert source.months == MONTHS
    ingest.ingest(source, MONTHS[1], tmp_path / "raw")
    assert files(tmp_path / "raw") == {n: c for n, c in files(folder).items() if "2021" not in n}
    with pytest.raises(SourceError, match=f"{bucket}/{RAW[0].name}/month=2021-01.parquet"):
        ingest.ingest(source, MONTHS[2], tmp_path / "raw")
    with pytest.raises(SourceError, match=f"{bucket}/nothing holds no month"):
        ingest.connect(f"{bucket}/nothing")
    with pytest.raises(SourceError, match="s3://none/x"):
        ingest.connect("s3://none/x")


@pytest.mark.slow
@pytest.mark.parametrize("answers", [True, False], ids=["silent", "refused"])
def test_an_s3_endpoint_that_does_not_answer(keys: pytest.MonkeyPatch, answers: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        keys.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        if not answers:
            server.close()
        with pytest.raises(SourceError, match="s3://bucket/prefix"):
            ingest.connect("s3://bucket/prefix")
