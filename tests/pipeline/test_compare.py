"""`compare`: real ONNX models of every task on the same rows; what cannot be compared is told or refused."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
import yaml
from onnx import TensorProto, helper

from mainline import champion
from mainline.errors import ConfigError, IntegrityError, RecordError
from mainline.policy import HIGHER_IS_BETTER, TWO_SIDED, GatePolicy, written
from mainline.records import Manifest
from mainline.review import Comparison
from mainline.schema import Column, FeatureTable, Task
from pipeline import compare as stage
from pipeline import frames, paths
from pipeline.compare import compare
from pipeline.comparing.paired import SHOWN
from pipeline.comparing.scorer import Scorer
from pipeline.evaluation import bootstrap, figures
from pipeline.params import Costs, Evaluate
from tests.imports import ROOT
from tests.mainline.test_gates import LOWER_IS_BETTER

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
DECIDING = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}
CLASSES = ("a", "b", "c")
WINDOW = ["1970-01", "1970-02"]  # of `rows`
SETTINGS = Evaluate(
    resamples=100, confidence=0.95, calibration_bins=5, min_slice_rows=10, importance_rows=10,
    costs=Costs(false_positive=1, false_negative=3),
)  # fmt: skip


def policy(task: Task = "binary", **changes: Any) -> GatePolicy:
    values = {
        "resamples": 400, "confidence": 0.95, "margins": {DECIDING[task]: 0.01}, "floors": {}, "ceilings": {},
        "slice_margin": 0.1, "slice_rows": 100, "model_bytes": 10**6, "latency_ms": 50,
    }  # fmt: skip
    return GatePolicy(**{**values, **changes})


def table(task: Task) -> FeatureTable:
    dtypes = {"binary": "int64", "multiclass": "string", "regression": "float64"}
    return FeatureTable(
        task=task,
        key=Column("key", "string", "row"),
        time=Column("time", "datetime", "when"),
        block=Column("day", "date", "day"),
        target=Column("target", dtypes[task], "outcome"),  # type: ignore[arg-type]
        excluded=Column("excluded", "string", "why not", nullable=True),
        features=(Column("x", "float64", "a number"), Column("group", "string", "a group", nullable=True)),
        slices=(Column("group", "string", "a group", nullable=True),),
        classes=CLASSES if task == "multiclass" else (),
    )


def rows(task: Task, days: int = 20, seed: int = 0) -> pl.DataFrame:
    """`days` days of 100 rows; the larger x, the likelier 1 (or the higher class, or value)."""
    random = np.random.default_rng(seed)
    n = days * 100
    x = random.normal(size=n)
    chance = 1 / (1 + np.exp(-2 * x))
    target: dict[Task, Any] = {
        "binary": lambda: (random.random(n) < chance).astype(int),
        "multiclass": lambda: [CLASSES[i] for i in np.digitize(x + random.normal(size=n), [-0.5, 0.5])],
        "regression": lambda: 2 * x + random.normal(size=n),
    }
    return pl.DataFrame(
        {
            "day": (day := pl.Series(np.repeat(np.arange(days), 100)).cast(pl.Int32).cast(pl.Date)),
            "time": day.cast(pl.Datetime),
            "x": x,
            "group": random.choice(["one", "two", None, ""], n, p=[0.5, 0.3, 0.1, 0.1]).tolist(),
            "target": target[task](),
        },
        schema_overrides={"group": pl.String},
    )


def graph(task: Task, weight: float) -> bytes:
    """sigmoid(weight x), softmax over (-weight x, 0, weight x), or weight x; `group` is not looked at."""
    w = helper.make_tensor("w", TensorProto.FLOAT, [1], [weight])
    m = helper.make_tensor("m", TensorProto.FLOAT, [1, 3], [-weight, 0, weight])
    nodes: dict[Task, list[onnx.NodeProto]] = {
        "binary": [helper.make_node("Mul", ["x", "w"], ["z"]), helper.make_node("Sigmoid", ["z"], ["out"])],
        "multiclass": [
            helper.make_node("Unsqueeze", ["x", "axis"], ["column"]),
            helper.make_node("MatMul", ["column", "m"], ["z"]),
            helper.make_node("Softmax", ["z"], ["out"], axis=1),
        ],
        "regression": [helper.make_node("Mul", ["x", "w"], ["out"])],
    }
    shape = ["rows", 3] if task == "multiclass" else ["rows"]
    made = helper.make_graph(
        nodes[task],
        "model",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows"]),
            helper.make_tensor_value_info("group", TensorProto.STRING, ["rows"]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [w, m, helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    ).SerializeToString()


def model(folder: Path, task: Task, weight: float, /, **changes: Any) -> Path:
    """A folder with model.onnx and its manifest, of which fields may be other."""
    folder.mkdir(parents=True, exist_ok=True)
    content = graph(task, weight)
    (folder / "model.onnx").write_bytes(content)
    inputs = [
        {"name": "x", "dtype": "float64", "onnx": "float"},
        {"name": "group", "dtype": "string", "onnx": "string"},
    ]
    values = {
        "task": task, "inputs": inputs, "outputs": ["out"], "classes": list(table(task).classes),
        "threshold": 0.3 if task == "binary" else None, "vocabularies": {},
        "windows": {"train": ["1969-11", "1969-11"], "validation": ["1969-12", "1969-12"], "test": WINDOW},
        "device_class": "cpu", "files": {"model.onnx": hashlib.sha256(content).hexdigest()}, "code": {},
    }  # fmt: skip
    Manifest(**{**values, **changes}).write(folder / "manifest.json")
    return folder


def scorer(folder: Path, task: Task, weight: float, /, **changes: Any) -> Scorer:
    made = model(folder, task, weight, **changes)
    return Scorer.load(made / "model.onnx", made / "manifest.json")


def compared(tmp_path: Path, task: Task, ours: float, theirs: float | None, /, **changes: Any) -> Comparison:
    champion = None if theirs is None else scorer(tmp_path / "champion", task, theirs, **changes)
    candidate = scorer(tmp_path / "candidate", task, ours)
    return compare(table(task), rows(task), policy(task), SETTINGS, candidate, champion)


@pytest.mark.parametrize("task", TASKS)
def test_the_better_model_is_certainly_better_and_the_same_one_the_same(tmp_path: Path, task: Task) -> None:
    name = DECIDING[task]
    better = compared(tmp_path, task, 2.0, 0.2)
    assert set(SHOWN[task]) <= set(better.candidate) == set(better.champion) == set(better.differences)
    high = better.differences[name].high
    assert high is not None and high < 0
    assert (better.rows, better.blocks, better.resamples) == (2000, 20, 400)
    same = compared(tmp_path, task, 2.0, 2.0)
    assert same.candidate == same.champion
    assert {(one.value, one.low, one.high) for one in same.differences.values()} == {(0.0, 0.0, 0.0)}
    turned = compared(tmp_path, task, 0.2, 2.0)
    assert turned.differences[name].value == pytest.approx(-better.differences[name].value)  # type: ignore[operator]


@pytest.mark.parametrize("task", TASKS)
def test_the_figures_are_those_of_the_definition(tmp_path: Path, task: Task) -> None:
    found, frame = compared(tmp_path, task, 1.5, None), rows(task)
    x = frame["x"].cast(pl.Float32).to_numpy().astype(float)
    target = frame["target"].to_numpy()
    if task == "binary":
        p = 1 / (1 + np.exp(-1.5 * x))
        expected = -np.mean(np.where(target == 1, np.log(p), np.log(1 - p)))
    elif task == "multiclass":
        z = np.exp(np.outer(1.5 * x, [-1, 0, 1]))
        p = z / z.sum(axis=1, keepdims=True)
        expected = -np.mean(np.log(p[np.arange(len(x)), [CLASSES.index(one) for one in target]]))
    else:
        expected = np.sqrt(np.mean((1.5 * x - target) ** 2))
    assert found.candidate[DECIDING[task]].value == pytest.approx(expected, rel=1e-5)
    assert not found.champion and not found.differences and not found.slices


@pytest.mark.parametrize("task", TASKS)
def test_everything_but_the_latency_is_the_same_again(tmp_path: Path, task: Task) -> None:
    first, second = (compared(tmp_path / str(n), task, 2.0, 1.0) for n in range(2))
    assert first.model_copy(update={"latency": {}}) == second.model_copy(update={"latency": {}})
    assert set(first.latency) == {"candidate", "champion"}
    assert all(0 < one.median_ms <= one.p95_ms for one in first.latency.values())


def test_slices_are_of_the_same_rows_and_wider_for_their_number(tmp_path: Path) -> None:
    found = compared(tmp_path, "binary", 2.0, 1.0)
    assert [(one.column, one.value) for one in found.slices] == [
        ("group", "(missing)"), ("group", "one"), ("group", "two"),
    ]  # fmt: skip
    assert sum(one.rows for one in found.slices) == found.rows
    assert found.slice_confidence == pytest.approx(1 - 0.05 / 3)
    for one in found.slices:
        assert one.difference.value == pytest.approx(one.candidate - one.champion, abs=1e-5)  # type: ignore[operator]


def test_a_slice_on_few_days_has_no_interval_and_does_not_widen_the_others(tmp_path: Path) -> None:
    frame = rows("binary").with_columns(
        group=pl.when(pl.col("day") == pl.col("day").min()).then(pl.lit("rare")).otherwise(pl.lit("usual"))
    )
    models = [scorer(tmp_path / str(weight), "binary", weight) for weight in (2.0, 1.0)]
    found = compare(table("binary"), frame, policy(), SETTINGS, *models)
    rare, usual = found.slices
    assert (rare.value, rare.rows, rare.difference.low) == ("rare", 100, None)
    assert usual.difference.low is not None
    assert found.slice_confidence == pytest.approx(0.95)


def test_a_slice_of_just_enough_rows_counts(tmp_path: Path) -> None:
    """As for the gate's rule: three slices are judged, or two when one of them is a row short."""
    models = [scorer(tmp_path / str(weight), "binary", weight) for weight in (2.0, 1.0)]
    smallest = rows("binary").filter(pl.col("group").is_null() | (pl.col("group") == "")).height
    for least, judged in ((smallest, 3), (smallest + 1, 2)):
        found = compare(table("binary"), rows("binary"), policy(slice_rows=least), SETTINGS, *models)
        assert found.slice_confidence == pytest.approx(1 - 0.05 / judged)


