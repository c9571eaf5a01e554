"""The watch on a year of real flights: its decision beside hindsight, and the day on which faults show.

For every model trained to a month, and each later month: would one trained to that month have had a lower log
loss on the month after it, beyond the interval of the paired difference over whole days? Scores are those of
the ONNX files; that the service answers the same, serving's tests show. `--quick`: three models, not seven.
A folder as argument holds what was trained before, see `_cache`.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pipeline import determinism

os.environ.update(determinism.PINS, DO_NOT_TRACK="1")

import polars as pl

from mainline import watching
from mainline.records import Figure
from mainline.watching import Watch
from monitoring import faults
from monitoring.observed import KNOWN
from tests.bench.watched_flights import EXCLUDED, KEY, RELEASED, TIME, Flights, days, figures_of, released
from tests.imports import ROOT
from usecase.schema import FEATURES

LOSS = "log_loss"
SAMPLE = 5000  # rows a side for Evidently
BROKEN = date(2013, 11, 15)  # first day of the faults
PATIENCE = 14  # days
FAULTS = (
    "stuck:temp",
    "stuck:origin_left",
    "unit:temp",
    "unit:distance",
    "airport",
    "null:seats:0.9",
    "flip",
)
RULES = ("the watch", "the watch, no backtest", "Evidently's default", "above recorded")
Answers = dict[str, bool]


@dataclass(frozen=True)
class Case:
    """A model (trained to `model`) at the end of `month`. `gain`: of a retraining, in the month after it."""

    model: int
    month: int
    gain: Figure
    watch: Watch
    flagged: Answers

    @property
    def helped(self) -> bool:
        return self.gain.high is not None and self.gain.high < 0


def main() -> int:
    arguments = [one for one in sys.argv[1:] if not one.startswith("--")]
    flights = Flights.load(Path(arguments[0]) if arguments else _cache())
    trained = list(RELEASED)[-3:] if "--quick" in sys.argv else list(RELEASED)
    cases = [
        _case(flights, model, month) for model in trained[:-1] for month in range(model + 1, trained[-1] + 1)
    ]
    _table(cases)
    _confusion(cases)
    _policies(flights, cases, trained)
    _faults(flights, trained[-2])
    return 0


def _cache() -> Path:
    """A folder for this code and these parameters, so that another run trains nothing."""
    files = sorted([*(ROOT / "src/usecase").glob("*.py"), *(ROOT / "src/pipeline").rglob("*.py")])
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in (*files, ROOT / "params.yaml")))
    return ROOT / ".mainline" / "bench" / f"watch-{digest.hexdigest()[:12]}"


def _case(flights: Flights, model: int, month: int) -> Case:
    record, gain = flights.hindsight(model, month)
    watch = watching.decide(record, flights.policy)
    alone = watching.decide(record.model_copy(update={"backtest": None}), flights.policy)
    recorded = flights.reference(model).record.figures[LOSS].high
    seen = next(one for one in record.months if one.first[:7] == f"2013-{month:02}").figures[LOSS].value
    told = (
        watch.verdict == "retrain",
        alone.verdict == "retrain",
        _evidently(flights, model, month) >= 0.5,
        seen is not None and recorded is not None and seen > recorded,
    )
    return Case(model, month, gain[LOSS], watch, dict(zip(RULES, told, strict=True)))


def _evidently(flights: Flights, model: int, month: int) -> float:
    """Share of drifted columns of Evidently's preset, the month against the training rows."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    cached = flights.folder / f"evidently-{model:02}-{month:02}.txt"
    if cached.exists():
        return float(cached.read_text())
    numbers, texts = [one.name for one in FEATURES.numeric], [one.name for one in FEATURES.categorical]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)

    def sampled(rows: pl.DataFrame) -> Dataset:
        picked = rows.select(*[pl.col(name).cast(pl.Float64) for name in numbers], *texts)
        few = picked.sample(min(SAMPLE, picked.height), seed=1)
        return Dataset.from_pandas(few.to_pandas(), data_definition=definition)

    live = flights.between(flights.table, *days(month))
    run = Report([DataDriftPreset()]).run(sampled(live), sampled(flights.parts(model)["train"])).dict()
    count = next(one for one in run["metrics"] if "DriftedColumnsCount" in one["metric_name"])
    cached.write_text(str(count["value"]["share"]))
    return float(count["value"]["share"])


