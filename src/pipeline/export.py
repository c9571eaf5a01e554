"""`export`: the model as ONNX with its encoding inside, proved equal to torch; its manifest; its card."""

from __future__ import annotations

import numpy as np
import onnxruntime
import polars as pl

from mainline.errors import ParityError
from mainline.records import Features, Metrics, Training, write_atomically
from mainline.schema import ANSWERS
from pipeline import frames, params, paths
from pipeline.exporting import card, manifest, onnx_graph
from pipeline.exporting.manifest import file_sha256
from pipeline.tracking.tracker import Tracker
from pipeline.training.predictor import Predictor, load, predict
from usecase import card as words
from usecase.schema import FEATURES

BATCH = 8192  # rows


def main(_arguments: list[str]) -> int:
    """Write models/model.onnx, manifest.json and MODEL_CARD.md.

    Raises ParityError, and IntegrityError or RecordError for damaged inputs.
    """
    settings = params.load()
    features, training, metrics = (
        Features.read(paths.FEATURE_SUMMARY),
        Training.read(paths.TRAINING),
        Metrics.read(paths.METRICS),
    )
    predictor = load(paths.WEIGHTS)
    weights = file_sha256(paths.WEIGHTS)
    with Tracker.attach(weights) as tracker:
        export_onnx(predictor, settings.export.parity)
        text = card.render(_words(), FEATURES, features, training, metrics, weights)
        write_atomically(paths.CARD, text.encode())
        record = manifest.build(
            FEATURES,
            predictor.spec.vocabularies,
            ANSWERS[FEATURES.task],
            [paths.WEIGHTS, paths.ONNX, paths.CARD],
            features=features,
            training=training,
            metrics=metrics,
        )
        record.write(paths.MANIFEST)
        print(f"manifest: {', '.join(record.files)}", flush=True)
        _track(tracker, predictor)
    return 0


def export_onnx(predictor: Predictor, bound: float) -> None:
    """Convert, compare on all test rows, and only then write. Raises ParityError."""
    content = onnx_graph.convert(predictor).SerializeToString(deterministic=True)
    spec = predictor.spec
    wanted = [FEATURES.key.name, *spec.categorical, *spec.numeric]
    test = frames.read(paths.FEATURES / "test.parquet", columns=wanted)
    check_parity(predictor, content, test, bound)
    write_atomically(paths.ONNX, content)
    print(f"onnx: {len(content):,} bytes, within {bound:g} of torch on {test.height:,} rows", flush=True)


def check_parity(predictor: Predictor, content: bytes, frame: pl.DataFrame, bound: float) -> None:
    """Compare ONNX Runtime with torch on every row of `frame` (first column: the key).

    The bound is absolute up to a prediction of 1 and relative beyond: regression has units.
    Raises ParityError naming the worst row. What ONNX Runtime computes goes nowhere else.
    """
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    expected = predict(predictor, frame)
    parts = [
        session.run(None, onnx_graph.feeds(part, predictor.spec))[0] for part in frame.iter_slices(BATCH)
    ]
    given = np.concatenate(parts) if parts else expected
    difference = np.abs(given - expected) / np.maximum(1, np.abs(expected))
    difference = (
        np.where(np.isnan(difference), np.inf, difference).reshape(frame.height, -1).max(1, initial=0)
    )
    if (difference > bound).any():
        worst = int(difference.argmax())
        raise ParityError(
            f"the ONNX model is not the torch model: they differ by {difference[worst]:.3g} on row "
            f"{frame[worst, 0]!r}, and by more than {bound:g} on {(difference > bound).sum():,} rows",
            why=f"ONNX Runtime says {given[worst]}, torch says {expected[worst]}",
            remedy="look for an operation in usecase/model.py that ONNX rounds or defines otherwise; if the "
            "difference does no harm, raise export.parity",
        )


def _words() -> card.Words:
    return card.Words(words.NAME, words.SUMMARY, words.USES, words.NOT_FOR, words.LIMITS)


def _track(tracker: Tracker, predictor: Predictor) -> None:
    spec = predictor.spec
    inputs = [(name, "string") for name in spec.categorical] + [(name, "float") for name in spec.numeric]
    tracker.onnx_model(paths.ONNX, inputs, [ANSWERS[spec.task]])
    for path in (paths.CARD, paths.MANIFEST):
        tracker.artifact(path)
