"""Encoding, calibration and the file of weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from mainline.errors import IntegrityError
from mainline.schema import Task
from pipeline.training.predictor import Numbers, Predictor, Spec, encode, load, predict, save
from pipeline.training.tensors import prepare
from tests.pipeline import toy

TASKS: list[Task] = ["binary", "multiclass", "regression"]


def made(task: Task) -> tuple[Predictor, pl.DataFrame]:
    frame = toy.frame(task)
    model, _, _ = prepare(frame, toy.frame(task, 500, seed=1), toy.table(task), toy.settings())
    model.slope.fill_(1.25)
    model.intercept.fill_(-0.5 if task != "multiclass" else 0.0)
    return model.eval(), frame


@pytest.mark.parametrize("task", TASKS)
def test_a_saved_model_predicts_the_same(task: Task, tmp_path: Path) -> None:
    model, frame = made(task)
    save(model, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.spec == model.spec
    assert not again.training
    np.testing.assert_array_equal(predict(again, frame), predict(model, frame))


@pytest.mark.parametrize("task", TASKS)
def test_shapes_and_ranges(task: Task) -> None:
    model, frame = made(task)
    predicted = predict(model, frame, batch_size=333)
    assert predicted.dtype == np.float32
    assert predicted.shape == ((2000, 3) if task == "multiclass" else (2000,))
    assert np.isfinite(predicted).all()
    if task == "binary":
        assert ((predicted > 0) & (predicted < 1)).all()
    if task == "multiclass":
        np.testing.assert_allclose(predicted.sum(1), 1, atol=1e-5)


def test_batches_do_not_matter() -> None:
    model, frame = made("binary")
    np.testing.assert_allclose(predict(model, frame, 7), predict(model, frame, 5000), atol=1e-6)


def test_the_same_model_has_the_same_bytes_and_one_metadata_key(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(made("binary")[0], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with safe_open(tmp_path / "a", framework="np") as file:
        assert list(file.metadata()) == ["spec"]
        assert Spec.parse(file.metadata()["spec"]).numeric == ("x", "n", "flag")


def test_codes() -> None:
    spec = Spec.fit(toy.frame("binary"), toy.table("binary"), toy.settings().model)
    assert spec.vocabularies["colour"] == ("c0", "c1", "c2", "c3")
    rows = pl.DataFrame(
        {
            "colour": ["c0", "c3", None, "purple"],
            "shape": ["s1", "", "s0", "s2"],
            "x": [0.5, None, -1, 2],
            "n": [1, 2, 3, 4],
            "flag": [True, False, True, False],
        }
    )
    codes, numbers = encode(rows, spec)
    assert codes.tolist() == [[1, 2], [4, 0], [0, 1], [0, 3]]
    assert numbers.dtype == torch.float32
    assert numbers[1].isnan().tolist() == [True, False, False]
    assert numbers[:, 2].tolist() == [1, 0, 1, 0]


def test_an_empty_text_is_a_missing_value() -> None:
    """ONNX has no null text: the graph reads "" as missing, and so must torch."""
    frame = toy.frame("binary").with_columns(colour=pl.lit(""))
    spec = Spec.fit(frame, toy.table("binary"), toy.network())
    assert spec.vocabularies["colour"] == ()
    assert not encode(frame, spec)[0][:, 0].any()


def test_rare_values_are_unknown() -> None:
    frame = toy.frame("binary", 500)
    rare = frame.head(19).with_columns(pl.lit("rare").alias("colour"))
    spec = Spec.fit(pl.concat([frame, rare]), toy.table("binary"), toy.settings().model)
    assert "rare" not in spec.vocabularies["colour"]


columns = st.lists(
    st.one_of(
        st.just(float("nan")), st.floats(-(2.0**100), 2.0**100, width=32), st.integers(-3, 3).map(float)
    ),
    max_size=40,
)


@given(columns, columns)
def test_numbers_are_encoded_finitely(fitted: list[float], asked: list[float]) -> None:
    encoding = Numbers.fit(np.array(fitted, np.float32)[:, None])
    found = encoding(torch.tensor(asked, dtype=torch.float32)[:, None])
    assert found.shape == (len(asked), encoding.width)
    assert found.isfinite().all()
    assert (found.abs() <= 1).all()


def test_encoding_grows_within_its_bins_and_is_centred() -> None:
    values = np.random.default_rng(0).normal(size=(4000, 1)).astype(np.float32)
    values[::10] = np.nan
    encoding = Numbers.fit(values)
    line = encoding(torch.linspace(-5, 5, 500)[:, None])
    bins = len(encoding.source)
    assert (line.diff(dim=0)[:, :bins] >= 0).all()
    known = torch.from_numpy(values[~np.isnan(values)])[:, None]
    assert encoding(known)[:, :bins].mean(0).abs().max() < 1e-5
    missing = encoding(torch.tensor([[float("nan")]]))
    assert missing[0].tolist() == [0.0] * bins + [1.0]


def test_the_order_of_the_rows_does_not_choose_the_bins() -> None:
    values = np.random.default_rng(0).gamma(2, size=(1000, 2)).astype(np.float32)
    one, other = Numbers.fit(values), Numbers.fit(values[::-1].copy())
    assert torch.equal(one.lower, other.lower)
    assert torch.equal(one.scale, other.scale)


def test_without_numbers_or_without_categories() -> None:
    for kept in ("x", "colour"):
        table = toy.table("binary")
        features = tuple(column for column in table.features if column.name == kept)
        only = type(table)(
            **{name: getattr(table, name) for name in ("task", "key", "time", "block", "target", "excluded")},
            features=features,
        )
        frame = toy.frame("binary", 200)
        model, _, _ = prepare(frame, frame, only, toy.settings())
        assert predict(model, frame).shape == (200,)


@pytest.mark.parametrize("damage", ["missing", "truncated", "text", "no spec", "other shape", "pickle"])
def test_a_file_that_is_no_model_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model, _ = made("binary")
    save(model, path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + size])
    match damage:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "text":
            path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        case "pickle":
            path.write_bytes(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n")
        case _:
            if damage == "no spec":
                del head["__metadata__"]
            else:
                spec = json.loads(head["__metadata__"]["spec"])
                spec["model"]["width"] = 9
                head["__metadata__"]["spec"] = json.dumps(spec)
            text = json.dumps(head).encode()
            path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        load(path)