def _table(cases: list[Case]) -> None:
    print("| trained to | month | a retraining in the month after | helped | the watch | Evidently | above |")
    print("|---|---|---|---|---|---|---|")
    for one in cases:
        gain = f"{one.gain.value:+.4f} [{one.gain.low:+.4f}, {one.gain.high:+.4f}]"
        marks = ["yes" if one.flagged[name] else "" for name in RULES[2:]]
        print(
            f"| 2013-{one.model:02} | 2013-{one.month:02} | {gain} | {'yes' if one.helped else ''} | "
            f"{one.watch.verdict} | {' | '.join(marks)} |",
            flush=True,
        )


def _confusion(cases: list[Case]) -> None:
    print("\n| rule | right alarms | false alarms | missed | rightly quiet | mean gain of its alarms |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in RULES:
        count = Counter((one.flagged[name], one.helped) for one in cases)
        gains = [one.gain.value or 0 for one in cases if one.flagged[name]]
        mean = f"{sum(gains) / len(gains):+.4f}" if gains else "–"
        cells = [count[True, True], count[True, False], count[False, True], count[False, False]]
        print(f"| {name} | {' | '.join(map(str, cells))} | {mean} |")
    verdicts = Counter(one.watch.verdict for one in cases)
    print("\nverdicts: " + ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items())))


def _policies(flights: Flights, cases: list[Case], trained: list[int]) -> None:
    """Each rule lived through: the first model is released, and replaced whenever the rule says so."""
    by = {(one.model, one.month): one for one in cases}
    rules: dict[str, Callable[[int, int], bool]] = {
        "never": lambda *_: False,
        **{name: lambda model, month, name=name: by[model, month].flagged[name] for name in RULES},
        "every month": lambda *_: True,
    }
    print("\n| retrained when | retrainings | mean log loss of the months lived through |")
    print("|---|---:|---:|")
    for name, rule in rules.items():
        model, losses, made = trained[0], [], 0
        for month in range(trained[0] + 1, trained[-1] + 2):
            losses.append(_loss(flights, model, month))
            if month <= trained[-1] and rule(model, month):
                model, made = month, made + 1
        print(f"| {name} | {made} | {sum(losses) / len(losses):.4f} |", flush=True)


def _loss(flights: Flights, model: int, month: int) -> float:
    rows = flights.between(flights.answers(model), *days(month)).filter(pl.col(EXCLUDED).is_null())
    return figures_of(rows, flights.policy)[LOSS].value or 0.0


def _faults(flights: Flights, model: int) -> None:
    """Day by day from the day before the fault; a label is known a day later, the raw features at once."""
    clean = flights.between(flights.table, released(model), BROKEN + timedelta(days=PATIENCE))
    print(f"\nfaults from {BROKEN} on, the model trained to 2013-{model:02}\n")
    print("| fault | with the raw data: day, by | labels alone: day, by |\n|---|---|---|")
    for name in FAULTS:
        fault = faults.parse(name, since=BROKEN)
        broken = faults.apply(clean, fault)
        rows = flights.scored(model, broken)
        labels = flights.labels.join(broken.select(KEY, FEATURES.target.name), on=KEY, how="left", suffix="_")
        new = FEATURES.target.name
        labels = labels.with_columns(pl.coalesce(f"{new}_", new).alias(new)).drop(f"{new}_")
        late = flights.table.select(KEY, (pl.col(TIME) + timedelta(days=1)).alias("_late"))
        labels = labels.join(late, on=KEY).with_columns(pl.col("_late").alias(KNOWN)).drop("_late")
        told = [_detected(flights, model, rows, labels, clean if raw else None) for raw in (True, False)]
        print(f"| {fault.name} | {told[0]} | {told[1]} |", flush=True)


def _detected(
    flights: Flights, model: int, rows: pl.DataFrame, labels: pl.DataFrame, anew: pl.DataFrame | None
) -> str:
    """The first day (1: that of the fault) with a finding that was not there before, and its name."""
    known: set[tuple[str, str | None]] | None = None
    for day in range(PATIENCE):
        until = BROKEN + timedelta(days=day - 1)
        features = (
            None
            if anew is None
            else anew.select(KEY, FEATURES.block.name, *[f.name for f in FEATURES.features])
        )
        known_by = datetime.combine(until + timedelta(days=1), time.min)
        found = flights.measured(model, until, rows, labels=labels, anew=features, known_by=known_by)
        watch = watching.decide(found, flights.policy)
        asks = {(one.name, one.column) for one in watch.findings if one.outcome in ("watch", "retrain")}
        if known is None:
            known = asks
        elif new := sorted(asks - known, key=str):
            return f"{day}, {', '.join(f'{name} {column or str()}'.strip() for name, column in new[:2])}"
    return f"not in {PATIENCE - 1}"


if __name__ == "__main__":
    sys.exit(main())
