"""What a request may be before anything parses it: its type, its size, how long its body may take to come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
PATH = "/predict"


class _RefusedError(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Limits:
    """ASGI middleware: reads the whole body of a prediction within the limits, and counts the answer.

    `count` is called with the status and the seconds of each request. BentoML's own timeout is taken out
    (serving/patch.py).
    """

    def __init__(
        self, app: App, *, max_bytes: int, body_seconds: float, count: Callable[[int, float], None]
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._body_seconds = body_seconds
        self._count = count

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            return await self._app(scope, receive, send)
        started = time.perf_counter()
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if scope["method"] == "POST":
                receive = await self._received(dict(scope["headers"]), receive)
            await self._app(scope, receive, counted)
        except _RefusedError as refused:
            # The rest of the body is not read: the connection cannot be used again.
            answer = JSONResponse({"error": str(refused)}, refused.status, {"connection": "close"})
            await answer(scope, receive, counted)
        except ConnectionError:
            status = 499  # the client has gone
        finally:
            self._count(status, time.perf_counter() - started)

    async def _received(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """The body, whole, as a `receive` of its own. Raises _RefusedError."""
        kind = headers.get(b"content-type", b"application/json").split(b";")[0].strip().lower()
        if kind != b"application/json":
            raise _RefusedError(415, "the body must be application/json")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_bytes:
            raise self._too_long()
        message = await self._part(receive)
        if message.get("more_body"):
            message = await self._rest(message, receive)
        if len(message.get("body", b"")) > self._max_bytes:
            raise self._too_long()
        waiting = [message]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        return replay

    async def _rest(self, message: Message, receive: Receive) -> Message:
        parts, size = [message.get("body", b"")], len(message.get("body", b""))
        try:
            async with asyncio.timeout(self._body_seconds):
                while message.get("more_body"):
                    message = await self._part(receive)
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._max_bytes:
                        raise self._too_long()
        except TimeoutError:
            raise _RefusedError(408, f"the body did not come within {self._body_seconds:g} s") from None
        return {"type": "http.request", "body": b"".join(parts), "more_body": False}

    async def _part(self, receive: Receive) -> Message:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        return message

    def _too_long(self) -> _RefusedError:
        return _RefusedError(
            413, f"the body is longer than {self._max_bytes:,} bytes; send fewer rows at a time"
        )
