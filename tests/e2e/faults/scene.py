"""A verb in a world of its own: left alone, killed at each of its moments, or met by faults at its writes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mainline.errors import ForgeError, GitError
from tests.e2e.faults.table import must
from tests.e2e.faults.wire import BEFORE, STEP, Moments
from tests.imports import ROOT
from tests.servers import Fault

LIMIT = 120  # seconds of one run
STEPS = re.compile(r"▸ |starting |.* leads to ")
CLI, CHILD = ("mainline.cli",), ("tests.e2e.faults.child",)  # the child: with stand-ins of other rooms' tools
NAMED = {kind.exit_code for kind in (GitError, ForgeError)}


@dataclass
class Scene:
    """One command in a world. `again`: what is run after a fault, where that is another command.

    `half` raises Stopped where a run that was cut off left something wrong, `check` where its rerun did.
    """

    root: Path
    command: tuple[str, ...]
    moments: Moments
    check: Callable[[], None]
    half: Callable[[], None] = lambda: None
    program: tuple[str, ...] = CLI
    again: tuple[str, ...] = ()
    answer: int = 0
    extra: Mapping[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def start(self, command: tuple[str, ...]) -> subprocess.Popen[str]:
        environment = {name: text for name, text in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        environment |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PYTHONUNBUFFERED": "1", **self.extra}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        return subprocess.Popen(
            [sys.executable, "-m", *self.program, *command], cwd=self.root, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
            start_new_session=True,
        )  # fmt: skip

    def run(self, at: int | None = None, fault: Fault | None = None) -> int:
        """The exit code of a run that meets the fault at its moment `at`, or is killed there without one."""
        self.said = []
        holder: list[subprocess.Popen[str]] = []
        begun = threading.Event()

        def act() -> Fault | None:
            begun.wait()
            return fault or kill(holder[0])

        self.moments.begin(at, act)
        holder.append(self.start(self.command))
        begun.set()
        return self._listen(holder[0])

    def rerun(self) -> int:
        self.said = []
        self.moments.begin()
        return self._listen(self.start(self.again or self.command))

    def _listen(self, process: subprocess.Popen[str]) -> int:
        timer = threading.Timer(LIMIT, kill, [process])
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            self.said.append(line)
            if STEPS.match(line):
                self.moments.hear(f"{STEP}{line.strip()}")
        timer.cancel()
        return process.wait()

    @property
    def words(self) -> str:
        return "".join(self.said)[-4000:]


def kill(process: subprocess.Popen[str]) -> Fault:
    """The process and its children, as a machine that is switched off; nobody hears an answer."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return Fault("", "", status=0)


@dataclass
class Case:
    """`made(folder)` is a fresh world for one run of the verb and its rerun."""

    name: str
    made: Callable[[Path], AbstractContextManager[Scene]]

    @cached_property
    def moments(self) -> list[str]:
        """Those of a run that nothing disturbs. Raises Stopped."""
        with self._fresh() as scene:
            code = scene.run()
            must(code == scene.answer, f"{self.name} ended with {code}:\n{scene.words}")
            scene.check()
            return list(scene.moments.seen)

    def killed(self, wanted: Callable[[str], bool] = bool) -> int:
        """How often it was killed, each time at another moment; each time it was then run again, and held."""
        places = [number for number, moment in enumerate(self.moments) if wanted(moment)]
        for at in places:
            with self._fresh() as scene:
                code = scene.run(at)
                what = f"{self.name}, killed at {scene.moments.hit or at}"
                must(
                    scene.moments.hit and code == -signal.SIGKILL,
                    f"{what}: it ended with {code}:\n{scene.words}",
                )
                self._goes_on(scene, what)
        must(places, f"{self.name} has no moment at which to kill it")
        return len(places)

    def met(self, faults: Mapping[str, Fault], wanted: Callable[[str], bool] = bool) -> list[tuple[int, int]]:
        """For each fault how many writes met it, and how many of them needed another run."""
        writes = [n for n, one in enumerate(self.moments) if one.startswith(BEFORE) and wanted(one)]
        must(writes, f"{self.name} writes nothing")
        return [(len(writes), sum(self._meets(at, name, fault) for at in writes))
                for name, fault in faults.items()]  # fmt: skip

    def _meets(self, at: int, name: str, fault: Fault) -> bool:
        with self._fresh() as scene:
            code = scene.run(at, fault)
            what = f"{self.name}, {name} at {scene.moments.hit}"
            must(scene.moments.hit, f"{self.name}: {name} was not met:\n{scene.words}")
            must(code == scene.answer or code in NAMED, f"{what}: it ended with {code}:\n{scene.words}")
            must("Traceback" not in scene.words, f"{what}:\n{scene.words}")
            if code == scene.answer:
                scene.check()
                return False
            self._goes_on(scene, what)
            return True

    def _goes_on(self, scene: Scene, what: str) -> None:
        scene.half()
        code = scene.rerun()
        must(code == scene.answer, f"{what}: the rerun ended with {code}:\n{scene.words}")
        scene.check()

    @contextmanager
    def _fresh(self) -> Iterator[Scene]:
        with (
            tempfile.TemporaryDirectory(prefix="scene-", ignore_cleanup_errors=True) as folder,
            self.made(Path(folder)) as scene,
        ):
            yield scene
