"""Bootstrap intervals over whole blocks: rows of one block share one fate and are drawn together.

Intervals by rows would be several times too narrow (the rows of a day share its luck). Percentile intervals
of the cluster bootstrap: Efron 1979; Field and Welsh 2007.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.records import Figure
from pipeline.evaluation import figures

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

SEED = 20131001  # a constant: any two evaluations of the same rows draw the same blocks
MINIMUM_BLOCKS = 5  # fewer have at most 35 different resamples: no interval can be read from them
DIGITS = 6  # significant digits of everything that is written


def block_codes(blocks: pl.Series) -> tuple[Codes, int]:
    """The code [n] of each row's block in sorted order, and how many blocks there are."""
    codes = blocks.rank("dense").to_numpy().astype(np.int64) - 1
    return codes, int(codes.max(initial=-1)) + 1


def draw(blocks: int, resamples: int, seed: int = SEED) -> Array:
    """Weights [1 + resamples, blocks]: a row of ones (the rows as they are), then how often each block came.

    Only the row of ones when there are fewer than MINIMUM_BLOCKS blocks.
    """
    ones = np.ones((1, blocks))
    if blocks < MINIMUM_BLOCKS:
        return ones
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, blocks, size=(resamples, blocks))
    cells = drawn + blocks * np.arange(resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=resamples * blocks).reshape(resamples, blocks)
    return np.concatenate([ones, counts.astype(np.float64)])


def summary(draws: Array, confidence: float) -> Figure:
    """The value (the first draw) with the percentile interval of the others.

    The interval is null without resamples, or when more than a tenth of them leave the figure undefined.
    """
    value, resampled = draws[0], draws[1:]
    defined = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or len(defined) == 0 or len(defined) < 0.9 * len(resampled):
        return Figure(value=rounded(value), low=None, high=None)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Figure(value=rounded(value), low=rounded(low), high=rounded(high))


def summaries(draws: figures.Draws, confidence: float) -> dict[str, Figure]:
    return {name: summary(values, confidence) for name, values in draws.items()}


def paired(
    rows: figures.Rows,
    first: Array,
    second: Array,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = SEED,
    names: Sequence[str] | None = None,
) -> dict[str, Figure]:
    """Figures of `first` minus those of `second`, two predictions of the same rows, on the same resamples.

    `rows.block` holds the codes of `block_codes`.
    """
    weights = draw(int(rows.block.max(initial=-1)) + 1, resamples, seed)
    one, two = (figures.compute(rows, prediction, weights, only=names) for prediction in (first, second))
    return {name: summary(one[name] - two[name], confidence) for name in names or one}


def rounded(value: float) -> float | None:
    """`value` to DIGITS significant digits; null when it is not finite."""
    return float(f"{float(value):.{DIGITS}g}") if np.isfinite(value) else None
