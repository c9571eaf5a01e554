"""Plots: well-formed SVG with the same bytes every time, and CSV that `dvc plots` can draw."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import numpy as np
import polars as pl

from mainline.records import Epoch, Figure, Slice
from pipeline.evaluation import plots

HISTORY = [Epoch(epoch=i, train_loss=1 / i, validation_loss=1.1 / i, lr=0.1) for i in range(1, 5)]
HOSTILE = "</text><script>alert(1)</script> $\\frac{"


def part(value: str, rows: int = 500, low: float | None = 0.1) -> Slice:
    figure = Figure(value=0.2, low=low, high=None if low is None else 0.3)
    undefined = Figure(value=None, low=None, high=None)
    return Slice(
        column="place", value=value, rows=rows, target=0.1, figures={"skill": figure, "gap": undefined}
    )


def draw_all(folder: Path) -> dict[str, bytes]:
    x = np.linspace(0, 1, 1000)
    plots.curves(
        folder, "roc", {"model": (x, np.sqrt(x)), "other": (x, x)}, "Title", ("a_b", "c"), "diagonal"
    )
    plots.learning(folder, HISTORY, 4, "log loss")
    bins = pl.DataFrame(
        {"predicted": [0.1, 0.2], "observed": [0.1, 0.3], "low": [0.05, None], "high": [0.2, None]}
    )
    plots.calibration(folder, bins.with_columns(rows=5), x, "Title", ("predicted", "observed"))
    parts = [part(HOSTILE), part("b", low=None)]
    plots.slices(folder, parts, parts[0].figures, ("skill", "gap"), "Title")
    plots.importance(folder, {HOSTILE: 0.1, "b": -0.01}, "log loss")
    plots.confusion(folder, np.array([[3, 1], [0, 0]]), ("a", HOSTILE), "Title")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_numbers_give_the_same_bytes_whatever_the_user_configured(tmp_path: Path):
    first = draw_all(tmp_path / "one")
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": False}):
        assert draw_all(tmp_path / "two") == first
    assert sorted(first) == sorted(
        f"{name}.{kind}"
        for name in ("roc", "learning", "calibration", "slices", "importance", "confusion")
        for kind in ("svg", "csv")
    )


def test_every_plot_is_well_formed_names_no_machine_and_runs_nothing(tmp_path: Path):
    for name, content in draw_all(tmp_path).items():
        if name.endswith(".svg"):
            root = ET.fromstring(content)  # noqa: S314 - ours
            assert not [element for element in root.iter() if element.tag.endswith("script")]
            assert b"dc:date" not in content
            assert str(tmp_path).encode() not in content


def test_curves_are_thinned_and_keep_their_ends(tmp_path: Path):
    draw_all(tmp_path)
    found = pl.read_csv(tmp_path / "roc.csv")
    assert found.columns == ["series", "a_b", "c"]
    ours = found.filter(pl.col("series") == "model")
    assert 50 < ours.height <= plots.POINTS + 1
    assert ours.row(0) == ("model", 0, 0)
    assert ours.row(-1) == ("model", 1, 1)


def test_a_slice_of_few_rows_does_not_set_the_axis() -> None:
    usual = [Figure(value=0.2, low=0.1, high=0.3)] * 6
    assert plots.span([*usual, Figure(value=-7, low=-30, high=1)]) == plots.span(usual)
    low, high = plots.span([*usual, Figure(value=0.5, low=0.3, high=0.7)]) or (0, 0)
    assert low < 0.1 and high > 0.7, "wider than the others, and still one that tells something"
    assert plots.span([Figure(value=0.2, low=None, high=None)]) is None
    assert plots.span([Figure(value=1, low=1, high=1)]) == (0.5, 1.5)


def test_of_more_slices_than_fit_the_title_says_how_many_are_drawn(tmp_path: Path) -> None:
    parts = [part(f"s{number}", rows=number + 1) for number in range(plots.SHOWN_SLICES + 1)]
    plots.slices(tmp_path, parts, parts[0].figures, ("skill", "gap"), "Title")
    told = f"the {plots.SHOWN_SLICES} largest of {len(parts)}"
    assert told in (tmp_path / "slices.svg").read_text()
    assert pl.read_csv(tmp_path / "slices.csv").height == len(parts)


def test_undefined_figures_are_empty_cells(tmp_path: Path):
    draw_all(tmp_path)
    found = pl.read_csv(tmp_path / "slices.csv")
    assert found["gap"].null_count() == 2
    assert found["skill_low"].to_list() == [0.1, None]
    assert found["value"].to_list() == [HOSTILE, "b"]
