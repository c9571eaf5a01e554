"""The one change to BentoML: its request timeout is taken out.

In the versions below it starts a timer with each request and never cancels it, so that each request stays in
memory for the whole timeout, and it cannot be configured away. serving/limits.py limits how long a body may
take to come; what follows computes on the event loop, where no timer could interrupt it.
`tests/serving/test_patch.py` fails when BentoML cancels its timer: then delete this file.
"""

from __future__ import annotations

from typing import Any

import bentoml
from bentoml._internal.server.http import traffic

VERSIONS = ("1.4.39",)


class NoTimeout:
    """In place of TimeoutMiddleware; takes the same arguments."""

    def __init__(self, app: Any, timeout: float) -> None:  # noqa: ARG002
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def apply() -> bool:
    """Whether this version is one that we know; another one is left as it is: slower, and correct."""
    if bentoml.__version__ in VERSIONS:
        traffic.TimeoutMiddleware = NoTimeout  # type: ignore[assignment,misc]
        return True
    return False
