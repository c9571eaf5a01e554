"""Serve in the foreground, until SIGTERM or Ctrl-C: python -m serving.run [--bento PATH] [--port N]

One process: what a supervisor starts is what answers. Without --bento it serves the working tree's model.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":  # before the rest is read, which takes a while: Ctrl-C meanwhile is no traceback
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))

import argparse
import contextlib
import hashlib
import json
import logging
import os
import shlex
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from mainline import archives
from mainline.errors import ConfigError, IntegrityError, MainlineError

# A thousand rows need megabytes. The C library (glibc) would give them back after each request and ask for
# them anew, and the kernel would clear them each time: a tenth of the request.
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**24), "MALLOC_TRIM_THRESHOLD_": str(2**24)}  # bytes
UNPACKED = "SERVING_UNPACKED"  # for our own process only: what it removes at its end
GRACE = 20  # seconds for requests under way when the service is stopped


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        if options.here:
            return serve(options.host, options.port)
        root = unpacked(options.bento, options.sha256) if options.bento else _staged()
        return _become(root, options.host, options.port)
    except MainlineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m serving.run", description=__doc__.splitlines()[0])
    made.add_argument("--bento", type=Path, help="an archive, or the folder it unpacks to")
    made.add_argument("--sha256", help="refuse an archive with another digest")
    made.add_argument("--host", default="127.0.0.1", help="0.0.0.0 in a container (default: %(default)s)")
    made.add_argument("--port", type=int, default=3000, help="0: any free one, printed")
    made.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return made


def serve(host: str, port: int) -> int:
    """In this process, the folder of this file. Raises ConfigError, IntegrityError, RecordError."""
    folder = os.environ.pop(UNPACKED, "")  # not a setting of the service
    try:
        with _listening(host, port) as listening:
            return _answer(listening)
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _answer(listening: socket.socket) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
    from serving import service

    service.model()  # here, so that a refusal ends us with its exit code
    # uvloop accepts one connection a turn: of 64 new ones under load the last waits some 1,200 ms, not 60.
    config = uvicorn.Config(
        service.SERVICE.to_asgi(), log_config=None, access_log=False, server_header=False, lifespan="on",
        timeout_keep_alive=75, timeout_graceful_shutdown=GRACE, loop="asyncio",
    )  # fmt: skip
    server = _Server(config)
    server.run(sockets=[listening])
    return 0 if server.started else 10


class _Server(uvicorn.Server):
    """Says when it answers, and how to ask it; ends with code 0 when it was asked to end."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(_hello(f"http://{f'[{host}]' if ':' in host else host}:{port}"), flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's own raises the signal again after a clean end, which then looks like a crash."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield


def _hello(url: str) -> str:
    from serving import schemas, service

    row = json.dumps({"rows": [schemas.example(service.model().table)]}, ensure_ascii=False)
    name = f"{service.model().bundle.model} {service.model().bundle.release}"
    return (
        f"{name} on {url} (documentation at {url}/, Ctrl-C ends it)\n"
        f"curl {url}/predict -H 'Content-Type: application/json' -d {shlex.quote(row)}"
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is spelled out; an answer would wait 40 ms for an ACK.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}",
            why=str(error),
            remedy="use another port: --port 3001, or make serve PORT=3001",
        ) from None
    return made


def unpacked(bento: Path, sha256: str | None) -> Path:
    """The `src` folder of a Bento; an archive is unpacked into a folder of its own.

    Raises ConfigError (no such file) and IntegrityError (another digest, or no archive).
    """
    if bento.is_dir():
        if sha256:
            raise IntegrityError(
                f"{bento} is a folder, and --sha256 is of an archive",
                remedy="name the archive, or leave it out",
            )
        return bento / "src" if (bento / "src").is_dir() else bento
    try:
        with bento.open("rb") as file:
            _same_digest(bento, hashlib.file_digest(file, "sha256").hexdigest(), sha256)
            file.seek(0)
            folder = _folder()
            with tarfile.open(fileobj=file) as archive:
                archives.extract(archive, folder)
    except FileNotFoundError:
        raise ConfigError(f"{bento} does not exist", remedy="name an archive, or its folder") from None
    except IntegrityError:
        _forget()
        raise
    except (tarfile.TarError, EOFError, OSError) as error:
        _forget()
        raise IntegrityError(f"{bento} is not a Bento archive", why=str(error)) from None
    return folder / "src"


def _same_digest(bento: Path, digest: str, expected: str | None) -> None:
    if expected and digest != expected:
        raise IntegrityError(
            f"{bento} is not the recorded Bento",
            why=f"its sha256 is {digest}, the record says {expected}",
            remedy="get it again by its digest; do not serve this one",
        )


def _staged() -> Path:
    """The working tree's model and code, as a Bento would hold them."""
    from mainline import policy
    from serving import staging

    target = _folder() / "src"
    try:
        staging.stage(Path.cwd(), target, policy.release().model, "working-tree", {})
    except BaseException:
        _forget()
        raise
    return target


def _folder() -> Path:
    made = tempfile.mkdtemp(prefix="bento-")
    os.environ[UNPACKED] = made
    return Path(made)


def _forget() -> None:
    if folder := os.environ.pop(UNPACKED, ""):
        shutil.rmtree(folder, ignore_errors=True)


def _become(root: Path, host: str, port: int) -> int:
    """Go on as the code in `root`, in this same process: a supervisor's signals reach what answers."""
    if not (root / "serving" / "run.py").is_file():
        _forget()
        raise IntegrityError(f"{root} is not the source of a Bento of ours", remedy="python -m serving.build")
    os.environ["PYTHONPATH"] = str(root.absolute())
    os.environ |= KEPT
    command = [sys.executable, "-P", "-m", "serving.run", "--here", "--host", host, "--port", str(port)]
    os.execv(sys.executable, command)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
