"""The Bento behind the local target's port, asked without pause while it is swapped and killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainline.deploy.local import Local
from mainline.deploy.state import State
from mainline.deploy.swapping import Limits
from mainline.releases import Artifact, Release
from serving import build, schemas
from tests.deploy import test_local
from tests.deploy.releasing import release
from tests.deploy.test_local import leftovers, until
from tests.imports import ROOT
from tests.keys import named
from tests.ports import free_port
from usecase.schema import FEATURES

LIMITS = Limits(ready=60, bake=1, drain=30, stop=20, lock=60)
CLIENTS = 8
ENOUGH = 500  # answers between one event and the next
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("serving"),
    pytest.mark.skipif(not (ROOT / "models/model.onnx").exists(), reason="no model here: mainline run"),
]
Packed = tuple[Release, dict[str, Path]]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Packed]:
    """Two Bentos of the model that is here."""
    folder = tmp_path_factory.mktemp("versions")
    model = json.loads((ROOT / "models/manifest.json").read_text())["files"]["model.onnx"]
    return {version: _packed(folder, version, model) for version in ("v1.0.0", "v1.1.0")}


def _packed(folder: Path, version: str, model: str) -> Packed:
    record, _ = release(folder / "record", version, model=model)
    built = build.build(ROOT, version, folder)
    path = Path(built["path"])
    artifact = Artifact(name=path.name, md5="0" * 32, sha256=built["sha256"], bytes=built["bytes"])
    return record.model_copy(update={"artifacts": {"bento": artifact}}), {"bento": path}


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Local]:
    made = Local(tmp_path / "deploy", "production", free_port(), limits=LIMITS)
    yield made
    made.stop()
    until(lambda: not leftovers(made.folder))


class Load(test_local.Load):
    """The same for rows of the use case; what was acknowledged, by its key."""

    def __init__(self, port: int) -> None:
        super().__init__(port, CLIENTS)
        self.acknowledged: dict[str | int, str] = {}  # version by key

    def more(self) -> None:
        """Until so many more have been answered."""
        enough = len(self.acknowledged) + ENOUGH
        until(lambda: len(self.acknowledged) >= enough, 60)

    def run(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        row, asked = schemas.example(FEATURES), 0
        while not self.ending.is_set():
            key, asked = named(f"{number}-{asked}"), asked + 1
            body = json.dumps({"rows": [{**row, FEATURES.key.name: key}]})
            try:
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()  # the next request opens it again
                continue
            if answer.status == 200:
                self.acknowledged[key] = json.loads(content)["version"]
            else:
                self.failures.append(f"{answer.status} {content!r}")
                self.ending.wait(0.05)


def logged(target: Local) -> Counter[str | int]:
    """How often each key is in the prediction logs of the deployment, in whole lines."""
    paths = (target.folder / "predictions").rglob("*.jsonl")
    lines = [line for path in paths for line in path.read_text().splitlines(keepends=True)]
    return Counter(json.loads(line)["key"] for line in lines if line.endswith("\n") and line.strip())


def test_a_swap_under_load_loses_no_request_and_no_line_of_the_log(
    target: Local, versions: dict[str, Packed]
) -> None:
    """There and back, as a release and the revert of it."""
    target.deploy(*versions["v1.0.0"])
    first = target.current()
    with Load(target.port) as load:
        for version in ("v1.1.0", "v1.0.0"):
            load.more()
            assert target.deploy(*versions[version]).release == version
        load.more()
    assert load.failures == []
    assert set(load.acknowledged.values()) == set(versions)
    assert target.current().digest == first.digest
    lines = logged(target)
    assert set(load.acknowledged) <= set(lines)
    assert set(lines.values()) == {1}


def test_killed_under_load_it_comes_back_and_what_it_acknowledged_is_in_the_log(
    target: Local, versions: dict[str, Packed]
) -> None:
    target.deploy(*versions["v1.0.0"])
    with Load(target.port) as load:
        load.more()
        before = State.read(target.folder / State.location).active
        os.kill(before.process.pid, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: load.failures, 30)
        load.more()
        print(f"answers again {time.monotonic() - killed:.1f} s after it was killed")
    assert State.read(target.folder / State.location).active.process != before.process
    assert set(load.acknowledged) <= set(logged(target))
