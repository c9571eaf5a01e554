"""Questions to a service: is it ready, and is it the one that the record names?"""

from __future__ import annotations

import http.client
import json
import shlex
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from mainline.releases import Release

POLL = 0.05  # seconds
LOCAL = "127.0.0.1"
LONGEST = 100_000  # bytes of an answer that are read


def _get(port: int, path: str, host: str = LOCAL) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOCAL if host in ("0.0.0.0", "::") else host, port, timeout=5)  # noqa: S104
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(LONGEST)
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def ready(port: int, host: str = LOCAL) -> bool:
    """Whether a service says that it is ready."""
    return _get(port, "/readyz", host)[0] == 200


def foreign(port: int, record: Release) -> str:
    """Why what answers on the port is not the record's version and model; empty when it is."""
    status, body = _get(port, "/provenance")
    try:
        said = json.loads(body)
        version, files = str(said["version"]), list(said["manifest"]["files"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"/provenance does not say which model is served (status {status})"
    if version != record.release:
        return f"it says that it is version {version[:60]!r}"
    if record.model_sha256 not in files:
        return f"it serves another model than the record names ({record.model_sha256[:12]}…)"
    return ""


def curl(address: str) -> str:
    """A request that the service answers, by the example of its own document; empty where it has none."""
    parts = urlsplit(address)
    try:
        body = _get(parts.port or 80, "/docs.json", parts.hostname or LOCAL)[1]
        paths = json.loads(body)["paths"]
        example = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]["example"]
    except (ValueError, KeyError, TypeError):
        return ""
    text = shlex.quote(json.dumps(example))
    return f"curl {address}/predict -H 'Content-Type: application/json' -d {text}"


def free_port() -> int:
    """A port of the loopback that is free now. Another program may take it first; the checks see that."""
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return int(probe.getsockname()[1])


def wait(done: Callable[[], bool], seconds: float) -> bool:
    """Poll until `done`; False when the time is over."""
    ends = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= ends:
            return False
        time.sleep(POLL)
    return True
