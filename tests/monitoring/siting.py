"""A state to draw: eight months, six releases, drift of 27 columns."""

from __future__ import annotations

import calendar
import hashlib
import math
from datetime import date, timedelta
from typing import Any

from mainline.drift import ColumnDrift, Drift, Labels, Malformed, Quality, Reference, Window
from mainline.records import Figure
from mainline.releases import Artifact, Release, Verdict
from mainline.state import Change, Evaluation, Pull, Resource, State, Version
from mainline.watching import Finding, Watch
from tests.monitoring import toys

MODEL = "flight-delay"
RELEASES = ("v1.0.0", "v1.1.0", "v1.2.0", "v2.0.0", "v2.0.1", "v2.1.0")
DAYS = ("2013-02-25", "2013-03-12", "2013-05-04", "2013-07-02", "2013-07-09", "2013-09-11")
COLUMNS = (
    "dep_hour", "dep_minute", "weekday", "month", "distance", "carrier", "origin", "dest", "tailnum_age",
    "seats", "engine", "manufacturer", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust",
    "precip", "pressure", "visib", "late_share_1h", "late_share_3h", "departures_1h", "mean_delay_3h",
    "route_mean", "carrier_mean",
)  # fmt: skip


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def figure(value: float, half: float = 0.03) -> Figure:
    return Figure(value=round(value, 5), low=round(value - half, 5), high=round(value + half, 5))


def release(version: str) -> Release:
    artifact = Artifact(
        name=f"flight-delay-{version}.bento", md5=md5(version), sha256=sha(version), bytes=900_000
    )
    return Release(
        model=MODEL, release=version, commit=sha(version)[:40], lock_sha256=sha("lock"),
        data_md5={"data/raw": f"{md5('raw' + version)}.dir", "data/features": f"{md5('rows' + version)}.dir"},
        model_md5=md5(version), model_sha256=sha(f"model {version}"),
        artifacts={"bento": artifact}, image=None,
        figures={"log_loss": 0.3839},
        gate=Verdict(
            verdict="promote" if version != "v2.0.0" else "hold",
            reason="log loss is as good as equal to v1.2.0's: at worst 0.0016 worse, limit 0.003",
            champion="flight-delay#production#3", accepted=version == "v2.0.0",
        ),
        mlflow_run=md5(f"run {version}"),
    )  # fmt: skip


def version(name: str, index: int) -> Version:
    return Version(
        version=name, commit=sha(name)[:40], who="Mei Tanaka", when=f"{DAYS[index]}T09:12:00+00:00",
        why=f"{MODEL} {name}", problem="", record=release(name),
        evaluation=Evaluation(
            rows=28_618, blocks=31, windows={"train": ["2012-06", "2013-01"], "test": ["2013-02", "2013-02"]},
            figures={"log_loss": figure(0.3939 - 0.006 * index),
                     "roc_auc": figure(0.742 + 0.004 * index, 0.02)},
        ),
    )  # fmt: skip


def change(stage: str, number: int, name: str, when: str, why: str) -> Change:
    return Change(
        stage=stage, number=number, version=name, commit=sha(name)[:40], who="Mei Tanaka",
        when=f"{when}T10:30:00+00:00", why=why,
    )  # fmt: skip


def column(name: str, index: int, month: int, **changed: Any) -> ColumnDrift:
    """Mostly chance; weather and the mean delays move with the season."""
    season = math.sin(month * 0.7 + index) ** 2
    distance = 0.012 + 0.004 * (index % 5) + (0.11 if 12 <= index <= 20 else 0.012) * season
    if name == "mean_delay_3h":
        distance = 0.04 + 0.05 * month
    values: dict[str, Any] = {
        "dtype": "float32", "rows": 27_000, "distance": round(distance, 4), "noise": 0.026,
        "before": round(distance / 2, 4), "nulls": 0.01, "nulls_reference": 0.01,
        "unknown": 0.0, "unknown_reference": 0.0, "out_of_range": 0.0, "out_of_range_reference": 0.0,
        "constant": False, "skew": 0.0,
    }  # fmt: skip
    if name == "wind_gust":
        values |= {"nulls": 0.76 + 0.02 * month, "nulls_reference": 0.74}
    if name == "dest" and month >= 6:
        values |= {"unknown": 0.03}
    return ColumnDrift(name=name, **(values | changed))


