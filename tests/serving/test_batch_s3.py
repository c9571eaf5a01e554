"""Batch scoring from and into an S3 store: moto's server, on loopback; exactly once, as for folders."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import s3fs  # type: ignore[import-untyped]

from mainline.errors import ConfigError, DataError, SourceError, StorageError
from serving.batch import bucket as sink
from serving.batch import s3
from tests.imports import ROOT
from tests.ports import free_port
from tests.serving import batching, toys
from tests.serving.batching import process, rows, score

pytestmark = pytest.mark.slow
OUT = "s3://scores/here"
HOME = "scores/here/version=v1.0.0"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=free_port(), verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a server with two empty buckets."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    for name in ("rows", "scores"):
        client.mkdir(name)
    yield client
    for name in ("rows", "scores"):
        client.rm(name, recursive=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    toys.folder("binary", folder)
    return folder


NAMES = ("a.parquet", "b[1]*?.parquet", "month=2013-11/c.parquet")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Three files, names that a glob would read otherwise, and what is no data."""
    root = tmp_path / "in"
    (root / "month=2013-11").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        rows(300, seed=number, first=1000 * number).write_parquet(root / name)
    (root / "_SUCCESS").write_text("")
    (root / "_metadata.parquet").write_text("")
    return root


def filled(store: Any, given: Path) -> str:
    for path in given.rglob("*"):
        if path.is_file():
            store.put_file(str(path), f"rows/here/{path.relative_to(given)}")
    return "s3://rows/here"


