"""The loop: it learns, repeats itself to the byte, goes on where it was stopped, and fails loudly."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mainline.errors import DataError, Interrupted, TrainingError
from mainline.records import Epoch
from mainline.schema import Task
from pipeline import train
from pipeline.params import Train
from pipeline.training.checkpoint import Checkpoint, Checkpoints
from pipeline.training.optimizer import AdamW
from pipeline.training.predictor import Predictor, predict, save
from pipeline.training.tensors import HIDDEN_CODES, HIDDEN_NUMBERS, Rows, prepare, scores, shuffled
from tests.pipeline import toy

TASKS: list[Task] = ["binary", "multiclass", "regression"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def ready(task: Task, settings: Train) -> tuple[Predictor, Rows, Rows]:
    return prepare(toy.frame(task), toy.frame(task, 600, seed=1), toy.table(task), settings)


class Dropping(torch.nn.Module):
    """A network with dropout, as many a fork's: it draws from torch's own generator."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(self.network(codes, numbers), 0.5, self.training)


def fitted(
    task: Task, settings: Train, path: Path, *, dropping: bool = False, **hooks: object
) -> tuple[bytes, list[Epoch]]:
    model, *windows = ready(task, settings)
    if dropping:
        model.network = Dropping(model.network)
    history = train.fit(model, *windows, settings, **hooks)  # type: ignore[arg-type]
    save(model, path)
    return path.read_bytes(), history


@pytest.mark.parametrize("task", TASKS)
def test_it_learns_and_repeats_itself(task: Task, tmp_path: Path) -> None:
    settings = toy.settings()
    first, history = fitted(task, settings, tmp_path / "a")
    second, again = fitted(task, settings, tmp_path / "b")
    assert first == second
    assert history == again
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4]
    base = {"binary": 0.68, "multiclass": 1.05, "regression": 0.9}[task]
    assert min(epoch.validation_loss for epoch in history) < base
    other, _ = fitted(task, toy.settings(seed=8), tmp_path / "c")
    assert other != first


@pytest.mark.parametrize("task", TASKS)
def test_predictions_are_calibrated_in_the_targets_unit(task: Task) -> None:
    settings, validation = toy.settings(), toy.frame(task, 600, seed=1)
    model, *windows = ready(task, settings)
    train.fit(model, *windows, settings)
    predicted = predict(model, validation)
    if task == "multiclass":
        shares = [(validation["target"] == name).mean() for name in toy.CLASSES]
        np.testing.assert_allclose(predicted.mean(0), shares, atol=0.1)
    else:
        target = validation["target"].to_numpy()
        assert predicted.mean() == pytest.approx(target.mean(), rel=0.01)
        assert np.corrcoef(predicted, target)[0, 1] > 0.25


def test_calibration_moves_a_shifted_rate() -> None:
    frame = toy.frame("binary")
    late = frame.filter(frame["target"] == 1)
    validation = late.vstack(frame.filter(frame["target"] == 0).head(100))
    model, *windows = prepare(frame, validation, toy.table("binary"), toy.settings())
    train.fit(model, *windows, toy.settings())
    assert predict(model, validation).mean() == pytest.approx(validation["target"].mean(), abs=0.01)


class Stop:
    """Says yes at the `at`-th batch."""

    def __init__(self, at: int) -> None:
        self.calls = itertools.count(1)
        self.at = at

    def __call__(self) -> bool:
        return next(self.calls) >= self.at


@pytest.mark.parametrize("dropping", [False, True])
@pytest.mark.parametrize("at", [1, 5, 8, 20, 28])  # 7 batches an epoch, 4 epochs
def test_a_stopped_training_ends_as_if_it_had_not_been(at: int, dropping: bool, tmp_path: Path) -> None:
    settings = toy.settings()
    expected, whole = fitted("binary", settings, tmp_path / "whole", dropping=dropping)
    checkpoints = Checkpoints(tmp_path / "checkpoints", "a" * 64)
    seen: list[Epoch] = []
    hooks = {"save": checkpoints.save, "report": lambda epoch, _speed: seen.append(epoch)}
    with pytest.raises(Interrupted):
        fitted("binary", settings, tmp_path / "stopped", dropping=dropping, **hooks, stopped=Stop(at))
    found = checkpoints.newest()
    assert found is not None
    assert found.step == at - 1
    torch.rand(5)  # whatever else draws random numbers meanwhile
    content, history = fitted(
        "binary", settings, tmp_path / "resumed", dropping=dropping, **hooks, found=found
    )
    assert content == expected
    assert history == whole == seen


def test_after_a_crash_it_goes_on_from_the_last_whole_epoch(tmp_path: Path) -> None:
    settings = toy.settings()
    saved: list[Checkpoint] = []
    expected, whole = fitted("regression", settings, tmp_path / "whole", save=saved.append)
    assert [checkpoint.step for checkpoint in saved] == [7, 14, 21, 28]
    for number, found in enumerate(saved):
        checkpoints = Checkpoints(tmp_path / str(number), "a" * 64)
        checkpoints.save(found)
        content, history = fitted("regression", settings, tmp_path / "resumed", found=checkpoints.newest())
        assert content == expected
        assert history == whole


