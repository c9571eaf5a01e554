"""A DVC remote on a real S3 API (moto's server, on loopback): push, pull, and a corrupted object is found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests import clones
from tests.ports import free_port

pytestmark = pytest.mark.slow
BUCKET = "store"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        _until_answering(url)
        yield url
    finally:
        server.terminate()
        server.wait(10)


def _until_answering(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert time.monotonic() < end, "the S3 server did not start"
            time.sleep(0.1)


@pytest.fixture
def bucket(endpoint: str):
    store = boto3.resource(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    ).Bucket(BUCKET)  # fmt: skip
    store.create()
    yield store
    store.objects.delete()
    store.delete()


@pytest.fixture
def repository(tmp_path: Path, endpoint: str) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    clones.git(root, "init", "--quiet", "--initial-branch=main")
    assert dvc(root, "init", "-q").returncode == 0
    (root / "data").mkdir()
    (root / "data" / "a.txt").write_text("one")
    (root / "data" / "b.txt").write_text("two")
    assert dvc(root, "add", "-q", "data").returncode == 0
    configure(root, endpoint)
    clones.commit(root, "data")
    return root


def configure(root: Path, endpoint: str) -> None:
    remote = f"url = s3://{BUCKET}/here\nendpointurl = {endpoint}\nverify = true\nconnect_timeout = 2\n"
    (root / ".dvc" / "config").write_text(f"[core]\nremote = s3\n['remote \"s3\"']\n{remote}")


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root, env={**os.environ, **KEYS}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def cloned(repository: Path, into: Path) -> Path:
    clones.git(repository, "clone", "--quiet", str(repository), str(into))
    return into


def test_what_is_pushed_is_what_is_pulled(repository: Path, bucket, tmp_path: Path) -> None:
    pushed = dvc(repository, "push")
    assert pushed.returncode == 0, pushed.stderr
    other = cloned(repository, tmp_path / "other")
    pulled = dvc(other, "pull")
    assert pulled.returncode == 0, pulled.stderr
    assert {p.name: p.read_text() for p in (other / "data").iterdir()} == {"a.txt": "one", "b.txt": "two"}


def test_a_corrupted_object_is_found(repository: Path, bucket, tmp_path: Path) -> None:
    assert dvc(repository, "push").returncode == 0
    victim = next(o for o in bucket.objects.all() if o.get()["Body"].read() == b"two")
    victim.put(Body=b"TWO")
    other = cloned(repository, tmp_path / "other")
    pulled = dvc(other, "pull")
    assert pulled.returncode != 0
    assert not (other / "data" / "b.txt").exists(), "damaged bytes must not reach the work tree"


def test_a_remote_that_does_not_answer_is_an_error(repository: Path) -> None:
    configure(repository, "http://127.0.0.1:9")
    assert dvc(repository, "push").returncode != 0


def test_the_template_verifies_its_remote() -> None:
    config = (clones.ROOT / ".dvc" / "config").read_text()
    assert "verify = true" in config
