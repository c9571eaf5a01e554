"""How every plot looks, and how it becomes a file with the same bytes every time.

Text stays text (`svg.fonttype: none`): small, searchable, legible at any size; DejaVu is wide, so another
font fits the layout too. The ground is opaque and light, so a dark viewer shows the same picture. Colours are
Okabe and Ito's (2008), which colour-blind people can tell apart; lines differ in dash as well.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from mainline.records import Figure, write_atomically
from pipeline.evaluation.bootstrap import DIGITS

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8a8a8a"
STYLES = ((BLUE, "-", 2.2), (ORANGE, "--", 1.5), (GREEN, "-.", 1.5), (GREY, ":", 1.5), (PINK, "--", 1.5))
STYLE = {
    "svg.hashsalt": "mainline",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # matplotlib brings it, so the layout is the same on every machine
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
}
NAMES = {"hist_gradient_boosting": "gradient boosting", "gap": "observed minus predicted"}
UPPER = {"roc_auc": "ROC-AUC", "rmse": "RMSE", "mae": "MAE", "f1": "F1", "r2": "R²", "pr_auc": "PR-AUC"}


def label(name: str) -> str:
    return UPPER.get(name) or NAMES.get(name) or name.replace("_", " ")


def told(figure: Figure | None, digits: int = 3) -> str:
    """A figure as text, with its interval where it has one."""
    if figure is None or figure.value is None:
        return "undefined"
    value = f"{figure.value:.{digits}f}"
    if figure.low is None or figure.high is None:
        return value
    return f"{value} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"


@contextmanager
def drawing(
    path: Path, width: float = 7, height: float = 4.6, **ratios: Sequence[float]
) -> Iterator[list[Axes]]:
    """Axes (one below the other by `height_ratios`, beside by `width_ratios`), written to `path` as SVG."""
    rows, columns = len(ratios.get("height_ratios", [1])), len(ratios.get("width_ratios", [1]))
    with mpl.rc_context({**mpl.rcParamsDefault, **STYLE}):
        canvas = Canvas(figsize=(width, height), layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False, gridspec_kw=ratios)
        yield list(axes.ravel())
        buffer = io.BytesIO()
        FigureCanvasSVG(canvas).print_svg(buffer, metadata={"Date": None, "Creator": None})
    write_atomically(path, buffer.getvalue())


def table(path: Path, frame: pl.DataFrame) -> None:
    """Write `frame` as CSV, floats with DIGITS significant digits."""
    rounded = frame.with_columns(pl.col(pl.Float64).round_sig_figs(DIGITS))
    write_atomically(path, rounded.write_csv().encode())
