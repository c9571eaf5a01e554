"""How the port moves from one service to the next and back, and what keeps the port.

The state file is written before each step, so that whatever is cut off is found by the next command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.deploy import probes, processes, state, supervisor
from mainline.deploy.interruption import undisturbed
from mainline.deploy.state import Service, State
from mainline.errors import DeployError

BEAT = 0.25  # seconds between two checks while a service proves itself
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
class Swap:
    """The services of one folder; whoever calls holds its lock."""

    folder: Path
    limits: Limits
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        """Of the state file."""
        return self.folder / State.location

    def read(self) -> State | None:
        """None before anything was deployed."""
        return State.read(self.path) if self.path.exists() else None

    def write(self, now: State, **changes: Any) -> State:
        """The state with these changes, on disk."""
        changed = now.model_copy(update=changes)
        changed.write(self.path)
        return changed

    def keep(self, now: State) -> None:
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

    def switch(self, now: State) -> State:
        """Move the port, watch, and stop the old service; or move back. Raises DeployError."""
        new, old = now.candidate, now.active
        assert new is not None  # noqa: S101 - the caller put it there
        moved = now.model_copy(update={"active": new, "candidate": None, "previous": old})
        try:
            moved.write(self.path)
            self.follow(new.port)
            self.say(f"{now.host}:{now.port} leads to {new.release}; watching it for {self.limits.bake:g} s")
            if why := self._bake(new):
                raise refused(new, why, f"back to {old.release}" if old else "nothing is served")
        except BaseException:
            with undisturbed():
                self.give_back(moved)
            raise
        with undisturbed():
            return self.retire(moved)

    def follow(self, port: int) -> None:
        """Wait until the front leads to the port. Raises DeployError."""

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

    def give_back(self, now: State) -> State:
        """Back to the previous service, started again if it is gone; the active one is stopped."""
        new, old = now.active, now.previous
        now = self.write(now, active=old, previous=None, candidate=new)
        if old and not processes.alive(old.process):
            now = supervisor.restart(self.folder, now)
        if new:
            if old:
                self._drain(new)
            processes.stop(new.process, grace=self.limits.stop)
        return self.write(now, candidate=None)

    def retire(self, now: State) -> State:
        """Stop the previous service once the front waits for no answer of it."""
        if now.previous:
            self._drain(now.previous)
            processes.stop(now.previous.process, grace=self.limits.stop)
        return self.write(now, previous=None)

    def _drain(self, service: Service) -> None:
        def idle() -> bool:
            seen = state.read_front(self.folder)
            if seen is None or not state.held(self.folder / "front.lock"):
                return True
            return seen.backend != service.port and str(service.port) not in seen.draining

        probes.wait(idle, self.limits.drain)


def refused(service: Service, why: str, now: str) -> DeployError:
    """The error of a service that does not hold; `now`: what is served instead."""
    log = processes.tail(Path(service.log))
    return DeployError(
        f"{service.release} was not deployed: {why}", why=log, remedy=f"{now}; the log is {service.log}"
    )
