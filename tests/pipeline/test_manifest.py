"""The manifest finds every way in which a folder can be another model than it says."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mainline.errors import IntegrityError
from mainline.records import Features, Manifest, Metrics, Split, Training
from mainline.schema import Column, FeatureTable
from pipeline.exporting import manifest
from pipeline.training import predictor
from tests.pipeline.test_export_graph import tiny

TABLE = FeatureTable(
    task="binary",
    key=Column("key", "string", "row"),
    time=Column("at", "datetime", "when"),
    block=Column("day", "date", "day"),
    target=Column("late", "int64", "late"),
    excluded=Column("excluded", "string", "why", nullable=True),
    features=(
        Column("c", "string", "a category", values=("a", "b"), example="a"),
        Column("x", "float64", "a number", "mi", minimum=0, maximum=9.5),
    ),
)
SPLIT = Split(
    first_month="2013-01", last_month="2013-08", rows=5, blocks=2, excluded={}, target={"mean": 0.5}
)
FEATURES = Features(train=SPLIT, validation=SPLIT, test=SPLIT)
TRAINING = Training(
    device_class="cpu", precision="float32", parameters=3, best_epoch=1, calibration={}, history=[]
)
METRICS = Metrics.model_construct(threshold=0.25)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Manifest, Path]:
    """A folder with a whole model, and its manifest."""
    folder = tmp_path / "models"
    folder.mkdir()
    predictor.save(tiny("binary"), folder / "model.safetensors")
    (folder / "model.onnx").write_bytes(b"\x08\x0a and so on")
    (folder / "MODEL_CARD.md").write_text("# card\n")
    (folder / ".gitignore").write_text("/model.onnx\n")
    monkeypatch.chdir(Path(__file__).parents[2])  # the code that is named lies there
    record = manifest.build(
        TABLE,
        {"c": ("a", "b")},
        "probability",
        list(folder.glob("[mM]*")),
        features=FEATURES,
        training=TRAINING,
        metrics=METRICS,
    )
    record.write(folder / "manifest.json")
    return Manifest.read(folder / "manifest.json"), folder


def test_a_whole_model_passes(model: tuple[Manifest, Path]) -> None:
    record, folder = model
    manifest.verify(record, folder)
    assert list(record.files) == ["MODEL_CARD.md", "model.onnx", "model.safetensors"]
    assert record.windows["train"] == ["2013-01", "2013-08"]
    assert record.threshold == 0.25
    assert [(one["name"], one["onnx"], one["unit"], one["maximum"]) for one in record.inputs] == [
        ("c", "string", "", None),
        ("x", "float", "mi", 9.5),
    ]
    assert record.vocabularies["c"].size == 2
    assert set(record.code) == set(manifest.CODE)


def test_a_manifest_names_no_place_and_no_time(model: tuple[Manifest, Path]) -> None:
    _, folder = model
    text = (folder / "manifest.json").read_text()
    assert str(Path.cwd()) not in text
    assert str(folder) not in text


def pickled(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(pickle.dumps({"weights": [1.0]}))


def torch_saved(folder: Path) -> None:
    torch.save({"weights": torch.ones(1)}, folder / "model.onnx")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "model.onnx has changed": lambda folder: (folder / "model.onnx").write_bytes(b"\x08\x0a and so forth"),
    "model.safetensors is missing": lambda folder: (folder / "model.safetensors").unlink(),
    "more.bin is not in the manifest": lambda folder: (folder / "more.bin").write_bytes(b""),
    "deep/more.bin is not in the manifest": lambda folder: (
        (folder / "deep").mkdir(),
        (folder / "deep" / "more.bin").write_bytes(b""),
    ),
    "dangling is not in the manifest": lambda folder: (folder / "dangling").symlink_to("nowhere"),
}


@pytest.mark.parametrize("problem", DAMAGE)
def test_another_folder_is_refused_naming_the_file(model: tuple[Manifest, Path], problem: str) -> None:
    record, folder = model
    DAMAGE[problem](folder)
    with pytest.raises(IntegrityError) as error:
        manifest.verify(record, folder)
    assert error.value.why == problem


@pytest.mark.parametrize("put", [pickled, torch_saved])
def test_a_pickle_is_refused_even_when_the_manifest_names_it(
    model: tuple[Manifest, Path], put: Callable[[Path], None]
) -> None:
    record, folder = model
    put(folder)
    digest = manifest.file_sha256(folder / "model.onnx")
    forged = record.model_copy(update={"files": {**record.files, "model.onnx": digest}})
    with pytest.raises(IntegrityError, match="does not hold") as error:
        manifest.verify(forged, folder)
    assert error.value.why == "model.onnx is not safetensors, ONNX or Markdown"


@pytest.mark.parametrize("name", ["../MODEL_CARD.md", "/etc/hostname", "manifest.json", ".gitignore", ""])
def test_a_name_outside_the_folder_is_refused(model: tuple[Manifest, Path], name: str) -> None:
    record, folder = model
    forged = record.model_copy(update={"files": {**record.files, name: "0" * 64}})
    with pytest.raises(IntegrityError) as error:
        manifest.verify(forged, folder)
    assert "is not a name of a file" in error.value.why


def test_a_manifest_of_nothing_is_refused(model: tuple[Manifest, Path]) -> None:
    record, folder = model
    with pytest.raises(IntegrityError, match="names no files"):
        manifest.verify(record.model_copy(update={"files": {}}), folder)
