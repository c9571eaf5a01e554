"""`mainline run --while-tip-of`, real Git and DVC: it ends where the branch moved on; all others go on."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mainline import cli
from mainline.errors import ConfigError, Interrupted, SupersededError
from mainline.git import Git
from mainline.lookout import Lookout
from tests import clones
from tests.clones import git

PIPELINE = """\
stages:
  first:
    cmd: python first.py
    deps: [first.py]
    outs: [middle.txt]
  second:
    cmd: python second.py
    deps: [second.py, middle.txt]
    outs: [result.txt]
"""
# Trains until the file `enough` is there; stopped, it saves its state and leaves its exit code, as ours do.
FIRST = """\
import os, signal, sys, time
def save(*_):
    open('saved', 'w').close()
    os.makedirs('.mainline/stages', exist_ok=True)
    open('.mainline/stages/first.json', 'w').write('{"exit_code": 75}')
    sys.exit(75)
signal.signal(signal.SIGINT, save)
open('environment', 'w').write(chr(10).join(os.environ))
open('started', 'w').close()
while not os.path.exists('enough'): time.sleep(.02)
if os.path.exists('saved'): os.remove('.mainline/stages/first.json')
open('middle.txt', 'w').write('1')
"""
FILES = {
    "dvc.yaml": PIPELINE,
    "first.py": FIRST,
    "second.py": "open('result.txt', 'w').write('2')",
    ".gitignore": "/.mainline/\n/started\n/enough\n/saved\n/environment\n",
}
# In the place of git-upload-pack: writes down that somebody asked, and answers unless it must not.
COUNTING = """\
#!/bin/sh
cd "$(dirname "$0")" || exit
echo >> asked
test ! -e refuse && exec git-upload-pack "$@"
"""


@dataclass(frozen=True)
class Place:
    """A checkout of the branch `topic`, which is at HEAD on origin."""

    root: Path

    @property
    def head(self) -> str:
        return git(self.root, "rev-parse", "HEAD")

    @property
    def asked(self) -> int:
        """How often origin was."""
        file = self.root.parent / "asked"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def refuse(self) -> None:
        """From now on origin gives nobody an answer."""
        (self.root.parent / "refuse").touch()

    def has(self, name: str) -> bool:
        return (self.root / name).exists()

    def move_on(self) -> str:
        """Somebody pushes a newer commit; that commit."""
        newer = git(self.root, "commit-tree", "-p", "HEAD", "-m", "newer", "HEAD^{tree}")
        git(self.root, "push", "--quiet", "origin", f"{newer}:refs/heads/topic")
        return newer

    def start(self, *more: str, look_every: str = "0.1", **extra: str) -> subprocess.Popen[str]:
        """`mainline run --while-tip-of topic` as CI starts it."""
        words = ["run", "--while-tip-of", "topic", "--look-every", look_every, *more]
        return subprocess.Popen(
            [sys.executable, "-m", "mainline.cli", *words], cwd=self.root, text=True,
            env=clones.environment(clones.ROOT, extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lookout")
    root = folder / "work"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=topic")
    git(root, "config", "user.name", "Test")
    git(root, "config", "user.email", "test@example.org")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, check=True)
    for name, text in FILES.items():
        (root / name).write_text(text)
    clones.commit(root, "all")
    git(folder, "clone", "--quiet", "--bare", str(root), str(folder / "origin.git"))
    return folder


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Iterator[Place]:
    subprocess.run(["cp", "-r", f"{template}/.", str(tmp_path)], check=True)
    found = Place(tmp_path / "work")
    (tmp_path / "upload-pack").write_text(COUNTING)
    (tmp_path / "upload-pack").chmod(0o755)
    git(found.root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(found.root, "config", "remote.origin.uploadpack", str(tmp_path / "upload-pack"))
    yield found
    (found.root / "enough").touch()  # so that a test that failed leaves no process


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, said = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, said


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.02)


def test_a_training_whose_branch_moved_on_saves_its_state_and_says_by_what(place: Place) -> None:
    process = place.start()
    until(lambda: place.has("started"))
    newer = place.move_on()
    code, _, said = ended(process)
    assert code == SupersededError.exit_code, said
    assert f"superseded by {newer}" in said and "Traceback" not in said
    assert place.has("saved") and not place.has("result.txt")
    (place.root / "enough").touch()
    assert clones.mainline(place.root, "run").returncode == 0, "the same folder runs on"
    assert place.has("result.txt")


def test_a_training_whose_branch_is_gone_ends(place: Place) -> None:
    process = place.start()
    until(lambda: place.has("started"))
    git(place.root.parent / "origin.git", "update-ref", "-d", "refs/heads/topic")
    code, _, said = ended(process)
    assert (code, place.has("saved")) == (SupersededError.exit_code, True), said
    assert "topic is gone" in said


def test_a_stage_that_knows_of_no_signal_ends_by_it_too(place: Place) -> None:
    (place.root / "first.py").write_text(
        "import os, time; open('started', 'w').close()\nwhile not os.path.exists('enough'): time.sleep(.02)"
    )
    process = place.start()
    until(lambda: place.has("started"))
    newer = place.move_on()
    code, _, said = ended(process)
    assert code == SupersededError.exit_code and f"superseded by {newer}" in said


def test_where_it_moved_on_before_nothing_begins(place: Place) -> None:
    newer = place.move_on()
    code, out, _ = ended(place.start("--json", look_every="60"))
    told = json.loads(out)
    assert code == told["exit_code"] == SupersededError.exit_code
    assert told["error"] == f"superseded by {newer}"
    assert not place.has("started")


def test_one_whose_branch_is_where_it_was_goes_on_to_its_end(place: Place) -> None:
    process = place.start()
    until(lambda: place.asked >= 4)
    (place.root / "enough").touch()
    code, _, said = ended(process)
    assert code == 0, said
    assert place.has("result.txt") and not place.has("saved")


@pytest.mark.parametrize("refused_first", [True, False])
def test_one_whose_origin_does_not_answer_goes_on_and_says_so_once(place: Place, refused_first: bool) -> None:
    if refused_first:
        place.refuse()
    process = place.start()
    until(lambda: place.has("started"))
    place.refuse()
    before = place.asked
    until(lambda: place.asked >= before + 3)
    (place.root / "enough").touch()
    code, out, said = ended(process)
    assert code == 0, said
    assert place.has("result.txt") and not place.has("saved")
    assert out.count("cannot be asked") == 1


def test_a_failed_look_is_no_end_of_looking(place: Place) -> None:
    place.refuse()
    process = place.start()
    until(lambda: place.has("started"))
    newer = place.move_on()
    (place.root.parent / "refuse").unlink()
    code, _, said = ended(process)
    assert code == SupersededError.exit_code and f"superseded by {newer}" in said


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x.git"


def test_a_look_at_a_silent_origin_ends(place: Place, silent: str) -> None:
    git(place.root, "remote", "set-url", "origin", silent)
    said: list[str] = []
    look = Lookout(Git(place.root), "topic", said.append, limit=0.3)
    assert look.ask() is None and look.ask() is None
    assert len(said) == 1 and "did not end within 0.3 s" in said[0]


def test_nobody_looks_on_a_laptop_and_a_person_may_still_stop_it(place: Place) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mainline.cli", "run"], cwd=place.root, stdout=-1, stderr=-1, text=True
    )
    until(lambda: place.has("started"))
    process.terminate()
    assert ended(process)[0] == Interrupted.exit_code
    assert place.asked == 0


def test_a_stop_by_a_person_is_none_by_a_newer_commit(place: Place) -> None:
    process = place.start()
    until(lambda: place.has("started"))
    process.terminate()
    assert ended(process)[0] == Interrupted.exit_code


def test_the_stages_are_not_given_the_tokens_that_git_asks_with(place: Place) -> None:
    (place.root / "enough").touch()
    code, _, said = ended(place.start(READ_TOKEN="s3cr3t", PUSH_TOKEN="s3cr3t", OTHER="kept"))
    assert code == 0, said
    given = (place.root / "environment").read_text().splitlines()
    assert "OTHER" in given and not {"READ_TOKEN", "PUSH_TOKEN"} & set(given)


@pytest.mark.parametrize("name", ["-x", "a..b", "refs heads", "HEAD", ""])
def test_what_cannot_be_a_branch_is_refused_before_anything_runs(
    place: Place, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.root)
    assert cli.main(["run", f"--while-tip-of={name}"]) == ConfigError.exit_code
    assert place.asked == 0 and not place.has("started")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x"])
def test_a_pause_is_a_time(seconds: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["run", "--while-tip-of=topic", f"--look-every={seconds}"])
