"""The whole stage on small tables of every task, with a real predictor file; and what must not stop it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from mainline import summary
from mainline.errors import ConfigError, DataError, IntegrityError, RecordError, TrainingError
from mainline.records import Epoch, Metrics, Training
from mainline.schema import Column, FeatureTable, Task
from pipeline import evaluate, frames, paths
from pipeline.params import Costs, Evaluate
from pipeline.training.predictor import Numbers, Predictor, Spec, encode, save
from tests.pipeline import toy

SETTINGS = Evaluate(
    resamples=100,
    confidence=0.9,
    calibration_bins=5,
    min_slice_rows=50,
    importance_rows=200,
    costs=Costs(false_positive=1, false_negative=3),
)
TASKS: list[Task] = ["binary", "multiclass", "regression"]


def make_table(task: Task) -> FeatureTable:
    return replace(toy.table(task), slices=(Column("colour", "string", "", nullable=True),))


def make_frame(task: Task, rows: int, seed: int, days: int = 10) -> pl.DataFrame:
    start = date(2020, 1 + seed, 1)
    day = [start + timedelta(days=index * days // rows) for index in range(rows)]
    beside = {
        "key": [f"{seed}-{index}" for index in range(rows)],
        "time": [datetime(d.year, d.month, d.day) for d in day],
        "day": day,
    }
    return pl.concat([pl.DataFrame(beside), toy.frame(task, rows, seed)], how="horizontal")


def prepare(task: Task, **changed: pl.DataFrame) -> FeatureTable:
    """Everything that the stage reads, in the current folder; the network is not trained."""
    table = make_table(task)
    train = make_frame(task, 400, 0)
    content = {
        "train": train,
        "validation": make_frame(task, 200, 1),
        "test": make_frame(task, 300, 2),
    } | changed
    for name, frame in content.items():
        frames.write(frame, paths.FEATURES / f"{name}.parquet")
    torch.manual_seed(0)
    spec = Spec.fit(train, table, toy.settings().model)
    save(Predictor(spec, Numbers.fit(encode(train, spec)[1].numpy())), paths.WEIGHTS)
    history = [Epoch(epoch=i, train_loss=1 / i, validation_loss=1.1 / i, lr=0.1) for i in (1, 2)]
    Training(
        device_class="cpu",
        precision="float32",
        parameters=123,
        best_epoch=2,
        calibration={"slope": 1.0, "intercept": 0.0},
        history=history,
    ).write(paths.TRAINING)
    return table


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(task: Task, settings: Evaluate = SETTINGS, **changed: pl.DataFrame) -> Metrics:
    return evaluate.run(prepare(task, **changed), settings, evaluate.Stopwatch())


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_figures_baselines_slices_and_plots(task: Task, folder: Path):
    metrics = run(task)
    assert Metrics.read(paths.METRICS) == metrics
    assert (metrics.task, metrics.rows, metrics.blocks, metrics.resamples) == (task, 300, 10, 100)
    assert set(metrics.differences) == set(metrics.baselines) and len(metrics.baselines) == 3
    for found in metrics.baselines.values():
        assert set(found) == set(metrics.figures)
    for name in summary.HEADLINES[task]:
        figure = metrics.figures[name]
        assert figure.value is not None and figure.low <= figure.high
    assert sum(item.rows for item in metrics.slices) == 300
    assert set(metrics.importance) == {column.name for column in make_table(task).features}
    assert (metrics.threshold is not None) == (task == "binary")
    plots = {path.name for path in paths.PLOTS.iterdir()}
    assert {
        f"{n}.{k}" for n in ("calibration", "learning", "slices", "importance") for k in ("svg", "csv")
    } <= plots
    assert ("roc.svg" in plots) == (task == "binary")
    assert ("confusion.svg" in plots) == (task == "multiclass")


@pytest.mark.parametrize("task", TASKS)
def test_predictions_are_kept_with_what_later_gates_need(task: Task, folder: Path):
    run(task)
    found = frames.read(paths.PREDICTIONS)
    said = {
        "binary": ["probability"],
        "multiclass": [f"probability_{name}" for name in toy.CLASSES],
        "regression": ["prediction"],
    }[task]
    assert found.columns == ["key", "time", "day", "colour", "target", *said]
    assert found.height == 300
    assert found.select(said).dtypes == [pl.Float32] * len(said)


def test_a_second_run_gives_the_same_bytes(folder: Path):
    table, written = prepare("binary"), []
    for _ in range(2):
        evaluate.run(table, SETTINGS, evaluate.Stopwatch())
        written.append({path: path.read_bytes() for path in paths.REPORTS.rglob("*") if path.is_file()})
    assert written[0] == written[1]
    assert len(written[0]) > 10


def test_one_class_in_the_test_rows_is_said_and_does_not_stop(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    metrics = run("binary", test=make_frame("binary", 300, 2).with_columns(target=pl.lit(0, pl.Int64)))
    assert metrics.figures["roc_auc"].value is None
    assert metrics.figures["log_loss"].value is not None
    assert "one class only" in capsys.readouterr().out
    assert not (paths.PLOTS / "roc.svg").exists()


@pytest.mark.parametrize("task", TASKS)
def test_one_row_has_values_without_intervals(task: Task, folder: Path, capsys: pytest.CaptureFixture[str]):
    metrics = run(task, test=make_frame(task, 1, 2))
    assert metrics.rows == metrics.blocks == 1
    assert metrics.resamples == 0
    assert all(figure.low is None and figure.high is None for figure in metrics.figures.values())
    assert "no intervals" in capsys.readouterr().out


def test_a_leaking_feature_is_named(folder: Path, capsys: pytest.CaptureFixture[str]):
    changed = {
        name: make_frame("binary", 300, seed).with_columns(n=pl.col("target"))
        for seed, name in enumerate(("train", "validation", "test"))
    }
    assert run("binary", **changed).suspects == {"n": 1.0}
    assert "n alone ranks the target" in capsys.readouterr().out


def test_no_rows_are_refused(folder: Path):
    with pytest.raises(DataError, match=r"test\.parquet has no rows"):
        run("binary", test=make_frame("binary", 1, 2).clear())


def test_features_of_another_schema_are_refused(folder: Path):
    with pytest.raises(DataError, match=r"validation\.parquet") as caught:
        run("binary", validation=make_frame("binary", 100, 1).drop("x"))
    assert '"x"' in caught.value.why


def test_a_binary_task_needs_costs(folder: Path):
    with pytest.raises(ConfigError, match=r"evaluate\.costs"):
        run("binary", SETTINGS.model_copy(update={"costs": None}))


def test_other_tasks_need_no_costs(folder: Path):
    assert run("regression", SETTINGS.model_copy(update={"costs": None})).threshold is None


def test_a_damaged_model_and_a_missing_record_are_named(folder: Path):
    table = prepare("binary")
    paths.WEIGHTS.write_bytes(paths.WEIGHTS.read_bytes()[:-10])
    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        evaluate.run(table, SETTINGS, evaluate.Stopwatch())
    paths.TRAINING.unlink()
    with pytest.raises(RecordError, match=r"training\.json"):
        evaluate.run(table, SETTINGS, evaluate.Stopwatch())


def test_predictions_that_are_not_numbers_are_refused():
    with pytest.raises(TrainingError, match="1 of 3"):
        evaluate.finite(np.array([0.1, np.nan, 0.2], dtype=np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_one_core_and_all_cores_give_the_same_bytes(task: Task, folder: Path):
    code = (
        "from pipeline.determinism import pin; pin(); import os, sys; os.sched_setaffinity(0, {%s}); "
        "from tests.pipeline import test_evaluate as t; from pipeline import evaluate; "
        f"evaluate.run(t.make_table('{task}'), t.SETTINGS, evaluate.Stopwatch())"
    )
    prepare(task)
    written = []
    path = os.pathsep.join(str(parent) for parent in [Path(__file__).parents[2]])
    for cores in ({min(os.sched_getaffinity(0))}, os.sched_getaffinity(0)):
        command = [sys.executable, "-c", code % ", ".join(map(str, cores))]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": path})
        written.append({path: path.read_bytes() for path in paths.REPORTS.rglob("*") if path.is_file()})
    assert written[0] == written[1]
