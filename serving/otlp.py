"""The log of predictions over OTLP/HTTP: a backend of `bentoml.monitor` that sends whole lines, in batches.

BentoML's own drops what its queue of 2,048 records cannot hold, which is two requests, counts none of it, and
needs gRPC's libraries. Protocol: https://opentelemetry.io/docs/specs/otlp/ (protobuf).
"""

from __future__ import annotations

import http.client
import itertools
import logging
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bentoml.monitoring import MonitorBase
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as service_pb2
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO as INFO

HELD = 1.0  # seconds that a line waits for others, and so what a kill can lose
BATCH = 1_000_000  # bytes of lines that are sent at once
ANSWER = 10.0  # seconds within which the collector must answer
PAUSES = (0.5, 1, 2, 4, 8, 15)  # seconds between tries; the last one again and again
FLUSH = 6.0  # seconds for what still waits at a stop; with run.GRACE less than whoever stops us waits
SAID = 30.0  # seconds between two messages of ours
RETRIED = (429, 502, 503, 504)  # the protocol's; after another answer the same lines would be refused again
LOG = logging.getLogger("serving")
Batch = tuple[int, int, list[bytes]]  # when it was logged, in ns since 1970; bytes; lines


class OtlpMonitor(MonitorBase[Any]):
    """Sends lines from a thread, in their order; one may come twice, where an answer was lost.

    At most `longest` bytes wait. Lines beyond are lost, and so are those that the collector refuses and those
    that wait still at the end: `lost` is called with their number, from any thread.
    """

    def __init__(
        self,
        name: str,
        endpoint: str,
        longest: int,
        headers: Mapping[str, str] | None = None,
        about: Mapping[str, str] | None = None,
        lost: Callable[[int], None] = lambda _: None,
        held: float = HELD,
        **_: Any,
    ) -> None:
        super().__init__(name)
        self._endpoint = endpoint
        self._longest = longest
        self._headers = {"Content-Type": "application/x-protobuf", **(headers or {})}
        self._about = about or {}
        self._lost = lost
        self._held = held
        self._waiting: deque[Batch] = deque()
        self._size = 0  # bytes that wait or are on their way
        self._lock = threading.Lock()
        self._due = threading.Event()  # there is a whole batch, or the end has come
        self._ending = threading.Event()
        self._end = float("inf")  # monotonic seconds at which what waits is given up
        self._over = threading.Event()
        self._sending = 0  # lines on their way
        self._next_word = 0.0  # monotonic seconds
        self._silent = 0  # lines lost since the last word
        self._open = urllib.request.build_opener(_NoRedirect).open
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def start_record(self) -> None:
        """Nothing to prepare: `log_table` takes whole lines."""

    def stop_record(self) -> None:
        """Nothing: the thread sends."""

    def log_table(self, data: Iterable[Any], schema: dict[str, str]) -> None:  # noqa: ARG002
        """Have whole lines sent, as `prediction_log.lines` makes them."""
        lines = [line for block in data for line in block.splitlines(keepends=True)]
        size = sum(map(len, lines))
        with self._lock:
            taken = self._size + size <= self._longest and not self._ending.is_set()
            if taken:
                self._waiting.append((time.time_ns(), size, lines))
                self._size += size
                if self._size >= BATCH:
                    self._due.set()
        if not taken:
            self._forget(len(lines), f"{self._longest:,} bytes wait for {self._endpoint} already")

    def flush(self, seconds: float = FLUSH) -> None:
        """Send what waits, and take no more. What is not sent within the time is lost."""
        self._end = time.monotonic() + seconds
        self._ending.set()
        self._due.set()
        self._thread.join(seconds + 1)
        self._over.set()
        with self._lock:
            count = sum(len(lines) for *_, lines in self._waiting)
            self._waiting.clear()
        if self._thread.is_alive():  # it hangs in a request
            count += self._sending
        self._next_word = 0
        self._forget(count, f"{self._endpoint} did not take them in time")

    def _run(self) -> None:
        ended = False
        while not ended:
            self._due.wait(self._held)
            self._due.clear()
            # Asked before what follows: a line may have come just before the end.
            ended = self._ending.is_set()
            while batches := self._next():
                self._sending = sum(len(lines) for *_, lines in batches)
                try:
                    self._deliver(encoded(batches, self._about, self.name))
                except Exception as error:  # whatever it is, the thread must go on
                    self._forget(self._sending, f"{type(error).__name__}: {error}")
                with self._lock:
                    self._size -= sum(size for _, size, _ in batches)

    def _next(self) -> list[Batch]:
        """As many as one request takes, at least one; they count as waiting until they are delivered."""
        taken: list[Batch] = []
        left = BATCH
        with self._lock:
            while self._waiting and left > 0:
                taken.append(self._waiting.popleft())
                left -= taken[-1][1]
        return taken

    def _deliver(self, content: bytes) -> None:
        """Try until the collector takes or refuses the lines on their way, or until the time is up."""
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            try:
                if refused := self._post(content):
                    self._forget(refused, f"{self._endpoint} refused them, and took others")
                return
            except urllib.error.HTTPError as error:
                error.close()
                why = f"{self._endpoint} answers {error.code}"
                if error.code not in RETRIED:
                    break
            except (OSError, http.client.HTTPException) as error:
                why = f"{self._endpoint}: {error}"
            if time.monotonic() >= self._end:
                break
            self._say(f"the log of predictions waits: {why}")
            if self._ending.wait(pause):
                self._over.wait(0.2)
        self._forget(self._sending, why)

    def _post(self, content: bytes) -> int:
        """How many lines were refused. Raises HTTPError, OSError and HTTPException."""
        request = urllib.request.Request(self._endpoint, content, self._headers)  # noqa: S310 - see settings
        left = min(ANSWER, max(0.1, self._end - time.monotonic()))
        with self._open(request, timeout=left) as response:
            said = response.read(65536)
        try:
            answer = service_pb2.ExportLogsServiceResponse.FromString(said)
        except DecodeError:  # taken, and said in another way
            return 0
        return int(answer.partial_success.rejected_log_records)

    def _forget(self, lines: int, why: str) -> None:
        with self._lock:
            self._silent += lines
        if lines:
            self._lost(lines)
        if self._silent:
            self._say(f"{self._silent:,} lines of the log of predictions are lost: {why}")

    def _say(self, words: str) -> None:
        """Not at each request: a collector that is down must not fill the disk."""
        if time.monotonic() >= self._next_word:
            self._next_word, self._silent = time.monotonic() + SAID, 0
            LOG.error("%s", words)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Following one turns a POST into a GET, which a server answers with 200 and keeps nothing of."""

    def redirect_request(self, *_: Any) -> None:
        return None


def encoded(batches: Iterable[Batch], about: Mapping[str, str], scope: str) -> bytes:
    """An ExportLogsServiceRequest: a record a line, which is its body; `about`: the resource's attributes."""
    request = service_pb2.ExportLogsServiceRequest()
    logs = request.resource_logs.add()
    for key, value in about.items():
        logs.resource.attributes.add(key=key).value.string_value = value
    made = logs.scope_logs.add()
    made.scope.name = scope
    for at, _, lines in batches:
        for line in lines:  # in place: messages that are handed over are copied, in five times the time
            record = made.log_records.add(time_unix_nano=at, observed_time_unix_nano=at, severity_number=INFO)
            record.body.string_value = line[:-1]
    content: bytes = request.SerializeToString()
    return content
