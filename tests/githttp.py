"""Git over HTTP on loopback: `git http-backend` behind a small server, with the faults of a network."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


class GitServer(ThreadingHTTPServer):
    """Serves the bare repositories below `root`. `url`: of that folder.

    `refuse`: a status that the next push gets instead of being done; `lose`: the next push is done, and its
    answer lost. `pushes`: how many packs arrived.
    """

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.refuse = 0
        self.lose = False
        self.pushes = 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: GitServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/git-receive-pack"):
            if status := self.server.refuse:
                self.server.refuse = 0
                self._answer(status, [], b"")
                return
            self.server.pushes += 1
            if self.server.lose:
                self.server.lose = False
                self._backend(body)
                self.close_connection = True
                return
        self._serve(body)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _serve(self, body: bytes) -> None:
        head, _, content = self._backend(body).partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        self._answer(status, [field for field in fields if field[0] != "Status"], content)

    def _backend(self, body: bytes) -> bytes:
        parts = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1", "GIT_CONFIG_GLOBAL": os.devnull, "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path, "QUERY_STRING": parts.query, "REMOTE_USER": "anybody",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        return subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
        ).stdout

    def _answer(self, status: int, fields: list[list[str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        pass


@contextlib.contextmanager
def git_server(root: Path) -> Iterator[GitServer]:
    """A server of the bare repositories below `root`, for as long as the block lasts."""
    server = GitServer(root)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
