"""The adapter to DVC: runs it as a subprocess, the way a person would, and says what happened."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from mainline.errors import ConfigError, Interrupted, StorageError
from mainline.leftover import leftover
from mainline.locks import LOCK, Survey
from mainline.lookout import Lookout
from mainline.records import write_atomically

RUNNING = re.compile(r"^Running stage '(.+)':$")
UNCHANGED = re.compile(r"^Stage '(.+)' didn't change, skipping$")
SENT = re.compile(r"^(\d+ files?) pushed$")  # the same number each time: the run cache is always sent whole
CACHED = re.compile(r"^Stage '(.+)' is cached - skipping run, checking out outputs")
TOKENS = ("READ_TOKEN", "PUSH_TOKEN")  # as the workflows name them
# What DVC says to people who type its commands one by one; a pipeline's reader does not need it.
CHATTER = re.compile(
    r"^(> |Updating lock file|Generating lock file|To track the changes|To enable auto staging|"
    r"'.+' didn't change, skipping$|\tgit add |\tdvc config |Use `dvc push`|"
    r"Data and pipelines are up to date|$)"
)


@dataclass
class Outcome:
    """What `dvc repro` did with each stage, in order. `failed` is the stage that ended it."""

    ran: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    failed: str | None = None
    output: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dvc:
    """DVC in the repository at `root`. `environment` is added to the process's own."""

    root: Path = Path()
    environment: Mapping[str, str] = field(default_factory=dict)

    def reproduce(
        self,
        targets: list[str],
        on_line: Callable[[str], None],
        *,
        force: bool = False,
        pull: bool = False,
        lookout: Lookout | None = None,
    ) -> Outcome:
        """Run `dvc repro`, passing each line worth reading to `on_line` as it comes.

        `force`: every stage. `pull`: fetch what changed stages need, and do without the rest; what is here
        must be the lock's (`verbs.bringing` sees to it), as DVC takes other bytes for absent ones. `lookout`:
        may end it as a signal does.

        SIGTERM and Ctrl-C reach the running stage, which saves its state; we wait for it.
        Never raises for a failed stage: that is `failed`. Raises SupersededError when `lookout` ended it, and
        StorageError when DVC itself failed.
        """
        result = Outcome()
        flags = [*(["--force"] if force else []), *(["--pull", "--allow-missing"] if pull else [])]
        process = self._start(["repro", *flags, *targets])
        watching = lookout.watch(lambda: _interrupt(process)) if lookout else nullcontext()
        with _forwarding(process) as forwarded, watching:
            try:
                for line in _lines(process):
                    _interpret(line, result, on_line)
            except BrokenPipeError:  # nobody reads what we pass on: ended as by a signal, and not left behind
                _interrupt(process)
                process.communicate()
                raise
            code = process.wait()
        if code == 0:
            return result
        if lookout and lookout.superseded:
            raise lookout.superseded
        if result.ran and not _broke_outside_stage(result.output):
            result.failed = result.ran.pop()
            return result
        if forwarded:
            raise Interrupted("stopped between two stages", remedy="run the same command again")
        raise StorageError(
            "DVC could not run the pipeline",
            why="\n        ".join(result.output[-5:]),
            remedy="another run in progress, a full disk, a conflict in dvc.lock? `dvc repro` says more",
        )

    def forget(self) -> dict[str, list[str]]:
        """Take out of dvc.lock what dvc.yaml no longer names, and why, by stage: such a stage runs again.

        Raises StorageError for a lock that cannot be read.
        """
        if found := self.leftover():
            lock = self.lock()
            kept = {name: stage for name, stage in lock["stages"].items() if name not in found}
            self._write({**lock, "stages": kept})
        return found

    def invalidate(self, names: Collection[str]) -> None:
        """Make dvc.lock say of these stages that their command is another one, so that they run again.

        They keep their place in it. Raises StorageError as `lock` does.
        """
        lock = self.lock()
        stages = lock.get("stages") or {}
        again = {name: {**stage, "cmd": ""} for name, stage in stages.items() if name in names}
        if again:
            self._write({**lock, "stages": {**stages, **again}})

    def _write(self, lock: dict[str, Any]) -> None:
        text = yaml.safe_dump(lock, sort_keys=False, width=sys.maxsize, allow_unicode=True)
        write_atomically(self.root / LOCK, text.encode())

    def leftover(self) -> dict[str, list[str]]:
        """As `forget`, and nothing is taken out."""
        if not (self.root / LOCK).exists():
            return {}
        return leftover(yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8")), self.lock())

    def check_stages(self, names: list[str]) -> None:
        """Raises ConfigError when there is no pipeline here, or it has no stage of such a name."""
        try:
            stages = yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        except FileNotFoundError:
            raise ConfigError(
                "there is no dvc.yaml here", remedy="run from the root of the repository"
            ) from None
        unknown = [name for name in names if name not in stages]
        if unknown:
            raise ConfigError(f"no stage {', '.join(unknown)}", remedy=f"choose of {', '.join(stages)}")

    def status(self) -> dict[str, Any]:
        """Changed stages and why, as `dvc status --json` has them; empty when all is up to date."""
        done = subprocess.run(
            self._command(["status", "--json"]),
            cwd=self.root,
            env=self._env(),
            capture_output=True,
            text=True,
        )
        try:
            return dict(json.loads(done.stdout))
        except ValueError:
            raise StorageError(
                "DVC could not tell the state of the pipeline", why=done.stderr.strip()
            ) from None

    def survey(self, *, ask_remote: bool = True, seconds: float = 60) -> Survey:
        """What the work tree and the remote hold, beside dvc.lock; changes nothing, pulls no data.

        A remote that does not answer within `seconds` is the survey's problem. Raises StorageError when DVC
        fails in a way that nobody foresaw.
        """
        flags = ["--seconds", str(seconds), *([] if ask_remote else ["--no-remote"])]
        command = [sys.executable, "-m", "mainline.remote", *flags]
        try:
            done = subprocess.run(command, cwd=self.root, env=self._env(), capture_output=True, text=True)
        except KeyboardInterrupt:
            raise Interrupted(
                "stopped while the lock was checked", remedy="run the same command again"
            ) from None
        if done.returncode:
            raise StorageError("DVC could not tell what the lock names", why=done.stderr.strip()[-1000:])
        return Survey.model_validate_json(done.stdout)

    def pull(self, outputs: list[str]) -> None:
        """Bring these outputs of the lock into the work tree. Raises StorageError."""
        done = subprocess.run(
            self._command(["pull", "--", *outputs]),
            cwd=self.root,
            env=self._env(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise StorageError(f"DVC could not pull {', '.join(outputs)}", why=done.stderr.strip()[-1000:])

    def push(self, on_line: Callable[[str], None]) -> None:
        """Send what the lock names and the run cache to the remote. DVC is content when an object is nowhere.

        Raises StorageError, or Interrupted: a second try sends only what is left.
        """
        process = self._start(["push", "--run-cache"])
        output = []
        with _forwarding(process) as forwarded:
            for line in _lines(process):
                output.append(line)
                sent = SENT.match(line)
                on_line(f"  data and run cache: {sent[1]} sent" if sent else f"  {line}")
            code = process.wait()
        if forwarded:
            raise Interrupted("stopped while data was sent", remedy="run the same command again")
        if code:
            raise StorageError(
                "DVC could not push to the remote",
                why="\n        ".join(line for line in output[-5:] if line),
                remedy="is it reachable and writable, with space left? What arrived stays; run this again",
            )

    def lock(self) -> dict[str, Any]:
        """The content of dvc.lock. Raises StorageError when there is none or it is not YAML."""
        path = self.root / "dvc.lock"
        try:
            return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise StorageError(f"{path} does not exist", remedy="make run") from None
        except (yaml.YAMLError, TypeError, ValueError) as error:
            raise StorageError(
                f"{path} cannot be read",
                why=str(error).splitlines()[0],
                remedy="after a merge conflict take either side, then run: make run",
            ) from None

    def _command(self, arguments: list[str]) -> list[str]:
        return [sys.executable, "-m", "dvc", *arguments]

    def _env(self) -> dict[str, str]:
        # `python` in dvc.yaml must be this interpreter, also where no environment is activated.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**without_tokens(), "PYTHONUNBUFFERED": "1", "PATH": path, **self.environment}

    def _start(self, arguments: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command(arguments),
            cwd=self.root,
            env=self._env(),
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def without_tokens() -> dict[str, str]:
    """Our environment without the tokens with which git asks and pushes in CI: no library needs them."""
    return {name: value for name, value in os.environ.items() if name not in TOKENS}


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stdout is not None:
        for line in process.stdout:
            yield line.rstrip("\n")


def _interpret(line: str, result: Outcome, on_line: Callable[[str], None]) -> None:
    if found := RUNNING.match(line):
        result.ran.append(found[1])
        on_line(f"▸ {found[1]}")
    elif found := UNCHANGED.match(line):
        result.unchanged.append(found[1])
    elif found := CACHED.match(line):
        result.cached.append(found[1])
        on_line(f"▸ {found[1]}: taken from the run cache")
    elif not CHATTER.match(line):
        result.output.append(line)
        on_line(f"  {line}")


def _broke_outside_stage(output: list[str]) -> bool:
    """DVC names the command that failed; any other error is DVC's own (lock, disk, cache)."""
    return not any("failed to run" in line for line in output)


def _interrupt(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.killpg(process.pid, signal.SIGINT)


@contextmanager
def _forwarding(process: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Pass signals on to the whole group as SIGINT: DVC waits for its stage on that, and the stage saves.

    Yields the signals that came.
    """
    came: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        _interrupt(process)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
