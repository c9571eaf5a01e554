"""The front: one HTTP port before the service, which moves to another service between two requests.

It forwards whole requests, not connections, so a client keeps its connection over a swap and loses nothing:
`python -m mainline.deploy.front FOLDER --fd N`, started by the supervisor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from mainline.deploy import state, supervisor
from mainline.errors import MainlineError

TICK = 0.05  # seconds between two looks at the state
IDLE = 2.0  # seconds that a connection to the service is kept; servers close theirs after 5 or more
ANSWER = 120.0  # seconds that a service may be silent
# Of one connection, not of the message (RFC 9110, section 7.6.1).
HOP = frozenset((
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
    "trailer", "transfer-encoding", "upgrade",
))  # fmt: skip


class Front:
    """Forwards to the active service of `folder`, and says in `front.json` which one that is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend: int | None = None
        self.running: Counter[int] = Counter()
        self.told: object = None

    async def serve(self, listening: socket.socket) -> None:
        """Until SIGTERM, or until the deployment is stopped."""
        stopping = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stopping.set)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE)
        timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_read=ANSWER)
        skipped = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, skip_auto_headers=skipped,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as self.session:  # fmt: skip
            self.look()
            runner = web.ServerRunner(web.Server(self.forward), shutdown_timeout=30)
            await runner.setup()
            await web.SockSite(runner, listening, backlog=1024).start()
            parent = os.getppid()
            while not stopping.is_set() and self.look():
                if os.getppid() != parent:  # the supervisor was killed: it comes back with the same socket
                    parent = os.getppid()
                    supervisor.start(self.folder, listening)
                await asyncio.sleep(TICK)
            await runner.cleanup()

    def look(self) -> bool:
        """Follow the state file; False when the deployment is stopped."""
        try:
            now = state.State.read(self.folder / state.State.location)
        except MainlineError:
            return True  # unreadable: what was true stays true
        self.backend = now.active.port if now.active else None
        draining = {str(port): n for port, n in self.running.items() if n and port != self.backend}
        said = {"pid": os.getpid(), "backend": self.backend, "draining": draining}
        if said != self.told:
            partial = self.folder / ".front.json.part"
            partial.write_text(json.dumps(said))
            partial.replace(self.folder / "front.json")
            self.told = said
        return not now.stopped

    async def forward(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request to the active service, and its answer back."""
        port = self.backend
        if port is None:
            return _failed(503, "no service is deployed")
        if not request.raw_path.startswith("/"):
            return _failed(400, "the address of a request begins with a slash")
        self.running[port] += 1
        try:
            return await self._exchange(request, port)
        except (TimeoutError, aiohttp.ServerTimeoutError):
            return _failed(504, "the service did not answer in time")
        except aiohttp.ClientError:
            return _failed(502, "the service cannot be reached; it is being restarted")
        finally:
            self.running[port] -= 1

    async def _exchange(self, request: web.BaseRequest, port: int) -> web.StreamResponse:
        url = URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True)
        headers = _end_to_end(request.headers)
        headers.add("X-Forwarded-For", request.remote or "unknown")
        body = request.content if request.body_exists else None
        async with self.session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            given = web.StreamResponse(status=answer.status, reason=answer.reason)
            given.headers.extend(_end_to_end(answer.headers))
            await given.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await given.write(chunk)
            except (
                aiohttp.ClientError
            ):  # cut off within an answer: so must ours be, never a whole-looking one
                if request.transport is not None:
                    request.transport.abort()
                return given
            await given.write_eof()
            return given


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Without the headers of one connection, and those that `Connection` names."""
    named = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP | named)


def _failed(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status, headers={"Retry-After": "1"})


def main() -> None:
    """Serve on the socket that the supervisor handed over, unless another front of this folder does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fd", type=int, required=True)
    options = parser.parse_args()
    with state.only_one(options.folder / "front.lock") as mine:
        if mine:
            asyncio.run(Front(options.folder).serve(socket.socket(fileno=options.fd)))


if __name__ == "__main__":
    main()
