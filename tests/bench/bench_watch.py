"""The watch on a year of real flights: its decision beside hindsight, and the day on which faults show.

For every model trained to a month, and each later month: would one trained to that month have had a lower log
loss on the month after it, beyond the interval of the paired difference over whole days? Every model is made
by the pipeline's stages and served as a Bento; months are sent to it, and the records are those of its log.
`--quick`: three models, not seven. A folder as argument holds what was made before: `watched_flights.cache`.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pipeline import determinism

os.environ.update(determinism.PINS, DO_NOT_TRACK="1")

import polars as pl

from mainline import watching
from mainline.records import Figure, write_atomically
from mainline.watching import Watch
from monitoring import faults
from monitoring.labels import SOURCE
from pipeline import frames, paths
from tests.bench.watched_flights import EXCLUDED, KEY, RELEASED, TIME, Flights, cache
from tests.bench.watched_release import Release, days, released
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
RULES = (
    "the watch", "the watch, alarms alone", "the watch, no backtest", "Evidently's default", "above recorded",
)  # fmt: skip
EVIDENTLY, ABOVE = RULES[-2:]
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
    os.chdir(ROOT)
    started = time.perf_counter()
    arguments = [one for one in sys.argv[1:] if not one.startswith("--")]
    flights = Flights.load(Path(arguments[0]).absolute() if arguments else cache())
    trained = list(RELEASED)[-3:] if "--quick" in sys.argv else list(RELEASED)
    cases = [
        _case(flights, model, month) for model in trained[:-1] for month in range(model + 1, trained[-1] + 1)
    ]
    _table(cases)
    _confusion(cases)
    _policies(flights, cases, trained)
    _faults(flights, trained[-2])
    print(f"\n{(time.perf_counter() - started) / 60:.0f} minutes, for what the folder did not hold yet")
    return 0


def _case(flights: Flights, model: int, month: int) -> Case:
    record, gain = flights.hindsight(model, month)
    watch = watching.decide(record, flights.policy)
    slides = flights.policy.retrain.model_copy(update={"train_months": 1})  # more months are no reason
    alarms = watching.decide(record, flights.policy.model_copy(update={"retrain": slides}))
    alone = watching.decide(record.model_copy(update={"backtest": None}), flights.policy)
    recorded = record.reference.figures[LOSS].high
    seen = next(one for one in record.months if one.first[:7] == f"2013-{month:02}").figures[LOSS].value
    told = (
        watch.verdict == "retrain",
        alarms.verdict == "retrain",
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

    train = pl.read_parquet(flights.release(model).root / paths.FEATURES / "train.parquet")
    run = Report([DataDriftPreset()]).run(sampled(flights.rows(*days(month))), sampled(train)).dict()
    count = next(one for one in run["metrics"] if "DriftedColumnsCount" in one["metric_name"])
    write_atomically(cached, str(count["value"]["share"]).encode())
    return float(count["value"]["share"])


def _table(cases: list[Case]) -> None:
    print("| trained to | month | a retraining in the month after | helped | the watch | Evidently | above |")
    print("|---|---|---|---|---|---|---|")
    for one in cases:
        gain = f"{one.gain.value:+.4f} [{one.gain.low:+.4f}, {one.gain.high:+.4f}]"
        marks = ["yes" if one.flagged[name] else "" for name in (EVIDENTLY, ABOVE)]
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
            losses.append(flights.loss(model, month, LOSS))
            if month <= trained[-1] and rule(model, month):
                model, made = month, made + 1
        print(f"| {name} | {made} | {sum(losses) / len(losses):.4f} |", flush=True)


def _faults(flights: Flights, model: int) -> None:
    """Each fault in what is sent to the service from BROKEN on, and the day on which the check finds it."""
    release = flights.release(model)
    clean = flights.rows(released(model), BROKEN + timedelta(days=PATIENCE - 1))
    print(f"\nfaults from {BROKEN} on, the model trained to 2013-{model:02}\n")
    print("| fault | with the raw data: day, by | labels alone: day, by |\n|---|---|---|")
    for name in FAULTS:
        fault = faults.parse(name, since=BROKEN)
        broken = faults.apply(clean, fault)
        log = release.answer(broken, release.root / "faults" / fault.name.replace(":", "-"))
        table = _labels(broken, log.with_suffix(".parquet"))
        places = ["source", str(table)] if fault.kind != "flip" else [str(table)]
        told = [_detected(flights, release, log, place) for place in places]
        print(f"| {fault.name} | {' | '.join(['–', *told][-2:])} |", flush=True)


def _labels(rows: pl.DataFrame, path: Path) -> Path:
    """As a table, each known a day after its flight, as those from the raw data are."""
    late = (pl.col(TIME) + timedelta(days=1)).alias("known_at")
    frames.write(rows.select(KEY, FEATURES.target.name, EXCLUDED, late), path)
    return path


def _detected(flights: Flights, release: Release, log: Path, labels: str) -> str:
    """The first day (1: that of the fault) with a finding that was not there before, and its name."""
    known: set[tuple[str, str | None]] | None = None
    for day in range(PATIENCE):
        until = BROKEN + timedelta(days=day - 1)
        features = SOURCE if labels == SOURCE else "none"  # what labels alone show
        flags = (
            "--labels",
            labels,
            "--features",
            features,
            "--known-by",
            f"{until + timedelta(days=1)}T00:00",
        )
        found = release.check(log, until, flights.records / "day.json", *flags)
        watch = watching.decide(found, flights.policy)
        asks = {(one.name, one.column) for one in watch.findings if one.outcome in ("watch", "retrain")}
        if known is None:
            known = asks
        elif new := sorted(asks - known, key=str):
            return f"{day}, {', '.join(f'{name} {column or str()}'.strip() for name, column in new[:2])}"
    return f"not in {PATIENCE - 1}"


if __name__ == "__main__":
    sys.exit(main())
