"""`python -m pipeline train` as a process: bytes, signals, and what a dead training leaves behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mainline.errors import Interrupted, TrainingError
from mainline.records import Training
from pipeline import frames, paths
from pipeline.training.predictor import load, predict
from tests.pipeline.rows import feature_rows

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WAIT = 300  # seconds, on a busy machine


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features and parameters of a training that takes some seconds."""
    folder = tmp_path_factory.mktemp("prepared")
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["train"] |= {"epochs": 5, "patience": 5, "batch_size": 128, "device": "cpu"}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    frames.write(feature_rows(8000, seed=0), folder / paths.FEATURES / "train.parquet")
    frames.write(feature_rows(2000, seed=1), folder / paths.FEATURES / "validation.parquet")
    return folder


@pytest.fixture
def place(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "place"))


def start(place: Path, *prefix: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "pipeline", "train"],
        cwd=place,
        env={**os.environ, "MAINLINE_TRACKING": "defer", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err
    return out


def results(place: Path) -> tuple[bytes, bytes]:
    return (place / paths.WEIGHTS).read_bytes(), (place / paths.TRAINING).read_bytes()


@pytest.fixture(scope="module")
def expected(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Of a training that nothing disturbed."""
    place = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("undisturbed") / "place"))
    finish(start(place))
    return results(place)


def wait_for_checkpoint(process: subprocess.Popen[str], place: Path) -> None:
    deadline = time.monotonic() + WAIT
    while not list((place / paths.CHECKPOINTS).glob("*/step-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def events(place: Path, kind: str) -> list[dict[str, object]]:
    """What was told to MLflow, session after session."""
    lines = []
    for spool in sorted((place / paths.SPOOL).glob("*/events.jsonl"), key=lambda path: path.stat().st_mtime):
        lines += [json.loads(line.split(" ", 1)[1]) for line in spool.read_text().splitlines()]
    return [line for line in lines if kind in json.dumps(line)]


def test_outputs_and_nothing_left_over(place: Path, expected: tuple[bytes, bytes]) -> None:
    out = finish(start(place))
    assert results(place) == expected
    record = Training.read(place / paths.TRAINING)
    assert record.device_class == "cpu"
    assert [epoch.epoch for epoch in record.history] == [1, 2, 3, 4, 5]
    assert len(re.findall(r"epoch \d: .* rows/s", out)) == 5
    predicted = predict(
        load(place / paths.WEIGHTS), frames.read(place / paths.FEATURES / "validation.parquet")
    )
    assert 0 < predicted.min() <= predicted.max() < 1
    assert not list((place / paths.CHECKPOINTS).iterdir())


@pytest.mark.parametrize(
    "environment",
    [
        {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "SSE4_2", "OMP_NUM_THREADS": "7"},
        {"ATEN_CPU_CAPABILITY": "avx512", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "77"},
    ],
)
def test_the_shell_does_not_choose_the_bytes(
    place: Path, expected: tuple[bytes, bytes], environment: dict[str, str]
) -> None:
    finish(start(place, **environment))
    assert results(place) == expected


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
def test_one_core_gives_the_same_bytes(place: Path, expected: tuple[bytes, bytes]) -> None:
    finish(start(place, "taskset", "-c", str(min(os.sched_getaffinity(0)))))
    assert results(place) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_training_goes_on(
    place: Path, expected: tuple[bytes, bytes], number: signal.Signals
) -> None:
    process = start(place)
    wait_for_checkpoint(process, place)
    process.send_signal(number)
    _, err = process.communicate(timeout=WAIT)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == Interrupted.exit_code == 75
        assert "run the same command again" in err
        assert events(place, "KILLED")
    assert not (place / paths.WEIGHTS).exists()
    assert "going on after step" in finish(start(place))
    assert results(place) == expected
    starts = events(place, '"resume"')
    assert [event["resume"] for event in starts] == [False, True]
    assert len({event["key"] for event in starts}) == 1
    steps = [event["step"] for event in events(place, "validation_loss")]
    assert steps == [1, 2, 3, 4, 5]


def test_changed_parameters_do_not_go_on(place: Path) -> None:
    process = start(place)
    wait_for_checkpoint(process, place)
    process.kill()
    process.communicate()
    content = (place / "params.yaml").read_text()
    (place / "params.yaml").write_text(re.sub(r"lr: .*", "lr: 0.0123", content))
    out = finish(start(place))
    assert "left alone" in out
    assert "going on" not in out


def test_a_loss_that_is_not_a_number_has_its_own_code(place: Path) -> None:
    content = (place / "params.yaml").read_text()
    (place / "params.yaml").write_text(re.sub(r"lr: .*", "lr: 1.0e+38", content))
    process = start(place)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == TrainingError.exit_code
    assert "lower train.lr" in err
    assert "Traceback" not in err
    assert not (place / paths.WEIGHTS).exists()
