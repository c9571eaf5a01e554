"""Facts for the tests of the report: one small review in which everything there can be is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mainline.profile import QUANTILES, ColumnProfile, Profile, TableProfile
from mainline.records import (
    Batch,
    Check,
    Epoch,
    Features,
    Figure,
    Metrics,
    Slice,
    Split,
    Training,
    Validation,
)
from mainline.report.facts import Base, Facts
from mainline.review import (
    Champion,
    Change,
    Comparison,
    Gate,
    LockState,
    Rule,
    Run,
    SliceChange,
    StaleStage,
)

COMMIT, CHAMPION, LOCK = "c" * 40, "a" * 40, "1" * 64
REASON = "log loss −0.0100 [−0.0150, −0.0050] against flight-delay#production#3, margin +0.0020"


def figure(value: float, width: float = 0.02) -> Figure:
    return Figure(value=value, low=value - width, high=value + width)


def metrics(**changes: Any) -> Metrics:
    base = {
        "task": "binary", "rows": 1000, "blocks": 30, "resamples": 100, "confidence": 0.95, "parameters": 99,
        "model_bytes": 1000, "threshold": 0.5, "figures": {"log_loss": figure(0.38), "roc_auc": figure(0.75)},
        "baselines": {"base_rate": {"log_loss": figure(0.47), "roc_auc": figure(0.5)}},
        "slices": [
            Slice(column="carrier", value="UA", rows=300, target=0.2, figures={"log_loss": figure(0.4)})
        ],
        "worst_slice": None, "importance": {}, "suspects": {},
    }  # fmt: skip
    return Metrics(**{**base, **changes})


def change(value: str, by: float, width: float = 0.005, column: str = "carrier") -> SliceChange:
    return SliceChange(
        column=column, value=value, rows=300, champion=0.4, candidate=0.4 + by, difference=figure(by, width)
    )


def comparison(**changes: Any) -> Comparison:
    base = {
        "task": "binary", "rows": 1000, "blocks": 30, "resamples": 2000, "confidence": 0.95,
        "slice_confidence": 0.975,
        "candidate": {"log_loss": figure(0.38), "roc_auc": figure(0.75)},
        "champion": {"log_loss": figure(0.39), "roc_auc": figure(0.75)},
        "differences": {"log_loss": figure(-0.01, 0.005), "roc_auc": figure(0.0, 0.004)},
        "slices": [change("UA", -0.02), change("HA", 0.001)],
    }  # fmt: skip
    return Comparison(**{**base, **changes})


def gate(**changes: Any) -> Gate:
    base = {
        "verdict": "promote", "reason": REASON,
        "rules": [Rule(name="margin log_loss", outcome="promote", observed=-0.01, limit=0.002, text=REASON)],
        "basis": "same rows", "commit": COMMIT, "lock_sha256": LOCK, "model_md5": "b" * 32,
        "champion": Champion(
            kind="production", name="flight-delay#production#3", commit=CHAMPION, model_md5="d" * 32
        ),
        "comparison": comparison(), "policy": {"margins": {"log_loss": 0.002}},
        "changes": [Change(key="gate.margins.log_loss", before="0.002", after="0.05")],
        "warnings": ["the work tree has changes that are not committed"],
    }  # fmt: skip
    return Gate(**{**base, **changes})


def numbers(low: float, high: float, nulls: float = 0.0) -> ColumnProfile:
    step = (high - low) / (QUANTILES - 1)
    return ColumnProfile(
        dtype="float64", nulls=nulls, quantiles=[round(low + i * step, 6) for i in range(QUANTILES)]
    )


def profile(month: str, temp: ColumnProfile, carriers: dict[str, float], **more: ColumnProfile) -> Profile:
    carrier = ColumnProfile(dtype="string", nulls=0, shares=carriers)
    months = {"2013-08": 500, month: 400}
    return Profile(
        tables={
            "raw/flights": TableProfile(months=months, columns={"temp": temp, "carrier": carrier, **more})
        }
    )


def validation(severity: str = "warning", sample: list[dict[str, str]] | None = None) -> Validation:
    check = Check(
        expectation="expect_column_values_to_be_between", column="wind_speed", expected="max_value=120.0",
        severity=severity, success=False, observed="1 of 400 rows (0.25 %)", unexpected=1,
        sample=[{"origin": "EWR", "wind_speed": "1048.36"}] if sample is None else sample,
    )  # fmt: skip
    status = "failed" if severity == "critical" else "warning"
    batch = Batch(
        table="weather",
        month="2013-09",
        rows=400,
        status=status,
        checks=51,
        failures=[check],
        quarantine=None,
    )
    return Validation(status=status, batches=[batch])


def stale(**changes: Any) -> LockState:
    base = {
        "state": "stale", "commit": COMMIT, "lock_sha256": LOCK, "remote": "store", "objects": 3,
        "stale": [StaleStage(stage="train", reasons=["params.yaml: train.lr changed"])],
    }  # fmt: skip
    return LockState(**{**base, **changes})


def split(month: str) -> Split:
    return Split(first_month=month, last_month=month, rows=1000, blocks=30, excluded={}, target={"mean": 0.2})


def facts(**changes: Any) -> Facts:
    epochs = [Epoch(epoch=i, train_loss=0.5 / i, validation_loss=0.6 / i, lr=0.01) for i in (1, 2, 3)]
    whole = Facts(
        commit=COMMIT, branch="slower", title="Learn slower", lock_sha256=LOCK, gate=gate(),
        metrics=metrics(),
        base=Base(
            name="main", commit=CHAMPION, metrics=metrics(),
            params={"train": {"lr": 0.004}, "gate": {"x": 1}},
            profile=profile("2013-09", numbers(0, 50), {"UA": 0.75, "HA": 0.25}, old=numbers(0, 1)),
        ),
        params={"train": {"lr": 0.002, "epochs": 5}, "gate": {"x": 2}},
        profile=profile("2013-10", numbers(10, 60, 0.01), {"UA": 0.5, "HA": 0.25, "ZZ": 0.25}),
        run=Run(
            ran=["train"], cached=["featurize"], unchanged=["ingest"], seconds={"train": 28.9},
            lock_sha256=LOCK,
        ),
        seconds={"featurize": 4.6, "ingest": 1.9},
        training=Training(
            device_class="cpu", precision="float32", parameters=99, best_epoch=3, calibration={},
            history=epochs,
        ),
        features=Features(train=split("2013-08"), validation=split("2013-09"), test=split("2013-10")),
        validations=(validation(),), calibration=((0.1, 0.12), (0.5, 0.45)), plots=("learning",),
        run_url="https://ci.example/runs/7", mlflow_run="make mlflow, then #/experiments/1/runs/abc",
    )  # fmt: skip
    return replace(whole, **changes)
