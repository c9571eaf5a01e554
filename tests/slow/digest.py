"""Print a digest of each part of a small run, under the pins: natively and emulated they must be the same.

`digest.py`: the shipped network through the pipeline's own training, figures with their intervals, and
numpy's functions. `digest.py baselines`: scikit-learn's fits.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from pipeline import determinism  # noqa: E402

determinism.pin()
BASELINES = "baselines" in sys.argv
if BASELINES:
    # numpy's AVX2 argsort, which scikit-learn's bins call, crashes qemu 7.2, but no processor we have.
    # Without it in both, everything of scikit-learn, scipy and OpenBLAS is still compared.
    os.environ["NPY_DISABLE_CPU_FEATURES"] += " X86_V3"

import hashlib  # noqa: E402
import json  # noqa: E402

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from pipeline.evaluation import baselines, bootstrap, figures  # noqa: E402
from pipeline.targets import targets  # noqa: E402
from tests.pipeline.rows import feature_rows  # noqa: E402
from usecase.schema import FEATURES  # noqa: E402

ROWS, BATCH, EPOCHS, TREES, RESAMPLES, BLOCK = 700, 128, 2, 8, 50, 30  # few: emulation is slow


def main() -> None:
    train, validation = feature_rows(ROWS, seed=0), feature_rows(ROWS // 2, seed=1)
    if BASELINES:
        compared(train, validation)
    else:
        measured(validation, trained(train, validation))
        solved()


def trained(train: pl.DataFrame, validation: pl.DataFrame) -> np.ndarray:
    """What the shipped network says of the validation rows, after `fit` with the shipped parameters."""
    from mainline.settings import read
    from pipeline.params import Train
    from pipeline.train import fit
    from pipeline.training import arithmetic
    from pipeline.training.predictor import predict
    from pipeline.training.tensors import prepare

    few = {"device": "cpu", "epochs": EPOCHS, "batch_size": BATCH}
    settings = Train.model_validate(read(ROOT / "params.yaml")["train"] | few)
    arithmetic.reproducible(settings.threads)
    model, *windows = prepare(train, validation, FEATURES, settings)
    show("initial weights", *(value.numpy() for value in model.state_dict().values()))
    history = fit(model, *windows, settings)
    show("trained weights", *(value.numpy() for value in model.state_dict().values()))
    show("losses", np.array([(epoch.train_loss, epoch.validation_loss) for epoch in history]))
    said = predict(model, validation)
    show("predictions", said)
    return said


def compared(train: pl.DataFrame, validation: pl.DataFrame) -> None:
    encoding = baselines.Encoding.fit(train, FEATURES)
    linear = baselines.linear(train, targets(train, FEATURES), FEATURES, encoding)
    trees = baselines.hist_gradient_boosting(train, FEATURES, encoding, max_iter=TREES)
    for name, fitted in (("linear", linear), ("trees", trees)):
        show(name, baselines.recalibrated(fitted, validation, FEATURES)(validation))


def measured(validation: pl.DataFrame, said: np.ndarray) -> None:
    """All figures of the task on every resample, and as they are written."""
    block = np.arange(len(validation)) // BLOCK
    decision = figures.Decision(0.4, 1, 3) if FEATURES.task == "binary" else None
    rows = figures.Rows(FEATURES.task, targets(validation, FEATURES), block, decision)
    draws = figures.compute(rows, said, bootstrap.draw(int(block[-1]) + 1, RESAMPLES))
    show("figures", *draws.values())
    written = {name: one.model_dump() for name, one in bootstrap.summaries(draws, 0.95).items()}
    show("intervals", json.dumps(written).encode())


def solved() -> None:
    values = np.random.default_rng(0).normal(size=(500, 40))
    square = values.T @ values
    show("numpy", np.exp(values), np.log(np.abs(values)), square, np.linalg.inv(square))


def show(name: str, *parts: np.ndarray | bytes) -> None:
    content = b"".join(part if isinstance(part, bytes) else part.tobytes() for part in parts)
    print(f"{name:16} {hashlib.sha256(content).hexdigest()}", flush=True)


main()