def test_the_best_epoch_is_kept_and_patience_ends_it(tmp_path: Path) -> None:
    settings = toy.settings(epochs=60, patience=2, lr=0.05)
    states: list[Checkpoint] = []
    model, *windows = ready("binary", settings)
    history = train.fit(model, *windows, settings, save=states.append)
    top = train.best(history)
    assert len(history) == top.epoch + 2 < 60
    assert top.validation_loss == min(epoch.validation_loss for epoch in history)
    name, weights = next(iter(model.network.named_parameters()))
    assert torch.equal(weights, states[top.epoch - 1].tensors[f"model.network.{name}"])
    assert not torch.equal(weights, states[-1].tensors[f"model.network.{name}"])


def test_a_loss_that_is_not_a_number_fails() -> None:
    settings = toy.settings(lr=1e30)
    model, *windows = ready("regression", settings)
    with pytest.raises(TrainingError, match=r"train\.lr"):
        train.fit(model, *windows, settings)


@pytest.mark.parametrize("rows", [1, 30, 256, 300])
def test_few_rows(rows: int) -> None:
    settings = toy.settings(epochs=2)
    frame = toy.frame("binary", rows)
    model, *windows = prepare(frame, frame, toy.table("binary"), settings)
    assert len(train.fit(model, *windows, settings)) == 2


def test_no_rows_or_no_target() -> None:
    frame, table = toy.frame("binary", 50), toy.table("binary")
    for broken in (frame.clear(), frame.with_columns(target=None)):
        with pytest.raises(DataError, match="target"):
            prepare(frame, broken, table, toy.settings())


def test_an_epoch_hides_some_values_and_changes_no_other() -> None:
    """Code 0 learns what unknown means, and no number is leaned on alone."""
    count = 20_000
    rows = Rows(torch.ones(count, 2, dtype=torch.int64), torch.ones(count, 3), torch.arange(count), 0.0, 1.0)
    found = shuffled(rows, torch.Generator().manual_seed(0))
    assert sorted(found.target.tolist()) == list(range(count))
    assert found.target.tolist() != list(range(count))
    assert (found.codes == 0).float().mean().item() == pytest.approx(HIDDEN_CODES, abs=0.005)
    assert found.numbers.isnan().float().mean().item() == pytest.approx(HIDDEN_NUMBERS, abs=0.005)
    assert set(found.codes.unique().tolist()) == {0, 1}
    assert set(found.numbers.nan_to_num(-1).unique().tolist()) == {-1, 1}
    assert bool((rows.codes == 1).all()) and not bool(rows.numbers.isnan().any())


@given(st.integers(1, 50), st.floats(0, 1))
def test_the_rate_stays_within_its_bounds(epochs: int, share: float) -> None:
    settings = toy.settings(epochs=epochs, lr=0.01)
    found = train.rate(settings, share * epochs)
    assert 0 < found <= 0.01 * (1 + 1e-9)
    assert train.rate(settings, epochs) < 0.0002
    assert not math.isnan(found)


def test_a_device_that_is_not_there_is_refused() -> None:
    assert train.choose_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        assert train.choose_device("auto") == torch.device("cpu")
        with pytest.raises(TrainingError, match="auto or cpu"):
            train.choose_device("cuda")


def test_the_calibration_is_that_of_the_finished_model() -> None:
    """Scores for early stopping and calibration are taken as predictions are: without dropout."""
    model, _, validation = ready("binary", toy.settings())
    model.network = Dropping(model.network)
    model.train()
    first, again = scores(model, validation), scores(model, validation)
    assert np.array_equal(first, again)
    assert model.training, "training goes on as it was"


def test_frozen_and_unused_parameters_stay_as_they_are() -> None:
    layers = torch.nn.ModuleList(torch.nn.Linear(2, 2, bias=False) for _ in range(3))
    layers[1].weight.requires_grad_(False)
    before = [layer.weight.clone() for layer in layers]
    optimizer = AdamW(layers.parameters(), weight_decay=0.0)
    layers[1](layers[0](torch.ones(1, 2))).square().sum().backward()
    optimizer.step(0.1)
    moved = [not torch.equal(layer.weight, old) for layer, old in zip(layers, before, strict=True)]
    assert moved == [True, False, False]


def test_the_optimizer_is_torchs_own_to_the_byte() -> None:
    first = torch.nn.Linear(5, 3)
    second = torch.nn.Linear(5, 3)
    second.load_state_dict(first.state_dict())
    ours = AdamW(first.parameters(), 0.1)
    theirs = torch.optim.AdamW(second.parameters(), lr=0.0, weight_decay=0.1, fused=True)
    for step in range(1, 20):
        x = torch.randn(7, 5)
        for layer in (first, second):
            layer(x).square().mean().backward()
        ours.step(0.1 / step)
        theirs.param_groups[0]["lr"] = 0.1 / step
        theirs.step()
        theirs.zero_grad()
        assert torch.equal(first.weight, second.weight)
        assert torch.equal(first.bias, second.bias)


@pytest.mark.slow
def test_a_training_does_not_import_the_compiler() -> None:
    code = "import sys; from pipeline import train; from tests.pipeline import toy;"
    code += "s = toy.settings(epochs=1); f = toy.frame('binary', 300);"
    code += (
        "train.fit(*train.prepare(f, f, toy.table('binary'), s), s); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr
