"""A Bento as a process on loopback: start, wait until it is ready, ask, stop. For checks and tests."""

from __future__ import annotations

import http.client
import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.errors import DeployError, MainlineError, of_exit_code

READY = 30.0  # seconds at most until it answers
STOP = 30.0


@dataclass
class Running:
    """A service that answers on loopback. `ready_seconds`: from its start to its first answer."""

    process: subprocess.Popen[bytes]
    port: int
    ready_seconds: float
    hello: str

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            kind = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, body, {**kind, **(headers or {})})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def predict(self, rows: Any) -> tuple[int, Any]:
        status, body = self.ask("POST", "/predict", json.dumps({"rows": rows}).encode())
        return status, json.loads(body)


@contextmanager
def running(
    *arguments: str, cwd: Path | None = None, extra: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """`python -m serving.run ARGUMENTS` on a free port, stopped at the end.

    Raises DeployError with its output, or the error with which it refused to start.
    """
    command = [sys.executable, "-m", "serving.run", "--port", "0", *arguments]
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(extra or {})},
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            hello = _hello(process, errors, started)
            found = re.search(r"http://127\.0\.0\.1:(\d+)", hello)
            if not found:
                raise DeployError("the service does not say where it answers", why=hello)
            service = Running(process, int(found[1]), 0, hello)
            _until_ready(service)
            service.ready_seconds = time.perf_counter() - started
            yield service
        finally:
            _stop(process)


def _hello(process: subprocess.Popen[bytes], errors: Any, started: float) -> str:
    """Its first two lines of output: where it answers, and a curl."""
    assert process.stdout is not None  # noqa: S101
    text = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while text.count(b"\n") < 2 and (left := started + READY - time.perf_counter()) > 0:
            if selector.select(left):
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    break
                text += part
    if text.count(b"\n") >= 2:
        return text.decode()
    _stop(process)
    raise _refusal(process.returncode, errors)


def _refusal(code: int, errors: Any) -> MainlineError:
    """As what the service itself ended with: a tampered model is an IntegrityError here too."""
    errors.seek(0)
    why = errors.read().decode(errors="replace").strip()[-3000:]
    return of_exit_code(code, DeployError)(
        f"the service did not start (exit code {code})", why=why or f"no answer within {READY:g} s"
    )


def _until_ready(service: Running) -> None:
    limit = time.perf_counter() + READY
    while service.ask("GET", "/readyz")[0] != 200:
        if time.perf_counter() > limit:
            raise DeployError(f"the service was not ready within {READY:g} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()
