"""The DVC adapter, against a real DVC in a temporary repository."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mainline.errors import Interrupted, StorageError
from mainline.storage import Dvc

PIPELINE = """\
stages:
  first:
    cmd: python first.py
    deps: [first.py, input.txt]
    outs: [middle.txt]
  second:
    cmd: python second.py
    deps: [second.py, middle.txt]
    outs: [result.txt]
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dvc")
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=root, check=True)
    return root


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    subprocess.run(["cp", "-r", template, root], check=True)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "input.txt").write_text("1")
    (root / "first.py").write_text("print('hello'); open('middle.txt', 'w').write(open('input.txt').read())")
    (root / "second.py").write_text("open('result.txt', 'w').write(open('middle.txt').read() * 2)")
    return root


def reproduce(root: Path, lines: list[str] | None = None):
    return Dvc(root).reproduce([], lines.append if lines is not None else lambda _: None)


def test_what_ran_what_did_not_and_what_came_from_the_cache(repository: Path) -> None:
    lines: list[str] = []
    assert reproduce(repository, lines).ran == ["first", "second"]
    assert "▸ first" in lines and "  hello" in lines
    assert not any("git add" in line or "lock file" in line for line in lines)
    again = reproduce(repository)
    assert (again.ran, again.unchanged) == ([], ["first", "second"])
    (repository / "input.txt").write_text("2")
    assert reproduce(repository).ran == ["first", "second"]
    (repository / "input.txt").write_text("1")
    assert reproduce(repository).cached == ["first", "second"]
    assert (repository / "result.txt").read_text() == "11"


def test_a_failed_stage_is_named_and_later_ones_do_not_run(repository: Path) -> None:
    (repository / "first.py").write_text("raise SystemExit(13)")
    result = reproduce(repository)
    assert (result.failed, result.ran) == ("first", [])


def test_status_says_which_stage_and_why(repository: Path) -> None:
    reproduce(repository)
    assert Dvc(repository).status() == {}
    (repository / "input.txt").write_text("3")
    assert Dvc(repository).status() == {"first": [{"changed deps": {"input.txt": "modified"}}]}


def test_a_merge_conflict_in_the_lock_is_an_error_of_ours(repository: Path) -> None:
    reproduce(repository)
    lock = repository / "dvc.lock"
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}=======\n>>>>>>> other\n")
    with pytest.raises(StorageError, match="after a merge conflict"):
        Dvc(repository).lock()
    with pytest.raises(StorageError, match="DVC could not run"):
        reproduce(repository)


def test_two_runs_at_once_do_not_mix(repository: Path) -> None:
    """The second is refused while the first holds the stage, and loses nothing."""
    gate = repository / "gate"
    (repository / "first.py").write_text(
        "import os, time\nopen('started', 'w').close()\n"
        "while not os.path.exists('gate'): time.sleep(.02)\n"
        "open('middle.txt', 'w').write('1')"
    )
    results = []
    first = threading.Thread(target=lambda: results.append(_in_process(repository)))
    first.start()
    _until((repository / "started").exists)
    done = _in_process(repository)
    gate.touch()
    first.join(60)
    assert done.returncode == StorageError.exit_code, done.stderr
    assert results[0].returncode == 0, results[0].stderr
    assert (repository / "result.txt").read_text() == "11"


def test_after_a_kill_the_next_run_goes_on(repository: Path) -> None:
    """SIGKILL leaves DVC's lock files behind; they must not stop the next run."""
    (repository / "second.py").write_text("import time; open('started', 'w').close(); time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-m", "mainline.cli", "run"], cwd=repository, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _until((repository / "started").exists)
    victims = [pid for pid in _processes_in(repository) if pid != process.pid]
    for victim in (process.pid, *victims):
        os.kill(victim, signal.SIGKILL)
    process.wait(10)
    _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in victims))
    (repository / "second.py").write_text("open('result.txt', 'w').write('ok')")
    result = reproduce(repository)
    assert result.unchanged == ["first"]
    assert result.ran == ["second"]


def test_a_signal_reaches_the_stage_and_we_wait_for_it(repository: Path) -> None:
    (repository / "first.py").write_text(
        "import signal, sys, time\n"
        "def save(*_):\n    open('saved', 'w').close(); note(75); sys.exit(75)\n"
        "def note(code):\n    import os; os.makedirs('.mainline/stages')\n"
        "    open('.mainline/stages/first.json', 'w').write('{\"exit_code\": %d}' % code)\n"
        "signal.signal(signal.SIGINT, save)\nopen('started', 'w').close()\ntime.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mainline.cli", "run"], cwd=repository,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _until((repository / "started").exists)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == Interrupted.exit_code, "the stage's own code travels through"
    assert (repository / "saved").exists()


def _in_process(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mainline.cli", "run"], cwd=root, capture_output=True, text=True, timeout=120
    )


def _processes_in(folder: Path) -> list[int]:
    """Every process that works in this folder, by its working directory."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.resolve() == folder.resolve():
                found.append(int(link.parent.name))
    return found


def _until(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.02)
