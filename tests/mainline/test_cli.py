"""The command line: help that helps, exit codes that mean something, and answers at once."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mainline import cli, errors
from mainline.verbs import parsing


def codes(kind: type[errors.MainlineError]) -> list[tuple[str, int]]:
    return [(kind.__name__, kind.exit_code), *(c for child in kind.__subclasses__() for c in codes(child))]


def test_every_error_has_an_exit_code_of_its_own_that_the_help_names() -> None:
    found = codes(errors.MainlineError)
    numbers = [number for _, number in found]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & {0, 1, 2}
    answers = {int(answer) for answer in errors.Answer}
    assert set(parsing.ANSWERS) == answers and not answers & set(numbers)
    assert set(parsing.WORDS) - {0, 1, 2} == set(numbers)
    shown = cli.parser().format_help()
    assert all(f"\n  {code:<2} " in shown for code in (*parsing.WORDS, *parsing.ANSWERS))


def test_the_exit_code_of_another_process_of_ours_names_its_error() -> None:
    assert errors.of_exit_code(errors.StorageError.exit_code) is errors.StorageError
    assert errors.of_exit_code(1) is errors.MainlineError
    assert errors.of_exit_code(1, errors.DataError) is errors.DataError


def test_an_error_says_what_why_and_what_to_do() -> None:
    text = str(errors.DataError("batch x is empty", why="0 rows", remedy="look at y"))
    assert text.splitlines() == ["batch x is empty", "  why: 0 rows", "  do:  look at y"]


def test_wrong_usage_is_two() -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["no-such-verb"])
    assert caught.value.code == 2


def test_an_error_becomes_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run"]) == errors.ConfigError.exit_code
    assert "run from the root" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mainline.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'pandas', 'polars', 'sklearn', 'great_expectations', 'dvc', 'numpy'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_asks_dvc_for_objects_reads_no_records() -> None:
    """It starts several times in a promotion, and pydantic takes as long as DVC."""
    code = "import sys, mainline.store; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("verb", parsing.CODES)
def test_a_verb_alone_is_what_it_is_among_all(verb: str) -> None:
    alone, among = (_choices(cli.parser(*word))[verb].format_help() for word in ((verb,), ()))
    assert alone == among


def test_a_verb_reads_no_other_verbs_module() -> None:
    assert set(_choices(cli.parser("answers"))) == {"required", "answers"}
    assert set(_choices(cli.parser("pipeline"))) == set(_choices(cli.parser())) == set(parsing.CODES)


def _choices(command: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    names = next(one for one in command._actions if isinstance(one, argparse._SubParsersAction))
    return dict(names.choices)


STOPPED = """
import sys, time
from mainline import cli
from mainline.verbs import report
def wait(_):
    print("here", flush=True)
    time.sleep(60)
report.gather = lambda *_: wait(0)
sys.exit(cli.main(["report"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_anywhere_is_one_clear_line(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "here\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == errors.Interrupted.exit_code
    assert said == "mainline report: stopped\n  do:  run the same command again\n"


def test_a_signal_reaches_what_git_started(tmp_path: Path) -> None:
    """The verb ends at once, and so does the process it waits for."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    wait = f"!touch '{tmp_path}/here'; exec sleep 60"
    code = (
        "import sys; from mainline import cli; from mainline.git import Git\n"
        "from mainline.verbs import pipeline\n"
        "pipeline.run = lambda _: Git()('wait')\nsys.exit(cli.main(['run']))"
    )
    subprocess.run(["git", "-C", tmp_path, "config", "alias.wait", wait], check=True)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while not (tmp_path / "here").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.terminate()
    assert process.wait(10) == errors.Interrupted.exit_code
