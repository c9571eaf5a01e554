"""`mainline lock` against a real S3 API on loopback."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from mainline.errors import Answer
from mainline.review import LockState
from tests import clones
from tests.mainline import pipelines
from tests.slow import test_remote
from tests.slow.test_remote import KEYS, bucket, endpoint  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow
FILES = 600


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small pipeline, whose first stage makes as many files as a real one; pushed to a folder."""
    root = pipelines.build(tmp_path_factory.mktemp("s3"))
    with (root / "one.py").open("a") as file:
        file.write(f"for i in range({FILES}): Path(f'data/{{i}}.txt').write_text(str(i))\n")
    pipelines.dvc(root, "repro", "--quiet")
    clones.commit(root, "more files")
    return root


@pytest.fixture
def repository(built: Path, bucket, endpoint: str, tmp_path: Path) -> Path:  # noqa: F811
    root = pipelines.full(built, tmp_path / "full")
    test_remote.configure(root, endpoint)
    clones.commit(root, "to S3")
    return root


def lock(root: Path, **extra: str) -> tuple[int, LockState]:
    done = clones.mainline(
        root, "lock", "--json", extra={"PYTHONPATH": str(clones.ROOT / "src"), **KEYS, **extra}
    )
    return done.returncode, LockState.model_validate(json.loads(done.stdout))


def test_pushed_or_not_and_what_is_missing(repository: Path, bucket, tmp_path: Path) -> None:  # noqa: F811
    code, found = lock(repository)
    assert (code, found.remote) == (Answer.BROKEN, "s3")
    assert {m.path for m in found.missing} == {"data", "model.txt", "report.txt", "raw.txt"}
    assert test_remote.dvc(repository, "push").returncode == 0

    fresh = pipelines.fresh(repository, tmp_path / "fresh")
    started = time.monotonic()
    code, found = lock(fresh)
    assert (code, found.state, found.missing) == (0, "current", [])
    assert found.objects == 7 + FILES
    assert time.monotonic() - started < 30
    assert not list((fresh / ".dvc").glob("cache/files/**/*")), "nothing was pulled"

    # DVC remembers what it pushed from here; the bucket has lost it since.
    outs = {o["path"]: o["md5"] for s in _stages(fresh).values() for o in s["outs"]}
    inner = next(
        e for e in json.loads(_object(bucket, outs["data"]).get()["Body"].read()) if e["relpath"] == "9.txt"
    )
    _object(bucket, outs["model.txt"]).delete()
    _object(bucket, inner["md5"]).delete()
    for root in (repository, fresh):
        code, found = lock(root)
        assert code == Answer.BROKEN
        assert sorted((m.path, m.md5, m.file) for m in found.missing) == [
            ("data", inner["md5"], "9.txt"), ("model.txt", outs["model.txt"], ""),
        ]  # fmt: skip

    _object(bucket, outs["data"]).put(Body=b"[]")
    code, found = lock(fresh)
    assert ("data", "damaged") in [(m.path, m.state) for m in found.missing]


def test_a_bucket_that_does_not_exist_and_keys_that_are_wrong(repository: Path, endpoint: str) -> None:  # noqa: F811
    config = repository / ".dvc" / "config"
    config.write_text(config.read_text().replace("s3://store", "s3://no-such-bucket"))
    code, found = lock(repository)
    assert code == Answer.BROKEN
    assert found.problem or len(found.missing) == 4


def test_a_server_that_is_not_there(repository: Path) -> None:
    test_remote.configure(repository, "http://127.0.0.1:9")
    started = time.monotonic()
    code, found = lock(repository)
    assert code == Answer.BROKEN
    assert "127.0.0.1:9" in found.problem
    assert found.stale == []
    assert time.monotonic() - started < 60


def _stages(root: Path) -> dict:
    return yaml.safe_load((root / "dvc.lock").read_text())["stages"]


def _object(bucket, md5: str):  # noqa: F811
    return bucket.Object(f"here/files/md5/{md5[:2]}/{md5[2:]}")
