"""A stand-in for the service: python standin.py --bento PATH --sha256 … --port N. The "Bento" is JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from aiohttp import web


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bento", type=Path, required=True)
    parser.add_argument("--sha256")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    says = json.loads(options.bento.read_text())
    if says.get("broken"):
        sys.exit("broken on purpose")
    loop = asyncio.get_running_loop()

    async def ready(request: web.Request) -> web.Response:
        return web.Response(status=200 if says.get("ready", True) else 503)

    async def provenance(request: web.Request) -> web.Response:
        files = {"model.onnx": says["model_sha256"]}
        return web.json_response({"version": says["version"], "manifest": {"files": files}})

    async def predict(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await asyncio.sleep(float(request.query.get("seconds", "0.002")))
        echo = {"version": says["version"], "bytes": len(body), "pid": os.getpid(),
                "headers": list(request.headers)}  # fmt: skip
        if "chunked" not in request.query:
            return web.json_response(echo)
        answer = web.StreamResponse()
        await answer.prepare(request)
        for part in json.dumps(echo):
            await answer.write(part.encode())
        if "cut" in request.query:
            os._exit(1)
        await answer.write_eof()
        return answer

    app = web.Application(client_max_size=10**8)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/provenance", provenance)
    app.router.add_route("*", "/predict", predict)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port).start()
    if "lives" in says:
        loop.call_later(says["lives"], os._exit, 3)
    stop = asyncio.Event()
    if not says.get("abrupt"):
        loop.add_signal_handler(15, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