def scored(store: Any, folder: Path) -> pl.DataFrame:
    """What a reader of all Parquet below the prefix gets; each file of it is whole."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, path in enumerate(p for p in store.find("scores") if p.endswith(".parquet")):
        store.get_file(path, str(folder / f"{number}.parquet"))
    return pl.read_parquet(folder / "*.parquet").sort("key")


def in_a_folder(model: Path, given: Path, out: Path) -> pl.DataFrame:
    score(model, str(given), str(out))
    return pl.read_parquet(out / "**/*.parquet", hive_partitioning=False).sort("key")


def test_a_prefix_is_scored_as_a_folder_is(store: Any, model: Path, given: Path, tmp_path: Path) -> None:
    found = score(model, filled(store, given), OUT)
    assert tuple(sorted(found.states)) == NAMES and found.rows == 900
    assert scored(store, tmp_path / "got").equals(in_a_folder(model, given, tmp_path / "out"))
    assert {p.removeprefix(HOME + "/") for p in store.find(HOME)} == {
        *NAMES, *(f"_manifest/{name}.json" for name in NAMES),
    }  # fmt: skip


def test_it_is_scored_once(store: Any, model: Path, given: Path, tmp_path: Path) -> None:
    planned = score(model, str(given), OUT, dry_run=True)
    assert set(planned.states.values()) == {"new"} and not store.find("scores")
    score(model, str(given), OUT)
    before = {path: found["LastModified"] for path, found in store.find("scores", detail=True).items()}
    again = score(model, str(given), OUT)
    assert (again.rows, again.skipped) == (0, 900)
    assert {p: found["LastModified"] for p, found in store.find("scores", detail=True).items()} == before
    rows(10, first=5000).write_parquet(given / "a.parquet")
    changed = score(model, str(given), OUT)
    assert list(changed.states.values()) == ["input changed", "finished", "finished"]
    assert scored(store, tmp_path / "got").height == 610


def test_an_object_that_is_not_the_one_noted_is_scored_again(
    store: Any, model: Path, given: Path, tmp_path: Path
) -> None:
    score(model, str(given), OUT)
    whole = store.cat_file(f"{HOME}/a.parquet")
    store.pipe_file(f"{HOME}/a.parquet", bytes(len(whole)))  # as long, another content
    store.rm_file(f"{HOME}/month=2013-11/c.parquet")
    store.pipe_file(f"{HOME}/_manifest/b[1]*?.parquet.json", b"{}")
    assert set(score(model, str(given), OUT).states.values()) == {"new"}
    assert scored(store, tmp_path / "got").height == 900


CALL = "aiobotocore.client:AioBaseClient._make_api_call"  # three look; then seven a partition
COPY = 15  # of the second partition
POINTS = [
    "serving.batch.bucket:stream:2:after",
    "serving.batch.bucket:Bucket._uploaded:2:before",
    f"{CALL}:{COPY - 4}:before",
    f"{CALL}:{COPY - 2}:before",
    f"{CALL}:{COPY}:before",  # a temporary key is left
    "serving.batch.bucket:Bucket._uploaded:2:after",  # the object is there, its note is not
    f"{CALL}:{COPY + 2}:before",
    "serving.batch.bucket:Bucket.write:2:after",
]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_loses_and_doubles_nothing(
    point: str, store: Any, model: Path, given: Path, tmp_path: Path
) -> None:
    killed = process(model, str(given), OUT, point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert scored(store, tmp_path / "got").height in (300, 600)  # whole partitions
    went_on = score(model, str(given), OUT)
    assert next(iter(went_on.states.values())) == "finished" and 0 < went_on.rows < 900
    assert scored(store, tmp_path / "got").equals(in_a_folder(model, given, tmp_path / "out"))
    assert score(model, str(given), OUT).rows == 0


def test_what_a_kill_left_goes_when_no_run_can_be_on_it(
    store: Any, model: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(model, str(given), OUT, f"{CALL}:{COPY}:before")
    score(model, str(given), OUT)
    assert len(store.find(f"{HOME}/_tmp")) == 1  # another run's, for all we know
    monkeypatch.setattr(sink, "OLD", timedelta(0))
    score(model, str(given), OUT, dry_run=True)
    assert len(store.find(f"{HOME}/_tmp")) == 1
    score(model, str(given), OUT)
    assert not store.find(f"{HOME}/_tmp")


def test_two_at_once_double_nothing(store: Any, model: Path, given: Path, tmp_path: Path) -> None:
    line = batching.command(model, str(given), OUT)
    both = [subprocess.Popen(line, stdout=subprocess.DEVNULL, cwd=ROOT) for _ in range(2)]
    assert [one.wait(120) for one in both] == [0, 0]
    assert scored(store, tmp_path / "got")["key"].n_unique() == scored(store, tmp_path / "got").height == 900
    assert score(model, str(given), OUT).rows == 0


def test_what_the_input_no_longer_has(store: Any, model: Path, given: Path, tmp_path: Path) -> None:
    score(model, str(given), OUT)
    (given / "a.parquet").rename(given / "z.parquet")
    with pytest.raises(DataError, match=r"no longer has: a\.parquet"):
        score(model, str(given), OUT)
    assert score(model, str(given), OUT, prune=True).gone == ["a.parquet"]
    assert scored(store, tmp_path / "got")["key"].n_unique() == scored(store, tmp_path / "got").height == 900


def test_two_sources_do_not_overwrite_each_other(store: Any, model: Path, given: Path) -> None:
    score(model, str(given), OUT)
    with pytest.raises(ConfigError, match="here already"):
        score(model, str(given), OUT, source="another")


@pytest.mark.parametrize("again", [True, False])
def test_what_a_kill_left_is_seen_when_the_input_has_it_no_longer(
    again: bool, store: Any, model: Path, given: Path, tmp_path: Path
) -> None:
    if again:
        score(model, str(given), OUT)
        rows(10, first=5000).write_parquet(given / "a.parquet")
    killed = process(model, str(given), OUT, "serving.batch.bucket:Bucket._uploaded:1:after")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (given / "a.parquet").rename(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"no longer has: a\.parquet"):
        score(model, str(given), OUT)
    assert score(model, str(given), OUT, prune=True).gone == ["a.parquet"]
    assert scored(store, tmp_path / "got").height == 600
    assert score(model, str(given), OUT).rows == 0


def test_what_was_begun_and_is_not_there_belongs_to_nobody(store: Any, model: Path, given: Path) -> None:
    killed = process(model, str(given), OUT, f"{CALL}:{COPY - 7}:before")  # noted, not copied
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert score(model, str(given), OUT, source="another").rows == 900


def test_two_partitions_do_not_share_an_object(store: Any, model: Path, given: Path, tmp_path: Path) -> None:
    """The day 2013-10-28 of a table and the file 2013-10-28.parquet of a folder are both written to that."""
    with duckdb.connect(str(tmp_path / "days.duckdb")) as database:
        database.execute("CREATE TABLE rows AS SELECT * FROM read_parquet($1)", [str(given / "a.parquet")])
    score(model, f"duckdb:{tmp_path}/days.duckdb?table=rows", OUT, source="one")
    (given / "a.parquet").rename(tmp_path / "2013-10-28.parquet")
    for source in ("one", "two"):
        with pytest.raises(ConfigError, match="here already"):
            score(model, str(tmp_path / "2013-10-28.parquet"), OUT, source=source)
    assert scored(store, tmp_path / "got").height == 300


def test_a_key_that_is_a_path_is_refused(store: Any, model: Path, given: Path, tmp_path: Path) -> None:
    """`rows//tmp/x` below `rows` is not the file /tmp/x."""
    theirs = tmp_path / "theirs.parquet"
    theirs.write_text("theirs")
    content = (given / "a.parquet").read_bytes()
    client = store.s3
    for key in (f"here/{theirs}", "here/x//a.parquet"):
        s3fs.core.sync(store.loop, client.put_object, Bucket="rows", Key=key, Body=content)
        with pytest.raises(DataError, match="a name that is a path") as raised:
            score(model, "s3://rows/here", str(tmp_path / "out"))
        assert raised.value.remedy and theirs.read_text() == "theirs"
        s3fs.core.sync(store.loop, client.delete_object, Bucket="rows", Key=key)


def test_an_endpoint_that_is_no_address_is_told(
    model: Path, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(SourceError, match="cannot be read") as raised:
        score(model, "s3://rows/here", str(tmp_path / "out"))
    assert "localhost:9000" in raised.value.why and "AWS_ENDPOINT_URL" in raised.value.remedy
    with pytest.raises(StorageError, match="cannot be read"):
        score(model, str(given), OUT)


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # what is longer the system refuses, as a full disk
from tests.serving import batching
sys.exit(batching.main())
"""


