"""Checkpoints: whole or refused, bound to what is trained, and never a reason for a training to fail."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mainline.errors import CheckpointError
from pipeline.training.checkpoint import Checkpoint, Checkpoints, read

KEY = "a" * 64


def made(step: int) -> Checkpoint:
    tensors = {"model.w": torch.arange(6.0).reshape(2, 3) + step, "rng": torch.arange(9, dtype=torch.uint8)}
    return Checkpoint(step, tensors, {"epoch": step, "history": [{"loss": 0.1 + step}]})


def store(folder: Path, key: str = KEY, keep: int = 2) -> tuple[Checkpoints, list[str]]:
    said: list[str] = []
    return Checkpoints(folder, key, keep, warn=said.append), said


def same(one: Checkpoint | None, other: Checkpoint) -> bool:
    return (
        one is not None
        and (one.step, one.state, one.tensors.keys()) == (other.step, other.state, other.tensors.keys())
        and all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    )


def test_the_newest_comes_back_and_older_ones_are_pruned(tmp_path: Path) -> None:
    checkpoints, said = store(tmp_path)
    assert checkpoints.newest() is None
    for step in (1, 2, 10):
        assert checkpoints.save(made(step))
    assert same(checkpoints.newest(), made(10))
    assert [path.name for path in sorted(tmp_path.rglob("*.*"))] == [
        "step-000000002.safetensors",
        "step-000000010.safetensors",
    ]
    assert not said


def test_a_finished_training_leaves_nothing(tmp_path: Path) -> None:
    checkpoints, _ = store(tmp_path)
    checkpoints.save(made(1))
    checkpoints.clear()
    checkpoints.clear()
    assert not list(tmp_path.iterdir())


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damage")
    checkpoints, _ = store(folder)
    checkpoints.save(made(1))
    path = next(folder.rglob("*.safetensors"))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        found = read(path, KEY)
    except CheckpointError:
        return
    assert same(found, made(1))  # what does not change the content, such as a space in the header


def test_a_truncated_newest_gives_the_one_before_with_a_warning(tmp_path: Path) -> None:
    checkpoints, said = store(tmp_path)
    checkpoints.save(made(1))
    checkpoints.save(made(2))
    newest = max(tmp_path.rglob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-7])
    assert same(checkpoints.newest(), made(1))
    assert len(said) == 1
    assert newest.name in said[0]


def test_another_training_is_refused_when_named_and_left_alone_otherwise(tmp_path: Path) -> None:
    one, _ = store(tmp_path)
    one.save(made(1))
    other, said = store(tmp_path, "b" * 64)
    assert other.newest() is None
    assert "left alone" in said[0]
    other.clear()
    path = next(tmp_path.rglob("*.safetensors"))
    with pytest.raises(CheckpointError, match="another training"):
        read(path, "b" * 64)
    assert same(read(path, KEY), made(1))


def test_a_renamed_folder_does_not_make_it_ours(tmp_path: Path) -> None:
    one, _ = store(tmp_path)
    one.save(made(1))
    (tmp_path / KEY[:16]).rename(tmp_path / ("b" * 16))
    other, said = store(tmp_path, "b" * 64)
    assert other.newest() is None
    assert "another training" in said[0]


def limit_file_size() -> None:
    """A stand-in for a full disk: the write itself fails with an OSError."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


FULL = """
import sys, torch
from pathlib import Path
from pipeline.training.checkpoint import Checkpoint, Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]), "a" * 64)
small, large = torch.zeros(3), torch.zeros(1000)
print(checkpoints.save(Checkpoint(1, {"w": small}, {})), checkpoints.save(Checkpoint(2, {"w": large}, {})))
print(checkpoints.newest().step)
"""


@pytest.mark.slow
def test_a_full_disk_costs_the_checkpoint_not_the_training(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        preexec_fn=limit_file_size,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    warning, saved, newest = done.stdout.splitlines()
    assert "no checkpoint at step 2" in warning
    assert "training goes on" in warning
    assert saved == "True False"
    assert newest == "1"
    assert len(list(tmp_path.rglob("*.*"))) == 1, "a part of a file was left behind"
