"""The local target: the new service beside the old one, checked, then the port moves; back if it fails.

For one Linux machine. Whatever is cut off, wherever, the next command finds in the state file and clears up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mainline.deploy import bentos, candidates, probes, processes, state, supervisor, surroundings
from mainline.deploy.interface import Deployed, Stage
from mainline.deploy.interruption import interruptible
from mainline.deploy.state import Service, State
from mainline.deploy.swapping import Limits, Swap
from mainline.errors import ConfigError
from mainline.releases import Release

COMMAND = (
    "{python}", "-m", "serving.run", "--bento", "{bento}", "--sha256", "{sha256}", "--port", "{port}",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Local:
    """The services of one stage, behind `host`:`port`. `command`: {python}, {bento}, {sha256}, {port}."""

    folder: Path
    stage: Stage
    port: int
    host: str = probes.LOCAL
    command: Sequence[str] = COMMAND
    limits: Limits = field(default_factory=Limits)
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr)

    def plan(self, record: Release) -> list[str]:
        """What `deploy` would do.

        Raises ConfigError for what it would refuse: a release asks before it pushes its tag.
        """
        processes.check_machine()
        surroundings.python()
        now = self._swap.read() or State(stage=self.stage, host=self.host, port=self.port)
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
            swap = self._swap
            if now.active and _same(now.active, record) and _fit(now.active, record):
                swap.keep(now)
                swap.follow(now.active.port)
                return self._deployed(now.active)
            bento = bentos.store(self.folder, record, files)
            swap.keep(now)
            now = candidates.start(swap, self.command, now, record, bento)
            now = swap.switch(now)
            bentos.tidy(self.folder, now)
            assert now.active is not None  # noqa: S101 - switch put it there
            return self._deployed(now.active, changed=True)

    def current(self) -> Deployed | None:
        """What the port leads to; None when nothing is deployed or its process is gone."""
        now = self._swap.read()
        if now is None or now.active is None or not processes.alive(now.active.process):
            return None
        return self._deployed(now.active)

    def status(self) -> dict[str, str | bool | None]:
        """All there is to see, for people and programs."""
        now = self._swap.read()
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
        now = self._swap.read()
        if now is None:
            return False
        with self._lock():
            now = State.read(self._swap.path)
            now.model_copy(update={"stopped": True}).write(self._swap.path)
            gone = ("front.lock", "supervisor.lock")
            probes.wait(lambda: not any(state.held(self.folder / name) for name in gone), self.limits.drain)
            for service in (now.active, now.candidate, now.previous):
                if service:
                    processes.stop(service.process, grace=self.limits.stop)
            State(stage=now.stage, host=now.host, port=now.port, stopped=True).write(self._swap.path)
        return now.active is not None

    @property
    def _swap(self) -> Swap:
        return Swap(self.folder, self.limits, self.say)

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
        swap = self._swap
        now = swap.read() or State(stage=self.stage, host=self.host, port=self.port)
        self._check_address(now)
        now = now.model_copy(update={"host": self.host, "port": self.port})
        if now.candidate:
            self.say(f"clearing up after a deployment of {now.candidate.release} that was cut off")
            processes.stop(now.candidate.process, grace=self.limits.stop)
            now = swap.write(now, candidate=None)
        if now.previous:
            well = now.active and processes.alive(now.active.process) and probes.ready(now.active.port)
            now = swap.retire(now) if well else swap.give_back(now)
        return swap.write(now, stopped=False)

    def _deployed(self, service: Service, *, changed: bool = False) -> Deployed:
        place = f"http://{self.host}:{self.port}"
        return Deployed("local", self.stage, service.release, service.commit, service.digest, place, changed)


def _same(service: Service, record: Release) -> bool:
    bento = record.artifacts.get("bento")
    return bento is not None and (service.release, service.digest) == (record.release, bento.sha256)


def _fit(service: Service, record: Release) -> bool:
    ready = processes.alive(service.process) and probes.ready(service.port)
    return ready and not probes.foreign(service.port, record)
