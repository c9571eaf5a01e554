"""Is a predicted probability the observed rate? Calibration figures of rows and of their resamples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

FINE_BINS = 500  # for the calibration of resamples
NEWTON_STEPS, NEWTON_END, NO_LIMIT = 60, 1e-8, 1e3


def calibration_error(hit: Array, probability: Array, block: Codes, weights: Array, bins: int) -> Array:
    """Expected calibration error (Naeini 2015) over bins with equally many rows (Nixon 2019)."""
    where = calibration_bins(probability, bins)
    excess = [np.where(where == index, hit - probability, 0.0) for index in range(int(where.max()) + 1)]
    (n,) = totals([np.ones_like(hit)], block, weights)
    return np.abs(totals(excess, block, weights)).sum(axis=0) / n


def calibration_bins(probability: Array, bins: int) -> Codes:
    """The bin [n] of each row: equally many rows a bin, equal values never apart."""
    edges = np.unique(np.quantile(probability, np.arange(1, bins) / bins, method="higher"))
    return np.unique(np.searchsorted(edges, probability, side="right"), return_inverse=True)[1].astype(
        np.int64
    )


def calibration_figures(y: Array, logit: Array, block: Codes, weights: Array) -> dict[str, Array]:
    """Cox's calibration: the slope of y on logit(p), and the intercept when that slope is held at 1.

    The value is exact. Resamples are fitted on fine bins of the logit, which moves a resample by a
    few percent of the interval, and shifted by what the bins change in the value.
    """
    where = calibration_bins(logit, FINE_BINS)
    count, bins = np.bincount(where), int(where.max()) + 1
    centre = np.bincount(where, weights=logit) / count
    cell = block * bins + where
    shape = (weights.shape[1], bins)
    n, positives = (
        weights @ np.bincount(cell, weights=column, minlength=shape[0] * bins).reshape(shape)
        for column in (np.ones_like(y), y)
    )
    draws = {}
    for index, (name, slope) in enumerate(
        {"calibration_intercept": False, "calibration_slope": True}.items()
    ):
        binned = fit_calibration(n, positives, centre, slope=slope)[index]
        every = np.ones((1, len(y)))
        draws[name] = binned - binned[0] + fit_calibration(every, y[None], logit, slope=slope)[index][0]
    return draws


def fit_calibration(n: Array, positives: Array, logit: Array, *, slope: bool = True) -> tuple[Array, Array]:
    """Intercept and slope [draws] of the logistic regression of y on `logit` [bins].

    Of `n` [draws, bins] rows `positives` [draws, bins] are 1. NaN where there is no finite fit: one class,
    one score, or scores that tell the classes apart without error. `slope=False` holds the slope at 1.
    Newton's steps, halved while they make the fit worse: those of overconfident scores overshoot.
    """
    a, b = np.zeros(len(n)), np.ones(len(n))
    kept_a, kept_b, best, move = a, b, np.full(len(n), -np.inf), np.full(len(n), np.inf)
    for _ in range(NEWTON_STEPS):
        x = a[:, None] + b[:, None] * logit
        fit = (positives * x - n * np.logaddexp(0, x)).sum(axis=1)
        better = fit >= best - 1e-12 * np.abs(best)
        da, db = _newton_step(n, positives, logit, x, slope)
        kept_a, kept_b = np.where(better, a, kept_a), np.where(better, b, kept_b)
        best, move = np.where(better, fit, best), np.where(better, np.abs(da) + np.abs(db), np.inf)
        if np.nanmax(np.append(move, 0)) < NEWTON_END:
            break
        a, b = (np.where(better, k + d, (k + w) / 2) for k, d, w in ((kept_a, da, a), (kept_b, db, b)))
    one_score = slope and logit.min() == logit.max()
    good = (move < NEWTON_END) & (np.abs(a) < NO_LIMIT) & (np.abs(b) < NO_LIMIT) & (not one_score)
    return np.where(good, kept_a, np.nan), np.where(good, kept_b, np.nan)


def _newton_step(n: Array, positives: Array, logit: Array, x: Array, slope: bool) -> tuple[Array, Array]:
    p = expit(x)
    residual, v = positives - n * p, n * p * (1 - p)
    g0, h00 = residual.sum(axis=1), v.sum(axis=1)
    g1, h01, h11 = residual @ logit, v @ logit, v @ logit**2
    with np.errstate(divide="ignore", invalid="ignore"):
        if not slope:
            return g0 / h00, np.zeros(len(n))
        determinant = h00 * h11 - h01**2
        return (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant


def totals(columns: list[Array], block: Codes, weights: Array) -> Array:
    """Weighted sums [columns, draws] of row values: summed by block, then one matrix product."""
    sums = [np.bincount(block, weights=column, minlength=weights.shape[1]) for column in columns]
    return np.stack(sums) @ weights.T


def expit(logit: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(logit, -700, 700)))
