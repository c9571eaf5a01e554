"""Why serving/patch.py exists. When the first test fails, BentoML has mended its timer: delete the patch."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import bentoml

from serving import patch

STOCK = """
import asyncio
from bentoml._internal.server.http.traffic import TimeoutMiddleware

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})

async def send(message): ...

async def main():
    await TimeoutMiddleware(app, 60)({"type": "http"}, None, send)
    left = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]
    print(len(left))

asyncio.run(main())
"""


def test_bentoml_still_leaves_a_timer_behind_for_each_request() -> None:
    done = subprocess.run([sys.executable, "-c", STOCK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1", (
        "the patch is not needed any more: delete serving/patch.py and its test"
    )


def test_the_installed_version_is_patched() -> None:
    assert bentoml.__version__ in patch.VERSIONS, (
        "is the patch needed for this version? Then name it in patch.py"
    )


def test_nothing_is_left_behind_with_the_patch() -> None:
    asked = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope)

    async def main() -> int:
        await patch.NoTimeout(app, timeout=60)({"type": "http"}, None, None)
        return len(asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]

    assert asyncio.run(main()) == 0 and len(asked) == 1