def window(month: int, names: tuple[str, ...] = COLUMNS, **changed: Any) -> Window:
    """Month 0 is 2013-03."""
    year, number = 2013 + (month + 2) // 12, (month + 2) % 12 + 1
    last = calendar.monthrange(year, number)[1]
    rows = 26_000 + 700 * ((month * 7) % 5)
    pending = 9_400 if changed.pop("pending", False) else 0
    loss = (0.38, 0.402, 0.371, 0.43, 0.448, 0.405, 0.417, 0.4381)[month % 8]
    versions = {v: rows for v, day in zip(RELEASES, DAYS, strict=True) if day[:7] <= f"{year}-{number:02d}"}
    newest = list(versions)[-1:]
    values: dict[str, Any] = {
        "name": f"{year}-{number:02d}", "first": f"{year}-{number:02d}-01",
        "last": f"{year}-{number:02d}-{last:02d}", "rows": rows, "blocks": last,
        "versions": dict.fromkeys(newest, rows) | ({"v2.0.0": 6_000} if month == 4 else {}), "duplicates": 12,
        "labels": Labels(
            joined=rows - pending - 610, pending=pending, late=pending // 4,
            excluded={"cancelled": 600, "diverted": 10}, share=(rows - pending - 610) / (rows - 610),
        ),
        "figures": {"log_loss": figure(loss, 0.028), "roc_auc": figure(0.75 - month / 200, 0.02)},
        "against": {"log_loss": figure(loss - 0.3639)} if newest == ["v2.1.0"] else {},
        "excess": figure(0.004 * month, 0.006), "recoverable": figure(0.003 * month, 0.004),
        "estimated": figure(loss - 0.01, 0.02),
        "columns": [column(name, index, month) for index, name in enumerate(names)],
        "score": column("score", 3, month), "target": column("target", 14, month),
    }  # fmt: skip
    return Window(**(values | changed))


def drift(months: int = 8, names: tuple[str, ...] = COLUMNS) -> Drift:
    newest = window(7, names, name="newest", first="2013-10-30", last="2013-10-31", rows=1_800, blocks=2)
    return Drift(
        task="binary",
        reference=Reference(
            model=MODEL, version="v2.1.0", commit=sha("v2.1.0")[:40], promoted="2013-09-11",
            windows={"train": ["2012-10", "2013-07"]}, rows=221_000,
            figures={"log_loss": figure(0.3639), "roc_auc": figure(0.762, 0.02)},
        ),
        until="2013-10-31", labelled_share=0.8,
        malformed=Malformed(lines=14, reasons={"not JSON": 9, "from the future": 5},
                            samples=['{"at": "2013-1']),
        recent=[window(7, names)], newest=newest,
        months=[window(index, names, pending=index == months - 1) for index in range(months)],
        backtest={"log_loss": figure(-0.012, 0.006)},
        quality=Quality(
            lines=216_000, newest="2013-10-31T22:10:00", age_days=0.1,
            missing={"wind_gust": 3}, extra={}, unknown_labels=4,
            volume={
                str(date(2013, 8, 9) + timedelta(days=i)): 0 if i == 40 else 850 + 60 * (i % 7)
                for i in range(84)
            },
        ),
    )  # fmt: skip


def released(until: date = date(2013, 11, 25)) -> Drift:
    """As the check writes it: 91 days of rows with labels, v0.9.0's up to `until`, then v1.0.0's."""
    frame = toys.answered_by("v0.9.0", until, first=date(2013, 9, 1), days=91)
    policy = toys.POLICY.model_copy(update={"months": 12})
    return toys.measure(
        frame.drop("target"), toys.labelled(frame), toys.reference(), policy, date(2013, 11, 30)
    )


