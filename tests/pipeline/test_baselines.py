"""Baselines: fitted on train alone, at home with holes and unknown values, the same on any threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from mainline.schema import Column, FeatureTable, Task
from pipeline.evaluation import baselines, importance
from pipeline.targets import targets


def make_table(task: Task) -> FeatureTable:
    classes = ("a", "b", "c") if task == "multiclass" else ()
    dtype = {"binary": "int64", "multiclass": "string", "regression": "float64"}[task]
    return FeatureTable(
        task=task,
        key=Column("key", "string", ""),
        time=Column("time", "datetime", ""),
        block=Column("day", "int64", ""),
        target=Column("y", dtype, ""),
        excluded=Column("excluded", "string", "", nullable=True),
        features=(
            Column("kind", "string", "", nullable=True),
            Column("x", "float64", "", nullable=True),
            Column("n", "int64", "", nullable=True),
            Column("flag", "bool", ""),
        ),
        classes=classes,
    )


def make_frame(task: Task, rows: int = 2000, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    kind, x = random.integers(0, 5, rows), random.normal(50, 10, rows)
    signal = (x - 50) / 5 + (kind == 2) * 2 + random.normal(0, 1, rows)
    y = {
        "binary": (signal > 0.5).astype(np.int64),
        "multiclass": np.array(["a", "b", "c"])[np.digitize(signal, [-1, 1])],
        "regression": 100 + 10 * signal,
    }[task]
    holes = random.random((3, rows)) < 0.05
    return pl.DataFrame(
        {
            "kind": [None if hole else f"k{value}" for hole, value in zip(holes[0], kind, strict=True)],
            "x": [None if hole else float(value) for hole, value in zip(holes[1], x, strict=True)],
            "n": [None if hole else int(value) for hole, value in zip(holes[2], x, strict=True)],
            "flag": kind > 2,
            "y": y,
        },
        strict=False,
    )


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_classifiers_beat_the_base_rate(task: Task):
    table, train, test = make_table(task), make_frame(task), make_frame(task, 1000, seed=1)
    y = targets(test, table)
    losses = {name: log_loss(y, predict(test)) for name, predict in baselines.fit_all(train, table).items()}
    assert list(losses) == ["base_rate", "logistic_regression", "hist_gradient_boosting"]
    assert losses["logistic_regression"] < 0.6 * losses["base_rate"]
    assert losses["hist_gradient_boosting"] < 0.7 * losses["base_rate"]


def test_regressors_beat_the_mean():
    table, train, test = make_table("regression"), make_frame("regression"), make_frame("regression", 1000, 1)
    y = targets(test, table)
    errors = {
        n: np.square(predict(test) - y).mean() for n, predict in baselines.fit_all(train, table).items()
    }
    assert list(errors) == ["mean", "ridge", "hist_gradient_boosting"]
    assert max(errors["ridge"], errors["hist_gradient_boosting"]) < 0.5 * errors["mean"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_unknown_values_and_empty_columns_are_predicted(task: Task):
    table = make_table(task)
    train = make_frame(task, 300).with_columns(n=pl.lit(None, pl.Int64), x=pl.lit(0.1))
    test = make_frame(task, 20, 1).with_columns(kind=pl.lit("never seen"), x=pl.lit(None, pl.Float64))
    for predict in baselines.fit_all(train, table).values():
        assert np.isfinite(predict(test)).all()
        assert len(predict(test)) == 20


def test_one_class_in_training_gives_constants():
    table, train = make_table("binary"), make_frame("binary", 100).with_columns(y=pl.lit(1, pl.Int64))
    for predict in baselines.fit_all(train, table).values():
        assert (predict(train) == 1).all()


def test_a_class_missing_in_training_has_probability_zero():
    table, train = make_table("multiclass"), make_frame("multiclass").filter(pl.col("y") != "b")
    for predict in baselines.fit_all(train, table).values():
        p = predict(train)
        assert p.shape == (train.height, 3)
        assert (p[:, 1] == 0).all()
        assert p.sum(axis=1) == pytest.approx(np.ones(train.height))


def test_only_the_most_frequent_values_have_a_code():
    values = pl.Series("kind", [f"v{i:03d}" for i in range(300)] + ["v299"] * 2 + [None])
    known = baselines._vocabulary(values)
    assert len(known) == baselines.MAX_VALUES
    assert "v299" in known and "v298" not in known and list(known) == sorted(known)


def test_recalibration_mends_a_moved_rate_and_keeps_the_order():
    table, train = make_table("binary"), make_frame("binary")
    moved = make_frame("binary", 2000, 1).with_columns(y=(pl.col("y") * (pl.int_range(pl.len()) % 3 == 0)))
    predict = baselines.hist_gradient_boosting(train, table, max_iter=10)
    mended = baselines.recalibrated(predict, moved, table)
    y, before, after = targets(moved, table), predict(moved), mended(moved)
    assert after.mean() == pytest.approx(y.mean(), abs=0.01)
    assert log_loss(y, after) < 0.8 * log_loss(y, before)
    assert roc_auc_score(y, after) == pytest.approx(roc_auc_score(y, before), abs=1e-3)


def digest(task: Task) -> str:
    table, train = make_table(task), make_frame(task, 4000)
    found = [predict(train).tobytes() for predict in baselines.fit_all(train, table).values()]
    return hashlib.sha256(b"".join(found)).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_number_of_threads_changes_no_byte(task: Task):
    code = "from pipeline.determinism import pin; pin(); import os; os.environ['OMP_NUM_THREADS'] = '%s'; "
    code += f"from tests.pipeline.test_baselines import digest; print(digest('{task}'))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code % threads],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ},
        ).stdout
        for threads in (1, 2, 3)
    }
    assert len(found) == 1


def test_a_feature_that_contains_the_target_is_suspected():
    table, train, test = make_table("binary"), make_frame("binary"), make_frame("binary", 500, 1)
    y = targets(train, table), targets(test, table)
    assert importance.suspects(train, test, table, y) == {}
    leaky = [frame.with_columns(n=-pl.col("y"), kind=pl.format("k{}", "y")) for frame in (train, test)]
    assert importance.suspects(*leaky, table, y) == {"kind": 1.0, "n": 1.0}


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_suspect_leaks_too(task: Task):
    table, train, test = make_table(task), make_frame(task), make_frame(task, 500, 1)
    y = targets(train, table), targets(test, table)
    assert importance.suspects(train, test, table, y) == {}
    leak = "kind" if task == "multiclass" else "x"
    leaky = [frame.with_columns(pl.col("y").alias(leak)) for frame in (train, test)]
    assert list(importance.suspects(*leaky, table, y)) == [leak]


def test_permutation_finds_the_feature_that_matters():
    random = np.random.default_rng(0)
    codes, numbers = random.integers(0, 3, (500, 1)), random.normal(size=(500, 2))
    y = (numbers[:, 0] > 0).astype(float)
    found = importance.permutation(
        lambda _, numbers: np.where(numbers[:, 0] > 0, 0.9, 0.1),
        (codes, numbers),
        (("code",), ("signal", "noise")),
        y,
        "binary",
        rows=400,
    )
    assert list(found) == ["signal", "code", "noise"]
    assert found["signal"] > 0.5
    assert found["code"] == found["noise"] == 0
