"""The local target with real processes: swaps under load, what fails goes back, what is killed comes back."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from mainline import deploying as deploying_
from mainline.deploy import processes, state
from mainline.deploy.local import Local
from mainline.deploy.processes import Process
from mainline.deploy.state import State
from mainline.deploy.swapping import Limits
from mainline.errors import ConfigError, DeployError, IntegrityError
from tests.deploy.releasing import release
from tests.imports import ROOT
from tests.ports import free_port

STANDIN = Path(__file__).with_name("standin.py")
COMMAND = (sys.executable, str(STANDIN), "--bento", "{bento}", "--sha256", "{sha256}", "--port", "{port}")
LIMITS = Limits(ready=20, bake=0.5, drain=20, stop=10, lock=60)
pytestmark = pytest.mark.slow


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Local]:
    made = Local(tmp_path / "deploy", "staging", free_port(), command=COMMAND, limits=LIMITS)
    yield made
    made.stop()
    until(lambda: not leftovers(made.folder))


def leftovers(folder: Path) -> list[str]:
    """Processes that name the deployment's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in line:
                found.append(f"{entry.name}: {line}")
    return found


def until(done: Callable[[], Any], seconds: float = 20) -> Any:
    ends = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)
    return value


def ask(target: Local, path: str = "/predict", body: bytes = b"{}") -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=20)
    connection.request("POST", path, body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return {"status": answer.status, **json.loads(content)}


def served(target: Local) -> str | None:
    try:
        return ask(target).get("version")
    except OSError:
        return None


def read(target: Local) -> State:
    return State.read(target.folder / State.location)


class Load:
    """Clients that keep their connection and count what they get; a failed request or connection is kept."""

    def __init__(self, port: int, clients: int) -> None:
        self.port, self.ending = port, threading.Event()
        self.seen: list[str] = []
        self.failures: list[str] = []
        self.connections = 0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def run(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.auto_open = 0  # a connection that is closed is a failure, not opened again
        connection.connect()
        self.connections += 1
        path = "/predict?seconds=1.5" if number < 2 else "/predict"  # two are always slow
        while not self.ending.is_set():
            try:
                connection.request("POST", path, b"x" * (100_000 if number == 2 else 200))
                answer = connection.getresponse()
                content = json.loads(answer.read())
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {content}")
                else:
                    self.seen.append(content["version"])
            except Exception as error:
                self.failures.append(repr(error))
                return


def test_swaps_under_load_lose_no_request_and_no_connection(target: Local, tmp_path: Path) -> None:
    """Also when the services drop their requests on SIGTERM: nobody stops one that still answers."""
    target.deploy(*release(tmp_path, "v1.0.0", abrupt=True))
    with Load(target.port, 16) as load:
        for number in range(1, 5):
            until(lambda n=100 * number: len(load.seen) > n or load.failures)
            done = target.deploy(*release(tmp_path, f"v1.{number}.0", abrupt=True))
            assert done.changed and done.release == f"v1.{number}.0"
        enough = len(load.seen) + 100
        until(lambda: len(load.seen) > enough or load.failures)
    assert load.failures == []
    assert set(load.seen) == {f"v1.{number}.0" for number in range(5)}
    assert load.connections == 16
    assert target.current().release == "v1.4.0"
    assert len(list((target.folder / "releases").iterdir())) == 1


def test_the_same_release_again_changes_nothing(target: Local, tmp_path: Path) -> None:
    record, files = release(tmp_path, "v1.0.0")
    assert target.deploy(record, files).changed
    first = ask(target)["pid"]
    assert not target.deploy(record, files).changed
    assert ask(target)["pid"] == first
    assert target.plan(record)[0].startswith("nothing")


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ({"broken": True}, "ended while it started"),
        ({"ready": False}, "not ready within"),
        ({"model_sha256": "0" * 64}, "another model"),
        ({"lives": 3.0}, "while it was watched"),
    ],
)
def test_what_fails_its_checks_leaves_the_old_one(
    target: Local, tmp_path: Path, says: dict[str, Any], why: str
) -> None:
    target.deploy(*release(tmp_path, "v1.0.0"))
    old = ask(target)["pid"]
    strict = Local(target.folder, "staging", target.port, command=COMMAND,
                   limits=Limits(ready=3, bake=8, drain=5, stop=5, lock=5))  # fmt: skip
    with Load(target.port, 4) as load, pytest.raises(DeployError, match=why):
        strict.deploy(*release(tmp_path, "v1.1.0", **says))
    assert ask(target)["pid"] == old
    lost = [failure for failure in load.failures if not failure.startswith("502")]
    assert lost == []  # while a service is dead and watched its requests get 502; no connection is lost
    if "lives" not in says:
        assert load.failures == []
    now = read(target)
    assert (now.active.release, now.candidate, now.previous) == ("v1.0.0", None, None)


