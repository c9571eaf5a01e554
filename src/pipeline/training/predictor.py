"""The model as one thing: encoding, network and calibration, in one file of weights without code.

Inside the module lies everything that was learnt from data, so that whoever loads the file needs no other:
vocabularies (in the specification), the bins of the numbers and the calibration (buffers).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from mainline.errors import IntegrityError
from mainline.records import write_atomically
from mainline.schema import FeatureTable, Task
from usecase.model import build
from usecase.params import Model

SCORING_ROWS = 2048  # at once where no gradient is needed: what lies between layers stays in the cache
MIN_ROWS = 20  # a value seen in fewer rows is treated as an unknown one: nothing was learnt about it
# A number's bins end at these shares of its training rows: finer in the tails, which are rare and tell most.
SHARES = (0, 0.005, 0.02, 0.07, 0.15, 0.3, 0.45, 0.6, 0.75, 0.87, 0.94, 0.98, 0.995, 0.999, 1)
HEAVY = (
    0.125  # a value with more of the rows, mostly zero, is an edge of its own and no quantile of the others
)


@dataclass(frozen=True)
class Spec:
    """What a file of weights needs beside its tensors; written as JSON into its metadata."""

    task: Task
    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    vocabularies: dict[str, tuple[str, ...]]
    classes: tuple[str, ...]
    model: dict[str, Any]

    @property
    def outputs(self) -> int:
        return len(self.classes) if self.task == "multiclass" else 1

    @classmethod
    def fit(cls, frame: pl.DataFrame, table: FeatureTable, model: Model) -> Spec:
        """Vocabularies from the training rows, each in sorted order."""
        vocabularies = {column.name: _vocabulary(frame[column.name]) for column in table.categorical}
        return cls(
            task=table.task,
            categorical=tuple(column.name for column in table.categorical),
            numeric=tuple(column.name for column in table.numeric),
            vocabularies=vocabularies,
            classes=table.classes,
            model=model.model_dump(),
        )

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Raises TypeError, ValueError or KeyError when `text` is not a specification."""
        content = json.loads(text)
        content["vocabularies"] = {name: tuple(values) for name, values in content["vocabularies"].items()}
        for name in ("categorical", "numeric", "classes"):
            content[name] = tuple(content[name])
        return cls(**content)


def _vocabulary(values: pl.Series) -> tuple[str, ...]:
    known = values.drop_nulls()
    counts = known.filter(known != "").value_counts(name="rows")  # "" is how ONNX spells a missing value
    return tuple(sorted(counts.filter(pl.col("rows") >= min(MIN_ROWS, len(values)))[values.name]))


class Numbers(nn.Module):
    """Piecewise-linear encoding of numbers (Gorishniy et al. 2022), centred; a missing one becomes the mean.

    Each number becomes one component a quantile bin, growing from 0 to 1 inside its bin; a number that was
    missing in training rows also has a flag. Values beyond the training range are held at its ends.
    """

    source: Tensor
    lower: Tensor
    scale: Tensor
    mean: Tensor
    flags: Tensor

    def __init__(self, components: int, flags: int) -> None:
        super().__init__()
        self.register_buffer("source", torch.zeros(components, dtype=torch.int64))
        self.register_buffer("lower", torch.zeros(components))
        self.register_buffer("scale", torch.zeros(components))
        self.register_buffer("mean", torch.zeros(components))
        self.register_buffer("flags", torch.zeros(flags, dtype=torch.int64))

    @property
    def width(self) -> int:
        return len(self.source) + len(self.flags)

    def forward(self, numbers: Tensor) -> Tensor:
        """Float [B, N] with NaN for missing to float [B, width]."""
        columns = numbers.t().contiguous()  # rows are gathered faster than columns, here and in ONNX
        x = columns.index_select(0, self.source)  # a copy, changed in place; NaN stays until the last step
        x.sub_(self.lower[:, None]).mul_(self.scale[:, None]).clamp_(0, 1).sub_(self.mean[:, None])
        # the same, and quicker here; in ONNX it would be five nodes instead of two
        x = x.nan_to_num_(0.0) if self.training else torch.where(x.isnan(), 0.0, x)
        missing = columns.index_select(0, self.flags).isnan().to(x.dtype)
        return torch.cat([x, missing]).t()

    @classmethod
    def fit(cls, numbers: np.ndarray) -> Numbers:
        """Bins at the quantiles of the training rows, float [rows, N]."""
        source, lower, scale, flags = [], [], [], []
        for index, column in enumerate(numbers.T):
            known = np.sort(column[~np.isnan(column)].astype(np.float64))
            if len(known) < len(column):
                flags.append(index)
            edges = _edges(known) if len(known) else np.zeros(1)
            source += [index] * (len(edges) - 1)
            lower += list(edges[:-1])
            scale += list(1 / np.diff(edges).clip(min=1e-30))  # float32 holds up to 3e38
        encoding = cls(len(source), len(flags))
        encoding.source.copy_(torch.tensor(source, dtype=torch.int64))
        encoding.lower.copy_(torch.tensor(lower, dtype=torch.float64))
        encoding.scale.copy_(torch.tensor(scale, dtype=torch.float64))
        encoding.flags.copy_(torch.tensor(flags, dtype=torch.int64))
        encoding.mean.copy_(_column_means(encoding, numbers))
        return encoding