def watch(**changed: Any) -> Watch:
    reason = "log loss is 0.0341 [0.0112, 0.0560] beyond the recorded one in 3 of 3 windows"
    values: dict[str, Any] = {
        "verdict": "retrain", "reason": reason, "until": "2013-10-31", "model": MODEL, "release": "v2.1.0",
        "findings": [
            Finding(name="log_loss", kind="performance", outcome="retrain", window="2013-10-04…31",
                    column=None, observed=0.0341, limit=0.003, text=reason),
            Finding(name="calibration", kind="calibration", outcome="watch", window="2013-10-04…31",
                    column=None, observed=0.019, limit=0.01,
                    text="recalibration alone would take 0.019 away"),
            Finding(name="drift", kind="drift", outcome="watch", window="2013-10-04…31",
                    column="mean_delay_3h", observed=0.39, limit=0.2,
                    text="mean_delay_3h moved far, and stays"),
            Finding(name="volume", kind="volume", outcome="quiet", window="newest", column=None,
                    observed=0.98, limit=0.5, text="as many rows as always"),
        ],
        "evidence": sha("evidence"),
    }  # fmt: skip
    return Watch(**(values | changed))


def pulls() -> list[Pull]:
    base = "https://github.com/example/flights/pull"
    return [
        Pull(number=61, title="Retrain flight-delay on the flights up to 2013-10", url=f"{base}/61",
             state="open", opened="2013-11-01T06:10:00Z", closed=None),
        Pull(number=48, title="Retrain flight-delay on the flights up to 2013-08", url=f"{base}/48",
             state="merged", opened="2013-09-03T06:10:00Z",
             closed="2013-09-10T15:00:00Z"),
        Pull(number=31, title="Retrain flight-delay on the flights up to 2013-05", url=f"{base}/31",
             state="closed", opened="2013-06-02T06:10:00Z",
             closed="2013-06-04T08:00:00Z"),
    ]  # fmt: skip


def state(**changed: Any) -> State:
    whys = (
        "the first model", "a month more of data", "weather three hours old", "features of other flights",
        "the service answers null for unknown airports", "retrained on the summer",
    )  # fmt: skip
    rows = list(zip(RELEASES, DAYS, whys, strict=True))
    production = [change("production", i + 1, v, day, why) for i, (v, day, why) in enumerate(rows)]
    staging = [
        change("staging", i + 1, v, day, f"{MODEL} {v} to staging") for i, (v, day, _) in enumerate(rows)
    ]
    values: dict[str, Any] = {
        "model": MODEL, "deciding": "log_loss", "commit": sha("head")[:40],
        "repository": "https://github.com/example/flights", "at": "2013-11-01T07:00:00+00:00",
        "now": {"production": production[-1], "staging": staging[-1]},
        "versions": [version(v, i) for i, v in reversed(list(enumerate(RELEASES)))],
        "history": sorted([*production, *staging], key=lambda one: (one.when, one.stage), reverse=True),
        "drift": drift(), "watch": watch(), "pulls": pulls(), "pulls_note": "",
        "resources": [
            Resource(name="Drift in full", about="Evidently's report", href="drift.html"),
            Resource(name="Data Docs", about="what the data must hold", href="data_docs/raw/index.html"),
            Resource(name="MLflow", about="runs and registry", href="https://mlflow.example.org/"),
        ],
        "notes": ["reports/report.html is not here: mainline report"],
    }  # fmt: skip
    return State(**(values | changed))


def rolled_back(**changed: Any) -> State:
    """Production is back at the version before."""
    before = state()
    back = change(
        "production", 7, RELEASES[-2], "2013-10-30", f"rollback from {RELEASES[-1]}: answers came late"
    ).model_copy(update={"left": RELEASES[-1]})
    values = {"now": {**before.now, "production": back}, "history": [back, *before.history]}
    return state(**(values | changed))


def bare(**changed: Any) -> State:
    """A repository in which nothing has happened yet."""
    nothing: dict[str, Any] = {
        "now": {}, "versions": [], "history": [], "drift": None, "watch": None, "pulls": None,
        "pulls_note": "The forge was not asked: GITHUB_TOKEN is not set.", "resources": [], "notes": [],
    }  # fmt: skip
    return state(**(nothing | changed))
