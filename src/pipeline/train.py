"""Fit the model: one plain loop. Whole tensors lie on the device, and a batch is a slice of them.

A run that is stopped (SIGTERM, SIGINT) saves where it is and ends with its own exit code; the same command
goes on from there, or from the last whole epoch after a crash, and ends with the very same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mainline.errors import Interrupted, TrainingError
from mainline.records import Epoch, Training
from mainline.schema import Task
from pipeline import determinism, frames, params, paths
from pipeline.tracking.tracker import Tracker
from pipeline.training import arithmetic, calibrate, predictor, progress
from pipeline.training.checkpoint import Checkpoint, Checkpoints
from pipeline.training.predictor import Predictor
from pipeline.training.progress import Run, best
from pipeline.training.tensors import Rows, prepare, scores, shuffled
from usecase import model as network
from usecase.schema import FEATURES

WARM_UP = 0.3  # epochs
LAST_RATE = 0.01  # of train.lr
LossFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


def fit(
    model: Predictor,
    train: Rows,
    validation: Rows,
    settings: params.Train,
    *,
    found: Checkpoint | None = None,
    save: Callable[[Checkpoint], object] = lambda _: None,
    report: Callable[[Epoch, float], object] = lambda *_: None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Epoch]:
    """Train `model` in place, leave the best epoch's weights in it, recalibrated on the validation rows.

    It goes on from `found`; `save` gets a checkpoint an epoch, `report` each epoch and its rows per second.
    Raises TrainingError for a loss that is not finite, and Interrupted, after saving, at the next batch once
    `stopped` says so.
    """
    run = progress.start(model, settings)
    if found:
        progress.restore(run, found)
    loss_of = loss_function(model)
    while run.epoch < settings.epochs and run.epoch - run.best_epoch < settings.patience:
        started = time.perf_counter()
        done = epoch(run, loss_of, train, settings, save=save, stopped=stopped)
        speed = done / (time.perf_counter() - started)
        _finish_epoch(run, validation, settings)
        report(run.history[-1], speed)
        save(progress.capture(run, run.generator.get_state()))
    model.load_state_dict(run.best)
    recalibrate(model, validation)
    return run.history


def epoch(
    run: Run,
    loss_of: LossFunction,
    train: Rows,
    settings: params.Train,
    *,
    save: Callable[[Checkpoint], object] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """One pass over the training rows, from `run.batch` on; the number of rows it took."""
    size = min(settings.batch_size, len(train))
    run.batches = batches = len(train) // size  # the rest, other rows each time, waits for the next epoch
    order, first = run.generator.get_state(), run.batch
    rows = shuffled(train, run.generator)  # with several processes, each would take its share of these
    for run.batch in range(first, batches):
        if stopped():
            save(progress.capture(run, order))
            raise Interrupted(
                f"stopped in epoch {run.epoch + 1} before batch {run.batch + 1} of {run.batches}",
                remedy="run the same command again: it goes on from there",
            )
        part = slice(run.batch * size, (run.batch + 1) * size)
        loss = loss_of(rows.codes[part], rows.numbers[part], rows.target[part])
        loss.backward()
        run.optimizer.step(rate(settings, run.epoch + run.batch / run.batches))
        run.loss += loss.detach()
    return (run.batches - first) * size


def rate(settings: params.Train, epoch: float) -> float:
    """Learning rate: linear warm-up, then half a cosine down to almost nothing at the last epoch."""
    cosine = (1 + math.cos(math.pi * epoch / settings.epochs)) / 2
    return settings.lr * (LAST_RATE + (1 - LAST_RATE) * cosine) * min(1.0, LAST_RATE + epoch / WARM_UP)


def loss_function(model: Predictor) -> LossFunction:
    """Mean loss of codes, numbers and target, each member for itself; on CUDA compiled and in bfloat16."""
    task, cuda = model.spec.task, model.slope.is_cuda

    def loss(codes: Tensor, numbers: Tensor, target: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            raw = model.raw(codes, numbers)
        return members_loss(task, raw.float(), target)

    # reduce-overhead: CUDA graphs, because launching so small a net's kernels takes longer than running them
    return torch.compile(loss, mode="reduce-overhead") if cuda else loss


def members_loss(task: Task, raw: Tensor, target: Tensor) -> Tensor:
    """Mean over members of raw scores [B, members, outputs]: log loss, cross-entropy or squared error."""
    targets = target.unsqueeze(1).expand(raw.shape[:2])
    match task:
        case "binary":
            return F.binary_cross_entropy_with_logits(raw.squeeze(2), targets)
        case "multiclass":
            return F.cross_entropy(raw.flatten(0, 1), targets.flatten())
        case _:
            return F.mse_loss(raw.squeeze(2), targets)


def _finish_epoch(run: Run, validation: Rows, settings: params.Train) -> None:
    """Score the validation window, remember the best weights. Raises TrainingError for a loss not finite.

    The validation loss is taken after recalibration, as the finished model's will be.
    """
    task, found, target = run.model.spec.task, scores(run.model, validation), validation.target.cpu().numpy()
    train_loss = float(run.loss) / run.batches
    validation_loss = math.nan
    if math.isfinite(train_loss):
        slope, intercept = calibrate.calibration(task, found, target)
        validation_loss = calibrate.loss(task, found * slope + intercept, target)
    if not math.isfinite(validation_loss):
        raise TrainingError(
            f"epoch {run.epoch + 1}: loss {train_loss} in training, {validation_loss} in validation",
            why="the weights have left the range of numbers",
            remedy="lower train.lr, and look for extreme values in the features",
        )
    last = rate(settings, run.epoch + run.batch / run.batches)
    run.epoch, run.batch = run.epoch + 1, 0
    run.loss.zero_()
    run.history.append(
        Epoch(epoch=run.epoch, train_loss=train_loss, validation_loss=validation_loss, lr=last)
    )
    if run.best_epoch == run.epoch:
        run.best = {name: value.detach().clone() for name, value in run.model.state_dict().items()}


def recalibrate(model: Predictor, validation: Rows) -> None:
    """Set slope and intercept anew from the validation rows, back to the target's own unit."""
    slope, intercept = calibrate.calibration(
        model.spec.task, scores(model, validation), validation.target.cpu().numpy()
    )
    model.slope.fill_(slope * validation.spread)
    model.intercept.fill_(intercept * validation.spread + validation.center)