def test_few_days_have_figures_and_no_interval(tmp_path: Path) -> None:
    models = [scorer(tmp_path / str(weight), "binary", weight) for weight in (2.0, 1.0)]
    found = compare(table("binary"), rows("binary", days=4), policy(), SETTINGS, *models)
    assert found.resamples == 0
    assert found.differences["log_loss"].value is not None
    assert found.differences["log_loss"].low is None


def test_the_policys_figures_are_there_also_those_of_decisions(tmp_path: Path) -> None:
    """Each model decides by its own threshold."""
    wanted = policy(floors={"recall": 0.1, "mcc": 0.0}, ceilings={"cost": 2.0})
    first = scorer(tmp_path / "a", "binary", 2.0)
    second = scorer(tmp_path / "b", "binary", 2.0, threshold=0.9)
    found = compare(table("binary"), rows("binary"), wanted, SETTINGS, first, second)
    assert {"recall", "mcc", "cost"} <= set(found.differences)
    assert found.candidate["recall"].value > found.champion["recall"].value  # type: ignore[operator]


def test_a_figure_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="roc_acu is no figure"):
        compare(
            table("binary"), rows("binary"), policy(floors={"roc_acu": 0.1}), SETTINGS,
            scorer(tmp_path, "binary", 1.0), None,
        )  # fmt: skip


