"""The log of predictions over OTLP, to a receiver that decodes it: what arrives, what is lost and counted."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from serving import schemas
from serving.otlp import BATCH, OtlpMonitor
from serving.process import running
from tests.serving.otlp_receiver import Receiver, receiver
from tests.serving.test_shutdown import Load
from usecase.schema import FEATURES

ROW = schemas.example(FEATURES)


class Lost:
    """Counts, from whatever thread."""

    def __init__(self) -> None:
        self.lines = 0
        self._lock = threading.Lock()

    def __call__(self, lines: int) -> None:
        with self._lock:
            self.lines += lines


def _monitor(endpoint: str, lost: Lost, longest: int = 1_000_000) -> OtlpMonitor:
    about = {"service.name": "toy", "service.version": "v1.0.0"}
    return OtlpMonitor("predictions", endpoint, longest, {"authorization": "Bearer x"}, about, lost, 0.02)


def _lines(start: int, count: int, width: int = 20) -> list[bytes]:
    return [json.dumps({"n": n, "w": "é" * width}).encode() + b"\n" for n in range(start, start + count)]


def _numbers(lines: list[str]) -> list[int]:
    return [json.loads(line)["n"] for line in lines]


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def test_lines_arrive_in_their_order_with_what_they_are_of() -> None:
    lost, before = Lost(), time.time_ns()
    with receiver() as collector:
        monitor = _monitor(collector.url, lost)
        for start in range(0, 30, 3):
            monitor.log_table(_lines(start, 3), {})
        assert _numbers(collector.until(30)) == list(range(30))
        monitor.flush()
    (logs,) = collector.requests[0].resource_logs
    told = {one.key: one.value.string_value for one in logs.resource.attributes}
    assert told == {"service.name": "toy", "service.version": "v1.0.0"}
    record = logs.scope_logs[0].log_records[0]
    assert before <= record.time_unix_nano <= time.time_ns()
    assert record.body.string_value == _lines(0, 1)[0].decode().strip()
    assert collector.headers[0]["authorization"] == "Bearer x"
    assert lost.lines == 0


def test_a_stop_sends_what_waits_at_once() -> None:
    """In more than one request, and without the time that a line waits for others."""
    lost, lines = Lost(), _lines(0, 3000, 500)
    with receiver() as collector:
        monitor = OtlpMonitor("predictions", collector.url, 10 * BATCH, lost=lost, held=600)
        for at in range(0, 3000, 100):
            monitor.log_table(lines[at : at + 100], {})
        monitor.flush()
        assert _numbers(collector.lines) == list(range(3000))
        assert len(collector.requests) > 1
    assert lost.lines == 0


def test_what_comes_just_before_the_stop_is_sent() -> None:
    for _ in range(20):
        with receiver() as collector:
            monitor = _monitor(collector.url, Lost())
            monitor.log_table(_lines(0, 1), {})
            monitor.flush()
            assert len(collector.lines) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_collector_that_is_busy_is_asked_again(status: int) -> None:
    lost = Lost()
    with receiver(answers=[status]) as collector:
        monitor = _monitor(collector.url, lost)
        monitor.log_table(_lines(0, 5), {})
        assert _numbers(collector.until(5)) == list(range(5))
        monitor.flush()
    assert lost.lines == 0


@pytest.mark.parametrize("status", [302, 400, 401, 413, 500])
def test_what_is_refused_is_counted_and_the_next_is_sent(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    lost = Lost()
    with receiver(answers=[status]) as collector:
        monitor = _monitor(collector.url, lost)
        monitor.log_table(_lines(0, 5), {})
        _until(lambda: lost.lines == 5)
        monitor.log_table(_lines(5, 5), {})
        assert _numbers(collector.until(5)) == list(range(5, 10))
        monitor.flush()
    assert lost.lines == 5
    assert f"5 lines of the log of predictions are lost: {collector.url} answers {status}" in caplog.text
    assert "Bearer" not in caplog.text


def test_what_is_refused_of_a_batch_is_counted() -> None:
    lost = Lost()
    with receiver(rejected=2) as collector:
        monitor = _monitor(collector.url, lost)
        monitor.log_table(_lines(0, 5), {})
        monitor.flush()
    assert lost.lines == 2


def test_a_collector_that_is_down_costs_no_more_than_what_may_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Then it comes back: what waited arrives, and each line has arrived or is counted."""
    lost, port, longest = Lost(), _free_port(), 50_000
    monitor = _monitor(f"http://127.0.0.1:{port}/v1/logs", lost, longest)
    size = len(b"".join(_lines(1000, 10)))
    started = time.perf_counter()
    for start in range(1000, 9000, 10):
        monitor.log_table(_lines(start, 10), {})
        assert monitor._size <= longest
    assert time.perf_counter() - started < 5, "who logs must not wait for the collector"
    kept = longest // size * 10
    assert lost.lines == 8000 - kept
    with receiver(port) as collector:
        assert _numbers(collector.until(kept)) == list(range(1000, 1000 + kept))
        monitor.flush()
    assert lost.lines == 8000 - kept
    assert sum(int(r.args[0].split(" ")[0].replace(",", "")) for r in _losses(caplog)) == lost.lines  # type: ignore[index,union-attr,arg-type]
    assert len(caplog.records) < 10, "a message a request would fill the disk"


