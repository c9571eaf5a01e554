"""Recalibration on the validation window: slope and intercept of the scores, fitted in float64.

Platt (1999) for binary scores, temperature (Guo et al. 2017) for several classes, least squares for values.
A weak prior, worth about one row, that the scores are right already keeps the fit finite where the window
has one class only or the scores separate the classes.
"""

from __future__ import annotations

import numpy as np

from mainline.schema import Task

DIGITS = 6  # of the result: more than the data can tell, fewer than rounding errors reach
STEPS = 50  # of Newton's method; it needs five to ten
PRIOR = np.array([1.0, 0.1])  # weight of slope = 1 and of intercept = 0


def calibration(task: Task, scores: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Slope and intercept that make `scores` fit `target` best.

    `scores`: logits [rows], log-probabilities [rows, K], or values [rows]; `target`: 0/1, class number, or
    value. Several classes have one temperature: slope is its inverse, intercept 0.
    """
    scores = scores.astype(np.float64)
    match task:
        case "binary":
            slope, intercept = _platt(scores, target.astype(np.float64))
        case "multiclass":
            slope, intercept = _temperature(scores, target.astype(np.int64)), 0.0
        case _:
            slope, intercept = _least_squares(scores, target.astype(np.float64))
    return round(slope, DIGITS), round(intercept, DIGITS)


def loss(task: Task, scores: np.ndarray, target: np.ndarray) -> float:
    """Mean loss a row in float64: log loss of logits or of log-probabilities, or squared error."""
    scores = scores.astype(np.float64)
    match task:
        case "binary":
            rows = np.logaddexp(0, scores) - target * scores
        case "multiclass":
            rows = _log_normaliser(scores) - scores[np.arange(len(scores)), target.astype(np.int64)]
        case _:
            rows = (scores - target) ** 2
    return float(rows.mean())


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """Without overflow, in the scores' own precision."""
    return np.exp(-np.logaddexp(0, -scores))


def _platt(scores: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    x = np.stack([scores, np.ones_like(scores)], 1)
    start = np.array([1.0, 0.0])
    weights = start.copy()
    for _ in range(STEPS):
        p = sigmoid(x @ weights)
        gradient = x.T @ (p - target) + PRIOR * (weights - start)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(PRIOR)
        step = np.linalg.solve(hessian, gradient)
        weights -= step * min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-10:
            break
    return float(weights[0]), float(weights[1])


def _temperature(scores: np.ndarray, target: np.ndarray) -> float:
    rows = np.arange(len(scores))
    slope = 1.0
    for _ in range(STEPS):
        scaled = slope * scores
        p = np.exp(scaled - _log_normaliser(scaled)[:, None])
        mean = (p * scores).sum(1)
        gradient = (mean - scores[rows, target]).sum() + PRIOR[0] * (slope - 1)
        hessian = ((p * scores**2).sum(1) - mean**2).sum() + PRIOR[0]
        step = float(gradient / hessian)
        slope = max(slope - step, slope / 4)  # stays positive
        if abs(step) < 1e-10:
            break
    return slope


def _least_squares(scores: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    center, mean = scores.mean(), target.mean()
    spread = ((scores - center) ** 2).sum()
    prior = PRIOR[0] * max(scores.var(), 1e-12)
    slope = (((scores - center) * (target - mean)).sum() + prior) / (spread + prior)
    return float(slope), float(mean - slope * center)


def _log_normaliser(scores: np.ndarray) -> np.ndarray:
    largest = scores.max(1)
    return largest + np.log(np.exp(scores - largest[:, None]).sum(1))