# What cannot be compared.


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"inputs": [{"name": "gone", "dtype": "float64", "onnx": "float"}]}, "gone is missing"),
        ({"inputs": [{"name": "x", "dtype": "int64", "onnx": "float"}]}, "x is Float64, not Int64"),
        ({"inputs": [{"name": "x", "dtype": "float64", "onnx": "float"}]}, "it fails on these rows"),
        ({"inputs": []}, "it fails on these rows"),
        ({"outputs": ["other"]}, "it fails on these rows"),
        ({"task": "regression"}, "its task is regression"),
        ({"classes": ["x", "y"]}, "its classes are x, y"),
    ],
)
def test_a_champion_that_cannot_read_the_rows_is_told(tmp_path: Path, changes: dict, why: str) -> None:
    found = compared(tmp_path, "binary", 2.0, 1.0, **changes)
    assert why in found.unreadable
    assert not found.champion and not found.differences and not found.slices
    assert set(found.latency) == {"candidate"}
    assert found.candidate["log_loss"].value is not None


def test_many_differences_are_told_in_a_line(tmp_path: Path) -> None:
    inputs = [{"name": f"<b>{n}\n", "dtype": "float64", "onnx": "float"} for n in range(500)]
    found = compared(tmp_path, "binary", 2.0, 1.0, inputs=inputs)
    assert "and 495 more" in found.unreadable
    assert len(found.unreadable) < 500 and "<" not in found.unreadable and "\n" not in found.unreadable


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_predictions_that_are_no_numbers_give_no_figures(tmp_path: Path, task: Task, weight: float) -> None:
    champion = compared(tmp_path / "1", task, 2.0, weight)
    certain = task == "binary" and weight == float("inf")  # 0 and 1 are probabilities
    assert ("predictions are no" in champion.unreadable) != certain
    candidate = compared(tmp_path / "2", task, float("nan"), 2.0)
    assert {one.value for one in candidate.candidate.values()} == {None}


