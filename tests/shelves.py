"""What GitHub does with releases and emulate does not, for the proxy before emulate.

https://docs.github.com/en/rest/releases: the digest of an asset, one asset of a name, an upload that broke
off and stays behind as `starter`, and `make_latest`.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers import REPOSITORY, Answer, Forward, GitHubServer, Request

ASSETS = re.compile(r"/releases/(\d+)/assets$")
ASSET = re.compile(r"/releases/assets/(\d+)$")
JSON = {"Content-Type": "application/json"}


class Shelves:
    """Put into `proxy.around`. `breaking`: how many uploads break off from now on; `digests`: told or not."""

    def __init__(self, server: GitHubServer) -> None:
        self.server = server
        self.assets: dict[int, dict[str, Any]] = {}
        self.latest: int | None = None
        self.breaking, self.digests = 0, True
        server.proxy.around = self

    def __call__(self, asked: Request, forward: Forward) -> Answer:
        path = urlsplit(asked.path).path
        if asked.method == "POST" and (found := ASSETS.search(path)):
            return self._upload(int(found[1]), asked, forward)
        if asked.method == "DELETE" and (found := ASSET.search(path)):
            self.assets.pop(int(found[1]), None)
        if asked.method == "GET" and path.endswith("/releases/latest"):
            if self.latest is None:
                return 404, JSON, b'{"message": "Not Found"}'
            return forward(Request("GET", f"/repos/{REPOSITORY}/releases/{self.latest}"))
        status, headers, body = forward(asked)
        if "/releases" not in path or not body or status >= 300:
            return status, headers, body
        told = json.loads(body)
        if asked.method in ("POST", "PATCH") and not told.get("draft", True):
            wish = json.loads(asked.body).get("make_latest", "true")
            self.latest = told["id"] if wish == "true" else self.latest
        return status, headers, json.dumps(self._completed(told)).encode()

    def _upload(self, release: int, asked: Request, forward: Forward) -> Answer:
        name = parse_qs(urlsplit(asked.path).query)["name"][0]
        if any((one["release"], one["name"]) == (release, name) for one in self.assets.values()):
            error = {"message": "Validation Failed", "errors": [{"code": "already_exists"}]}
            return 422, JSON, json.dumps(error).encode()
        broken = self.breaking > 0
        self.breaking -= broken
        status, headers, body = forward(Request("POST", asked.path, b"" if broken else asked.body))
        told = json.loads(body)
        self.assets[told["id"]] = {
            "release": release, "name": name, "state": "starter" if broken else "uploaded",
            "digest": None if broken else f"sha256:{hashlib.sha256(asked.body).hexdigest()}",
            "content": asked.body,
        }  # fmt: skip
        if broken:
            return 502, JSON, b'{"message": "Bad Gateway"}'
        return status, headers, json.dumps(self._completed(told)).encode()

    def _completed(self, told: Any) -> Any:
        if isinstance(told, list):
            return [self._completed(one) for one in told]
        if mine := self.assets.get(told.get("id")) if "content_type" in told else None:
            return {**told, "state": mine["state"], "digest": mine["digest"] if self.digests else None}
        if "assets" in told:
            return {**told, "assets": self._completed(told["assets"])}
        return told

    def releases(self) -> list[dict[str, Any]]:
        """What there is, drafts too."""
        return list(self.server.call("GET", f"/repos/{REPOSITORY}/releases"))

    def contents(self, release: int) -> dict[str, bytes]:
        """Assets by name, as they arrived."""
        mine = [one for one in self.assets.values() if one["release"] == release]
        return {one["name"]: one["content"] for one in mine if one["state"] == "uploaded"}
