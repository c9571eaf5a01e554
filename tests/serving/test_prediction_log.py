"""The log of predictions: whole lines, set aside when long, and never a silent loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.prediction_log import FILE, FileMonitor, LogError


def _monitor(folder: Path, longest: int = 10_000, keep: int = 3) -> FileMonitor:
    return FileMonitor("predictions", str(folder), longest, keep)


def _lines(folder: Path) -> list[Any]:
    texts = [path.read_text() for path in sorted(folder.glob("*.jsonl"), key=lambda p: p.stat().st_mtime_ns)]
    return [json.loads(line) for text in texts for line in text.splitlines() if line]


def test_each_record_is_a_line_that_is_there_at_once(tmp_path: Path) -> None:
    monitor = _monitor(tmp_path)
    monitor.log_table([{"key": "a\nb", "x": 1.5}, {"key": "é", "x": None}], {})
    assert _lines(tmp_path) == [{"key": "a\nb", "x": 1.5}, {"key": "é", "x": None}]


def test_a_long_file_is_set_aside_and_the_oldest_forgotten(tmp_path: Path) -> None:
    monitor = _monitor(tmp_path, longest=100, keep=2)
    for number in range(40):
        monitor.log_table([{"number": number}], {})
    aside = sorted(tmp_path.glob("predictions.*.jsonl"))
    assert len(aside) == 2
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    kept = [json.loads(line)["number"] for path in [*aside, tmp_path / FILE] for line in path.open()]
    assert kept == list(range(40))[-len(kept) :]


def test_a_line_cut_by_a_kill_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"whole": 1}\n{"cut": ')
    _monitor(tmp_path).log_table([{"next": 1}], {})
    lines = (tmp_path / FILE).read_text().splitlines()
    assert lines == ['{"whole": 1}', '{"cut": ', '{"next":1}']


def test_two_processes_share_a_folder_and_lose_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from serving.prediction_log import FileMonitor\n"
        "m = FileMonitor('p', sys.argv[1], 2000, 1000)\n"
        "for n in range(500): m.log_table([{'who': sys.argv[2], 'n': n}], {})\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), who]) for who in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    found = {(line["who"], line["n"]) for line in _lines(tmp_path)}
    assert found == {(who, n) for who in "ab" for n in range(500)}
    assert len(list(tmp_path.iterdir())) > 2, "set aside more than once; how often is a race"


def test_a_full_disk_is_an_error_not_a_loss(tmp_path: Path) -> None:
    """/dev/full is a disk that is always full."""
    (tmp_path / FILE).symlink_to("/dev/full")
    monitor = _monitor(tmp_path)
    with pytest.raises(LogError, match="cannot be written"):
        monitor.log_table([{"x": 1}], {})
    (tmp_path / FILE).unlink()
    os.close(monitor._file)
    monitor._open()
    monitor.log_table([{"x": 2}], {})
    assert _lines(tmp_path) == [{"x": 2}]