def test_scores_that_are_no_probabilities_give_no_figures(tmp_path: Path) -> None:
    """A model may not win by saying 1 for every class: log loss would believe it."""
    liar = scorer(tmp_path / "a", "regression", 2.0, task="binary")
    honest = scorer(tmp_path / "b", "binary", 2.0)
    found = compare(table("binary"), rows("binary"), policy(), SETTINGS, liar, honest)
    assert found.candidate["log_loss"].value is None
    assert "no probabilities" in compare(
        table("binary"), rows("binary"), policy(), SETTINGS, honest, liar
    ).unreadable  # fmt: skip
    wide = scorer(tmp_path / "c", "multiclass", 2.0, task="binary", classes=[])
    assert "shape" in compare(table("binary"), rows("binary"), policy(), SETTINGS, honest, wide).unreadable


def test_classes_that_do_not_share_one_probability_give_no_figures(tmp_path: Path) -> None:
    made = onnx.load_from_string(graph("multiclass", 9.0))
    made.graph.node[-1].op_type = "Sigmoid"
    del made.graph.node[-1].attribute[:]
    content = made.SerializeToString()
    folder = model(tmp_path, "multiclass", 9.0, files={"model.onnx": hashlib.sha256(content).hexdigest()})
    (folder / "model.onnx").write_bytes(content)
    liar = Scorer.load(folder / "model.onnx", folder / "manifest.json")
    found = compare(table("multiclass"), rows("multiclass"), policy("multiclass"), SETTINGS, liar, None)
    assert {one.value for one in found.candidate.values()} == {None}


def test_no_rows_give_no_figures(tmp_path: Path) -> None:
    models = [scorer(tmp_path / str(weight), "binary", weight) for weight in (2.0, 1.0)]
    found = compare(table("binary"), rows("binary").clear(), policy(), SETTINGS, *models)
    assert found.rows == 0 and not found.latency
    assert {one.value for one in found.candidate.values()} == {None}


def test_one_class_leaves_what_compares_classes_undefined(tmp_path: Path) -> None:
    frame = rows("binary").with_columns(target=pl.lit(0, dtype=pl.Int64))
    models = [scorer(tmp_path / str(weight), "binary", weight) for weight in (2.0, 1.0)]
    found = compare(table("binary"), frame, policy(), SETTINGS, *models)
    assert found.candidate["roc_auc"].value is None and found.differences["roc_auc"].value is None
    assert found.differences["log_loss"].value is not None


