"""Hand spooled events to MLflow: `python -m pipeline.tracking.delivery SESSION`, started by a tracker.

Runs beside a stage until its session ends. First delivers what earlier sessions left behind, and ends the
runs of those that died as KILLED; without SESSION, as `mainline run` starts it, it does that alone. Every
step may be repeated: MLflow ignores a metric with the same time, step and value, and the offset is written
only after MLflow has answered.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from mainline.records import write_atomically
from pipeline import paths
from pipeline.tracking.mlflow_store import Batch, Connection, connect, send
from pipeline.tracking.spool import Event, Session, State, locked, sessions
from pipeline.tracking.tracker import REFUSED, warn

POLL = 0.2  # seconds between two looks at a living session
LINGER = 1.0  # seconds in which the events of a living session gather into one batch
LOCK_WAIT = 20.0  # seconds to wait for another process that delivers the same session
LONGEST_PAUSE = 60.0  # seconds between two attempts while MLflow does not answer
LOG = "delivery.log"  # beside the sessions
PERMANENT = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}


class Refused(Exception):
    """MLflow understood, and will never accept this."""


class Delivery:
    """One session on its way into one run."""

    def __init__(self, session: Session, connection: Connection) -> None:
        self.session = session
        self.connection = connection
        self.state = session.state()
        if self.state.target != connection.target:  # never sent, or sent to another server: from the start
            self.restart()
        self.opening: Event | None = None
        self.known: set[tuple[Any, ...]] = set()

    def restart(self) -> None:
        """Deliver again from the first event."""
        self.state = State(target=self.connection.target)
        self.opening = None

    def step(self) -> bool:
        """Deliver what has been written since the last call; True after the session's last event."""
        abandoned = self.session.abandoned()  # asked first: what is read afterwards is then everything
        events, offset, damaged = self.session.read(self.state.offset)
        if damaged:
            print(f"warning: {damaged} damaged lines of {self.session.folder} are lost", file=sys.stderr)
        if self.opening is None and not self._open():
            return abandoned
        batch = Batch.of(events)
        batch.metrics = [
            row for row in batch.metrics if self._identity(row[0], row[3], row[1]) not in self.known
        ]
        send(self.connection.client, self.state.run_id, batch, self.session.folder)
        status = batch.status or ("KILLED" if abandoned else "")
        if status and self.state.created:
            self.connection.client.set_terminated(self.state.run_id, status)
        self.state.offset = offset
        self.session.save(self.state)
        return bool(status)

    def _open(self) -> bool:
        """Find or create the run; False when the session has not said which one."""
        events, _, _ = self.session.read(0)
        self.opening = next((event for event in events if event["kind"] in ("start", "attach")), None)
        if self.opening is None:
            return False
        if self.state.run_id:
            run = self.connection.client.get_run(self.state.run_id)
        else:
            run = self._find(self.opening) or self._create(self.opening)
            self.state.run_id = run.info.run_id
            self.session.save(self.state)
        if self.opening["kind"] == "attach" or self.opening["resume"]:
            self._remember(run)
        return True

    def _find(self, opening: Event) -> Any:
        # The session's name is a tag, so that a crash right after creating a run makes no second one.
        run = self.connection.find("mainline.session", self.session.folder.name)
        self.state.created = bool(run)
        if run:
            return run
        if opening["kind"] == "attach":
            return self.connection.find("model.sha256", opening["model"])
        if opening["resume"]:
            run = self.connection.find("mainline.key", opening["key"], "attributes.status != 'FINISHED'")
        if run:
            self.connection.client.update_run(run.info.run_id, status="RUNNING")
            self.state.created = True  # from here on, this session answers for the run's end
        return run

    def _create(self, opening: Event) -> Any:
        attach = opening["kind"] == "attach"
        name = {"model.sha256": opening["model"]} if attach else {"mainline.key": opening["key"]}
        tags = {"mainline.session": self.session.folder.name, **name}
        self.state.created = True
        client = self.connection.client
        return client.create_run(self.connection.experiment, start_time=opening["ms"], tags=tags)

    def _remember(self, run: Any) -> None:
        """What the run has: a resumed training may repeat its last epoch, a new evaluation its figures."""
        for name in run.data.metrics:
            for metric in self.connection.client.get_metric_history(run.info.run_id, name):
                self.known.add(self._identity(name, metric.step, metric.value))

    def _identity(self, name: str, step: int, value: float) -> tuple[Any, ...]:
        """By what a metric counts as known: in training its step alone, as seconds differ between runs."""
        if self.opening and self.opening["kind"] == "start" and not name.startswith("system/"):
            return name, step
        return name, step, value