def _losses(caplog: pytest.LogCaptureFixture) -> list[object]:
    return [one for one in caplog.records if "are lost" in one.getMessage()]


@pytest.mark.parametrize("kind", ["down", "hangs", "drips"])
def test_a_stop_does_not_wait_for_a_collector_for_long(kind: str) -> None:
    lost, enough = Lost(), threading.Event()
    hang = threading.Event() if kind == "hangs" else None
    with receiver(hang=hang) as collector:
        port = collector.port if hang else _free_port()
        monitor = _monitor(f"http://127.0.0.1:{port}/v1/logs", lost)
        if kind == "drips":  # an answer that comes by the byte keeps within every time limit of a socket
            monitor._post = lambda _: int(enough.wait(60)) - 1  # type: ignore[method-assign]
        monitor.log_table(_lines(0, 7), {})
        started = time.perf_counter()
        monitor.flush(1)
        assert time.perf_counter() - started < 4
    assert lost.lines >= 7  # a request that hangs is given up, and may have been taken
    monitor.log_table(_lines(7, 1), {})
    assert lost.lines >= 8, "after the end nothing is taken"
    enough.set()


def _until(holds) -> None:  # type: ignore[no-untyped-def]
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit
        threading.Event().wait(0.01)


def _extra(collector: Receiver | None, port: int = 0) -> dict[str, str]:
    """An address without a path, as a collector's usually is written."""
    address = f"http://127.0.0.1:{collector.port if collector else port}"
    return {"SERVING_LOG": "otlp", "SERVING_LOG_ENDPOINT": address, "SERVING_LOG_BYTES": "20000"}


@pytest.mark.slow
@pytest.mark.xdist_group("serving")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_acknowledged_prediction_arrives(bento: Path, number: signal.Signals) -> None:
    with receiver() as collector:
        extra = {**_extra(collector), "SERVING_LOG_BYTES": "10000000"}
        with running("--bento", str(bento), extra=extra) as service:
            load = Load(service.port)
            assert load.enough.wait(60)
            service.process.send_signal(number)
            load.join()
            service.process.wait(40)
            assert service.process.returncode == 0
        found = [json.loads(line) for line in collector.lines]
    keys = [line["key"] for line in found]
    assert set(load.acknowledged) <= set(keys) and len(keys) == len(set(keys)) and not load.refused
    assert set(found[0]["features"]) == {column.name for column in FEATURES.features}
    assert {"at", "request_id", "model", "version", "time", "score", "decision"} <= found[0].keys()


@pytest.mark.slow
@pytest.mark.xdist_group("serving")
def test_without_a_collector_it_answers_and_counts_what_is_lost(bento: Path) -> None:
    with running("--bento", str(bento), extra=_extra(None, _free_port())) as service:
        for _ in range(5):
            assert service.predict([ROW] * 20)[0] == 200
        metrics = service.ask("GET", "/metrics")[1].decode()
    line = next(line for line in metrics.splitlines() if line.startswith("serving_log_lost_total "))
    assert float(line.split()[1]) in (80, 100), "20 lines of a request are 20,000 bytes or less"
