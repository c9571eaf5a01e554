"""What a program does that others see: a wire that hears each write before and after it is done.

The state of the world changes at a write alone, so a kill before and after each write, and at each line that
tells of a step, is a kill at every boundary.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.e2e.gitserver import PROBE, body_of
from tests.servers import Fault

KEPT = ("content-type", "link")
BEFORE, AFTER, STEP = "before ", "after ", "step "


@dataclass
class Cut(Fault):
    """The connection breaks halfway: the server gets the first half of the request, the program no answer."""

    status: int = 0


@dataclass
class Moments:
    """What was heard, in order. At number `at`, `act` is called; the fault it gives is the answer."""

    seen: list[str] = field(default_factory=list)
    at: int | None = None
    act: Callable[[], Fault | None] = lambda: None
    hit: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, moment: str) -> Fault | None:
        with self.lock:
            self.seen.append(moment)
            if self.at is None or len(self.seen) != self.at + 1:
                return None
            self.hit = moment
        return self.act()

    def ask(self, path: str) -> None:
        """A request arrives, a read too; it goes on when this returns."""

    def begin(self, at: int | None = None, act: Callable[[], Fault | None] = lambda: None) -> None:
        """Forget what was heard; a new run begins."""
        self.seen, self.at, self.act, self.hit = [], at, act, ""


class Wire(ThreadingHTTPServer):
    """Passes requests on to the server at `target` (an address without a path)."""

    daemon_threads = True

    def __init__(self, target: str, moments: Moments) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.moments = target, moments
        # What the API says of itself is asked through us too.
        self.addresses = (target.encode(), self.url.encode())
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed: nothing to say."""


class _Handler(BaseHTTPRequestHandler):
    server: Wire

    def _handle(self) -> None:
        body = body_of(self)
        self.server.moments.ask(self.path)
        moments, name = self.server.moments, f"{self.command} {self.path.partition('?')[0]}"
        fault = moments.hear(f"{BEFORE}{name}") if self._writes(body) else None
        if fault is None or fault.after:
            status, headers, answer = self._pass_on(body)
        elif isinstance(fault, Cut):
            with suppress(OSError):  # what the server says of it is not passed on
                self._pass_on(body[: len(body) // 2])
        if fault is None and self._writes(body):
            fault = moments.hear(f"{AFTER}{name}")
        if fault is not None and fault.hang:
            self.server.closing.wait()
        elif fault is not None and not fault.status:
            self._break_off()
        elif fault is not None:
            self._reply(fault.status, fault.headers, json.dumps(fault.body).encode())
        else:
            self._reply(status, headers, answer.replace(*self.server.addresses))

    def _writes(self, body: bytes) -> bool:
        """Whether it changes something; git asks with a few bytes whether it may push."""
        if self.path.endswith("/git-upload-pack"):
            return False
        return self.command != "GET" and not (self.path.endswith("-pack") and len(body) <= PROBE)

    def _pass_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        # The host is that of the wire: the links to further pages are made of it.
        hop = {"connection", "content-length", "accept-encoding", "transfer-encoding"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in hop}
        url = f"{self.server.target}{self.path}"
        request = urllib.request.Request(url, body or None, headers, method=self.command)
        try:
            response = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            kept = {name: text for name, text in response.headers.items() if name.lower() in KEPT}
            return response.status, self._ours(kept), response.read()

    def _ours(self, headers: dict[str, str]) -> dict[str, str]:
        return {name: text.replace(self.server.target, self.server.url) for name, text in headers.items()}

    def _reply(self, status: int, headers: dict[str, str], answer: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(b"" if status == 204 else answer)

    def _break_off(self) -> None:
        """An answer that ends before its end; without any, curl would just send the request again."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"0")

    # The base class looks for a method `do_<METHOD>`.
    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        pass


@contextmanager
def wire(target: str, moments: Moments) -> Iterator[Wire]:
    """Between a program and the server at `target`."""
    made = Wire(target, moments)
    try:
        yield made
    finally:
        made.closing.set()
        made.shutdown()
        made.server_close()
