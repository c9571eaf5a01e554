"""A new service beside the one that is served: started, and let in only when it proves to be the record's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mainline.deploy import bentos, probes, processes, surroundings
from mainline.deploy.interruption import undisturbed
from mainline.deploy.state import Service, State
from mainline.deploy.swapping import Swap, refused
from mainline.releases import Release


def start(swap: Swap, template: Sequence[str], now: State, record: Release, bento: Path) -> State:
    """The state with the new service as candidate, checked. `template`: its command. Raises DeployError."""
    port = probes.free_port()
    log = swap.folder / "logs" / f"{record.release}-{port}.log"
    values = {
        "python": surroundings.python(), "bento": str(bento),
        "sha256": record.artifacts["bento"].sha256, "port": str(port),
    }  # fmt: skip
    # Of the deployment, not the checkout, which CI wipes: the service is started again from here.
    own = bento.with_name(bentos.CODE)
    cwd = own if own.is_dir() else bento.parent
    command = [part.format_map(values) for part in template]
    begun = now

    def note(process: processes.Process) -> None:
        nonlocal begun
        service = Service(
            release=record.release, commit=record.commit, digest=record.artifacts["bento"].sha256,
            model_sha256=record.model_sha256, port=port, command=command, cwd=str(cwd),
            log=str(log.resolve()), process=process,
        )  # fmt: skip
        begun = swap.write(now, candidate=service)

    swap.say(f"starting {record.release} on port {port}")
    try:
        around = surroundings.service(swap.folder)
        processes.spawn(command, cwd=cwd, log=log, note=note, environment=around)
        assert begun.candidate is not None  # noqa: S101 - note put it there
        _gate(swap, begun.candidate, record)
    except BaseException:
        with undisturbed():
            # From the file: the signal may have come between the note and its end.
            if written := State.read(swap.path).candidate:
                processes.stop(written.process, grace=swap.limits.stop)
            swap.write(now, candidate=None)
        raise
    return begun


def _gate(swap: Swap, service: Service, record: Release) -> None:
    """Raises DeployError unless the service becomes ready and serves the record's model."""

    def settled() -> bool:
        return probes.ready(service.port) or not processes.alive(service.process)

    in_time = probes.wait(settled, swap.limits.ready)
    if not processes.alive(service.process):
        raise refused(service, "it ended while it started", _served(swap))
    if not in_time:
        raise refused(service, f"it was not ready within {swap.limits.ready:g} s", _served(swap))
    if why := probes.foreign(service.port, record):
        raise refused(service, why, _served(swap))


def _served(swap: Swap) -> str:
    now = swap.read()
    return f"{now.active.release} is served as before" if now and now.active else "nothing is served"
