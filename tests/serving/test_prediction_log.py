"""The log of predictions: whole lines, set aside when long, and never a silent loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core import to_json

from serving.prediction_log import FILE, FileMonitor, LogError, lines
from tests.serving import toys

TABLE = toys.table("binary")


def _monitor(folder: Path, longest: int = 10_000, keep: int = 3) -> FileMonitor:
    return FileMonitor("predictions", str(folder), longest, keep)


def _line(record: Any) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _lines(folder: Path) -> list[Any]:
    texts = [path.read_text() for path in sorted(folder.glob("*.jsonl"), key=lambda p: p.stat().st_mtime_ns)]
    return [json.loads(line) for text in texts for line in text.splitlines() if line]


def test_each_record_is_a_line_that_is_there_at_once(tmp_path: Path) -> None:
    monitor = _monitor(tmp_path)
    monitor.log_table([_line({"key": "a\nb", "x": 1.5}), _line({"key": "é", "x": None})], {})
    assert _lines(tmp_path) == [{"key": "a\nb", "x": 1.5}, {"key": "é", "x": None}]


def test_a_long_file_is_set_aside_and_the_oldest_forgotten(tmp_path: Path) -> None:
    monitor = _monitor(tmp_path, longest=100, keep=2)
    for number in range(40):
        monitor.log_table([_line({"number": number})], {})
    aside = sorted(tmp_path.glob("predictions.*.jsonl"))
    assert len(aside) == 2
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    kept = [json.loads(line)["number"] for path in [*aside, tmp_path / FILE] for line in path.open()]
    assert kept == list(range(40))[-len(kept) :]


def test_a_line_cut_by_a_kill_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"whole": 1}\n{"cut": ')
    _monitor(tmp_path).log_table([_line({"next": 1})], {})
    found = (tmp_path / FILE).read_text().splitlines()
    assert found == ['{"whole": 1}', '{"cut": ', '{"next": 1}']


def test_two_processes_share_a_folder_and_lose_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from serving.prediction_log import FileMonitor\n"
        "m = FileMonitor('p', sys.argv[1], 2000, 1000)\n"
        'for n in range(500): m.log_table([b\'{"who": "%s", "n": %d}\\n\' % (sys.argv[2].encode(), n)], {})\n'
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
        monitor.log_table([_line({"x": 1})], {})
    (tmp_path / FILE).unlink()
    os.close(monitor._file)
    monitor._open()
    monitor.log_table([_line({"x": 2})], {})
    assert _lines(tmp_path) == [{"x": 2}]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)  # no half of a pair: as in JSON
TIMES = st.datetimes(timezones=st.none() | st.just(UTC)) | st.sampled_from(
    [TypeAdapter(datetime).validate_strings(f"2013-07-01T17:15:00{z}") for z in ("Z", "+00:00", "-03:30")]
)
TOLD: list[dict[str, Any]] = [
    {"probability": 0.25, "decision": False},
    {"probabilities": {"one": 0.2, "two": 0.8}, "decision": "two"},
    {"value": -1e-7},
]


@given(
    TEXTS, TIMES, TEXTS, st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1)
)
def test_a_line_has_every_value_as_pydantic_writes_it(
    key: str, time: datetime, c: str, x: float, y: int
) -> None:
    given = [{"key": key, "time": time, "c": c, "d": None, "x": x, "y": y}] * len(TOLD)
    made = lines(("2026-01-02T03:04:05+00:00", "r", "m", "v1.0.0"), toys.asked(TABLE, given), TOLD)
    for line, told in zip(made.splitlines(keepends=True), TOLD, strict=True):
        assert line.endswith(b"}\n")
        head = {"at": "2026-01-02T03:04:05+00:00", "request_id": "r", "model": "m", "version": "v1.0.0"}
        said = {"score": next(iter(told.values())), "decision": told.get("decision")}
        expected = {**head, "key": key, "time": time, **said, "features": {"c": c, "d": None, "x": x, "y": y}}
        assert json.loads(line) == json.loads(to_json(expected))
        assert list(json.loads(line)) == list(expected)
