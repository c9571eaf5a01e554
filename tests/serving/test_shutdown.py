"""Stopped or killed under load: every acknowledged prediction is in the log."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from pathlib import Path

import pytest

from serving import schemas
from serving.process import Running, running
from usecase.schema import FEATURES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("serving")]
ROW = schemas.example(FEATURES)
ENOUGH = 317  # answers before the signal; a prime: a batch of lines must not end just there


class Load:
    """Clients that ask without pause, and remember what was acknowledged and what was cut off."""

    def __init__(self, port: int) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.enough = threading.Event()
        self._port = port
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(4)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)

    def _ask(self, client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        for number in range(1_000_000):
            key = f"{client}-{number}"
            body = json.dumps({"rows": [{**ROW, FEATURES.key.name: key}]})
            try:
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException):
                return
            if response.status != 200:
                self.refused.append(f"{response.status} {content!r}")
                return
            self.acknowledged.append(key)
            if len(self.acknowledged) >= ENOUGH:
                self.enough.set()


def _logged(folder: Path) -> list[str]:
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines(keepends=True)]
    return [json.loads(line)["key"] for line in lines if line.endswith("\n") and line.strip()]


def _signalled(service: Running, number: signal.Signals) -> Load:
    load = Load(service.port)
    assert load.enough.wait(60)
    service.process.send_signal(number)
    load.join()
    service.process.wait(40)
    return load


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_every_acknowledged_prediction_is_in_the_log(
    bento: Path, tmp_path: Path, number: signal.Signals
) -> None:
    extra = {"SERVING_LOG_PATH": str(tmp_path), "SERVING_LOG_BYTES": "100000", "SERVING_LOG_KEEP": "1000"}
    with running("--bento", str(bento), extra=extra) as service:
        load = _signalled(service, number)
        code = service.process.returncode
    logged = _logged(tmp_path)
    assert set(load.acknowledged) <= set(logged)
    assert len(logged) == len(set(logged))
    assert not load.refused
    if number is not signal.SIGKILL:
        assert code == 0
        # But for at most one request a client whose connection was closed, the others were answered.
        assert len(logged) - len(load.acknowledged) <= 4


def test_what_cannot_be_logged_is_not_acknowledged(bento: Path, tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").symlink_to("/dev/full")
    with running("--bento", str(bento), extra={"SERVING_LOG_PATH": str(tmp_path)}) as service:
        status, answer = service.predict([ROW])
        assert status == 503 and "probability" not in str(answer)
        assert b"serving_unlogged_total 1.0" in service.ask("GET", "/metrics")[1]