def deliver_old(root: Path, connection: Connection, own: Session | None = None) -> None:
    """Deliver every session whose process is gone, oldest first: a resumed run needs its first part.

    One that another process is delivering is waited for only when `own` may add to its run and is younger,
    so that two processes never wait for each other.
    """
    adds = own is not None and any(
        event["kind"] == "attach" or event.get("resume") for event in own.read(0)[0]
    )
    for session in sessions(root):
        if own and session.folder == own.folder:
            adds = False
            continue
        try:
            if not session.abandoned():
                continue
            with locked(session.folder / "lock", LOCK_WAIT if adds else 0) as mine:
                if mine and session.abandoned():
                    finish(session, connection)
        except FileNotFoundError:  # another process has just delivered and removed it
            continue


def finish(session: Session, connection: Connection) -> None:
    """Deliver a session to its end and remove it; what MLflow refuses for good is set aside.

    Raises what MLflow raises when it does not answer.
    """
    try:
        _follow(Delivery(session, connection))
    except Refused as error:
        aside = session.folder.parent / "refused" / session.folder.name
        aside.parent.mkdir(exist_ok=True)
        session.folder.rename(aside)
        print(f"warning: MLflow refuses a run's records ({error}); they are in {aside}", file=sys.stderr)
    else:
        session.remove()


def _follow(delivery: Delivery) -> None:
    from mlflow.exceptions import MlflowException

    anew = False
    while True:
        try:
            if delivery.step():
                return _note(delivery)
        except MlflowException as error:
            if error.error_code not in PERMANENT:
                raise
            if anew:
                raise Refused(str(error).splitlines()[0][:200]) from None
            anew = True  # the run may have been deleted over there: once more, from the first event
            delivery.restart()
        _sleep(delivery.session, LINGER)


def _sleep(session: Session, seconds: float) -> None:
    """Until the session ends, at most so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not session.abandoned():
        time.sleep(POLL)


def _note(delivery: Delivery) -> None:
    """Leave for the terminal's summary the run's address (no password in it), and whose model's it is."""
    events, _, _ = delivery.session.read(0)
    model = (delivery.opening or {}).get("model") or Batch.of(events).tags.get("model.sha256", "")
    scheme, _, rest = delivery.connection.uri.partition("://")
    content = {
        "tracking_uri": f"{scheme}://{rest.rpartition('@')[2]}",
        "experiment_id": delivery.connection.experiment,
        "run_id": delivery.state.run_id,
        "model_sha256": model,
    }
    write_atomically(delivery.session.folder.parent / "last_run.json", json.dumps(content).encode())


def deliver_abandoned(root: Path) -> int:
    """Deliver what ended undelivered, once, and say how that went in `delivery.log`: nobody is watching."""
    if os.environ.get("MAINLINE_TRACKING") == "defer" or not any(one.abandoned() for one in sessions(root)):
        return 0
    with (root / LOG).open("w", buffering=1) as log, contextlib.redirect_stderr(log):
        try:
            deliver_old(root, connect())
        except Exception as error:
            warn(f"MLflow does not take the records of earlier runs ({_reason(error)})")
            return REFUSED
    return 0


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


def main(arguments: list[str]) -> int:
    """Deliver old sessions, then follow the given one to its end, trying again while its stage runs."""
    if not arguments:
        return deliver_abandoned(paths.SPOOL)
    session = Session(Path(arguments[0]))
    warned = False
    pause = 1.0
    with locked(session.folder / "lock", LOCK_WAIT):
        while True:
            last = session.abandoned()
            try:
                connection = connect()
                deliver_old(session.folder.parent, connection, own=session)
                finish(session, connection)
                return 0
            except Exception as error:
                if not warned:
                    warn(f"MLflow does not take the records of this run ({_reason(error)})")
                warned = True
            if last:
                return REFUSED
            _sleep(session, pause)
            pause = min(LONGEST_PAUSE, pause * 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