def test_what_is_deployed_knows_no_secret_of_whoever_deployed(
    target: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the service, the front and the supervisor; also after they were started again."""
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PUSH_TOKEN", "MLFLOW_TRACKING_PASSWORD",
                 "MAINLINE_SIGNING_PASSWORD", "ANYTHING_ELSE"):  # fmt: skip
        monkeypatch.setenv(name, "s3cr3t-of-the-job")
    monkeypatch.setenv("SERVING_MAX_ROWS", "7")
    target.deploy(*release(tmp_path, "v1.0.0"))

    def known() -> dict[str, bytes]:
        pids = [line.partition(":")[0] for line in leftovers(target.folder)]
        return {pid: (Path("/proc") / pid / "environ").read_bytes() for pid in pids}

    first = known()
    assert len(first) == 3
    os.kill(read(target).active.process.pid, signal.SIGKILL)
    os.kill(state.read_front(target.folder).pid, signal.SIGKILL)
    until(lambda: served(target) == "v1.0.0" and len(known()) == 3)
    for seen in (first, known()):
        for environment in seen.values():
            assert b"s3cr3t" not in environment
            assert b"SERVING_MAX_ROWS=7" in environment and b"PATH=" in environment


def test_a_deployment_is_served_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mainline release` has no --port: it must not look for a free one elsewhere, or refuse."""
    monkeypatch.setenv(deploying_.FOLDER, str(tmp_path))
    monkeypatch.delenv("MAINLINE_PRODUCTION_PORT", raising=False)
    monkeypatch.delenv("MAINLINE_STAGING_PORT", raising=False)
    first = deploying_.local("production")
    assert (first.port, first.host) == (3000, "127.0.0.1")
    State(stage="production", host="127.0.0.2", port=8443).write(tmp_path / "production" / State.location)
    again = deploying_.target("local", "production")
    assert isinstance(again, Local) and (again.port, again.host) == (8443, "127.0.0.2")
    chosen = deploying_.local("production", port=3005, host="127.0.0.1")
    assert (chosen.port, chosen.host) == (3005, "127.0.0.1")
    assert deploying_.local("staging").port == 3001
    State(stage="production", host="127.0.0.2", port=8443, stopped=True).write(
        tmp_path / "production" / State.location
    )
    assert deploying_.local("production").port == 3000, "it was stopped, to be served elsewhere"


def test_the_environment_says_how_long_a_service_proves_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(deploying_.BAKE, raising=False)
    assert deploying_.local("staging").limits.bake == 10
    monkeypatch.setenv(deploying_.BAKE, "2.5")
    assert deploying_.local("staging").limits.bake == 2.5
    for wrong in ("-1", "soon", "nan", "1e9"):
        monkeypatch.setenv(deploying_.BAKE, wrong)
        with pytest.raises(ConfigError, match=deploying_.BAKE):
            deploying_.local("staging")


def test_what_is_deployed_runs_with_the_interpreter_of_the_machine(
    target: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an environment outside of the checkout, so that the next job takes nothing away."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT / 'src'}\n")
    python = str(tmp_path / "venv/bin/python")
    monkeypatch.setenv("MAINLINE_DEPLOY_PYTHON", python)
    mine = dataclasses.replace(target, command=("{python}", *COMMAND[1:]))
    mine.deploy(*release(tmp_path, "v1.0.0"))
    os.kill(state.read_front(target.folder).pid, signal.SIGKILL)
    until(lambda: served(target) == "v1.0.0")
    running = leftovers(target.folder)
    assert len(running) == 3 and all(f": {python} " in line for line in running), running


def test_an_interpreter_that_is_not_there_is_told_by_the_plan(
    target: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINLINE_DEPLOY_PYTHON", str(tmp_path / "no/python"))
    record, files = release(tmp_path, "v1.0.0")
    for ask in (target.plan, lambda one: target.deploy(one, files)):
        with pytest.raises(ConfigError, match="MAINLINE_DEPLOY_PYTHON"):
            ask(record)
    assert not leftovers(target.folder)


def test_a_first_release_that_fails_leaves_nothing(target: Local, tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="broken on purpose"):
        target.deploy(*release(tmp_path, "v1.0.0", broken=True))
    assert target.current() is None
    assert ask(target)["status"] == 503


def test_another_file_than_the_records_is_refused_before_anything_starts(
    target: Local, tmp_path: Path
) -> None:
    record, files = release(tmp_path, "v1.0.0")
    files["bento"].write_text("{}")
    with pytest.raises(IntegrityError):
        target.deploy(record, files)
    assert not leftovers(target.folder)


def test_a_plan_refuses_what_the_deployment_would(target: Local, tmp_path: Path) -> None:
    """`mainline release` plans before it pushes a tag that nobody can take back."""
    record, files = release(tmp_path, "v1.0.0")
    taken = socket.create_server(("127.0.0.1", target.port))
    with taken, pytest.raises(ConfigError, match="cannot listen"):
        target.plan(record)
    target.deploy(record, files)
    assert "nothing" in target.plan(record)[0]
    with pytest.raises(ConfigError, match="is served on"):
        dataclasses.replace(target, port=free_port()).plan(record)


def test_a_port_that_is_taken_is_said_before_anything_starts(target: Local, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", target.port)), pytest.raises(ConfigError, match="cannot listen"):
        target.deploy(*release(tmp_path, "v1.0.0"))
    assert not leftovers(target.folder)


def test_each_process_that_is_killed_comes_back(target: Local, tmp_path: Path) -> None:
    target.deploy(*release(tmp_path, "v1.0.0"))
    service = read(target).active.process.pid
    for _ in range(2):
        front = state.read_front(target.folder).pid
        os.kill(front, signal.SIGKILL)
        until(lambda old=front: state.read_front(target.folder).pid != old)
        assert ask(target)["pid"] == service
        keeper = int((target.folder / "supervisor.pid").read_text())
        os.kill(keeper, signal.SIGKILL)
        assert ask(target)["pid"] == service
        until(lambda old=keeper: int((target.folder / "supervisor.pid").read_text() or old) != old)
    os.kill(service, signal.SIGKILL)
    until(lambda: served(target) == "v1.0.0")
    assert ask(target)["pid"] != service


def test_all_killed_at_once_and_deployed_again_is_served(target: Local, tmp_path: Path) -> None:
    record, files = release(tmp_path, "v1.0.0")
    target.deploy(record, files)
    for line in leftovers(target.folder):
        os.kill(int(line.partition(":")[0]), signal.SIGKILL)
    until(lambda: not leftovers(target.folder))
    assert target.current() is None
    target.deploy(record, files)
    assert served(target) == "v1.0.0"


SCRIPT = """
import sys; from pathlib import Path
from mainline.deploy.local import Local
from mainline.deploy.swapping import Limits
from mainline.errors import MainlineError
from tests.deploy.releasing import release
from tests.deploy.test_local import COMMAND
folder, port, version, bake = sys.argv[1:]
target = Local(Path(folder) / "deploy", "staging", int(port), command=COMMAND,
               limits=Limits(ready=20, bake=float(bake), drain=20, stop=10, lock=60))
try:
    target.deploy(*release(Path(folder) / version, version))
except MainlineError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def deploying(target: Local, version: str, bake: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(target.folder.parent), str(target.port), version, str(bake)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["candidate", "previous"])
def test_a_command_that_is_stopped_anywhere_leaves_a_service_and_the_next_one_clears_up(
    target: Local, tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    target.deploy(*release(tmp_path, "v1.0.0"))
    command = deploying(target, "v1.1.0", 60)
    until(lambda: getattr(read(target), moment))
    command.send_signal(number)
    command.communicate(timeout=30)
    assert served(target) in ("v1.0.0", "v1.1.0")
    if number != signal.SIGKILL:
        assert command.returncode == 75
        assert served(target) == "v1.0.0"
        assert read(target).candidate is None and read(target).previous is None
    target.deploy(*release(tmp_path, "v1.2.0"))
    assert served(target) == "v1.2.0"
    assert sum("standin.py" in line for line in leftovers(target.folder)) == 1


def test_of_two_commands_at_once_one_waits(target: Local, tmp_path: Path) -> None:
    first = deploying(target, "v1.0.0", 1)
    until(lambda: state.held(target.folder / "lock"))
    second = deploying(target, "v1.1.0", 0)
    said = second.communicate(timeout=60)[1]
    assert (first.wait(timeout=5), second.returncode) == (0, 0), said
    assert "waiting" in said
    assert served(target) == "v1.1.0"
    assert sum("standin.py" in line for line in leftovers(target.folder)) == 1
    first.communicate()


def test_a_reused_pid_is_never_stopped(tmp_path: Path) -> None:
    """The pid of this test, with another start time: stopping it does nothing."""
    processes.stop(Process(pid=os.getpid(), started="boot:1"), grace=0)
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        processes.stop(Process(pid=other.pid, started="boot:1"), grace=0)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_service_that_ignores_sigterm_is_killed_with_its_workers(tmp_path: Path) -> None:
    noted: list[Process] = []
    script = "trap '' TERM; sleep 300 & echo $! > worker; while true; do sleep 1; done"
    made = processes.spawn(["/bin/sh", "-c", script], cwd=tmp_path, log=tmp_path / "log", note=noted.append)
    assert noted == [made]
    worker = int(until(lambda: (tmp_path / "worker").exists() and (tmp_path / "worker").read_text()))
    processes.stop(made, grace=0.2)
    assert not processes.alive(made)
    until(lambda: not Path(f"/proc/{worker}").exists() or " Z " in Path(f"/proc/{worker}/stat").read_text())


def test_a_process_that_nobody_could_note_never_runs(tmp_path: Path) -> None:
    def failing(process: Process) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        processes.spawn(["touch", "ran"], cwd=tmp_path, log=tmp_path / "log", note=failing)
    until(lambda: not [e for e in Path("/proc").iterdir() if _in(e, tmp_path)])
    assert not (tmp_path / "ran").exists()


def _in(entry: Path, folder: Path) -> bool:
    try:
        return entry.name.isdigit() and (entry / "cwd").readlink() == folder
    except OSError:
        return False


def test_the_front_passes_requests_on_as_they_are(target: Local, tmp_path: Path) -> None:
    target.deploy(*release(tmp_path, "v1.0.0"))
    assert ask(target, "/predict?chunked", b"y" * 3_000_000)["bytes"] == 3_000_000
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
    hop = {"Connection": "X-Secret", "X-Secret": "1"}
    connection.request("POST", "/predict", iter([b"one", b"two"]), hop, encode_chunked=True)
    seen = json.loads(connection.getresponse().read())
    assert seen["bytes"] == 6
    names = {name.lower() for name in seen["headers"]}
    assert "x-secret" not in names and "x-forwarded-for" in names
    for method, path, status in (("GET", "/nothing", 404), ("HEAD", "/readyz", 200), ("GET", "/readyz", 200)):
        connection.request(method, path)
        answer = connection.getresponse()
        assert (answer.status, len(answer.read()) < 100) == (status, True)
    connection.close()


def raw(target: Local, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", target.port), timeout=10) as client:
        client.sendall(request)
        return client.recv(65536)


@pytest.mark.parametrize(
    "request_text",
    [
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_ambiguous_requests_are_refused_by_the_front(
    target: Local, tmp_path: Path, request_text: bytes
) -> None:
    target.deploy(*release(tmp_path, "v1.0.0"))
    assert raw(target, request_text).startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert served(target) == "v1.0.0"


def test_an_answer_that_is_cut_off_does_not_look_whole(target: Local, tmp_path: Path) -> None:
    target.deploy(*release(tmp_path, "v1.0.0"))
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(target, "/predict?chunked&cut")
    until(lambda: served(target) == "v1.0.0")