def test_a_candidate_that_cannot_read_its_own_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="own test rows"):
        compare(
            table("binary"), rows("binary").drop("x"), policy(), SETTINGS, scorer(tmp_path, "binary", 1), None
        )
    with pytest.raises(IntegrityError, match="no day, target, time"):
        compare(
            table("binary"), rows("binary").drop("day", "target", "time"), policy(), SETTINGS,
            scorer(tmp_path, "binary", 1), None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (["1970-02", "1970-02"], "3,100 test rows are of other months than 1970-02 to 1970-02"),
        (["1970-01", "1970-01"], "900 test rows are of other months than 1970-01 to 1970-01"),
        (["1970-01", "1970-02"], ""),
        ([], ""),
    ],
)
def test_rows_of_other_months_than_the_manifests_are_refused(
    tmp_path: Path, window: list[str], told: str
) -> None:
    """40 days from the first of January; what has no window at all the gate's own rule blocks."""
    one = scorer(tmp_path, "binary", 1.0, windows={"test": window})
    if not told:
        compare(table("binary"), rows("binary", days=40), policy(), SETTINGS, one, None)
        return
    with pytest.raises(IntegrityError, match=told):
        compare(table("binary"), rows("binary", days=40), policy(), SETTINGS, one, None)


def test_a_row_without_a_time_is_none_of_the_window(tmp_path: Path) -> None:
    frame = rows("binary").with_columns(time=pl.lit(None, pl.Datetime))
    with pytest.raises(IntegrityError, match="2,000 test rows"):
        compare(table("binary"), frame, policy(), SETTINGS, scorer(tmp_path, "binary", 1.0), None)


# The directions of the figures.


