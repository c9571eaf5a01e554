"""Logs and labels in S3: what a folder would have given, or an error that says whose fault it is."""

from __future__ import annotations

import os
import socket
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from mainline.errors import DataError, SourceError
from monitoring import labels, places
from pipeline import ingest
from tests.keys import named
from tests.monitoring.test_check import FIRST, Checked, checked, days, log, reference  # noqa: F401 - fixtures
from tests.slow.test_remote import BUCKET, KEYS, bucket, endpoint  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(ingest.S3_LIST, "read_timeout", 1)
    return monkeypatch


@pytest.fixture
def s3(keys: pytest.MonkeyPatch, endpoint: str, bucket: Any) -> Any:  # noqa: F811
    keys.setenv("AWS_ENDPOINT_URL", endpoint)
    return bucket


@pytest.fixture
def watch(checked: Checked) -> Checked:  # noqa: F811
    return checked


def upload(store: Any, root: Path, prefix: str) -> str:
    for path in root.rglob("*.*"):
        store.upload_file(str(path), f"{prefix}/{path.relative_to(root)}")
    return f"s3://{BUCKET}/{prefix}"


def logged(folder: Path) -> Path:
    """Set aside, still written, in a folder below, and what is no log."""
    log(folder, days(6))
    (folder / "predictions.jsonl").rename(folder / "predictions.00000000000000000001.jsonl")
    log(folder, days(4, datetime(2013, 11, 10).date()))
    log(folder / "below", days(1, datetime(2013, 11, 9).date()))
    (folder / "notes.txt").write_text("none of ours")
    return folder


def told(folder: Path) -> Path:
    folder.mkdir()
    keys = [named(f"{FIRST} {number}") for number in range(20)]
    pl.DataFrame({"key": keys, "target": [0, 1] * 10}).write_parquet(folder / "labels.parquet")
    return folder


def as_parquet(folder: Path, into: Path) -> Path:
    into.mkdir()
    for number, path in enumerate(sorted(folder.rglob("*.jsonl"))):
        pl.read_ndjson(path).write_parquet(into / f"{number}.parquet")
    return into


@pytest.mark.parametrize("kind", ["lines", "parquet"])
def test_a_prefix_gives_the_record_of_the_folder(kind: str, s3: Any, watch: Checked, tmp_path: Path) -> None:
    here, known = logged(tmp_path / "log"), told(tmp_path / "labels")
    here = here if kind == "lines" else as_parquet(here, tmp_path / "parquet")
    there = upload(s3, here, "logs/flights")
    upload(s3, logged(tmp_path / "other"), "logs/flights-too")
    expected = watch(here, "--labels", str(known))
    assert expected.recent[-1].labels.joined == 20
    assert watch(f"{there}/", "--labels", f"{upload(s3, known, 'known')}/labels.parquet") == expected
    assert expected.malformed.lines == 0 and expected.quality is not None and expected.quality.lines == 220


def test_an_empty_prefix_is_an_empty_log_and_a_bucket_that_is_not_there_an_error(
    s3: Any, watch: Checked
) -> None:
    nothing = f"s3://{s3.name}/nothing"
    assert watch(nothing).recent[-1].rows == 0
    for place in ("s3://none-of-ours/log", f"{nothing}.jsonl"):
        for arguments in ((place,), (nothing, "--labels", place)):
            with pytest.raises(DataError, match=f"{place} does not exist") as error:
                watch(*arguments)
            assert error.value.exit_code == 13


def allow(calls: str) -> None:
    """How many calls the store answers before it looks at their keys."""
    asked = urllib.request.Request(
        f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset-auth",
        calls.encode(),
        {"Content-Type": "text/plain"},
        method="POST",
    )
    with urllib.request.urlopen(asked, timeout=10):
        pass


@pytest.mark.parametrize("known", [True, False], ids=["wrong", "none"])
def test_wrong_credentials_are_no_empty_log(
    known: bool, s3: Any, watch: Checked, keys: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = upload(s3, log(tmp_path / "log", days(2)), "log")
    if not known:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            keys.delenv(name)
        keys.setenv("AWS_EC2_METADATA_DISABLED", "true")
        keys.setenv("HOME", str(tmp_path))
    allow("0")
    try:
        with pytest.raises(SourceError, match=f"{there} cannot be read") as error:
            watch(there)
        with pytest.raises(SourceError, match=f"{there} cannot be read"):
            list(labels.batches(there))
    finally:
        allow("inf")
    assert error.value.exit_code == 12
    assert error.value.why and "AWS_ACCESS_KEY_ID" in (error.value.remedy or "")


@pytest.mark.parametrize("answers", [True, False], ids=["silent", "refused"])
def test_a_store_that_does_not_answer_is_an_error(answers: bool, keys: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        keys.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        if not answers:
            server.close()
        with pytest.raises(SourceError, match=f"s3://{BUCKET}/log cannot be read"):
            places.files(f"s3://{BUCKET}/log")


@pytest.mark.parametrize("address", ["localhost:9000", "http://", "http://[::1", "http://local:port"])
def test_an_address_that_is_none_is_said_with_what_to_write(address: str, keys: pytest.MonkeyPatch) -> None:
    keys.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(SourceError, match=f"s3://{BUCKET}/log cannot be read") as error:
        places.files(f"s3://{BUCKET}/log")
    assert "AWS_ENDPOINT_URL (http://host:port)" in (error.value.remedy or "")
    with pytest.raises(SourceError, match="cannot be read"), places.local(f"s3://{BUCKET}/log.jsonl"):
        pass
    for place in ("s3://", "s3:///log"):
        with pytest.raises(DataError, match="does not exist"):
            places.files(place)


WRONG = r"does not exist|cannot be read"


@pytest.mark.parametrize("name", ["s3://", "s3:///log.jsonl", "s3://a b/log.jsonl"])
def test_a_name_that_no_bucket_can_have(name: str, s3: Any) -> None:
    with pytest.raises((DataError, SourceError), match=WRONG) as error:
        places.files(name)
    assert error.value.why is None or not error.value.why.endswith(":")
    with pytest.raises((DataError, SourceError), match=WRONG), places.local(name):
        pass


def test_a_store_that_stops_between_two_files_is_an_error_and_no_malformed_line(
    keys: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        keys.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        store = boto3.resource("s3").Bucket(BUCKET)
        store.create()
        there = upload(store, as_parquet(logged(tmp_path / "log"), tmp_path / "parquet"), "log")
        listed = places.files(there)
        with places.local(listed[0]) as copy:
            assert pl.read_parquet(copy).height > 0
        assert not copy.exists() and not copy.parent.exists()
    finally:
        server.stop()
    with pytest.raises(SourceError, match="cannot be read"), places.local(listed[1]):
        pass
