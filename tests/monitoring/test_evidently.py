"""Evidently's report: drawn from a sample, without what kills it, and loading nothing from anywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from monitoring import evidently_report as report
from monitoring import staging
from monitoring.joining import Joined
from monitoring.observed import TARGET
from monitoring.reference import AT, SCORE
from monitoring.staging import Stage
from tests.imports import ROOT
from tests.monitoring import toys
from tests.serving.toys import table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Live rows with an all-null column, infinities and hostile names."""
    path = tmp_path_factory.mktemp("evidently") / "drift.html"
    before = toys.rows("binary", seed=2).with_columns(pl.col("target").alias(TARGET))
    live = toys.rows("binary").with_columns(
        pl.lit(None, dtype=pl.Float64).alias("x"),
        pl.when(pl.int_range(pl.len()) % 9 == 0)
        .then(pl.lit("</script><script>alert(1)//"))
        .otherwise("c")
        .alias("c"),
        pl.when(pl.int_range(pl.len()) % 5 == 0).then(float("inf")).otherwise(pl.col("y")).alias("y"),
        pl.col("target").cast(pl.Float64).alias(TARGET),
    )
    return path, report.write(path, live, before, table("binary"))


def test_it_is_drawn_and_says_what_it_left_out(drawn: tuple[Path, list[str]]) -> None:
    path, left_out = drawn
    html = path.read_text()
    assert left_out == ["x is left out: it has no values on one side"]
    drift = set(re.findall(r'"Drift in column \'([^\']*)\'"', html))  # of the report's data: one a metric
    assert drift == {"prediction", "target"}
    assert "<script>alert(1)" not in html


def test_it_loads_nothing_from_another_host(drawn: tuple[Path, list[str]]) -> None:
    html = drawn[0].read_text()
    assert not re.search(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//", html)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html[: html.index("<script")])
    assert policy and "http" not in policy[1] and policy[1].startswith("default-src ")


def test_a_browser_shows_it_offline(drawn: tuple[Path, list[str]]) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "install chromium"
    asked = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=20000", "--dump-dom", drawn[0].as_uri(),
        ],
        capture_output=True, text=True, timeout=180, check=True,
    ).stdout  # fmt: skip
    assert "Drift" in re.sub(r"<script.*?</script>", "", asked, flags=re.DOTALL)


def test_nothing_to_draw_is_a_word_and_no_crash(tmp_path: Path) -> None:
    empty = toys.rows("binary").clear()
    words = report.write(tmp_path / "drift.html", empty, toys.rows("binary"), table("binary"))
    assert words[-1].endswith("nothing is drawn")


GREEDY = """
from monitoring import evidently_report as report
report.bounded()
print(open("/proc/self/oom_score_adj").read().strip())
bytearray(report.MEMORY)
"""


def test_who_asks_for_too_much_memory_gets_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GREEDY], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (1, "1000\n") and "MemoryError" in done.stderr


def test_a_sample_is_of_the_newest_window_and_of_few_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every day in it; with the labels of its keys."""
    monkeypatch.setattr(report, "ROWS", 100)
    monkeypatch.setattr(staging, "HELD_ROWS", 25)  # less than a day
    frame = toys.rows("binary")
    stage = Stage(tmp_path, "key")
    stage.fill(
        [frame.drop("target").with_columns(pl.lit(None, pl.Datetime).alias(AT))], "time", lambda _: None
    )
    labels = Joined.of([toys.labelled(frame)], stage, table("binary"), toys.FIRST, toys.UNTIL)
    window = toys.measured(frame).recent[-1]
    found = report.live_rows(stage, labels, toys.reference(), window, None)
    assert found is not None and found.height == 100 and found[TARGET].null_count() == 0
    targets = frame.select(SCORE, pl.col("target").cast(pl.Float64).alias(TARGET), pl.col("time").dt.day())
    met = found.join(targets, on=[SCORE, TARGET])
    assert met.height == 100 and met["time"].n_unique() == 10 and met["time"].min() == 21
    again = report.live_rows(stage, None, toys.reference(), window, None)
    assert again is not None and again[TARGET].null_count() == 100 and again[SCORE].equals(found[SCORE])