def test_a_disk_that_does_not_take_the_input_is_told(
    store: Any, model: Path, given: Path, tmp_path: Path
) -> None:
    line = [sys.executable, "-c", FULL, str(model), filled(store, given), str(tmp_path / "out"), ""]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == StorageError.exit_code, done.stderr
    assert "make room" in done.stderr and "network" not in done.stderr


def test_a_file_of_a_prefix(store: Any, model: Path, given: Path, tmp_path: Path) -> None:
    found = score(model, filled(store, given) + "/month=2013-11/c.parquet", str(tmp_path / "out"))
    assert list(found.states) == ["c.parquet"]
    store.put_file(str(given / "a.parquet"), "rows/spark.parquet/part-0.parquet")  # a folder, by its name
    found = score(model, "s3://rows/spark.parquet", str(tmp_path / "two"))
    assert list(found.states) == ["part-0.parquet"]


def test_what_is_not_there_is_told(
    store: Any, model: Path, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="no Parquet"):
        score(model, "s3://rows/elsewhere", str(tmp_path / "out"))
    with pytest.raises(SourceError, match="cannot be read"):
        score(model, "s3://nowhere/here", str(tmp_path / "out"))
    with pytest.raises(StorageError, match=r"s3://nowhere/.* cannot be"):
        score(model, str(given), "s3://nowhere/here")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageError, match="cannot be read") as raised:
        score(model, str(given), OUT)
    assert "AWS_ENDPOINT_URL" in raised.value.remedy


def test_an_upload_that_lost_bytes_is_no_score(
    store: Any, model: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = s3fs.S3FileSystem._put_file

    async def half(self: Any, local: str, *arguments: Any, **named: Any) -> None:
        Path(local + ".half").write_bytes(Path(local).read_bytes()[:100])
        await put(self, local + ".half", *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "_put_file", half)
        with pytest.raises(StorageError, match="cannot be written") as raised:
            score(model, str(given), OUT)
    assert "100 bytes arrived" in raised.value.why and not store.find("scores")
    assert score(model, str(given), OUT).rows == 900


def test_the_key_of_an_address() -> None:
    assert s3.key("s3://bucket/a/b/") == "bucket/a/b"
