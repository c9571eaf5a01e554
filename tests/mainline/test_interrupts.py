"""A stop that Python swallows still stops: where it was raised nobody could catch it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from mainline.interrupts import insistent
from tests import clones

LIMIT = 30.0  # seconds, for a machine that is busy


class Swallows:
    """Ctrl-C comes while the interpreter takes this away, and errors there are only printed."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def _work_on() -> str:
    made = Swallows()
    del made
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        threading.Event().wait(0.01)
    return "nobody stopped it"


def test_a_stop_that_was_swallowed_comes_again(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), insistent():
        pytest.fail(_work_on())
    assert sys.unraisablehook is before
    assert "ignored" not in capfd.readouterr().err


def test_a_handler_of_ones_own_is_called_again() -> None:
    came = []

    def handler(*_: object) -> None:
        came.append(1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a rollback that a second one must not end
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt), insistent(handler):
            pytest.fail(_work_on())
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == [1, 1]


def test_what_else_is_swallowed_is_told_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    told = []

    class Breaks:
        def __del__(self) -> None:
            raise ValueError

    before, sys.unraisablehook = sys.unraisablehook, told.append
    try:
        with insistent():
            made = Breaks()
            del made
    finally:
        sys.unraisablehook = before
    assert [one.exc_type for one in told] == [ValueError]


def test_in_another_thread_it_changes_nothing() -> None:
    seen = []

    def run() -> None:
        with insistent():
            seen.append(sys.unraisablehook)

    before = sys.unraisablehook
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


ENTRIES = {
    "monitoring": "import monitoring.__main__ as m; m._run = work; code = m.main(['check'])",
    "mainline": "import mainline.cli as m; m._verb = work; code = m.main(['status'])",
    "pipeline": "import types; sys.modules['pipeline.interface'] = types.SimpleNamespace(main=work); "
    "import pipeline.__main__ as m; code = m.main(['params'])",
    "serving.batch": "import serving.batch.__main__ as m; m.score = work; "
    "code = m.main(['--working-tree', '--month', '2013-10', '--output', 'out'])",
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_every_command_ends_by_it(entry: str) -> None:
    lines = [
        "import sys",
        "from tests.mainline.test_interrupts import _work_on",
        "def work(*_): sys.exit(_work_on())",
        entry,
        "sys.exit(code)",
    ]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env=clones.environment(clones.ROOT), text=True, stderr=-1,
        cwd=clones.ROOT, timeout=4 * LIMIT, check=False,
    )  # fmt: skip
    assert ended.returncode == 75, ended.stderr
    assert "stopped" in ended.stderr
