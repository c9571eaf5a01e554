"""The backtest: what it compares, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from mainline.errors import DataError, IntegrityError
from mainline.records import Figure, Manifest
from mainline.retraining import parameters
from monitoring import backtest
from pipeline import frames, params, paths, windows
from pipeline.comparing.scorer import Scorer
from tests import clones, watchpolicy
from tests.imports import ROOT
from tests.keys import named
from usecase.schema import FEATURES

MEASURE = watchpolicy.POLICY
# Answers and outcomes are made up below.
binary = pytest.mark.skipif(FEATURES.task != "binary", reason="a fork has another task")


def month(days: int = 20, a_day: int = 30) -> pl.DataFrame:
    """Rows as featurize writes them: every column null but what identifies a row, and the target."""
    rows = days * a_day
    times = [datetime(2013, 11, 1) + timedelta(minutes=index * 1440 // a_day) for index in range(rows)]
    wanted = {
        name: kind for name, kind in frames.polars_schema(FEATURES.columns).items() if name != "excluded"
    }
    frame = pl.DataFrame({name: [None] * rows for name in wanted}, schema=wanted)
    target = np.random.default_rng(1).integers(0, 2, rows)
    return frame.with_columns(
        pl.Series(FEATURES.key.name, [named(f"key {index}") for index in range(rows)]),
        pl.Series(FEATURES.time.name, times).cast(wanted[FEATURES.time.name]),
        pl.Series(FEATURES.block.name, [time.date() for time in times], dtype=pl.Date),
        pl.Series(FEATURES.target.name, target).cast(wanted[FEATURES.target.name]),
    )


@pytest.fixture(scope="module")
def champion() -> Scorer:
    if not (ROOT / paths.ONNX).exists():
        pytest.fail("models/model.onnx is missing: mainline run --pull")
    return Scorer.load(ROOT / paths.ONNX, ROOT / paths.MANIFEST)


@binary
def test_the_champion_against_itself_gains_nothing(champion: Scorer) -> None:
    test = month()
    found = backtest.compare(test, champion.predict(test), champion, MEASURE)
    assert found["log_loss"] == Figure(value=0.0, low=0.0, high=0.0)


@binary
def test_a_better_model_has_a_lower_loss_and_a_higher_rank(champion: Scorer) -> None:
    test = month()
    found = backtest.compare(test, test[FEATURES.target.name].to_numpy() * 0.8 + 0.1, champion, MEASURE)
    assert found["log_loss"].high is not None
    assert found["log_loss"].high < 0, "challenger minus champion: less is a gain"
    assert found["roc_auc"].low is not None
    assert found["roc_auc"].low > 0


@binary
def test_too_few_blocks_are_no_backtest(champion: Scorer) -> None:
    test = month(days=MEASURE.minimum_blocks - 1)
    with pytest.raises(DataError, match="9 blocks"):
        backtest.compare(test, champion.predict(test), champion, MEASURE)


@binary
def test_a_champion_of_other_columns_is_told(champion: Scorer) -> None:
    test = month().drop(FEATURES.features[0].name)
    with pytest.raises(IntegrityError, match="cannot read") as found:
        backtest.compare(test, np.full(test.height, 0.5), champion, MEASURE)
    assert FEATURES.features[0].name in found.value.why


def test_a_month_that_the_champion_was_fitted_on_is_refused(champion: Scorer) -> None:
    known = Manifest.read(ROOT / paths.MANIFEST).windows["validation"][-1]
    data = params.load().data.model_copy(update={"as_of": known})
    with pytest.raises(DataError, match=f"fitted on rows up to {known}"):
        backtest._check_unseen(champion, data)


@pytest.mark.parametrize("most", [1, 99])
@pytest.mark.parametrize("later", [1, 3])
def test_it_trains_with_the_windows_that_the_bot_would_write(most: int, later: int) -> None:
    """Held against the parameter file itself, as the pull request would have it."""
    text = (ROOT / "params.yaml").read_text()
    now = params.load()
    last = now.data.last_month.plus(later)
    written = parameters.written(text, parameters.read(text).moved(last, most))
    found = backtest.retrained(now, last, most)
    assert found.data == params.Data(**yaml.safe_load(written)["data"])
    assert found.model_copy(update={"data": now.data}) == now
    first = {cut.train.first for cut in map(windows.split, (now.data, found.data))}
    assert len(first) == (1 if most == 99 else 2)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that trains one epoch on one month (its window grows), beside it the model in production."""
    root = clones.copy(tmp_path_factory.mktemp("backtest") / "clone")
    text = (root / "params.yaml").read_text()
    for key, value in (("train_months", 1), ("epochs", 1)):
        text = re.sub(rf"^  {key}: \d+", f"  {key}: {value}", text, flags=re.M)
    (root / "params.yaml").write_text(text)
    (root / "champion").mkdir()
    for path in (paths.ONNX, paths.MANIFEST):
        (root / "champion" / path.name).write_bytes((ROOT / path).read_bytes())
    return root


def _start(root: Path, temporary: Path, *arguments: str) -> subprocess.Popen[str]:
    temporary.mkdir()
    command = [sys.executable, "-m", "monitoring", "backtest", *arguments]
    champion = ["--champion", "champion/model.onnx", "--out", "gain.json"]
    env = clones.environment(
        root, {"TMPDIR": str(temporary), "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    )
    return subprocess.Popen(
        [*command, *champion], cwd=root, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_a_real_one_gives_figures_and_touches_nothing_else(small: Path, tmp_path: Path) -> None:
    before = clones.git(small, "status", "--porcelain")
    running = _start(small, tmp_path / "tmp", "--as-of", "2013-11")
    out, err = running.communicate(timeout=600)
    assert running.returncode == 0, err
    assert json.loads(out)["as_of"] == "2013-11"
    found = {name: Figure(**one) for name, one in json.loads((small / "gain.json").read_text()).items()}
    assert found["log_loss"].low is not None
    assert "epoch 1" in err
    rows = re.search(r"([\d,]+) train, ([\d,]+) validation", err)
    assert rows is not None
    train, validation = (int(one.replace(",", "")) for one in rows.groups())
    assert train > 1.5 * validation, "the window of one month has two of them a month later"
    assert not list((tmp_path / "tmp").glob("mainline-backtest-*"))
    (small / "gain.json").unlink()
    assert clones.git(small, "status", "--porcelain") == before
    assert not (small / "data" / "raw").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_nothing(small: Path, tmp_path: Path, number: signal.Signals) -> None:
    running = _start(small, tmp_path / "tmp", "--as-of", "2013-11")
    assert running.stderr is not None
    first = running.stderr.readline()
    assert "reading" in first
    running.send_signal(number)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 75, err
    assert not list((tmp_path / "tmp").glob("mainline-backtest-*"))
    assert not (small / "gain.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("month", "code", "why"), [("2013-13", 11, "not a month"), ("2014-05", 11, "outside the data")]
)
def test_a_month_that_is_none(small: Path, tmp_path: Path, month: str, code: int, why: str) -> None:
    running = _start(small, tmp_path / "tmp", "--as-of", month)
    _, err = running.communicate(timeout=120)
    assert running.returncode == code
    assert why in err
