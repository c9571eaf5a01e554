"""`mainline push` to a real S3 API whose connection is cut while data is sent: nothing is committed."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from mainline.errors import StorageError
from tests import clones
from tests.mainline.test_push import Place, place, template  # noqa: F401 - fixtures
from tests.slow.test_remote import BUCKET, KEYS, bucket, endpoint  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow


@dataclass
class Line:
    """A connection to `server` that is dead for good after `left` bytes of requests."""

    server: tuple[str, int]
    left: int
    door: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    open: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.door.getsockname()[1]}"

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.door.accept()
                server = socket.create_connection(self.server)
                self.open += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(
                        target=self._carry, args=(one, other, one is client), daemon=True
                    ).start()

    def _carry(self, one: socket.socket, other: socket.socket, request: bool) -> None:
        with contextlib.suppress(OSError):
            while content := one.recv(1024):
                self.left -= len(content) if request else 0
                if self.left < 0:
                    self.cut()
                other.sendall(content)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for one in (self.door, *self.open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def line(server: str, left: int) -> Iterator[Line]:
    parts = urlsplit(server)
    made = Line((str(parts.hostname), int(parts.port or 0)), left)
    threading.Thread(target=made.serve, daemon=True).start()
    try:
        yield made
    finally:
        made.cut()


def through(place: Place, url: str) -> None:  # noqa: F811
    """The remote is the bucket at that address."""
    (place.root / ".dvc/config.local").write_text(
        f"[core]\nremote = s3\n['remote \"s3\"']\nurl = s3://{BUCKET}\nendpointurl = {url}\nuse_ssl = false\n"
    )


@pytest.mark.parametrize("left", [1, 4_000, 9_000], ids=["at once", "after some objects", "after more"])
def test_a_remote_cut_while_it_is_written(left: int, place: Place, bucket, endpoint: str) -> None:  # noqa: F811
    before, untouched = place.tip(), place.untouched()
    with line(endpoint, left) as wire:
        through(place, wire.url)
        done = clones.mainline(place.root, "push", extra=KEYS)
        assert wire.left < 0, "it was not cut"
    assert done.returncode == StorageError.exit_code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert place.untouched() == untouched, "nothing is committed before all data is there"

    through(place, endpoint)
    done = clones.mainline(place.root, "push", extra=KEYS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert clones.git(place.origin, "rev-parse", "topic^") == before
    assert clones.mainline(place.root, "lock", extra=KEYS).returncode == 0, (
        "current, and every object is there"
    )
