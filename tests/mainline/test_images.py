"""What a registry is asked, and what is made of its answers; test_image_real has a real one."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mainline import images, verification
from mainline.errors import IntegrityError, StorageError
from tests.deploy import releasing

LOGIN = {images.USER: "robot", images.PASSWORD: "s3cr3t"}
BASIC = "Basic cm9ib3Q6czNjcjN0"
Answer = tuple[int, dict[str, str], bytes]


class Server:
    """A registry that has `blobs` by digest, for whoever sends the header `wanted`."""

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.blobs: dict[str, bytes] = {}
        self.wanted, self.challenge = "", ""
        self.asked: list[tuple[str, str]] = []
        self.instead: Callable[[str], Answer | None] = lambda _: None

    def put(self, content: Any) -> str:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.blobs[digest] = body
        return digest

    def image(self, **labels: str) -> str:
        config = self.put({"config": {"Labels": labels or None}})
        layers = [{"digest": "sha256:1", "size": 100}, {"digest": "sha256:2", "size": 20}]
        return f"{self.host}/team/x@{self.put({'config': {'digest': config, 'size': 3}, 'layers': layers})}"

    def answer(self, path: str, authorization: str) -> Answer:
        self.asked.append((path, authorization))
        if found := self.instead(path):
            return found
        if path.startswith("/token"):
            good = authorization == BASIC
            return (200, {}, b'{"token": "t0ken"}') if good else (401, {}, b"")
        if authorization != self.wanted:
            return 401, {"WWW-Authenticate": self.challenge}, b""
        kind, _, digest = path.removeprefix("/v2/team/x/").partition("/")
        known = kind in ("manifests", "blobs") and digest in self.blobs
        return (200, {}, self.blobs[digest]) if known else (404, {}, b"{}")


@pytest.fixture
def registry() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = made.answer(self.path, self.headers.get("Authorization") or "")
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Server(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def test_an_image_is_found_with_its_size_and_its_bento(registry: Server) -> None:
    assert images.look(
        registry.image(**{images.BENTO: "f" * 64}), f"{registry.host}/team", {}
    ) == images.Seen("f" * 64)
    assert images.look(registry.image(), f"{registry.host}/team", {}) == images.Seen(None)
    tagged = registry.image().replace("/x@", "/x:v1.0.0@")
    assert images.look(tagged, f"{registry.host}/team", {}).bento is None, (
        "a tag beside the digest says nothing more"
    )


def test_of_one_for_several_platforms_the_list_is_looked_at(registry: Server) -> None:
    several = registry.put({"manifests": [{"digest": "sha256:1"}]})
    assert images.look(f"{registry.host}/team/x@{several}", f"{registry.host}/team", {}) == images.Seen(None)


def test_an_image_that_is_gone_or_other_bytes_are_no_image(registry: Server) -> None:
    name = registry.image()
    with pytest.raises(IntegrityError, match="does not have team/x@sha256:000"):
        images.look(f"{registry.host}/team/x@sha256:{'0' * 64}", f"{registry.host}/team", {})
    registry.blobs[name.partition("@")[2]] += b" "
    with pytest.raises(IntegrityError, match="has other bytes"):
        images.look(name, f"{registry.host}/team", {})


@pytest.mark.parametrize(
    "content", [b"\x80", [], {"config": {}, "layers": []}, {"config": [], "layers": 1}, {"config": None}, {}]
)
def test_what_is_no_manifest_is_no_image(content: Any, registry: Server) -> None:
    with pytest.raises(IntegrityError):
        images.look(f"{registry.host}/team/x@{registry.put(content)}", f"{registry.host}/team", {})


def test_a_login_is_sent_when_it_is_asked_for(registry: Server) -> None:
    name = registry.image()
    registry.wanted, registry.challenge = BASIC, 'Basic realm="x"'
    images.look(name, f"{registry.host}/team", LOGIN)
    assert registry.asked[0][1] == "", "not before"
    with pytest.raises(StorageError, match="does not give us") as caught:
        images.look(name, f"{registry.host}/team", {})
    assert images.USER in str(caught.value)


@pytest.mark.parametrize("own", [None, "registry.example.org/team", "team"])
@pytest.mark.parametrize("challenge", ['Basic realm="x"', 'Bearer realm="http://{}/token",service="here"'])
def test_a_login_goes_to_no_registry_but_ours(own: str | None, challenge: str, registry: Server) -> None:
    """A record names an image; who may push a tag must not get the password by that."""
    name = registry.image()
    registry.wanted, registry.challenge = BASIC, challenge.format(registry.host)
    with pytest.raises(StorageError, match="does not give us"):
        images.look(name, own, LOGIN)
    assert {by for _, by in registry.asked} == {""}


def test_a_port_that_speaks_something_else_cannot_be_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:

        def greet() -> None:
            client, _ = door.accept()
            client.sendall(b"220 mail ready\r\n")
            client.close()

        threading.Thread(target=greet, daemon=True).start()
        with pytest.raises(StorageError, match="cannot be asked"):
            images.look(f"127.0.0.1:{door.getsockname()[1]}/x@sha256:{'0' * 64}", None, {})


def test_a_token_is_fetched_with_the_login(registry: Server) -> None:
    name = registry.image()
    registry.wanted = "Bearer t0ken"
    registry.challenge = f'Bearer realm="http://{registry.host}/token",service="here"'
    images.look(name, f"{registry.host}/team", LOGIN)
    (asked,) = [path for path, _ in registry.asked if path.startswith("/token")]
    assert asked == "/token?service=here&scope=repository%3Ateam%2Fx%3Apull"
    with pytest.raises(StorageError, match="does not give us a token"):
        images.look(name, f"{registry.host}/team", LOGIN | {images.PASSWORD: "another"})


def test_a_login_goes_to_no_address_without_tls_and_not_where_blobs_lie(registry: Server) -> None:
    name = registry.image()
    registry.wanted, registry.challenge = BASIC, 'Bearer realm="http://registry.example.org/token"'
    with pytest.raises(StorageError, match="without TLS"):
        images.look(name, f"{registry.host}/team", LOGIN)
    registry.challenge = 'Basic realm="x"'
    elsewhere = {
        path: (307, {"Location": path.replace("/v2/", "/else/")}, b"")
        for path in [f"/v2/team/x/blobs/{digest}" for digest in registry.blobs]
    }
    kept = {path.replace("/v2/", "/else/"): registry.blobs[path.rpartition("/")[2]] for path in elsewhere}
    registry.instead = lambda path: elsewhere.get(path) or ((200, {}, kept[path]) if path in kept else None)
    images.look(name, f"{registry.host}/team", LOGIN)
    assert [by for path, by in registry.asked if path.startswith("/else/")] == [""]


def test_verify_holds_an_image_against_the_records_bento(registry: Server, tmp_path: Path) -> None:
    record, files = releasing.release(tmp_path, "v1.0.0", image=registry.image(**{images.BENTO: "f" * 64}))
    (check,) = verification.pushed(record, None)
    assert not check.ok and "it was made of another Bento" in check.text
    bento = hashlib.sha256(files["bento"].read_bytes()).hexdigest()
    for labels in ({images.BENTO: bento}, {}):
        record, _ = releasing.release(tmp_path, "v1.0.0", image=registry.image(**labels))
        (check,) = verification.pushed(record, None)
        assert check.ok
    record, _ = releasing.release(tmp_path, "v1.0.0")
    assert verification.pushed(record, None) == []


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_registry_that_refuses_or_fails_is_not_an_image_that_is_gone(status: int, registry: Server) -> None:
    registry.instead = lambda _: (status, {}, b"")
    with pytest.raises(StorageError, match=f"(?s)HTTP {status}"):
        images.look(registry.image(), f"{registry.host}/team", LOGIN)


def test_a_registry_that_is_not_there_cannot_be_asked(registry: Server) -> None:
    with pytest.raises(StorageError, match="cannot be asked"):
        images.look(f"127.0.0.1:1/x@sha256:{'0' * 64}", f"{registry.host}/team", {})
    registry.instead = lambda _: (200, {}, b"x" * (images.LONGEST + 1))
    with pytest.raises(StorageError, match="more than 4,000,000 bytes"):
        images.look(registry.image(), f"{registry.host}/team", {})


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("ghcr.io/a/b", ("ghcr.io", "a/b")),
        ("localhost/x", ("localhost", "x")),
        ("h:5000/x", ("h:5000", "x")),
        ("team/x", ("docker.io", "team/x")),
        ("python", ("docker.io", "library/python")),
    ],
)
def test_a_name_without_a_host_is_docker_hubs(name: str, place: tuple[str, str]) -> None:
    assert images._place(name) == place
