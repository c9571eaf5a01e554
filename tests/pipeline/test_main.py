"""The entry of every stage: exit codes, the note it leaves, and nothing told by an older run."""

from __future__ import annotations

import errno
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from mainline.errors import DataError, Interrupted, StorageError
from pipeline import __main__ as entry
from pipeline import paths


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], int]:
    """Run `export` with a body that raises; the note of an older, interrupted run lies there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entry.determinism, "pin", lambda: None)
    note = paths.STAGES / "export.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"exit_code": 75}))

    def run(error: BaseException | None) -> int:
        def main(_: list[str]) -> int:
            if error:
                raise error
            return 0

        module = types.ModuleType("pipeline.export")
        module.main = main  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pipeline.export", module)
        return entry.main(["export"])

    return run


def noted() -> int | None:
    path = paths.STAGES / "export.json"
    return json.loads(path.read_text())["exit_code"] if path.exists() else None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (DataError("x"), DataError.exit_code),
        (KeyboardInterrupt(), Interrupted.exit_code),
        (OSError(errno.ENOSPC, "No space left on device", "models/x"), StorageError.exit_code),
    ],
)
def test_each_end_has_its_code_and_is_noted(
    stage: Callable[[BaseException | None], int], error: BaseException | None, code: int
) -> None:
    assert stage(error) == code
    assert noted() == code


def test_a_full_disk_names_the_file_and_the_remedy(
    stage: Callable[[BaseException | None], int], capsys: pytest.CaptureFixture[str]
) -> None:
    stage(OSError(errno.ENOSPC, "No space left on device", "models/x"))
    text = capsys.readouterr().err
    assert "models/x" in text and "dvc gc" in text


@pytest.mark.parametrize("error", [RuntimeError("unforeseen"), OSError(errno.EACCES, "denied", "x")])
def test_a_crash_is_not_told_by_the_code_of_an_older_run(
    stage: Callable[[BaseException | None], int], error: BaseException
) -> None:
    with pytest.raises(type(error)):
        stage(error)
    assert noted() is None


@pytest.mark.parametrize("arguments", [["train", "--help"], ["export", "x"], ["validate", "--nonsense"]])
def test_an_unknown_argument_is_wrong_usage_and_runs_nothing(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry.main(arguments) == 2
    assert arguments[-1] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
