"""The local target: the new service beside the old one, checked, then the port moves; back if it fails.

For one Linux machine. Whatever is cut off, wherever, the next command finds in the state file and clears up.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import archives
from mainline.deploy import probes, processes, state, supervisor, surroundings
from mainline.deploy.interface import Deployed, Stage
from mainline.deploy.interruption import interruptible, undisturbed
from mainline.deploy.state import Service, State
from mainline.errors import ConfigError, DeployError, IntegrityError
from mainline.releases import Release

COMMAND = (
    "{python}", "-m", "serving.run", "--bento", "{bento}", "--sha256", "{sha256}", "--port", "{port}",
)  # fmt: skip
BEAT = 0.25  # seconds between two checks while a service proves itself
LOGS = 10  # of services, that are kept
CODE = "src"  # of a Bento: the folder of its code
MISSES = 2  # checks in a row that a service may not fail


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: to become ready; to prove itself with requests; for open requests; to stop; for a lock."""

    ready: float = 60.0
    bake: float = 10.0
    drain: float = 60.0
    stop: float = 30.0
    lock: float = 600.0


@dataclass(frozen=True, slots=True)
class Local:
    """The services of one stage, behind `host`:`port`. `command`: {python}, {bento}, {sha256}, {port}."""

    folder: Path
    stage: Stage
    port: int
    host: str = probes.LOCAL
    command: Sequence[str] = COMMAND
    limits: Limits = Limits()
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr)

    def plan(self, record: Release) -> list[str]:
        """What `deploy` would do.

        Raises ConfigError for what it would refuse: a release asks before it pushes its tag.
        """
        processes.check_machine()
        surroundings.python()
        now = self._read() or State(stage=self.stage, host=self.host, port=self.port)
        self._check_address(now)
        if not any(state.held(self.folder / name) for name in ("front.lock", "supervisor.lock")):
            supervisor.listen(self.host, self.port).close()
        old = now.active
        if old and _same(old, record) and processes.alive(old.process):
            return [f"nothing: {record.release} is served on {self.host}:{self.port}"]
        steps = [
            f"start {record.release} on a free port",
            f"wait until it is ready, at most {self.limits.ready:g} s, and serves the model of the record",
            f"move {self.host}:{self.port} to it" + (f" from {old.release}" if old else ""),
            f"watch it for {self.limits.bake:g} s" + (f"; if it fails, back to {old.release}" if old else ""),
        ]
        return [*steps, f"stop {old.release} when its requests are answered"] if old else steps

    def deploy(self, record: Release, files: Mapping[str, Path]) -> Deployed:
        """Serve the release. Raises DeployError, IntegrityError, ConfigError or Interrupted."""
        processes.check_machine()
        with self._lock(), interruptible():
            now = self._recover()
            if now.active and _same(now.active, record) and self._fit(now.active, record):
                self._keep(now)
                self._wait_front(now.active.port)
                return self._deployed(now.active)
            bento = self._store(record, files)
            self._keep(now)
            now = self._candidate(now, record, bento)
            now = self._switch(now)
            self._tidy(now)
            assert now.active is not None  # noqa: S101 - _switch put it there
            return self._deployed(now.active, changed=True)

    def current(self) -> Deployed | None:
        """What the port leads to; None when nothing is deployed or its process is gone."""
        now = self._read()
        if now is None or now.active is None or not processes.alive(now.active.process):
            return None
        return self._deployed(now.active)

    def status(self) -> dict[str, str | bool | None]:
        """All there is to see, for people and programs."""
        now = self._read()
        if now is None:
            return {"stage": self.stage, "release": None, "healthy": False}
        return {
            "stage": now.stage,
            "address": f"http://{now.host}:{now.port}",
            "release": now.active.release if now.active else None,
            "digest": now.active.digest if now.active else None,
            "log": now.active.log if now.active else None,
            "service": bool(now.active and processes.alive(now.active.process)),
            "ready": bool(now.active and probes.ready(now.active.port)),
            "front": state.held(self.folder / "front.lock"),
            "supervisor": state.held(self.folder / "supervisor.lock"),
            "unfinished": bool(now.candidate or now.previous),
            "healthy": bool(now.active and probes.ready(now.port, now.host)),
        }

    def stop(self) -> bool:
        """Stop everything; False when nothing was there. Files and logs stay."""
        now = self._read()
        if now is None:
            return False
        with self._lock():
            now = State.read(self._path)
            now.model_copy(update={"stopped": True}).write(self._path)
            gone = ("front.lock", "supervisor.lock")
            probes.wait(lambda: not any(state.held(self.folder / name) for name in gone), self.limits.drain)
            for service in (now.active, now.candidate, now.previous):
                if service:
                    processes.stop(service.process, grace=self.limits.stop)
            State(stage=now.stage, host=now.host, port=now.port, stopped=True).write(self._path)
        return now.active is not None

    @property
    def _path(self) -> Path:
        return self.folder / State.location

    def _read(self) -> State | None:
        return State.read(self._path) if self._path.exists() else None

    @contextmanager
    def _lock(self) -> Iterator[None]:
        def waiting() -> None:
            self.say(f"another command works on {self.folder}: waiting for it")

        with state.lock(self.folder / "lock", seconds=self.limits.lock, waiting=waiting):
            yield

    def _check_address(self, now: State) -> None:
        """Raises ConfigError when the folder is another stage's, or serves somewhere else."""
        if now.stage != self.stage:
            raise ConfigError(
                f"{self.folder} holds {now.stage}", remedy="give each stage a folder of its own"
            )
        if now.active and (now.host, now.port) != (self.host, self.port):
            raise ConfigError(
                f"{self.stage} is served on {now.host}:{now.port}",
                remedy="use that --port, or stop it first: mainline deploy --target local --stop",
            )

    def _recover(self) -> State:
        """The state after clearing up what a command left behind that was cut off."""
        now = self._read() or State(stage=self.stage, host=self.host, port=self.port)
        self._check_address(now)
        now = now.model_copy(update={"host": self.host, "port": self.port})
        if now.candidate:
            self.say(f"clearing up after a deployment of {now.candidate.release} that was cut off")
            processes.stop(now.candidate.process, grace=self.limits.stop)
            now = self._write(now, candidate=None)
        if now.previous:
            well = now.active and processes.alive(now.active.process) and probes.ready(now.active.port)
            now = self._retire(now) if well else self._return(now)
        return self._write(now, stopped=False)

    def _write(self, now: State, **changes: Any) -> State:
        changed = now.model_copy(update=changes)
        changed.write(self._path)
        return changed

    def _store(self, record: Release, files: Mapping[str, Path]) -> Path:
        """A copy of the Bento that lasts as long as its service. Raises IntegrityError for another file."""
        if "bento" not in files or "bento" not in record.artifacts:
            raise ConfigError(f"{record.release} has no Bento", remedy="was it made by `mainline promote`?")
        named = record.artifacts["bento"]
        place = self.folder / "releases" / named.sha256 / Path(named.name).name
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(".part")
        shutil.copyfile(files["bento"], partial)
        with partial.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != named.sha256:
                raise IntegrityError(
                    f"{files['bento']} is not the Bento of {record.release}",
                    why="its sha256 is not that of the release record",
                    remedy="nothing was deployed; `mainline verify` looks at every file",
                )
        partial.replace(place)
        _unpack(place)
        return place

    def _keep(self, now: State) -> None:
        """A supervisor, and through it a front. Takes the port here, where we can say that it is not free."""
        if state.held(self.folder / "supervisor.lock"):
            return
        if state.held(self.folder / "front.lock"):  # it has the socket, and starts a supervisor itself
            if probes.wait(lambda: state.held(self.folder / "supervisor.lock"), 5):
                return
            raise DeployError(
                "the front runs without a supervisor", remedy="mainline deploy --stop, then again"
            )
        with supervisor.listen(now.host, now.port) as listening:
            supervisor.start(self.folder, listening)
        probes.wait(lambda: state.held(self.folder / "supervisor.lock"), 10)

    def _candidate(self, now: State, record: Release, bento: Path) -> State:
        """The new service, started and checked, beside the old one. Raises DeployError."""
        port = probes.free_port()
        log = self.folder / "logs" / f"{record.release}-{port}.log"
        values = {
            "python": surroundings.python(), "bento": str(bento),
            "sha256": record.artifacts["bento"].sha256, "port": str(port),
        }  # fmt: skip
        # Of the deployment, not the checkout, which CI wipes: the service is started again from here.
        own = bento.with_name(CODE)
        cwd = own if own.is_dir() else bento.parent
        command = [part.format_map(values) for part in self.command]
        begun = now

        def note(process: processes.Process) -> None:
            nonlocal begun
            service = Service(
                release=record.release, commit=record.commit, digest=record.artifacts["bento"].sha256,
                model_sha256=record.model_sha256, port=port, command=command, cwd=str(cwd),
                log=str(log.resolve()), process=process,
            )  # fmt: skip
            begun = self._write(now, candidate=service)

        self.say(f"starting {record.release} on port {port}")
        try:
            around = surroundings.service(self.folder)
            processes.spawn(command, cwd=cwd, log=log, note=note, environment=around)
            assert begun.candidate is not None  # noqa: S101 - note put it there
            self._gate(begun.candidate, record)
        except BaseException:
            with undisturbed():
                # From the file: the signal may have come between the note and its end.
                if written := State.read(self._path).candidate:
                    processes.stop(written.process, grace=self.limits.stop)
                self._write(now, candidate=None)
            raise
        return begun

    def _gate(self, service: Service, record: Release) -> None:
        """Raises DeployError unless the service becomes ready and serves the record's model."""

        def settled() -> bool:
            return probes.ready(service.port) or not processes.alive(service.process)

        in_time = probes.wait(settled, self.limits.ready)
        if not processes.alive(service.process):
            raise _refused(service, "it ended while it started", self._served())
        if not in_time:
            raise _refused(service, f"it was not ready within {self.limits.ready:g} s", self._served())
        if why := probes.foreign(service.port, record):
            raise _refused(service, why, self._served())

    def _served(self) -> str:
        now = self._read()
        return f"{now.active.release} is served as before" if now and now.active else "nothing is served"

    def _switch(self, now: State) -> State:
        """Move the port, watch, and stop the old service; or move back. Raises DeployError."""
        new, old = now.candidate, now.active
        assert new is not None  # noqa: S101 - _candidate put it there
        moved = now.model_copy(update={"active": new, "candidate": None, "previous": old})
        try:
            moved.write(self._path)
            self._wait_front(new.port)
            self.say(
                f"{self.host}:{self.port} leads to {new.release}; watching it for {self.limits.bake:g} s"
            )
            if why := self._bake(new):
                raise _refused(new, why, f"back to {old.release}" if old else "nothing is served")
        except BaseException:
            with undisturbed():
                self._return(moved)
            raise
        with undisturbed():
            return self._retire(moved)

    def _wait_front(self, port: int) -> None:
        def moved() -> bool:
            seen = state.read_front(self.folder)
            return seen is not None and seen.backend == port and state.held(self.folder / "front.lock")

        if not probes.wait(moved, 15):
            raise DeployError(
                "the front does not follow",
                why=processes.tail(self.folder / "logs" / "front.log"),
                remedy=f"the logs are in {self.folder / 'logs'}",
            )

    def _bake(self, service: Service) -> str:
        """Why the service failed while it was watched; empty when it did not."""
        ends, missed = time.monotonic() + self.limits.bake, 0
        while time.monotonic() < ends:
            if not processes.alive(service.process):
                return "it ended while it was watched"
            missed = 0 if probes.ready(service.port) else missed + 1
            if missed > MISSES:
                return "it is no longer ready"
            time.sleep(BEAT)
        return ""

    def _return(self, now: State) -> State:
        """Back to the previous service, started again if it is gone; the active one is stopped."""
        new, old = now.active, now.previous
        now = self._write(now, active=old, previous=None, candidate=new)
        if old and not processes.alive(old.process):
            now = supervisor.restart(self.folder, now)
        if new:
            if old:
                self._drain(new)
            processes.stop(new.process, grace=self.limits.stop)
        return self._write(now, candidate=None)

    def _retire(self, now: State) -> State:
        """Stop the previous service once the front waits for no answer of it."""
        if now.previous:
            self._drain(now.previous)
            processes.stop(now.previous.process, grace=self.limits.stop)
        return self._write(now, previous=None)

    def _drain(self, service: Service) -> None:
        def idle() -> bool:
            seen = state.read_front(self.folder)
            if seen is None or not state.held(self.folder / "front.lock"):
                return True
            return seen.backend != service.port and str(service.port) not in seen.draining

        probes.wait(idle, self.limits.drain)

    def _fit(self, service: Service, record: Release) -> bool:
        ready = processes.alive(service.process) and probes.ready(service.port)
        return ready and not probes.foreign(service.port, record)

    def _tidy(self, now: State) -> None:
        """Remove the files of releases that no service here runs from, and old logs."""
        used = {service.digest for service in (now.active, now.previous) if service}
        for place in (self.folder / "releases").iterdir():
            if place.name not in used:
                shutil.rmtree(place, ignore_errors=True)
        logs = sorted((self.folder / "logs").glob("v*.log"), key=lambda log: log.stat().st_mtime)
        for log in logs[:-LOGS]:
            log.unlink()

    def _deployed(self, service: Service, *, changed: bool = False) -> Deployed:
        place = f"http://{self.host}:{self.port}"
        return Deployed("local", self.stage, service.release, service.commit, service.digest, place, changed)


def _unpack(bento: Path) -> None:
    """The Bento's own code beside it, which starts it: the archive's digest was checked."""
    if not tarfile.is_tarfile(bento):
        return  # the service refuses it by itself
    partial, code = bento.with_name(".code"), bento.with_name(CODE)
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(bento) as archive:
        inside = [one for one in archive if one.name.removeprefix("./").startswith(f"{CODE}/")]
        archives.extract(archive, partial, inside)
    shutil.rmtree(code, ignore_errors=True)
    if inside:
        (partial / CODE).rename(code)


def _same(service: Service, record: Release) -> bool:
    bento = record.artifacts.get("bento")
    return bento is not None and (service.release, service.digest) == (record.release, bento.sha256)


def _refused(service: Service, why: str, now: str) -> DeployError:
    log = processes.tail(Path(service.log))
    return DeployError(
        f"{service.release} was not deployed: {why}", why=log, remedy=f"{now}; the log is {service.log}"
    )
