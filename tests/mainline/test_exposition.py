"""The watch's outcome as Prometheus reads it: every number under its name, whatever the names hold."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mainline import exposition
from mainline.drift import ColumnDrift, Drift, Labels, Malformed, Reference, Window
from mainline.records import Figure
from mainline.watching import Finding, Watch
from tests.imports import ROOT

NOW = datetime(2013, 11, 1, 6, tzinfo=UTC)
PROMTOOL = shutil.which("promtool")
NOTHING = Figure(value=None, low=None, high=None)


def column(name: str, **changes: Any) -> ColumnDrift:
    values: dict[str, Any] = {
        "name": name, "dtype": "float64", "rows": 900, "distance": 0.25, "noise": 0.0625, "before": None,
        "nulls": 0.5, "nulls_reference": 0.01, "unknown": 0.0, "unknown_reference": 0.0,
        "out_of_range": 0.0, "out_of_range_reference": 0.0, "constant": False, "skew": None,
    }  # fmt: skip
    return ColumnDrift(**{**values, **changes})


def window(columns: list[ColumnDrift], **changes: Any) -> Window:
    values: dict[str, Any] = {
        "name": "recent", "first": "2013-10-04", "last": "2013-10-31", "rows": 900, "blocks": 28,
        "versions": {"v1.0.0": 900}, "duplicates": 0,
        "labels": Labels(joined=342, pending=558, late=7, excluded={}, share=0.38),
        "figures": {"log_loss": Figure(value=0.5, low=0.45, high=0.55), "roc_auc": NOTHING},
        "against": {}, "excess": None, "recoverable": None, "estimated": None,
        "columns": columns, "score": column("score", distance=0.125), "target": None,
    }  # fmt: skip
    return Window(**{**values, **changes})


def drift(columns: list[ColumnDrift], model: str = "flight-delay", **changes: Any) -> Drift:
    values: dict[str, Any] = {
        "task": "binary", "until": "2013-10-31",
        "reference": Reference(
            model=model, version="v1.0.0", commit="0" * 40, promoted=None, windows={}, rows=9000,
            figures={"log_loss": Figure(value=0.375, low=None, high=None)},
        ),
        "malformed": Malformed(lines=5, reasons={"not JSON": 3, "another model": 2}, samples=[]),
        "recent": [window(columns, rows=1), window(columns)], "newest": None, "months": [], "backtest": None,
    }  # fmt: skip
    return Drift(**{**values, **changes})


def watch(model: str = "flight-delay", **changes: Any) -> Watch:
    finding: dict[str, Any] = {
        "name": "log_loss", "kind": "performance", "outcome": "retrain", "window": "recent", "column": None,
        "observed": 0.5, "limit": 0.4, "text": "worse",
    }  # fmt: skip
    values: dict[str, Any] = {
        "verdict": "retrain", "reason": "worse", "until": "2013-10-31", "model": model, "release": "v1.0.0",
        "findings": [Finding(**finding), Finding(**finding), Finding(**{**finding, "outcome": "quiet"})],
        "evidence": "0" * 64,
    }  # fmt: skip
    return Watch(**{**values, **changes})


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()) - {("model", "flight-delay")})
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def value(text: str, name: str, **labels: str) -> float | None:
    return read(text).get((f"mainline_{name}", frozenset(labels.items())))


def test_every_number_is_under_its_name() -> None:
    text = exposition.text(watch(), drift([column("temp")]), NOW)
    assert value(text, "watch_info", version="v1.0.0") == 1
    assert value(text, "watch_timestamp_seconds") == NOW.timestamp()
    assert value(text, "watch_until_timestamp_seconds") == datetime(2013, 11, 1, tzinfo=UTC).timestamp()
    for verdict in ("quiet", "insufficient", "watch", "retrain"):
        assert value(text, "watch_verdict", verdict=verdict) == (verdict == "retrain")
    assert value(text, "watch_findings", kind="performance", outcome="retrain") == 2
    assert value(text, "watch_findings", kind="fault", outcome="watch") == 0
    assert value(text, "watch_malformed_lines") == 5
    assert value(text, "recorded_figure", figure="log_loss") == 0.375
    assert value(text, "window_rows") == 900, "of the newest window"
    assert value(text, "window_labelled_share") == 0.38 and value(text, "window_late_labels") == 7
    assert value(text, "window_figure", figure="log_loss", bound="high") == 0.55
    assert value(text, "column_distance", column="temp") == 0.25
    assert value(text, "window_share", column="temp", kind="null") == 0.5
    assert value(text, "reference_share", column="temp", kind="null") == 0.01
    assert value(text, "score_distance") == 0.125


def test_what_is_undefined_is_left_out_not_zero() -> None:
    text = exposition.text(watch(), drift([column("temp", distance=None)]), NOW)
    assert value(text, "window_figure", figure="roc_auc", bound="value") is None
    assert value(text, "target_distance") is None and value(text, "column_distance", column="temp") is None
    assert value(text, "window_excess", bound="value") is None


def test_a_watch_without_any_window_still_says_that_it_ran() -> None:
    text = exposition.text(watch(verdict="insufficient", findings=[]), drift([], recent=[]), NOW)
    assert value(text, "watch_verdict", verdict="insufficient") == 1 and "mainline_window" not in text


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        exposition.text(watch(), drift([]), NOW.replace(tzinfo=None))


HOSTILE = 'a"} 1\nmainline_watch_verdict{model="x",verdict="quiet"} 1 \\'


@given(st.text(max_size=300))
def test_a_name_can_hold_anything(name: str) -> None:
    text = exposition.text(watch(name), drift([column(name)], model=name), NOW)
    text.encode()
    families = list(text_string_to_metric_families(text))
    names = {sample.labels["model"] for family in families for sample in family.samples}
    (shown,) = names
    assert len(shown) == min(len(name), exposition.LONGEST)
    assert all(one in (other, "?") for one, other in zip(shown, name, strict=False))
    assert all(math.isfinite(sample.value) for family in families for sample in family.samples)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not here")
def test_promtool_finds_nothing_to_say() -> None:
    text = exposition.text(watch(HOSTILE), drift([column("temp"), column(HOSTILE)], model=HOSTILE), NOW)
    assert text.endswith("\n") and text.count("\n") == len(text.splitlines())
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text.encode(), capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_series_that_rules_and_dashboard_ask_for_is_one_that_we_write() -> None:
    folder = ROOT / "monitoring"
    asked: set[str] = set()
    for name in ("prometheus/rules.yml", "grafana/mainline.json"):
        asked |= set(re.findall(r"\bmainline_\w+", (folder / name).read_text()))
    assert asked and asked <= exposition.HELP.keys()
