"""Frames to tensors: what a model is fitted on, whole on the device, and a model that fits them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from mainline.errors import DataError
from mainline.schema import FeatureTable
from pipeline.params import Train
from pipeline.targets import targets
from pipeline.training.predictor import SCORING_ROWS, Numbers, Predictor, Spec, encode

# Share of values hidden in each epoch. It teaches code 0 what unknown means, and keeps the model from leaning
# on any one number: in the example's walk-forward this was worth more than all else against shifts by month.
HIDDEN_CODES, HIDDEN_NUMBERS = 0.02, 0.1


@dataclass(frozen=True)
class Rows:
    """A window on the device: codes int64 [rows, C], numbers float32 [rows, N], target [rows].

    In the target's own unit it is `center + spread * target`.
    """

    codes: Tensor
    numbers: Tensor
    target: Tensor
    center: float = 0.0
    spread: float = 1.0

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device) -> Rows:
        return replace(
            self,
            codes=self.codes.to(device),
            numbers=self.numbers.to(device),
            target=self.target.to(device),
        )


def prepare(
    train: pl.DataFrame, validation: pl.DataFrame, table: FeatureTable, settings: Train
) -> tuple[Predictor, Rows, Rows]:
    """A predictor with weights drawn from the seed; vocabularies and bins fitted on training rows only."""
    spec = Spec.fit(train, table, settings.model)
    codes, numbers = encode(train, spec)
    torch.manual_seed(settings.seed)
    model = Predictor(spec, Numbers.fit(numbers.numpy()))
    target, center, spread = _target(train, table), 0.0, 1.0
    if table.task == "regression":
        values = target.astype(np.float64)
        center, spread = float(values.mean()), float(values.std()) or 1.0
    windows = []
    for inputs, values in (
        ((codes, numbers), target),
        (encode(validation, spec), _target(validation, table)),
    ):
        kind = torch.int64 if table.task == "multiclass" else torch.float32
        windows.append(Rows(*inputs, torch.from_numpy((values - center) / spread).to(kind), center, spread))
    return model, windows[0], windows[1]


def _target(frame: pl.DataFrame, table: FeatureTable) -> np.ndarray:
    """0/1, class number or value, float64 [rows]. Raises DataError for no rows, or one without a target."""
    values = frame[table.target.name]
    if not len(values) or values.null_count():
        raise DataError(
            f"{values.null_count()} of {len(values)} rows have no {values.name}",
            remedy="look at data.* in params.yaml; featurize excludes rows without a target",
        )
    return targets(frame, table)


def shuffled(rows: Rows, generator: torch.Generator) -> Rows:
    """A new order with some values hidden, drawn on the CPU so that every device sees the same ones."""
    device = rows.target.device
    order = torch.randperm(len(rows), generator=generator).to(device)
    codes = (torch.rand(rows.codes.shape, generator=generator) < HIDDEN_CODES).to(device)
    numbers = (torch.rand(rows.numbers.shape, generator=generator) < HIDDEN_NUMBERS).to(device)
    return replace(
        rows,
        codes=rows.codes[order].masked_fill_(codes, 0),
        numbers=rows.numbers[order].masked_fill_(numbers, math.nan),
        target=rows.target[order],
    )


def scores(model: Predictor, rows: Rows) -> np.ndarray:
    """Before calibration: see `Predictor.scores`. As the finished model will score, without dropout."""
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        parts = [
            model.scores(codes, numbers).cpu()
            for codes, numbers in zip(
                rows.codes.split(SCORING_ROWS), rows.numbers.split(SCORING_ROWS), strict=True
            )
        ]
    model.train(was_training)
    return torch.cat(parts).numpy()
