"""The export stage on a small model of the use case's own features: what it writes, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest
import torch
import yaml

from mainline.errors import IntegrityError, MainlineError, ParityError, RecordError
from mainline.records import Epoch, Figure, Manifest, Metrics, Training
from mainline.schema import ANSWERS
from pipeline import export, frames, params, paths
from pipeline.exporting import manifest, onnx_graph
from pipeline.tracking.spool import sessions
from pipeline.training import predictor
from tests.pipeline.test_manifest import FEATURES as SUMMARY
from usecase import card as words
from usecase.schema import FEATURES

pytestmark = pytest.mark.slow  # torch's exporter: seconds
ROOT = Path(__file__).parents[2]
ROWS = 200


def table() -> pl.DataFrame:
    """Random rows of the use case's feature table, a tenth of each feature missing."""
    generator = np.random.default_rng(3)
    columns: dict[str, pl.Series] = {FEATURES.key.name: pl.Series([f"row{index}" for index in range(ROWS)])}
    for column in FEATURES.features:
        if column.categorical:
            known = column.values or (str(column.example), "other")
            values: list = [known[index % len(known)] for index in generator.integers(0, 99, ROWS)]
        else:
            values = generator.integers(0, 50, ROWS).tolist()
        gaps = generator.random(ROWS) < 0.1
        kept = [None if gap else value for gap, value in zip(gaps, values, strict=True)]
        columns[column.name] = pl.Series(kept, dtype=pl.String if column.categorical else pl.Float64)
    return pl.DataFrame(columns)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything that the stage reads is there."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        shutil.copy(ROOT / "params.yaml", root)
        (root / "src").symlink_to(ROOT / "src")
        frame = table()
        frames.write(frame, paths.FEATURES / "test.parquet")
        spec = predictor.Spec.fit(frame, FEATURES, params.load().train.model)
        torch.manual_seed(3)
        model = predictor.Predictor(spec, predictor.Numbers.fit(predictor.encode(frame, spec)[1].numpy()))
        predictor.save(model, paths.WEIGHTS)
        SUMMARY.write(paths.FEATURE_SUMMARY)
        _training().write(paths.TRAINING)
        _metrics().write(paths.METRICS)
    return root


def _training() -> Training:
    epoch = Epoch(epoch=1, train_loss=0.5, validation_loss=0.5, lr=0.001)
    return Training(
        device_class="cpu",
        precision="float32",
        parameters=9,
        best_epoch=1,
        calibration={"slope": 1.0},
        history=[epoch],
    )


def _metrics() -> Metrics:
    figure = Figure(value=0.7, low=0.6, high=0.8)
    return Metrics(
        task=FEATURES.task, rows=ROWS, blocks=2, resamples=100, confidence=0.95, parameters=9, model_bytes=99,
        threshold=0.25, figures={"roc_auc": figure}, baselines={}, slices=[], worst_slice=None, importance={},
    )  # fmt: skip


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(made, root, symlinks=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("MAINLINE_TRACKING", "defer")
    return root


def test_the_stage_writes_a_model_that_a_service_can_check_and_feed(project: Path) -> None:
    assert export.main([]) == 0
    record = Manifest.read(paths.MANIFEST)
    manifest.verify(record, paths.MODELS)
    assert sorted(record.files) == ["MODEL_CARD.md", "model.onnx", "model.safetensors"]
    assert paths.CARD.read_text().startswith(f"# {words.NAME}\n")
    # Fed from the manifest alone, as a service would.
    session = onnxruntime.InferenceSession(paths.ONNX)
    fed = {
        one["name"]: np.array([""], object) if one["onnx"] == "string" else np.array([np.nan], np.float32)
        for one in record.inputs
    }
    (given,) = session.run(record.outputs, fed)
    model = predictor.load(paths.WEIGHTS)
    nothing = pl.DataFrame(
        {
            c.name: pl.Series([None], dtype=pl.String if c.categorical else pl.Float64)
            for c in FEATURES.features
        }
    )
    np.testing.assert_allclose(given, predictor.predict(model, nothing), atol=1e-5)
    (session_events, _, _) = sessions(paths.SPOOL)[0].read(0)
    assert [event["kind"] for event in session_events] == [
        "attach", "onnx_model", "artifact", "artifact", "finish"
    ]  # fmt: skip
    assert session_events[0]["model"] == record.files["model.safetensors"]


def test_the_same_inputs_give_the_same_bytes(project: Path) -> None:
    export.main([])
    before = {path.name: path.read_bytes() for path in paths.MODELS.iterdir()}
    for path in (paths.ONNX, paths.MANIFEST, paths.CARD):
        path.unlink()
    export.main([])
    assert {path.name: path.read_bytes() for path in paths.MODELS.iterdir()} == before


def test_a_model_beyond_the_bound_is_not_written(project: Path) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["export"]["parity"] = 1e-30
    Path("params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ParityError, match="'row"):
        export.main([])
    assert not paths.ONNX.exists()
    assert not paths.MANIFEST.exists()
    assert sessions(paths.SPOOL)[0].read(0)[0][-1]["status"] == "FAILED"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("path", "damage", "error"),
    [
        (paths.WEIGHTS, Path.unlink, IntegrityError),
        (paths.WEIGHTS, truncate, IntegrityError),
        (paths.METRICS, Path.unlink, RecordError),
        (paths.METRICS, truncate, RecordError),
        (paths.FEATURE_SUMMARY, truncate, RecordError),
    ],
)
def test_a_damaged_input_is_named(
    project: Path, path: Path, damage: Callable[[Path], None], error: type[MainlineError]
) -> None:
    damage(path)
    with pytest.raises(error, match=path.name):
        export.main([])
    assert not paths.MANIFEST.exists()


def test_mlflow_can_load_what_is_logged(project: Path, tmp_path: Path) -> None:
    """The MLflow model that the delivery makes: signature inside, no pickle, and the same answers."""
    import mlflow.onnx

    from pipeline.tracking.mlflow_store import _onnx_model

    export.main([])
    model = predictor.load(paths.WEIGHTS)
    inputs = [[c.name, "string" if c.categorical else "float"] for c in FEATURES.features]
    folder = _onnx_model(paths.ONNX, tmp_path / "mlflow", inputs, [ANSWERS[FEATURES.task]])
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt")]
    loaded = mlflow.onnx.load_model(str(folder))
    assert loaded.SerializeToString(deterministic=True) == paths.ONNX.read_bytes()
    signature = mlflow.models.get_model_info(str(folder)).signature
    assert signature.inputs.input_names() == [name for name, _ in inputs]
    fed = onnx_graph.feeds(table(), model.spec)
    assert len(onnxruntime.InferenceSession(paths.ONNX).run(None, fed)[0]) == ROWS