def main(_arguments: list[str]) -> int:
    """The stage: features in, `models/model.safetensors` and `reports/training.json` out."""
    every = params.load()
    settings = every.train
    arithmetic.reproducible(settings.threads)
    device = choose_device(settings.device)
    files = {name: paths.FEATURES / f"{name}.parquet" for name in ("train", "validation")}
    columns = [column.name for column in (*FEATURES.features, FEATURES.target)]
    windows = [frames.read(file, columns) for file in files.values()]
    model, train, validation = prepare(windows[0], windows[1], FEATURES, settings)
    digests = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    key = fingerprint(settings, model, digests, device)
    checkpoints = Checkpoints(paths.CHECKPOINTS, key, settings.keep_checkpoints)
    found = checkpoints.newest()
    print(f"{len(train):,} rows, {count(model):,} parameters, {device_class(device)}", flush=True)
    if found:
        print(f"going on after step {found.step}", flush=True)
    with (
        Tracker.start(
            key, params=every.model_dump(include={"data", "featurize", "train"}), resume=bool(found)
        ) as tracker,
        _signals() as stopped,
    ):
        for name, rows in (("train", train), ("validation", validation)):
            tracker.dataset(name, digests[name], len(rows))
        history = fit(
            model.to(device),
            train.to(device),
            validation.to(device),
            settings,
            found=found,
            save=checkpoints.save,
            report=lambda epoch, speed: _report(tracker, epoch, speed),
            stopped=stopped,
        )
        _write(model, history, device, tracker)
    checkpoints.clear()
    return 0


def _write(model: Predictor, history: list[Epoch], device: torch.device, tracker: Tracker) -> None:
    predictor.save(model, paths.WEIGHTS)
    top = best(history)
    Training(
        device_class=device_class(device),
        precision="bfloat16" if device.type == "cuda" else "float32",
        parameters=count(model),
        best_epoch=top.epoch,
        calibration={"slope": float(model.slope), "intercept": float(model.intercept)},
        history=history,
    ).write(paths.TRAINING)
    tracker.tags({"model.sha256": hashlib.sha256(paths.WEIGHTS.read_bytes()).hexdigest()})
    tracker.artifact(paths.TRAINING)
    tracker.artifact(paths.WEIGHTS, "model")
    print(f"best epoch {top.epoch}, validation loss {top.validation_loss:.4f}; {paths.WEIGHTS}", flush=True)


def _report(tracker: Tracker, epoch: Epoch, speed: float) -> None:
    values = epoch.model_dump()
    tracker.metrics({**values, "rows_per_second": speed}, step=values.pop("epoch"))
    print(
        f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f} in training, {epoch.validation_loss:.4f} in "
        f"validation, {speed:,.0f} rows/s",
        flush=True,
    )


def choose_device(wanted: str) -> torch.device:
    """Raises TrainingError when CUDA is asked for and there is none."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise TrainingError(
            "train.device is cuda, and there is no CUDA device", remedy="set it to auto or cpu in params.yaml"
        )
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def device_class(device: torch.device) -> str:
    """Devices of one class give the same bytes: `cpu`, or `cuda` with its compute capability."""
    if device.type == "cpu":
        return "cpu"
    return "cuda-sm{}{}".format(*torch.cuda.get_device_capability(device))


def count(model: Predictor) -> int:
    """Trained numbers."""
    return sum(weights.numel() for weights in model.parameters())


def fingerprint(
    settings: params.Train, model: Predictor, digests: dict[str, str], device: torch.device
) -> str:
    """SHA-256 of all that decides the result: parameters, encoding, data, code, libraries, device class."""
    here = Path(__file__).parent
    code = [Path(__file__), here / "targets.py", *sorted((here / "training").glob("*.py"))]
    code += sorted(Path(str(network.__file__)).parent.rglob("*.py"))
    parts = [
        json.dumps(determinism.PINS),
        settings.model_dump_json(),
        json.dumps(asdict(model.spec)),
        torch.__version__,
        np.__version__,
        device_class(device),
    ]
    parts += [*digests.values(), *(hashlib.sha256(file.read_bytes()).hexdigest() for file in code)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT has come. A second one ends the process at once."""
    came: list[int] = []

    def handle(number: int, _frame: object) -> None:
        came.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
