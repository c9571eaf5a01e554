"""The adapter that asks a container registry for an image, by digest, as the OCI distribution spec says."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mainline.errors import IntegrityError, StorageError

USER, PASSWORD = "MAINLINE_IMAGE_USER", "MAINLINE_IMAGE_PASSWORD"
BENTO = "dev.mainline.bento"  # label: sha256 of the Bento that the image was made of
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        *("oci.image.manifest.v1", "oci.image.index.v1"),
        *("docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2"),
    )
)
SECONDS = 20
LONGEST = 4_000_000  # bytes of a manifest or a configuration: what registries themselves accept
ELSEWHERE = {"docker.io": "registry-1.docker.io"}  # where a registry's API has another name
LOOPBACK = re.compile(r"(localhost|127\.[0-9.]+)(:[0-9]+)?")
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Seen:
    """An image that a registry has. `bento`: the sha256 that its label names; None without the label."""

    bento: str | None


def look(image: str, own: str | None, environ: Mapping[str, str] = os.environ) -> Seen:
    """The image NAME@sha256:… of a record; of one for several platforms the list alone is looked at.

    `own`: HOST/PATH of our registry. The login is for that host: a record may name any, and get no password.
    Raises IntegrityError when the registry has not these bytes, StorageError when it cannot be asked.
    """
    name, _, digest = image.partition("@")
    host, path = _place(re.sub(r":[^/:]*$", "", name))
    ours = own is not None and _place(own)[0] == host
    ask = _Registry(host, path, _login(environ) if ours else "")
    manifest = ask.json("manifests", digest)
    if "manifests" in manifest:
        return Seen(None)
    try:
        config = ask.json("blobs", str(manifest["config"]["digest"]))
        labels = (config.get("config") or {}).get("Labels") or {}
        return Seen(labels.get(BENTO))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise IntegrityError(f"{image} is no image of a container") from None


def _place(name: str) -> tuple[str, str]:
    """Host and path; a name without a host is one of Docker Hub."""
    host, _, path = name.partition("/")
    if path and (re.search(r"[.:]", host) or host == "localhost"):
        return host, path
    return "docker.io", name if path else f"library/{name}"


class _Registry:
    """One repository of a registry: `host`/`path`."""

    def __init__(self, host: str, path: str, login: str) -> None:
        scheme = "http" if LOOPBACK.fullmatch(host) else "https"
        self.host, self.base = host, f"{scheme}://{ELSEWHERE.get(host, host)}/v2/{path}"
        self.path, self.login = path, login
        self.authorization: str | None = None

    def json(self, kind: str, digest: str) -> dict[str, Any]:
        """What the registry has under this digest, which the bytes are held against."""
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise IntegrityError(f"{self.host} names {ascii(digest)[:100]}, which is no digest")
        body = self._get(f"{self.base}/{kind}/{digest}", f"{self.path}@{digest[:19]}…")
        if f"sha256:{hashlib.sha256(body).hexdigest()}" != digest:
            raise IntegrityError(f"{self.host} has other bytes under the name of {self.path}@{digest[:19]}…")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise IntegrityError(f"{self.path}@{digest[:19]}… is no image")
        return found

    def _get(self, url: str, what: str, *, again: bool = True) -> bytes:
        try:
            return _read(url, self.authorization)
        except urllib.error.HTTPError as error:
            challenge = error.headers.get("WWW-Authenticate") or ""
            if error.code == 401 and again:
                self.authorization = self._authorized(challenge)
                return self._get(url, what, again=False)
            if error.code == 404:
                raise IntegrityError(f"{self.host} does not have {what}") from None
            if error.code in (401, 403):
                raise self._closed(what, error.code) from None
            raise self._silent(f"HTTP {error.code}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._silent(str(error)) from None

    def _authorized(self, challenge: str) -> str | None:
        """The header that the challenge asks for; a token is fetched with the login, or as anybody."""
        basic = f"Basic {self.login}" if self.login else None
        if not challenge.lower().startswith("bearer "):
            return basic
        given = dict(CHALLENGE.findall(challenge))
        realm = urllib.parse.urlsplit(given.get("realm", ""))
        if realm.scheme != "https" and not LOOPBACK.fullmatch(realm.netloc):
            raise self._silent("it sends us for a token to an address without TLS")
        query = {"service": given.get("service", ""), "scope": f"repository:{self.path}:pull"}
        try:
            said = json.loads(_read(f"{given['realm']}?{urllib.parse.urlencode(query)}", basic))
            return f"Bearer {said.get('token') or said['access_token']}"
        except urllib.error.HTTPError as error:
            raise self._closed(f"a token for {self.path}", error.code) from None
        except (
            OSError, ValueError, KeyError, AttributeError, RecursionError, http.client.HTTPException
        ) as error:  # fmt: skip
            raise self._silent(f"no token: {error}") from None

    def _closed(self, what: str, code: int) -> StorageError:
        remedy = f"set {USER} and {PASSWORD} to those of someone who may read it"
        return StorageError(f"{self.host} does not give us {what}", why=f"HTTP {code}", remedy=remedy)

    def _silent(self, why: str) -> StorageError:
        return StorageError(
            f"the registry {self.host} cannot be asked", why=ascii(why)[1:-1][:300], remedy="try again later"
        )


def _login(environ: Mapping[str, str]) -> str:
    user, password = environ.get(USER), environ.get(PASSWORD)
    return base64.b64encode(f"{user}:{password}".encode()).decode() if user and password else ""


def _read(url: str, authorization: str | None) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": f"{MANIFESTS}, */*"})  # noqa: S310 - http(s), see above
    if authorization:
        # Not sent on to where the registry keeps its blobs.
        request.add_unredirected_header("Authorization", authorization)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        body: bytes = answer.read(LONGEST + 1)
    if len(body) > LONGEST:
        raise ValueError(f"more than {LONGEST:,} bytes")
    return body
