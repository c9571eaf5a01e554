"""Figures that need a sort: sorted once, then cumulated for some resamples at a time.

Weights are counts, so every cumulated sum is a whole number: exact, in whatever order it is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

CHUNK = 2**17  # cells of cumulated weights at a time: they stay in the processor's cache
TABLE = 2**23  # cells (64 MiB) of the table of cumulated counts by block; beyond it rows are cumulated a draw
TOP = 0.1  # the share of rows that `lift_10` looks at


@dataclass(frozen=True, slots=True)
class _Steps:
    """The distinct scores that have a positive row, from the highest down: where a curve can rise.

    `y` and `block` [n] in sorted order; rows `start` to `stop` [steps] have the step's score.
    """

    y: Array
    block: Codes
    start: Codes
    stop: Codes

    @classmethod
    def of(cls, y: Array, score: Array, block: Codes) -> _Steps:
        order = np.argsort(-score, kind="stable")
        stop = _ends(score[order])
        start = np.append(0, stop[:-1])
        risen = np.diff(np.cumsum(y[order])[stop - 1], prepend=0) > 0
        return cls(y[order], block[order], start[risen], stop[risen])


def rank_figures(y: Array, score: Array, block: Codes, weights: Array) -> dict[str, Array]:
    """Figures [draws] of the order of `score` [n] for `y` [n] of 0/1; rows of one score count as one step.

    ROC-AUC: the Mann-Whitney form (Hanley and McNeil 1982), a tie counts half. PR-AUC: average precision,
    without interpolation (Davis and Goadrich 2006). KS: the largest distance between the classes' cumulated
    shares. Lift: the positive share among the highest 10 % over that of all; a tie at the border is shared.
    """
    found = {name: np.full(len(weights), np.nan) for name in ("roc_auc", "pr_auc", "ks", "lift_10")}
    if len(y) == 0 or not y.any():
        return found
    steps, totals = _Steps.of(y, score, block), weights @ _by_block(block, y, weights.shape[1])
    above, within, hits = (_Cumulated(steps, kind) for kind in ("start", "stop", "hits"))
    for part in _chunks(len(weights), len(y) if above.table is None else len(steps.stop)):
        chunk, rows, positives = weights[part], totals[part, :1], totals[part, 1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = _curve_figures(above(chunk), within(chunk), hits(chunk), rows, positives)
        for name, value in values.items():
            found[name][part] = value
    return found


def _curve_figures(start: Array, stop: Array, tp: Array, rows: Array, positives: Array) -> dict[str, Array]:
    """From weights [draws, steps]: of rows above a step, of rows to its end, of positives to its end."""
    before = np.concatenate([np.zeros_like(rows), tp[:, :-1]], axis=1)
    rise, negatives = tp - before, rows - positives
    fp_start, fp_stop = start - before, stop - tp
    area = (rise * (2 * negatives - fp_start - fp_stop)).sum(axis=1) / 2
    precision = (rise * (tp / np.maximum(stop, 1))).sum(axis=1)
    apart = np.maximum(tp / positives - fp_stop / negatives, fp_start / negatives - before / positives)
    border, line = np.minimum((stop < TOP * rows).sum(axis=1), stop.shape[1] - 1), np.arange(len(rows))
    into = (TOP * rows[:, 0] - start[line, border]) / np.maximum(stop - start, 1)[line, border]
    top = before[line, border] + rise[line, border] * np.clip(into, 0, 1)
    return {
        "roc_auc": area / (positives * negatives)[:, 0],
        "pr_auc": precision / positives[:, 0],
        "ks": apart.max(axis=1),
        "lift_10": top / TOP / positives[:, 0],
    }


class _Cumulated:
    """Cumulated weights at every step, for some draws: by a table a block where that is small enough."""

    def __init__(self, steps: _Steps, kind: str) -> None:
        self.block = steps.block
        self.at = steps.start if kind == "start" else steps.stop
        self.value = steps.y if kind == "hits" else np.ones_like(steps.y)
        blocks = int(steps.block.max()) + 1
        self.table = self._table(blocks) if blocks * len(self.at) <= TABLE else None

    def _table(self, blocks: int) -> Array:
        """How many rows of each block lie before each step [blocks, steps]."""
        rows = [np.flatnonzero((self.block == index) & (self.value > 0)) for index in range(blocks)]
        return np.stack([np.searchsorted(row, self.at).astype(np.float64) for row in rows])

    def __call__(self, weights: Array) -> Array:
        if self.table is not None:
            return weights[:, : len(self.table)] @ self.table
        sums = np.cumsum(weights[:, self.block] * self.value, axis=1)
        return np.concatenate([np.zeros((len(weights), 1)), sums], axis=1)[:, self.at]


def roc_auc(y: Array, score: Array) -> float:
    """The plain ROC-AUC of all rows; NaN when there is one class."""
    return float(rank_figures(y, score, np.zeros(len(y), dtype=np.int64), np.ones((1, 1)))["roc_auc"][0])


def weighted_medians(values: Array, block: Codes, weights: Array) -> Array:
    """The median [draws] of `values` [n], each counted as often as its block was drawn."""
    order = np.argsort(values, kind="stable")
    medians = np.full(len(weights), np.nan)
    for part in _chunks(len(weights), len(values)):
        counts = np.cumsum(weights[part][:, block[order]], axis=1)
        half = counts[:, -1:] / 2
        low, high = (counts >= half).argmax(axis=1), (counts > half).argmax(axis=1)
        middle = (values[order][low] + values[order][high]) / 2
        medians[part] = np.where(counts[:, -1] > 0, middle, np.nan)
    return medians


def curve(y: Array, score: Array) -> tuple[Array, Array]:
    """True and false positives (counts) at each distinct score, from the highest down, starting at 0."""
    order = np.argsort(-score, kind="stable")
    stop = _ends(score[order])
    tp = np.append(0.0, np.cumsum(y[order])[stop - 1])
    return tp, np.append(0.0, stop) - tp


def best_threshold(y: Array, score: Array, false_positive: float, false_negative: float) -> float:
    """The threshold of least total cost: rows with at least this score are called positive.

    Between two scores of `y`'s rows, to six significant digits; of equal costs the highest one.
    """
    tp, fp = curve(y, score)
    cost = fp * false_positive + (y.sum() - tp) * false_negative
    best = int(cost.argmin())
    levels = np.concatenate([[max(1.0, score.max()) + 1e-3], np.unique(score)[::-1], [min(0.0, score.min())]])
    return float(f"{(levels[best] + levels[best + 1]) / 2:.6g}")


def _ends(ordered: Array) -> Codes:
    """Where each run of equal values ends (exclusive)."""
    return np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(ordered))


def _by_block(block: Codes, y: Array, blocks: int) -> Array:
    """Rows and positive rows of each block [blocks, 2]."""
    counts = [np.bincount(block, weights=column, minlength=blocks) for column in (np.ones_like(y), y)]
    return np.stack(counts, axis=1)


def _chunks(draws: int, cells: int) -> list[slice]:
    size = max(1, CHUNK // max(cells, 1))
    return [slice(start, min(start + size, draws)) for start in range(0, draws, size)]
