"""The supervisor: starts the front and the active service again when they end: it holds no state of its own.

`python -m mainline.deploy.supervisor FOLDER [--fd N]`. It and the front share the listening socket and start
each other again, so that connections wait while one of them comes back.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from mainline.deploy import processes, state, surroundings
from mainline.errors import ConfigError, MainlineError

TICK = 0.2  # seconds
LONGEST = 30.0  # seconds between two restarts of a service that keeps ending
STEADY = 60.0  # seconds after which a service counts as running again


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError when the port is taken."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}",
            why=str(error),
            remedy="choose another one with --port; another clone's deployment may have this one",
        ) from None
    return listening


def start(folder: Path, listening: socket.socket) -> None:
    """Start a supervisor that outlives this process; one that finds another at work ends at once."""
    _launch("mainline.deploy.supervisor", folder, listening)


def _launch(module: str, folder: Path, listening: socket.socket) -> subprocess.Popen[bytes]:
    number, folder = listening.fileno(), folder.resolve()
    name = module.rpartition(".")[2]
    log = folder / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [surroundings.python(), "-P", "-m", module, str(folder), "--fd", str(number)],
            cwd=folder, env=surroundings.environment(), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, pass_fds=(number,), start_new_session=True,
        )  # fmt: skip


class Supervisor:
    """Looks after one folder."""

    def __init__(self, folder: Path, listening: socket.socket) -> None:
        self.folder, self.listening = folder, listening
        self.pause, self.last = 0.0, 0.0
        self.front: subprocess.Popen[bytes] | None = None
        self.ending = False

    def run(self) -> None:
        """Until the deployment is stopped, or SIGTERM: then all else stays as it is."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "ending", True))
        while not self.ending:
            with suppress(MainlineError, OSError):  # a folder that is gone must not end the supervision
                now = state.State.read(self.folder / state.State.location)
                if now.stopped:
                    return
                self.keep_front()
                if now.active and not processes.alive(now.active.process):
                    self.restart_service()
            time.sleep(TICK)

    def keep_front(self) -> None:
        """Start the front unless one runs or is just starting."""
        if self.front is not None and self.front.poll() is None:
            return
        if not state.held(self.folder / "front.lock"):
            self.front = _launch("mainline.deploy.front", self.folder, self.listening)

    def restart_service(self) -> None:
        """Start the active service again, after a growing pause; not while a deployment is under way."""
        passed = time.monotonic() - self.last
        if passed < self.pause or state.held(self.folder / "lock"):
            return
        self.pause = min(max(self.pause * 2, 1.0), LONGEST) if passed < STEADY else 0.0
        self.last = time.monotonic()
        with state.lock(self.folder / "lock", seconds=1):
            now = state.State.read(self.folder / state.State.location)
            if now.active and not now.stopped and not processes.alive(now.active.process):
                processes.stop(now.active.process, grace=0)  # what it left behind
                restart(self.folder, now)


def restart(folder: Path, now: state.State) -> state.State:
    """The active service once more, on its port, by the command that the state holds; the lock is held."""
    active = now.active
    if active is None:
        return now

    def noted(process: processes.Process) -> None:
        changed = active.model_copy(update={"process": process})
        now.model_copy(update={"active": changed}).write(folder / state.State.location)

    processes.spawn(
        active.command,
        cwd=Path(active.cwd),
        log=Path(active.log),
        note=noted,
        environment=surroundings.service(folder),
    )
    return state.State.read(folder / state.State.location)


def main() -> None:
    """Supervise, unless another supervisor does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fd", type=int)
    options = parser.parse_args()
    with state.only_one(options.folder / "supervisor.lock") as mine:
        if not mine:
            return
        (options.folder / "supervisor.pid").write_text(str(os.getpid()))
        if options.fd is not None:
            listening = socket.socket(fileno=options.fd)
        else:
            now = state.State.read(options.folder / state.State.location)
            listening = listen(now.host, now.port)
        Supervisor(options.folder, listening).run()


if __name__ == "__main__":
    main()
