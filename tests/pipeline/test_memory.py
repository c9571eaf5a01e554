"""What is remembered of validated batches stays bounded, and what was used last stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mainline.records import Batch
from pipeline import paths
from pipeline.validation import memory

BATCH = Batch(
    table="t", month="2013-01", rows=1, status="passed", checks=1, failures=[], quarantine=None
)  # fmt: skip


def test_the_entries_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("oldest", "older", "newest")):
        memory.keep(name, BATCH, "page")
        os.utime(paths.VALIDATED / f"{name}.json", (number, number))
    assert memory.recall("oldest") == (BATCH, "page")  # used just now
    memory.prune(2)
    assert {file.stem for file in paths.VALIDATED.iterdir()} == {"oldest", "newest"}
    assert memory.recall("older") is None


def test_nothing_to_forget_where_nothing_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    memory.prune()
    assert not paths.VALIDATED.exists()
