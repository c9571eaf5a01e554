"""The training in the bot's own job (`where: here`): the verbs a person would call, in the bot's clone."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mainline.errors import MainlineError, StorageError, TrainingError, of_exit_code
from mainline.git import Git

COMMAND = (sys.executable, "-m", "mainline.cli")


@dataclass(frozen=True, slots=True)
class Trainer:
    """Runs `mainline VERB` in the clone. `command`: how."""

    home: Git
    command: Sequence[str] = field(default=COMMAND)

    def run(self, clone: Git) -> None:
        """`mainline run --pull` in the clone, with our cache and remote. Raises MainlineError."""
        _lend(self.home.root.resolve() / ".dvc", clone.root / ".dvc")
        self._call(clone, "run", "--pull")

    def push(self, clone: Git, branch: str) -> None:
        """Data to the remote, the lock to the branch, which is at the clone's HEAD. Raises MainlineError."""
        self._call(clone, "push", "--branch", branch)

    def _call(self, clone: Git, *words: str) -> None:
        own = {"PYTHONPATH": str(clone.root / "src"), "CI": "true"}  # CI: the commit is by the bot
        done = subprocess.run(
            [*self.command, *words], cwd=clone.root, env={**os.environ, **own}, stdout=sys.stderr
        )
        if done.returncode:
            raise _error(words, done.returncode)


def _error(words: Sequence[str], code: int) -> MainlineError:
    """The failure of a verb in the clone, of the class that its exit code names."""
    return of_exit_code(code, TrainingError if words[0] == "run" else StorageError)(
        f"`mainline {' '.join(words)}` failed in the bot's clone (exit code {code})",
        why="its message is above",
        remedy="no pull request was opened; the same command goes on with what DVC has cached",
    )


def _lend(ours: Path, theirs: Path) -> None:
    """Give the clone our DVC configuration: cache, keys, and folders by their full names."""
    merged = configparser.ConfigParser(interpolation=None)
    for name in ("config", "config.local"):
        merged.read(ours / name, encoding="utf-8")
    for section in merged.sections():
        for key in ("url", "dir", "keyfile", "credentialpath", "configpath"):
            value = merged.get(section, key, fallback=None)
            if value and "://" not in value:
                merged.set(section, key, str((ours / value).resolve()))
    if not merged.has_section("cache"):
        merged.add_section("cache")
    if not merged.get("cache", "dir", fallback=None):
        merged.set("cache", "dir", str(ours / "cache"))
    theirs.mkdir(exist_ok=True)
    with (theirs / "config.local").open("w", encoding="utf-8") as file:
        merged.write(file)
    (theirs / "config.local").chmod(0o600)
