"""Git over HTTP: `git http-backend` for one bare repository, who pushed what, and a cut in the middle."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path

ZERO = "0" * 40
PROBE = 4  # bytes with which git asks whether it may push, before it sends much


@dataclass(frozen=True, slots=True)
class Pushed:
    """One reference that moved; ZERO where it was, or is, not there. `token` did it."""

    ref: str
    before: str
    after: str
    token: str


@dataclass
class Repository:
    """A bare repository. Everybody reads; `writers` are the tokens that may push.

    `cuts`: where the connection of the next pushes breaks: in the `pack`, or before the `answer`.
    """

    path: Path
    writers: frozenset[str]
    told: Callable[[Pushed], object] = print
    cuts: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def create(cls, path: Path, writers: frozenset[str]) -> Repository:
        made = cls(path, writers)
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True)
        for key, value in (("http.receivepack", "true"), ("uploadpack.allowAnySHA1InWant", "true")):
            made.git("config", key, value)
        return made

    def git(self, *arguments: str, text: str | None = None) -> str:
        """Standard output of a git command in it. Raises CalledProcessError."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, check=True, capture_output=True, text=True, input=text
        )
        return done.stdout.strip()

    def refs(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)

    def tip(self, branch: str) -> str | None:
        return self.refs().get(f"refs/heads/{branch}")

    def changed(self, before: str, after: str) -> tuple[str, ...]:
        """Paths that differ between two commits; all, where there was none before."""
        if ZERO in (before, after):
            return tuple(self.git("ls-tree", "-r", "--name-only", after).splitlines())
        return tuple(self.git("diff", "--name-only", before, after).splitlines())

    def move(self, ref: str, after: str, token: str) -> None:
        """Move a reference as a server does it by itself, a merge for instance, and tell of it."""
        with self.lock:
            before = self.refs().get(ref, ZERO)
            self.git("update-ref", ref, after)
        self.told(Pushed(ref, before, after, token))

    def answer(self, handler: BaseHTTPRequestHandler, inside: str, query: str) -> None:
        """Answer a request for `inside` the repository, e.g. /info/refs."""
        token = _token(handler.headers)
        writes = "git-receive-pack" in inside or "git-receive-pack" in query
        body = body_of(handler)
        if writes and token not in self.writers:
            _refuse(handler, 401 if not token else 403)
            return
        if not writes or inside == "/info/refs":
            _send(handler, self._backend(handler, inside, query, body, token))
            return
        cut = self.cuts.pop(0) if self.cuts and len(body) > PROBE else ""
        if cut == "pack":
            self._backend(handler, inside, query, body[: len(body) // 2], token)
            _break_off(handler)
            return
        with self.lock:
            before = self.refs()
            answer = self._backend(handler, inside, query, body, token)
            after = self.refs()
        if cut == "answer":
            _break_off(handler)
        else:
            _send(handler, answer)
        for ref in sorted(before.keys() | after.keys()):
            old, new = before.get(ref, ZERO), after.get(ref, ZERO)
            if old != new:
                self.told(Pushed(ref, old, new, token))

    def _backend(
        self, handler: BaseHTTPRequestHandler, inside: str, query: str, body: bytes, token: str
    ) -> bytes:
        sent = handler.headers
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.path), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": inside, "QUERY_STRING": query, "REQUEST_METHOD": handler.command,
            "CONTENT_TYPE": sent.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": sent.get("Content-Encoding", ""),
            "GIT_PROTOCOL": sent.get("Git-Protocol", ""), "REMOTE_ADDR": "127.0.0.1",
            **({"REMOTE_USER": token} if token else {}),
        }  # fmt: skip
        command = ["git", "http-backend"]
        return subprocess.run(command, env=environment, input=body, capture_output=True).stdout


def _token(headers: Message) -> str:
    """The password of Basic authentication, which is where git puts a token; empty without."""
    kind, _, value = (headers.get("Authorization") or "").partition(" ")
    if kind != "Basic":
        return ""
    return base64.b64decode(value).decode().partition(":")[2]


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    """The whole body; git sends what is large in chunks."""
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    parts = []
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        parts.append(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(parts)


def _refuse(handler: BaseHTTPRequestHandler, status: int) -> None:
    handler.send_response(status)
    if status == 401:
        handler.send_header("WWW-Authenticate", 'Basic realm="git"')
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _break_off(handler: BaseHTTPRequestHandler) -> None:
    """An answer that ends before its end; without any, curl would just send the request again."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"0")
    handler.close_connection = True


def _send(handler: BaseHTTPRequestHandler, answer: bytes) -> None:
    """What a CGI program wrote, as HTTP."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n") if line]
    headers = {name: value for name, _, value in lines}
    handler.send_response(int(headers.pop("Status", "200").split()[0]))
    for name, value in headers.items():
        if name.lower() != "content-length":
            handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
