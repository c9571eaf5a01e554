"""The plots of an evaluation: each as SVG, and the same numbers as CSV for `dvc plots`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mainline.records import Epoch, Figure, Slice
from pipeline.evaluation.canvas import BLUE, GREY, ORANGE, STYLES, drawing, label, table
from pipeline.text import inert

Array = NDArray[np.float64]

POINTS = 200  # of a drawn curve
SHOWN = 20  # features of the importance plot
SHOWN_SLICES = 45
WIDE = 5  # times the usual width of an interval: one that is wider does not set the axis
ENDS = {"": "value", "_low": "low", "_high": "high"}


def curves(
    folder: Path,
    name: str,
    lines: dict[str, tuple[Array, Array]],
    title: str,
    axes: tuple[str, str],
    base: str,
) -> None:
    """`<name>.svg` and `.csv`: one line (x, y) a model, the first one is ours.

    `base`: "diagonal", or a number as text for a level line: what knowing nothing gives.
    """
    thin = {key: _thinned(x, y) for key, (x, y) in lines.items()}
    frames = [pl.DataFrame({"series": key, axes[0]: x, axes[1]: y}) for key, (x, y) in thin.items()]
    table(folder / f"{name}.csv", pl.concat(frames))
    with drawing(folder / f"{name}.svg", 5.6, 5) as (ax,):
        ends = (0, 1) if base == "diagonal" else (float(base), float(base))
        ax.plot((0, 1), ends, color="#bbbbbb", lw=1, label="no knowledge")
        for (key, (x, y)), (colour, dash, width) in reversed(list(zip(thin.items(), STYLES, strict=False))):
            ax.plot(x, y, color=colour, ls=dash, lw=width, label=label(key))
        ax.set(xlim=(0, 1), ylim=(0, 1.01), title=title)
        ax.set(xlabel=_capital(label(axes[0])), ylabel=_capital(label(axes[1])))
        handles, names = ax.get_legend_handles_labels()
        ax.legend(handles[::-1], names[::-1], loc="lower right" if base == "diagonal" else "upper right")


def calibration(folder: Path, bins: pl.DataFrame, scores: Array, title: str, axes: tuple[str, str]) -> None:
    """`calibration.svg` and `.csv`: observed beside predicted by bin, with intervals, above all predictions.

    `bins` has predicted, observed, low, high (null: no interval) and rows.
    """
    table(folder / "calibration.csv", bins)
    known = bins.with_columns(pl.col("low", "high").fill_null(pl.col("observed")))
    x, y, low, high = (known[name].to_numpy() for name in ("predicted", "observed", "low", "high"))
    with drawing(folder / "calibration.svg", 5.6, 5.8, height_ratios=[4, 1]) as (ax, below):
        ends = [min(x.min(), low.min()), max(x.max(), high.max())]
        ax.plot(ends, ends, color="#bbbbbb", lw=1, label="predicted = observed")
        errors = [np.maximum(y - low, 0), np.maximum(high - y, 0)]
        ax.errorbar(x, y, errors, color=BLUE, fmt="o-", ms=4, lw=1.5, elinewidth=1, capsize=2, label="model")
        ax.set(ylabel=_capital(axes[1]), title=title)
        ax.legend(loc="upper left")
        below.hist(scores, bins=50, color=BLUE, alpha=0.6)
        ax.figure.align_ylabels([ax, below])
        below.set(xlabel=_capital(axes[0]), ylabel="Rows")
        below.sharex(ax)
        ax.tick_params(labelbottom=False)


def learning(folder: Path, history: Sequence[Epoch], best: int, loss: str) -> None:
    """`learning.svg` and `.csv`: mean loss by epoch of training and validation rows."""
    epochs = [item.epoch for item in history]
    lines = {
        "train": [item.train_loss for item in history],
        "validation": [item.validation_loss for item in history],
    }
    frames = [pl.DataFrame({"epoch": epochs, "series": key, "loss": values}) for key, values in lines.items()]
    table(folder / "learning.csv", pl.concat(frames))
    with drawing(folder / "learning.svg") as (ax,):
        for (key, values), (colour, dash, width) in zip(lines.items(), STYLES, strict=False):
            ax.plot(epochs, values, color=colour, ls=dash, lw=width, marker="o", ms=4, label=key)
        ax.axvline(best, color="#bbbbbb", lw=1, label="kept")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        title = f"Validation {loss} is lowest after epoch {best}"
        ax.set(xlabel="Epoch", ylabel=f"Mean {loss}", title=title)
        ax.legend()


def slices(
    folder: Path, parts: Sequence[Slice], whole: dict[str, Figure], shown: Sequence[str], title: str
) -> None:
    """`slices.svg` and `.csv`: two figures by slice with their intervals, beside those of all rows."""
    columns = ["column", "value", "rows", "target"]
    records = [
        {name: getattr(part, name) for name in columns}
        | {
            f"{name}{end}": getattr(figure, key)
            for name, figure in part.figures.items()
            for end, key in ENDS.items()
        }
        for part in parts
    ]
    if not records:
        return
    table(folder / "slices.csv", pl.DataFrame(records, infer_schema_length=None))
    kept = {id(part) for part in sorted(parts, key=lambda part: -part.rows)[:SHOWN_SLICES]}
    drawn = [part for part in parts if id(part) in kept]
    place = np.cumsum(
        [
            1 + 0.6 * (index > 0 and a.column != b.column)
            for index, (a, b) in enumerate(zip(drawn, [drawn[0], *drawn], strict=False))
        ]
    )
    if len(drawn) < len(parts):
        title = f"{title}; the {len(drawn)} largest of {len(parts)}"
    with drawing(folder / "slices.svg", 8.2, 1.6 + 0.21 * place[-1], width_ratios=[1, 1]) as axes:
        for ax, name in zip(axes, shown, strict=True):
            _intervals(ax, [part.figures[name] for part in drawn], place)
            if ends := span([whole[name], *(part.figures[name] for part in drawn)]):
                ax.set_xlim(*ends)
            if (value := whole[name].value) is not None:
                ax.axvline(value, color=ORANGE, lw=1, ls="--")
            ax.set(xlabel=f"{_capital(label(name))} (dashed: all rows)", ylim=(place[-1] + 0.8, 0.2))
            ax.grid(axis="y", visible=False)
        names = [f"{part.column}: {inert(part.value, 24)}  ({part.rows:,})" for part in drawn]
        axes[0].set_yticks(place, names, fontsize=8)
        axes[1].set_yticks(place, [])
        axes[0].figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")


def span(figures: Sequence[Figure]) -> tuple[float, float] | None:
    """Ends of the axis, by the intervals that tell something; None: without any interval.

    That of a slice of nine rows would leave no room for the others, and is cut.
    """
    known = [(one.low, one.high) for one in figures if one.low is not None and one.high is not None]
    if not known:
        return None
    usual = float(np.median([high - low for low, high in known]))
    telling = [(low, high) for low, high in known if high - low <= WIDE * usual]
    low, high = min(low for low, _ in telling), max(high for _, high in telling)
    room = 0.05 * (high - low) or 0.5
    return low - room, high + room


def importance(folder: Path, growth: dict[str, float], loss: str) -> None:
    """`importance.svg` and `.csv`: growth of the mean loss when a feature is shuffled, largest first."""
    table(
        folder / "importance.csv",
        pl.DataFrame({"feature": list(growth), "loss_increase": list(growth.values())}),
    )
    names, values = list(growth)[:SHOWN], list(growth.values())[:SHOWN]
    if not names:
        return
    with drawing(folder / "importance.svg", 7, 1.4 + 0.24 * len(names)) as (ax,):
        ax.barh(
            range(len(names)), values, color=[BLUE if value > 0 else GREY for value in values], height=0.7
        )
        ax.set_yticks(range(len(names)), [inert(name, 32) for name in names])
        title = f"The model leans most on {inert(names[0], 32)}" if values[0] > 0 else "No feature matters"
        ax.set(ylim=(len(names) - 0.4, -0.6), title=title)
        ax.set_xlabel(f"Increase of mean {loss} when the feature is shuffled")
        ax.grid(axis="y", visible=False)


def confusion(folder: Path, counts: NDArray[np.int64], classes: Sequence[str], title: str) -> None:
    """`confusion.svg` and `.csv`: how often each class [rows] was called each class [columns]."""
    cells = [(a, p, int(counts[i, j])) for i, a in enumerate(classes) for j, p in enumerate(classes)]
    table(folder / "confusion.csv", pl.DataFrame(cells, schema=["actual", "predicted", "rows"], orient="row"))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.4, 1.6 + 0.5 * len(classes))
    with drawing(folder / "confusion.svg", size + 0.6, size) as (ax,):
        ax.pcolormesh(share, cmap="Blues", vmin=0, vmax=1, edgecolors="white", lw=1)
        for i, j in np.ndindex(*counts.shape):
            colour = "white" if share[i, j] > 0.5 else "#333333"
            ax.text(j + 0.5, i + 0.5, f"{counts[i, j]:,}", ha="center", va="center", color=colour, fontsize=8)
        ticks = [inert(name, 16) for name in classes]
        ax.set_xticks(np.arange(len(ticks)) + 0.5, ticks)
        ax.set_yticks(np.arange(len(ticks)) + 0.5, ticks)
        ax.set(xlabel="Predicted class", ylabel="Actual class", title=title)
        ax.invert_yaxis()
        ax.grid(visible=False)


def _intervals(ax: Axes, figures: Sequence[Figure], place: Array) -> None:
    """Dots with intervals; an open dot has no interval, an undefined figure no dot."""
    for figure, y in zip(figures, place, strict=True):
        if figure.value is None:
            continue
        known = figure.low is not None and figure.high is not None
        if figure.low is not None and figure.high is not None:
            ax.plot([figure.low, figure.high], [y, y], color=BLUE, lw=1.5, alpha=0.5, solid_capstyle="butt")
        ax.plot([figure.value], [y], "o", ms=4, color=BLUE, mfc=BLUE if known else "white")


def _thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """At most POINTS points of a curve, evenly along it, with both ends."""
    length = np.cumsum(np.abs(np.diff(x, prepend=x[0])) + np.abs(np.diff(y, prepend=y[0])))
    wanted = np.linspace(0, length[-1], POINTS)
    kept = np.unique(np.append(np.searchsorted(length, wanted), len(x) - 1).clip(max=len(x) - 1))
    return x[kept], y[kept]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
