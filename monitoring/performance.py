"""How good the answers were: figures of the labelled rows with intervals by whole blocks, and what they show.

Pure. Every loss here is the task's (`pipeline.evaluation.figures.row_losses`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainline.records import Figure
from mainline.schema import Task
from pipeline.evaluation import bootstrap, figures
from pipeline.evaluation.reliability import totals
from pipeline.training.calibrate import calibration, sigmoid

Array = NDArray[np.float64]
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Answers:
    """Scores [n] or [n, classes] and the code [n] of each row's block; `target` [n] for labelled rows."""

    task: Task
    score: Array
    block: NDArray[np.int64]
    target: Array | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    figures: dict[str, Figure]
    against: dict[str, Figure]
    excess: Figure | None
    recoverable: Figure | None


def expected_losses(task: Task, score: Array) -> Array | None:
    """The loss [n] that each row's own probabilities expect: their entropy. None for values."""
    if task == "regression":
        return None
    if task == "binary":
        entropy: Array = figures.entropy(figures.clipped(score))
        return entropy
    surprise: Array = -(score * np.log(figures.clipped(score))).sum(axis=1)
    return surprise


def estimated(answers: Answers, resamples: int, confidence: float) -> Figure | None:
    """The loss to expect if the answered probabilities are right; an estimate, without any label."""
    expected = expected_losses(answers.task, answers.score)
    return None if expected is None else _mean(expected, answers.block, resamples, confidence)


def measured(
    answers: Answers,
    recorded: Mapping[str, Figure],
    decision: figures.Decision | None,
    bins: int,
    resamples: int,
    confidence: float,
) -> Measured:
    """Of labelled rows, at least one."""
    assert answers.target is not None  # noqa: S101
    task, target, block = answers.task, answers.target, answers.block
    weights = bootstrap.draw(int(block.max()) + 1, resamples)
    rows = figures.Rows(task, target, block, decision if task == "binary" else None, bins)
    found = bootstrap.summaries(figures.compute(rows, answers.score, weights), confidence)
    expected = expected_losses(task, answers.score)
    losses = figures.row_losses(task, target, answers.score)
    excess = None if expected is None else _mean(losses - expected, block, resamples, confidence)
    return Measured(
        found, against(found, recorded), excess, recoverable(answers, losses, resamples, confidence)
    )


def against(found: Mapping[str, Figure], recorded: Mapping[str, Figure]) -> dict[str, Figure]:
    """Each figure minus the recorded one, of other rows: both intervals make that of the difference
    (MOVER: Zou and Donner 2008); null where either has none.
    """
    return {name: _minus(figure, recorded[name]) for name, figure in found.items() if name in recorded}


def _minus(one: Figure, other: Figure) -> Figure:
    if one.value is None or other.value is None:
        return Figure(value=None, low=None, high=None)
    value = one.value - other.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Figure(value=bootstrap.rounded(value), low=None, high=None)
    down = math.hypot(one.value - one.low, other.high - other.value)
    up = math.hypot(one.high - one.value, other.value - other.low)
    low, high = bootstrap.rounded(value - down), bootstrap.rounded(value + up)
    return Figure(value=bootstrap.rounded(value), low=low, high=high)


def recoverable(answers: Answers, losses: Array, resamples: int, confidence: float) -> Figure | None:
    """What a recalibration takes away from blocks it was not fitted on: of the mean loss; of a regression, of
    the RMSE, its deciding figure, in the target's unit.

    FOLDS folds of whole blocks in turn, every FOLDS-th block each, so that each holds early and late days.
    """
    assert answers.target is not None  # noqa: S101
    blocks = int(answers.block.max()) + 1
    if blocks < 2 * FOLDS:
        return None
    after = np.empty_like(losses)
    for fold in range(FOLDS):
        held = answers.block % FOLDS == fold
        corrected = _recalibrated(answers, ~held, held)
        after[held] = figures.row_losses(answers.task, answers.target[held], corrected)
    if answers.task == "regression":
        return _roots(losses, after, answers.block, resamples, confidence)
    return _mean(losses - after, answers.block, resamples, confidence)


def _recalibrated(answers: Answers, fit: NDArray[np.bool_], apply: NDArray[np.bool_]) -> Array:
    """The scores of `apply`, corrected as the pipeline does, with what fits the rows of `fit` best."""
    assert answers.target is not None  # noqa: S101
    target = answers.target[fit]
    if answers.task == "regression":
        slope, intercept = calibration("regression", answers.score[fit], target)
        return answers.score[apply] * slope + intercept
    p = figures.clipped(answers.score)
    if answers.task == "binary":
        logit = np.log(p) - np.log1p(-p)
        slope, intercept = calibration("binary", logit[fit], target)
        return sigmoid(slope * logit[apply] + intercept)
    logs = np.log(p)
    slope, _ = calibration("multiclass", logs[fit], target)
    classes = p.shape[1]
    observed = (np.bincount(target.astype(np.int64), minlength=classes) + 1) / (len(target) + classes)
    bias = np.zeros(classes)
    for _ in range(20):  # iterative scaling of the classes' rates; it converges within a few steps
        bias += np.log(observed / _softmax(slope * logs[fit] + bias).mean(axis=0))
    return _softmax(slope * logs[apply] + bias)


def _softmax(scores: Array) -> Array:
    powers: Array = np.exp(scores - scores.max(axis=1, keepdims=True))
    total: Array = powers.sum(axis=1, keepdims=True)
    return powers / total


def _roots(
    before: Array, after: Array, block: NDArray[np.int64], resamples: int, confidence: float
) -> Figure:
    """The root of the mean of squared errors [n] before, minus that after."""
    weights = bootstrap.draw(int(block.max()) + 1, resamples)
    n, one, other = totals([np.ones_like(before), before, after], block, weights)
    return bootstrap.summary(np.sqrt(one / n) - np.sqrt(other / n), confidence)


def _mean(values: Array, block: NDArray[np.int64], resamples: int, confidence: float) -> Figure:
    weights = bootstrap.draw(int(block.max()) + 1, resamples)
    n, total = totals([np.ones_like(values), values], block, weights)
    return bootstrap.summary(total / n, confidence)
