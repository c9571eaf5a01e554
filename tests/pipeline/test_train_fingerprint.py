"""The key under which a training's checkpoints lie: whatever decides the bytes makes another one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline import determinism, train
from pipeline.training.predictor import Predictor
from pipeline.training.tensors import prepare
from tests.imports import ROOT
from tests.pipeline import toy

DIGESTS = {"train": "1", "validation": "2"}


def predictor() -> Predictor:
    return prepare(toy.frame("binary", 300), toy.frame("binary", 300), toy.table("binary"), toy.settings())[0]


@pytest.fixture
def fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The key of a training by a copy of our code, in `tmp_path`; arguments replace those of a plain one."""
    for room in ("pipeline", "usecase"):
        shutil.copytree(ROOT / "src" / room, tmp_path / room)
    monkeypatch.setattr(train, "__file__", str(tmp_path / "pipeline" / "train.py"))
    monkeypatch.setattr(train.network, "__file__", str(tmp_path / "usecase" / "model.py"))
    model = predictor()

    def key(**changes: object) -> str:
        plain = {
            "settings": toy.settings(),
            "model": model,
            "digests": DIGESTS,
            "device": torch.device("cpu"),
        }
        return train.fingerprint(**(plain | changes))  # type: ignore[arg-type]

    return key


def test_the_fingerprint_tells_trainings_apart(fingerprint: Callable[..., str]) -> None:
    other = predictor()
    other.spec = replace(other.spec, numeric=other.spec.numeric[::-1])
    keys = [
        fingerprint(),
        fingerprint(settings=toy.settings(lr=0.02)),
        fingerprint(digests={**DIGESTS, "train": "3"}),
        fingerprint(digests={**DIGESTS, "validation": "3"}),
        fingerprint(model=other),
    ]
    assert len(set(keys)) == len(keys)
    assert fingerprint(digests=dict(DIGESTS)) == keys[0]


TRAINED_BY = ["pipeline/train.py", "pipeline/targets.py", "usecase/model.py", "usecase/schema.py"]
TRAINED_BY += sorted(
    f"pipeline/training/{file.name}" for file in (ROOT / "src/pipeline/training").glob("*.py")
)


@pytest.mark.parametrize("name", TRAINED_BY)
def test_other_code_is_another_training(fingerprint: Callable[..., str], name: str, tmp_path: Path) -> None:
    before = fingerprint()
    with (tmp_path / name).open("a") as file:
        file.write("\n# another line\n")
    assert fingerprint() != before


def test_another_library_or_machine_is_another_training(
    fingerprint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [fingerprint()]
    for owner, name, value in (
        (torch, "__version__", "0.0.1"),
        (torch.cuda, "get_device_capability", lambda _device: (9, 0)),
        (determinism, "PINS", {**determinism.PINS, "MKL_CBWR": "AVX2"}),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(owner, name, value)
            keys.append(fingerprint(device=torch.device("cuda" if owner is torch.cuda else "cpu")))
    assert len(set(keys)) == len(keys)
