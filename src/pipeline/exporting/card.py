"""The model card: Markdown from the records and the use case's own words. Pure, and the same every time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10

from mainline.records import Features, Figure, Metrics, Slice, Split, Training
from mainline.schema import Column, FeatureTable
from pipeline.text import code, inert, shown

SLICE_FIGURES = 3  # how many figures the table of slices shows: the first ones of the record
CALIBRATION = ("ece", "calibration_slope", "calibration_intercept")


@dataclass(frozen=True, slots=True)
class Words:
    """What the use case says about itself."""

    name: str
    summary: str
    uses: Sequence[str]
    not_for: Sequence[str]
    limits: Sequence[str]


def render(
    words: Words,
    table: FeatureTable,
    features: Features,
    training: Training,
    metrics: Metrics,
    weights_sha256: str,
) -> str:
    """The whole card. Values that come from data are made inert; the schema's words are shown as written."""
    parts = [
        f"# {inert(words.name)}\n\n{words.summary}",
        f"## Use\n\nMeant for:\n\n{_list(words.uses)}\n\nNot for:\n\n{_list(words.not_for)}",
        f"## Data\n\n{_data(features, table)}",
        f"## Figures on the test window\n\n{_figures(metrics)}",
        f"## Calibration\n\n{_calibration(metrics, training)}",
        f"## Slices\n\n{_slices(metrics)}",
        f"## Inputs\n\n{_inputs(table.features)}",
        f"## Limits\n\n{_list(words.limits)}",
        f"## How it was made\n\n{_making(training, metrics, weights_sha256)}",
    ]
    return "\n\n".join(parts) + "\n"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1) -> str:
    rule = ["---" if index < numbers_from else "---:" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def number(value: float | None, beside: float | None = None) -> str:
    """Four decimals, fewer from 10 on, more of what is small; a dash where a figure is undefined.

    `beside`: the largest number that it stands with, whose decimals it gets, too.
    """
    if value is None:
        return "–"
    size = abs(value if beside is None else beside)
    if not (size == 0 or 1e-7 <= size < 1e7):
        return f"{value:.4g}"
    decimals = 4 if size == 0 or 0.001 <= size < 10 else max(0, 3 - floor(log10(size)))
    return f"{value:,.{decimals}f}"


def interval(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return number(figure.value)
    widest = max(map(abs, (figure.value, figure.low, figure.high)))
    value, low, high = (number(one, widest) for one in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high})"


def _data(features: Features, table: FeatureTable) -> str:
    rows = [
        _window(name, split)
        for name, split in (
            ("train", features.train),
            ("validation", features.validation),
            ("test", features.test),
        )
    ]
    head = ("window", "months", "rows", "blocks", f"mean of {code(table.target.name)}", "left out")
    if table.task == "multiclass":
        head = (*head[:4], "share of each class", head[5])
    note = (
        f"One row a {code(table.key.name)}: {shown(table.key.description, 160)}. "
        f"Target {code(table.target.name)}: {shown(table.target.description, 160)}. "
        f"Rows of one {code(table.block.name)} share one fate and are resampled together."
    )
    return f"{note}\n\n{_table(head, rows, 2)}"


def _window(name: str, split: Split) -> tuple[str, ...]:
    months = (
        split.first_month
        if split.first_month == split.last_month
        else (f"{split.first_month} to {split.last_month}")
    )
    values = list(split.target.items())
    target = (
        number(values[0][1])
        if len(values) == 1
        else ", ".join(f"{inert(label)} {number(share)}" for label, share in values)
    )
    excluded = ", ".join(f"{inert(reason)} {count:,}" for reason, count in split.excluded.items())
    return name, months, f"{split.rows:,}", f"{split.blocks:,}", target, excluded or "none"


def _figures(metrics: Metrics) -> str:
    baselines = list(metrics.baselines)
    rows = [
        (
            f"`{inert(name)}`",
            interval(figure),
            *(interval(metrics.baselines[other].get(name)) for other in baselines),
        )
        for name, figure in metrics.figures.items()
    ]
    note = (
        f"{metrics.rows:,} rows in {metrics.blocks:,} blocks; in brackets the {metrics.confidence:.0%} "
        f"interval of {metrics.resamples:,} bootstrap resamples of whole blocks. "
        "Baselines are scored on the same rows."
    )
    if metrics.threshold is not None:
        note += f" Decisions are taken at a probability of {number(metrics.threshold)}."
    return f"{note}\n\n{_table(('figure', 'model', *map(inert, baselines)), rows)}"


def _calibration(metrics: Metrics, training: Training) -> str:
    known = [f"`{name}` {interval(metrics.figures[name])}" for name in CALIBRATION if name in metrics.figures]
    fitted = [f"{inert(name)} {number(value)}" for name, value in training.calibration.items()]
    lines = []
    if fitted:
        lines.append(f"Fitted on the validation window: {', '.join(fitted)}.")
    if known:
        lines.append(f"On the test window: {', '.join(known)}.")
    return _list(lines) if lines else "Not calibrated."


def _slices(metrics: Metrics) -> str:
    if not metrics.slices:
        return "None."
    names = list(dict.fromkeys(name for one in metrics.slices for name in one.figures))[:SLICE_FIGURES]
    worst = metrics.worst_slice and (metrics.worst_slice.column, metrics.worst_slice.value)
    rows = [_slice(one, names, (one.column, one.value) == worst) for one in metrics.slices]
    head = ("slice", "value", "rows", "target", *(f"`{inert(name)}`" for name in names))
    return f"The worst one is in bold; small ones are shown, never called worst.\n\n{_table(head, rows, 2)}"


def _slice(one: Slice, names: Sequence[str], worst: bool) -> tuple[str, ...]:
    value = f"**{inert(one.value)}** (worst)" if worst else inert(one.value)
    figures = (interval(one.figures.get(name)) for name in names)
    return inert(one.column), value, f"{one.rows:,}", number(one.target), *figures


def _inputs(columns: Sequence[Column]) -> str:
    rows = [
        (
            code(column.name),
            "text" if column.categorical else column.dtype.rstrip("0123456789"),
            shown(column.unit) or "–",
            _range(column),
            "yes" if column.nullable else "no",
            shown(column.description, 160),
        )
        for column in columns
    ]
    return _table(("feature", "type", "unit", "possible values", "may be missing", "meaning"), rows, 6)


def _range(column: Column) -> str:
    if column.values:
        return shown(", ".join(column.values), 120)
    if column.minimum is None and column.maximum is None:
        return "any"
    low, high = ("" if end is None else f"{end:g}" for end in (column.minimum, column.maximum))
    return f"{low} to {high}".strip() if low and high else f"at least {low}" if low else f"at most {high}"


def _making(training: Training, metrics: Metrics, weights_sha256: str) -> str:
    lines = [
        f"{training.parameters:,} parameters, {metrics.model_bytes:,} bytes of weights, trained on "
        f"{inert(training.device_class)} in {inert(training.precision)}",
        f"best epoch {training.best_epoch} of {len(training.history)}, by validation loss",
        f"weights: SHA-256 `{weights_sha256}`",
        "to make the same files again: check this commit out and run `make run` "
        "(the same bytes on every x86-64 processor with AVX2)",
    ]
    return _list(lines)
