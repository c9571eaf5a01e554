"""Tracking with its real processes: a server that is there, away, hanging or broken; many at once; kills."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import paths
from pipeline.tracking.spool import sessions
from pipeline.tracking.tracker import REFUSED
from tests import clones
from tests.mainline import pipelines
from tests.ports import free_port

pytestmark = pytest.mark.slow

LIMIT = 240  # seconds until a wait counts as a failure; the machine may be busy
SOURCES = str(clones.ROOT / "src")
TRAINING = """
import sys, time
from pipeline.tracking import tracker as tracking
key, mode = sys.argv[1:3]
tracking.PATIENCE = 200.0  # a busy machine
tracker = tracking.Tracker.start(key, params={"lr": 0.1}, resume=mode == "resume")
first = 3 if mode == "resume" else 0
for step in range(first, first + 3):
    tracker.metrics({"loss": 1 / (step + 1)}, step)
print("trained", flush=True)
if mode == "wait":
    sys.stdin.readline()
begun = time.monotonic()
tracker.finish("KILLED" if mode == "killed" else "FINISHED")
print(f"{time.monotonic() - begun:.1f}", flush=True)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MAINLINE_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def training(key: str, mode: str = "", **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, key, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def train(key: str, mode: str = "", **environment: str) -> tuple[float, str]:
    """Seconds that `finish` took, and the warnings. Fails when the training does."""
    process = training(key, mode, **environment)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    return float(out.split()[-1]), err


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def runs(uri: str = "sqlite:///mlflow.db") -> dict[str, tuple[str, list[int]]]:
    """Status and steps by key, read by another process: this one keeps no connection."""
    code = (
        "import sys, json; from pipeline.tracking.mlflow_store import connect; c = connect()\n"
        "steps = lambda r: sorted(m.step for m in c.client.get_metric_history(r.info.run_id, 'loss'))\n"
        "print(json.dumps([(r.data.tags['mainline.key'], r.info.status, steps(r))"
        " for r in c.client.search_runs([c.experiment])]))"
    )
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    assert len({key for key, _, _ in rows}) == len(rows), "a key has two runs"
    return {key: (status, found) for key, status, found in rows}


@contextlib.contextmanager
def server(folder: Path, port: int) -> Iterator[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    log = (folder / "server.log").open("ab")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        return b" 200 " in connection.recv(100)
    return False


def test_a_server_away_then_there(project: Path) -> None:
    """Down at the first start; up; down in the middle and at the end; up again."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    _, err = train("down", MLFLOW_TRACKING_URI=uri)
    assert err.count("warning") == 1, err
    assert "sent at the next start" in err
    with server(project, port):
        _, err = train("up", MLFLOW_TRACKING_URI=uri)
        assert err == ""
        assert sessions(paths.SPOOL) == []
        middle = training("middle", "wait", MLFLOW_TRACKING_URI=uri)
        until(lambda: any(one.state().offset for one in sessions(paths.SPOOL)))
    _, err = middle.communicate("go on\n", timeout=LIMIT)
    assert middle.returncode == 0
    assert err.count("warning") == 1, err
    with server(project, port):
        train("last", MLFLOW_TRACKING_URI=uri)
        expected = ("FINISHED", [0, 1, 2])
        assert runs(uri) == {"down": expected, "up": expected, "middle": expected, "last": expected}
    assert sessions(paths.SPOOL) == []


class Broken(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        """Be quiet."""


@pytest.mark.parametrize("kind", ["broken", "hanging"])
def test_a_server_that_does_not_work_costs_one_warning(project: Path, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "broken":
            http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken)
            stack.callback(http_server.shutdown)
            threading.Thread(target=http_server.serve_forever, daemon=True).start()
            port = http_server.server_port
        else:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
        environment = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"}
        seconds, err = train("key", **environment)
    assert seconds < 60
    assert err.count("warning") == 1, err
    train("next")
    assert runs() == {"key": ("FINISHED", [0, 1, 2]), "next": ("FINISHED", [0, 1, 2])}


def test_eight_cold_processes_on_a_new_database_lose_nothing(project: Path) -> None:
    processes = [training(f"key{index}") for index in range(8)]
    for process in processes:
        _, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 0
        assert err == ""
    assert runs() == {f"key{index}": ("FINISHED", [0, 1, 2]) for index in range(8)}


def test_a_killed_training_is_marked_and_resumed(project: Path) -> None:
    process = training("key", "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "trained\n"
    process.kill()
    process.communicate(timeout=LIMIT)  # the delivery ends by itself, and says so to MLflow
    until(lambda: sessions(paths.SPOOL) == [])
    assert runs() == {"key": ("KILLED", [0, 1, 2])}
    train("key", "resume")
    assert runs() == {"key": ("FINISHED", [0, 1, 2, 3, 4, 5])}


def test_an_orphan_is_marked_at_the_next_start(project: Path) -> None:
    """The whole group dies, as when a container is stopped: training and delivery."""
    process = training("orphan", "wait", MAINLINE_TRACKING="defer")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=LIMIT)
    train("other")
    assert runs() == {"orphan": ("KILLED", [0, 1, 2]), "other": ("FINISHED", [0, 1, 2])}


def test_mainline_run_sends_what_is_left_when_nothing_is_stale(tmp_path: Path) -> None:
    root = pipelines.build(tmp_path)
    shown = clones.mainline(root, "run", extra={"PYTHONPATH": SOURCES})
    assert "Everything is up to date" in shown.stdout, shown.stderr
    spool = root / paths.SPOOL
    assert not spool.exists(), "nothing is started for nothing"
    spooled = "from pipeline.tracking.tracker import Tracker; Tracker.start('left', params={}).finish()"
    deferred = {**os.environ, "MAINLINE_TRACKING": "defer"}
    subprocess.run([sys.executable, "-c", spooled], cwd=root, env=deferred, check=True)
    clones.mainline(root, "run", extra={"PYTHONPATH": SOURCES, "MAINLINE_TRACKING": "defer"})
    assert len(sessions(spool)) == 1, "a machine without network only spools"
    shown = clones.mainline(root, "run", extra={"PYTHONPATH": SOURCES, "MAINLINE_TRACKING": ""})
    assert "Everything is up to date" in shown.stdout, shown.stderr
    until(lambda: sessions(spool) == [])
    assert (spool / "last_run.json").exists()


def test_what_is_left_stays_when_mlflow_does_not_answer(project: Path) -> None:
    train("left", MAINLINE_TRACKING="defer")
    away = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    assert undelivered(**away) == REFUSED
    assert len(sessions(paths.SPOOL)) == 1
    assert "MLflow does not take" in (paths.SPOOL / "delivery.log").read_text()
    assert undelivered() == 0
    assert runs() == {"left": ("FINISHED", [0, 1, 2])}
    assert sessions(paths.SPOOL) == []


def undelivered(**environment: str) -> int:
    """The exit code of a delivery that follows no session."""
    command = [sys.executable, "-m", "pipeline.tracking.delivery"]
    return subprocess.run(command, env={**os.environ, **environment}, timeout=LIMIT).returncode