def _edges(known: np.ndarray) -> np.ndarray:
    """Ends of the bins of sorted values: the heavy ones, and the quantiles of all others."""
    values, counts = np.unique(known, return_counts=True)
    heavy = values[counts > HEAVY * len(known)]
    rest = known[~np.isin(known, heavy)]
    if not len(rest):
        return heavy
    ranks = (np.array(SHARES) * (len(rest) - 1)).round().astype(np.int64)
    return np.unique(np.concatenate([heavy, rest[ranks]]))


def _column_means(encoding: Numbers, numbers: np.ndarray) -> Tensor:
    """Mean of each component over the rows that have the number, summed in float64 in the rows' order."""
    total = torch.zeros(len(encoding.source), dtype=torch.float64)
    count = torch.zeros(len(encoding.source), dtype=torch.float64)
    for part in torch.from_numpy(numbers).split(8192):
        known = ~part.index_select(1, encoding.source).isnan()
        total += encoding(part)[:, : len(total)].to(torch.float64).sum(0)
        count += known.sum(0)
    return total / count.clamp(min=1)


class Predictor(nn.Module):
    """Codes and numbers to calibrated predictions; see `forward`."""

    slope: Tensor
    intercept: Tensor

    def __init__(self, spec: Spec, numbers: Numbers) -> None:
        super().__init__()
        self.spec = spec
        self.numbers = numbers
        cardinalities = tuple(len(spec.vocabularies[name]) + 1 for name in spec.categorical)
        self.network = build(cardinalities, numbers.width, spec.outputs, Model(**spec.model))
        self.register_buffer("slope", torch.ones(()))
        self.register_buffer("intercept", torch.zeros(()))

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """Codes int64 [B, C], numbers float32 [B, N] (NaN: missing) to calibrated predictions.

        Binary: P(1) [B]; multiclass: probabilities [B, K]; regression: the value [B], in the target's unit.
        """
        scores = self.scores(codes, numbers) * self.slope + self.intercept
        match self.spec.task:
            case "binary":
                return scores.sigmoid()
            case "multiclass":
                return scores.softmax(1)
            case _:
                return scores

    def raw(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """Each member's own score, before pooling and calibration: [B, members, outputs]."""
        return self.network(codes, self.numbers(numbers))

    def scores(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """The members as one, before calibration: logit [B], log-probabilities [B, K] or value [B].

        Members vote by the mean of their probabilities; float32 keeps logits within about ±14.
        """
        raw = self.raw(codes, numbers)
        match self.spec.task:
            case "binary":
                mean = raw.squeeze(2).sigmoid().mean(1).clamp(1e-6, 1 - 1e-6)
                return torch.log(mean) - torch.log1p(-mean)
            case "multiclass":
                return raw.softmax(2).mean(1).clamp(min=1e-6).log()
            case _:
                return raw.squeeze(2).mean(1)


def encode(frame: pl.DataFrame, spec: Spec) -> tuple[Tensor, Tensor]:
    """Feature columns to codes int64 [rows, C] and numbers float32 [rows, N], on the CPU.

    Code 0 is a missing or unknown value, the vocabulary's value i has code i + 1; a missing number is NaN.
    """
    codes = [_codes(frame[name], spec.vocabularies[name]) for name in spec.categorical]
    numbers = [frame[name].cast(pl.Float32).fill_null(float("nan")).to_numpy() for name in spec.numeric]
    rows = frame.height
    return (
        torch.from_numpy(np.stack(codes, 1) if codes else np.zeros((rows, 0), np.int64)),
        torch.from_numpy(np.stack(numbers, 1) if numbers else np.zeros((rows, 0), np.float32)),
    )


def _codes(values: pl.Series, vocabulary: tuple[str, ...]) -> np.ndarray:
    codes = range(1, len(vocabulary) + 1)
    known = values.cast(pl.String).replace_strict(vocabulary, codes, default=0, return_dtype=pl.Int64)
    return known.fill_null(0).to_numpy()


def predict(predictor: Predictor, frame: pl.DataFrame, batch_size: int = SCORING_ROWS) -> np.ndarray:
    """Calibrated predictions, float32 [rows] or [rows, K], on the device where the predictor is."""
    codes, numbers = encode(frame, predictor.spec)
    device = predictor.slope.device
    was_training = predictor.training
    predictor.eval()
    with torch.inference_mode():
        parts = [
            predictor(part.to(device), other.to(device)).cpu()
            for part, other in zip(codes.split(batch_size), numbers.split(batch_size), strict=True)
        ]
    predictor.train(was_training)
    return torch.cat(parts).numpy()


def save(predictor: Predictor, path: Path) -> None:
    """Write weights and specification, atomically.

    All metadata stands under one key, because safetensors writes several in random order.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in predictor.state_dict().items()}
    spec = json.dumps(asdict(predictor.spec), sort_keys=True, ensure_ascii=False)
    write_atomically(path, to_safetensors(tensors, metadata={"spec": spec}))


def load(path: Path) -> Predictor:
    """Raises IntegrityError when `path` is missing, damaged, or not a predictor that this code can build."""
    try:
        with safe_open(path, framework="pt") as file:
            spec = Spec.parse((file.metadata() or {})["spec"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        numbers = Numbers(len(tensors["numbers.source"]), len(tensors["numbers.flags"]))
        predictor = Predictor(spec, numbers)
        predictor.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise IntegrityError(
            f"{path} is not a model that this code can read",
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            remedy="bring it with `dvc pull --force train`, or make it anew with `python -m pipeline train`",
        ) from None
    return predictor.eval()