@pytest.mark.parametrize("task", TASKS)
def test_every_figure_moves_in_its_direction(task: Task) -> None:
    """From a model that says nothing to one that says nearly the truth; those of two sides have none."""
    random = np.random.default_rng(1)
    code = random.integers(0, 3 if task == "multiclass" else 2, 2000)
    if task == "multiclass":
        target, good = code.astype(float), np.eye(3)[code] * 0.94 + 0.02
        bad = random.dirichlet([1, 1, 1], 2000)
    elif task == "binary":
        target, good, bad = code.astype(float), code * 0.96 + 0.02, random.random(2000)
    else:
        target = random.normal(size=2000)
        good, bad = target + 0.01 * random.normal(size=2000), random.normal(size=2000)
    decision = figures.Decision(0.5, 1, 3) if task == "binary" else None
    every = figures.Rows(task, target, np.arange(2000) // 100, decision, 5)
    better, worse = (figures.compute(every, said, np.ones((1, 20))) for said in (good, bad))
    assert set(better) - TWO_SIDED <= HIGHER_IS_BETTER | {*LOWER_IS_BETTER}
    for name in sorted(set(better) - TWO_SIDED):
        assert (better[name][0] > worse[name][0]) == (name in HIGHER_IS_BETTER), name


def test_each_slices_interval_is_at_the_corrected_level(tmp_path: Path) -> None:
    """Against the definition: the slice's rows, the same resamples, and 1 - 0.05 / 3."""
    frame, measure = rows("binary"), policy(resamples=4000)
    models = [scorer(tmp_path / str(weight), "binary", weight) for weight in (2.0, 1.0)]
    found = compare(table("binary"), frame, measure, SETTINGS, *models)
    weights = bootstrap.draw(20, 4000)
    for one, group in zip(found.slices, (["", None], ["one"], ["two"]), strict=True):
        part = frame.filter(pl.col("group").is_in(group, nulls_equal=True))
        block = (part["day"] - frame["day"].min()).dt.total_days().to_numpy()
        every = figures.Rows("binary", part["target"].to_numpy().astype(float), block)
        losses = [
            figures.compute(every, model.predict(part), weights, only={"log_loss"})["log_loss"]
            for model in models
        ]
        expected, usual = (bootstrap.summary(losses[0] - losses[1], level) for level in (1 - 0.05 / 3, 0.95))
        assert one.difference == expected
        assert one.difference.low < usual.low and one.difference.high > usual.high  # type: ignore[operator]


# Loading.


def test_a_file_that_the_manifest_does_not_name_is_not_opened(tmp_path: Path) -> None:
    folder = model(tmp_path, "binary", 1.0)
    (folder / "model.onnx").write_bytes(graph("binary", 2.0))
    with pytest.raises(IntegrityError, match="is not the file that"):
        Scorer.load(folder / "model.onnx", folder / "manifest.json")


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95", b"\x08\x0a garbage", b"\x08"])
def test_what_is_no_onnx_is_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    folder = model(tmp_path, "binary", 1.0, files={"model.onnx": hashlib.sha256(content).hexdigest()})
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(IntegrityError, match="ONNX Runtime cannot open"):
        Scorer.load(folder / "model.onnx", folder / "manifest.json")


def test_a_manifest_of_strange_inputs_is_an_error_of_ours(tmp_path: Path) -> None:
    for one in ({}, {"name": "x"}, {"name": "x", "dtype": "pickle", "onnx": "float"}, {"name": 1}):
        with pytest.raises(RecordError, match="no known type"):
            compared(tmp_path, "binary", 1.0, 1.0, inputs=[one])


def test_the_stage_reads_the_folders_and_the_other_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `mainline gate` calls it: no folder, then a champion, then a gate of its own, then other rows."""
    assert champion.ROWS == stage.ROWS and champion.FOLDER == stage.CHAMPION
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "FEATURES", table("binary"))
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"gate": policy().model_dump(mode="json")}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    model(paths.MODELS, "binary", 2.0)
    paths.FEATURES.mkdir(parents=True)
    frames.write(rows("binary"), paths.FEATURES / "test.parquet")
    assert stage.main([]) == 0
    assert Comparison.read(Comparison.location).champion == {}
    model(stage.CHAMPION, "binary", 1.0)
    assert stage.main([]) == 0
    found = Comparison.read(Comparison.location)
    assert found.champion and found.resamples == 400
    own = found.candidate["ece"]
    stage.POLICY.write_text(written(policy(resamples=100)))
    stage.main([])
    assert Comparison.read(Comparison.location).resamples == 100
    assert Comparison.read(Comparison.location).candidate["ece"].value == own.value
    other = yaml.safe_load((ROOT / "params.yaml").read_text())["evaluate"] | {"calibration_bins": 1}
    stage.POLICY.write_text(written(policy(margins={"log_loss": 1e-6}), other))
    stage.main([])
    assert Comparison.read(Comparison.location).candidate["ece"].value != own.value, "main's bins"
    for odd in ({}, [], "x", {**other, "calibration_bins": 0}, {**other, "surprise": 1}):
        stage.POLICY.write_text(written(policy(), odd))
        with pytest.raises(ConfigError, match="evaluate"):
            stage.main([])
    stage.POLICY.unlink()
    stage.ROWS.parent.mkdir()
    (paths.FEATURES / "test.parquet").rename(stage.ROWS)
    stage.main([])
    frames.write(rows("binary", days=10), paths.FEATURES / "test.parquet")
    stage.main([])
    assert Comparison.read(Comparison.location).blocks == 10, "the work tree's own rows come first"
    (stage.CHAMPION / "model.onnx").unlink()
    with pytest.raises(IntegrityError):
        stage.main([])
    assert "compared on 2,000 rows in 20 blocks" in capsys.readouterr().out


def test_a_month_of_the_example_takes_seconds(tmp_path: Path) -> None:
    """28,000 rows of 31 days, 2,000 resamples, both models; measured: 1 to 3 s."""
    frame = pl.concat([rows("binary", days=31, seed=seed) for seed in range(9)])
    models = [scorer(tmp_path / str(weight), "binary", weight) for weight in (2.0, 1.9)]
    started = time.perf_counter()
    found = compare(table("binary"), frame, policy(resamples=2000), SETTINGS, *models)
    assert found.rows > 27_000 and found.blocks == 31
    assert time.perf_counter() - started < 30
