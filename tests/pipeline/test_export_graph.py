"""The ONNX graph: the encoding exactly, the whole within rounding, for every task and kind of feature."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mainline import settings
from mainline.errors import ParityError
from mainline.schema import ANSWERS, Task
from pipeline.export import check_parity
from pipeline.exporting import onnx_graph
from pipeline.training.predictor import Numbers, Predictor, Spec, encode, predict

ROOT = Path(__file__).parents[2]
SHAPE = settings.read(ROOT / "params.yaml")["train"]["model"]  # whatever network the use case has
VALUES = ("", "a", "b", "é\n|", "zebra")


def spec(task: Task, categorical: tuple[str, ...], numeric: tuple[str, ...]) -> Spec:
    classes = ("one", "two", "three") if task == "multiclass" else ()
    vocabularies = dict.fromkeys(categorical, ("a", "b", "é\n|"))
    return Spec(task, categorical, numeric, vocabularies, classes, SHAPE)


def tiny(
    task: Task, categorical: tuple[str, ...] = ("c", "d"), numeric: tuple[str, ...] = ("x", "y")
) -> Predictor:
    """An untrained predictor with a calibration that matters."""
    generator = np.random.default_rng(1)
    numbers = generator.normal(size=(200, len(numeric))).astype(np.float32)
    if numeric:
        numbers[::9, 0] = np.nan
    torch.manual_seed(1)
    predictor = Predictor(spec(task, categorical, numeric), Numbers.fit(numbers)).eval()
    with torch.no_grad():
        predictor.slope.fill_(1.3)
        predictor.intercept.fill_(0.2 if task != "regression" else 40.0)
    return predictor


def rows(predictor: Predictor, count: int = 300) -> pl.DataFrame:
    """A key, then features with nulls and unknown values."""
    generator = np.random.default_rng(2)
    columns: dict[str, list] = {"key": [f"row{index}" for index in range(count)]}
    for name in predictor.spec.categorical:
        columns[name] = [None if n == 5 else (*VALUES, None)[n] for n in generator.integers(0, 6, count)]
    for name in predictor.spec.numeric:
        columns[name] = [None if abs(x) > 1.5 else float(x) for x in generator.normal(size=count)]
    types = dict.fromkeys(("key", *predictor.spec.categorical), pl.String)
    return pl.DataFrame(
        columns, schema_overrides={**types, **dict.fromkeys(predictor.spec.numeric, pl.Float64)}
    )


@pytest.fixture(scope="module")
def encoder() -> onnxruntime.InferenceSession:
    model = onnx_graph._encoder(spec("binary", ("c", "d"), ("x", "y")), ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString())


CATEGORY = st.one_of(st.none(), st.sampled_from(VALUES), st.text(max_size=4))
NUMBER = st.one_of(st.none(), st.floats(width=32, allow_infinity=False, allow_nan=False))


@given(rows=st.lists(st.tuples(CATEGORY, CATEGORY, NUMBER, NUMBER), max_size=8))
def test_the_graph_encodes_as_torch_does(encoder: onnxruntime.InferenceSession, rows: list[tuple]) -> None:
    types = {"c": pl.String, "d": pl.String, "x": pl.Float64, "y": pl.Float64}
    frame = pl.DataFrame(rows, schema=types, orient="row")
    which = spec("binary", ("c", "d"), ("x", "y"))
    codes, numbers = encoder.run(["codes", "numbers"], onnx_graph.feeds(frame, which))
    expected_codes, expected_numbers = encode(frame, which)
    np.testing.assert_array_equal(codes, expected_codes.numpy())
    np.testing.assert_array_equal(numbers, expected_numbers.numpy())


@pytest.mark.parametrize(("categorical", "numeric"), [(("c",), ()), ((), ("x",))])
def test_the_graph_encodes_without_one_of_the_kinds(
    categorical: tuple[str, ...], numeric: tuple[str, ...]
) -> None:
    which = spec("binary", categorical, numeric)
    session = onnxruntime.InferenceSession(onnx_graph._encoder(which, 10).SerializeToString())
    frame = pl.DataFrame({"c": ["b", None, "?"], "x": [1.0, None, 2.0]}).select(*categorical, *numeric)
    codes, numbers = session.run(["codes", "numbers"], onnx_graph.feeds(frame, which))
    assert codes.shape == (3, len(categorical))
    assert numbers.shape == (3, len(numeric))
    assert codes.tolist() == encode(frame, which)[0].tolist()


def test_booleans_and_integers_are_fed_as_numbers() -> None:
    which = spec("binary", (), ("x", "y"))
    frame = pl.DataFrame({"x": [True, None], "y": [3, 4]})
    fed = onnx_graph.feeds(frame, which)
    assert fed["x"].dtype == fed["y"].dtype == np.float32
    assert fed["x"][0] == 1
    assert np.isnan(fed["x"][1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "categorical", "numeric"),
    [
        ("binary", ("c", "d"), ("x", "y")),
        ("multiclass", ("c",), ("output", "core/codes")),  # names that torch chooses too
        ("binary", ("one", "numbers"), ("codes", "own")),  # and ours
        ("regression", ("Größe (m)",), ("年齢", "हिन्दी-x 2.5%")),
        ("regression", (), ("x", "y")),
        ("regression", ("c",), ()),
    ],
)
def test_onnx_and_torch_agree(task: Task, categorical: tuple[str, ...], numeric: tuple[str, ...]) -> None:
    predictor = tiny(task, categorical, numeric)
    model = onnx_graph.convert(predictor)
    content = model.SerializeToString(deterministic=True)
    frame = rows(predictor)
    check_parity(predictor, content, frame, 1e-5)
    session = onnxruntime.InferenceSession(content)
    assert [value.name for value in session.get_inputs()] == [*categorical, *numeric]
    assert [value.name for value in session.get_outputs()] == [ANSWERS[task]]
    tail = (3,) if task == "multiclass" else ()
    for count in (0, 1, 2):
        (given,) = session.run(None, onnx_graph.feeds(frame.head(count), predictor.spec))
        assert given.shape == (count, *tail)
    assert set(predict(predictor, frame).ravel().tolist()) != {0.5}  # the comparison compares something


@pytest.fixture(scope="module")
def converted() -> tuple[Predictor, onnx.ModelProto]:
    predictor = tiny("binary")
    return predictor, onnx_graph.convert(predictor)


@pytest.mark.slow
def test_a_graph_that_differs_is_refused_naming_the_row(converted: tuple[Predictor, onnx.ModelProto]) -> None:
    predictor, model = converted
    other = tiny("binary")
    with torch.no_grad():
        for weights in other.network.parameters():
            weights += 0.1
    content = model.SerializeToString()
    frame = rows(predictor)
    worst = int(np.abs(predict(predictor, frame) - predict(other, frame)).argmax())
    with pytest.raises(ParityError, match=f"'row{worst}'") as error:
        check_parity(other, content, frame, 1e-5)
    assert error.value.exit_code == 17
    check_parity(other, content, frame, 1.0)
    with pytest.raises(ParityError):  # an undefined answer is never within bounds
        with torch.no_grad():
            other.slope.fill_(float("nan"))
        check_parity(other, content, frame, 1.0)


@pytest.mark.slow
def test_the_graph_says_nothing_about_where_it_was_made(converted: tuple[Predictor, onnx.ModelProto]) -> None:
    _, model = converted
    content = model.SerializeToString()
    for trace in (b".py", b"torch", b"onnxscript", b"site-packages", str(ROOT).encode()):
        assert trace not in content, trace
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 20), ("ai.onnx.ml", 3)]


@pytest.mark.slow
def test_another_process_makes_the_same_bytes(
    converted: tuple[Predictor, onnx.ModelProto], tmp_path: Path
) -> None:
    _, model = converted
    code = (
        "import hashlib; from pipeline.exporting import onnx_graph\n"
        "from tests.pipeline.test_export_graph import tiny\n"
        "content = onnx_graph.convert(tiny('binary')).SerializeToString(deterministic=True)\n"
        "print(hashlib.sha256(content).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    assert done.stdout.split()[-1] == expected
