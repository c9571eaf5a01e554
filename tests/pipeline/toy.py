"""Small modelling tables of each task, from a seed; no use case needed."""

from __future__ import annotations

import numpy as np
import polars as pl

from mainline.schema import Column, FeatureTable, Task
from mainline.settings import read
from pipeline.params import Train
from tests.imports import ROOT
from usecase.params import Model

CLASSES = ("high", "low", "mid")


def network() -> Model:
    """The use case's own network, whatever it is: a fork has another one."""
    return Model.model_validate(read(ROOT / "params.yaml")["train"]["model"])


def table(task: Task) -> FeatureTable:
    targets = {"binary": "int64", "multiclass": "string", "regression": "float64"}
    return FeatureTable(
        task=task,
        key=Column("key", "string", "row"),
        time=Column("time", "datetime", "when"),
        block=Column("day", "date", "day"),
        target=Column("target", targets[task], "outcome"),  # type: ignore[arg-type]
        excluded=Column("excluded", "string", "why not", nullable=True),
        features=(
            Column("colour", "string", "a category", nullable=True),
            Column("x", "float64", "a number", nullable=True),
            Column("shape", "string", "another category"),
            Column("n", "int64", "a whole number"),
            Column("flag", "bool", "yes or no"),
        ),
        classes=CLASSES if task == "multiclass" else (),
    )


def frame(task: Task, rows: int = 2000, seed: int = 0) -> pl.DataFrame:
    """Features and target; a tenth of `colour` and of `x` is null."""
    random = np.random.default_rng(seed)
    colour, x = random.integers(0, 4, rows), random.normal(size=rows)
    n, flag = random.integers(0, 50, rows), random.random(rows) < 0.5
    score = 0.7 * colour - 1 + np.sin(2 * x) + 0.02 * n + 0.5 * flag
    noisy = score + random.logistic(size=rows) * 0.5
    target = {
        "binary": lambda: (noisy > 1).astype(np.int64),
        "multiclass": lambda: np.where(noisy > 1.5, "high", np.where(noisy > 0.3, "mid", "low")),
        "regression": lambda: 1000 + 100 * noisy,
    }[task]()
    absent = random.random((2, rows)) < 0.1
    return pl.DataFrame(
        {
            "colour": [None if gone else f"c{value}" for gone, value in zip(absent[0], colour, strict=True)],
            "x": [None if gone else value for gone, value in zip(absent[1], x, strict=True)],
            "shape": [f"s{value}" for value in random.integers(0, 3, rows)],
            "n": n,
            "flag": flag,
            "target": target,
        },
        schema_overrides={"x": pl.Float64},
    )


def settings(**changes: object) -> Train:
    values = {
        "device": "cpu",
        "threads": 1,
        "seed": 7,
        "epochs": 4,
        "patience": 4,
        "batch_size": 256,
        "lr": 0.01,
        "weight_decay": 0.01,
        "keep_checkpoints": 2,
        "model": network(),
    }
    return Train(**{**values, **changes})  # type: ignore[arg-type]
