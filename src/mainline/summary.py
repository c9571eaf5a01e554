"""Pure: what a person sees after `mainline run`, from the records alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mainline.records import Figure, Metrics
from mainline.schema import Task

# The figures of the short table; `reports/metrics.json` and the model card have all of them.
HEADLINES: dict[Task, tuple[str, ...]] = {
    "binary": ("log_loss", "roc_auc", "pr_auc", "brier", "ece"),
    "multiclass": ("log_loss", "accuracy", "macro_f1", "macro_auc", "ece"),
    "regression": ("rmse", "mae", "r2", "bias"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text, ready for a terminal or for Markdown."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def figures(metrics: Metrics) -> Table:
    """The model's headline figures with intervals, beside the baselines on the same rows."""
    names = tuple(metrics.baselines)
    rows = [
        (
            name.replace("_", " "),
            _with_interval(metrics.figures.get(name)),
            *(_plain(metrics.baselines[baseline].get(name)) for baseline in names),
        )
        for name in HEADLINES[metrics.task]
    ]
    level = f"{metrics.confidence:.0%}"
    return Table(("figure", f"model [{level} interval]", *(n.replace("_", " ") for n in names)), tuple(rows))


def timings(seconds: Mapping[str, Mapping[str, float]]) -> Table:
    """Seconds of each stage that ran, and how much of them was start-up (Python, imports)."""
    rows = [(name, f"{s['total']:.1f}", f"{s['startup']:.1f}") for name, s in seconds.items()]
    total = [sum(s[key] for s in seconds.values()) for key in ("total", "startup")]
    return Table(("stage", "seconds", "start-up"), (*rows, ("all", f"{total[0]:.1f}", f"{total[1]:.1f}")))


def _with_interval(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "undefined"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def _plain(figure: Figure | None) -> str:
    return "undefined" if figure is None or figure.value is None else f"{figure.value:.4f}"
