"""An OTLP/HTTP receiver on loopback: decodes the protobuf, keeps the records, answers as it is told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)


@dataclass
class Receiver:
    """`answers`: statuses to give before 200. `rejected`: of each request, by its partial success."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    rejected: int = 0
    lines: list[str] = field(default_factory=list)
    requests: list[ExportLogsServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    hang: threading.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/logs"

    def until(self, count: int) -> list[str]:
        """The lines, when there are so many, or after half a minute."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.lines) >= count, 30)
            return list(self.lines)

    def take(self, path: str, headers: dict[str, str], content: bytes) -> tuple[int, bytes]:
        assert path == "/v1/logs", path
        assert headers["content-type"] == "application/x-protobuf"
        request = ExportLogsServiceRequest.FromString(content)
        if self.hang:
            self.hang.wait(30)
        with self.changed:
            if self.answers and (status := self.answers.pop(0)) != 200:
                return status, b""
            self.requests.append(request)
            self.headers.append(headers)
            for logs in request.resource_logs:
                for scope in logs.scope_logs:
                    self.lines += [record.body.string_value for record in scope.log_records]
            self.changed.notify_all()
        answer = ExportLogsServiceResponse()
        if self.rejected:
            answer.partial_success.rejected_log_records = self.rejected
        return 200, answer.SerializeToString()


@contextlib.contextmanager
def receiver(port: int = 0, **told: Any) -> Iterator[Receiver]:
    made = Receiver(**told)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            status, answer = made.take(self.path, {k.lower(): v for k, v in self.headers.items()}, content)
            with contextlib.suppress(OSError):  # who asked may have given up
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                if 300 <= status < 400:
                    self.send_header("Location", made.url)
                self.end_headers()
                self.wfile.write(answer)

        def do_GET(self) -> None:  # a redirect that was followed
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            if made.hang:
                made.hang.set()
            server.shutdown()
            thread.join()
