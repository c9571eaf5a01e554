"""The hub's address: Git over HTTP, GitHub's REST API passed on to emulate and put right, and pages."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests import servers
from tests.e2e.gitserver import Repository
from tests.e2e.hub import APP, PEOPLE, PULLS, Hub, Pull, seed
from tests.servers import REPOSITORY

ONE_PULL = re.compile(rf"{PULLS}/(\d+)")
MERGE = re.compile(rf"{PULLS}/(\d+)/merge")
DISPATCH = re.compile(rf"/repos/{REPOSITORY}/actions/workflows/([\w.-]+)/dispatches")


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        git = f"/{REPOSITORY}.git"
        if path.startswith(f"{git}/"):
            self.hub.repository.answer(self, path.removeprefix(git), query)
            return
        length = int(self.headers.get("Content-Length") or 0)
        self._reply(*self._answer(path, self.rfile.read(length)))

    def _answer(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.command == "GET" and (found := self.hub.page(path)):
            return found[0], {"Content-Type": found[1]}, found[2]
        if self.command == "PUT" and (merge := MERGE.fullmatch(path)):
            return self._merge(int(merge[1]))
        if self.command == "POST" and (dispatch := DISPATCH.fullmatch(path)):
            self.hub.dispatched(dispatch[1], json.loads(body)["ref"], self._token())
            return 204, {}, b""
        before = self._state(path) if self.command == "PATCH" else ""
        status, headers, answer = self._pass_on(body)
        if status in (200, 201) and path.startswith(PULLS):
            answer = self._put_right(answer)
            self._tell(path, before, status, answer)
        return status, headers, answer.replace(self.hub.api.url.encode(), self.hub.url.encode())

    def _merge(self, number: int) -> tuple[int, dict[str, str], bytes]:
        kind = {"Content-Type": "application/json"}
        try:
            answer = {"sha": self.hub.merge(number, self._token()), "merged": True}
        except ValueError as error:
            return 405, kind, json.dumps({"message": str(error)}).encode()
        return 200, kind, json.dumps(answer).encode()

    def _state(self, path: str) -> str:
        found = ONE_PULL.fullmatch(path)
        return str(self.hub.pull(int(found[1])).content["state"]) if found else ""

    def _put_right(self, answer: bytes) -> bytes:
        content = json.loads(answer)
        if isinstance(content, list) and content and "head" in content[0]:
            return json.dumps([self.hub.right(pull) for pull in content]).encode()
        if isinstance(content, dict) and "head" in content:
            return json.dumps(self.hub.right(content)).encode()
        return answer

    def _tell(self, path: str, before: str, status: int, answer: bytes) -> None:
        if self.command == "POST" and path == PULLS and status == 201:
            self.hub.acted("opened", Pull(json.loads(answer)), self._token())
        elif self.command == "PATCH" and ONE_PULL.fullmatch(path):
            pull = Pull(json.loads(answer))
            if before != pull.content["state"]:
                self.hub.acted("closed" if before == "open" else "reopened", pull, self._token())

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").partition(" ")[2]

    def _pass_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        hop = {"connection", "content-length", "accept-encoding", "host"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in hop}
        url = f"{self.hub.api.url}{self.path}"
        request = urllib.request.Request(url, body or None, headers, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, _kept(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, _kept(error.headers), error.read()

    def _reply(self, status: int, headers: dict[str, str], answer: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value.replace(self.hub.api.url, self.hub.url))
        if status != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(b"" if status == 204 else answer)

    # The base class looks for a method `do_<METHOD>`.
    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
        pass


def _kept(headers: Any) -> dict[str, str]:
    wanted = ("content-type", "link", "retry-after", "x-ratelimit-remaining", "x-ratelimit-reset")
    return {name: value for name, value in headers.items() if name.lower() in wanted}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left, or a push that was cut: nothing to say in the narration."""


@contextmanager
def hub(folder: Path) -> Iterator[Hub]:
    """A forge with an empty repository under `folder`; stopped at the end."""
    writers = {*seed()["tokens"]} - {"stranger-token"}
    repository = Repository.create(folder / "origin.git", frozenset(writers))
    with servers.github(seed()) as api:
        for name in (APP, *PEOPLE):
            api.call("PUT", f"/repos/{REPOSITORY}/collaborators/{quote(name)}", {"permission": "push"})
        handler = type("Handler", (_Handler,), {})
        server = _Server(("127.0.0.1", 0), handler)
        made = Hub(repository, api, server)
        handler.hub = made  # type: ignore[attr-defined]
        repository.told = lambda pushed: made.pushed(pushed)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield made
        finally:
            made.stop()
