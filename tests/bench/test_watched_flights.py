"""The record from the real service's log is that of the same model's answers in memory."""

from __future__ import annotations

import shutil
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from mainline import policy
from mainline.drift import Drift
from mainline.settings import Month
from monitoring import labels, replay
from monitoring.reference import SCORE, Reference
from pipeline import params, paths
from pipeline.comparing.scorer import Scorer
from tests.bench.watched_release import Release
from tests.imports import ROOT
from tests.monitoring import toys
from usecase.schema import FEATURES

pytestmark = pytest.mark.slow
FIRST, UNTIL = date(2013, 11, 1), date(2013, 11, 12)  # enough days for intervals


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The shipped model, which is trained to October."""
    made = Release(tmp_path_factory.mktemp("release"), 10)
    made.link_code()
    for name in (paths.MODELS, paths.REPORTS):
        shutil.copytree(ROOT / name, made.root / name)
    made.pack()
    return made


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    month = replay.months([Month(2013, 11)])
    return month.filter(pl.col(FEATURES.time.name).cast(pl.Date).is_between(FIRST, UNTIL))


@pytest.fixture(scope="module")
def record(release: Release, rows: pl.DataFrame) -> Drift:
    log = release.answer(rows, release.log / "2013-11")
    return release.check(log, UNTIL, release.root / "drift.json", "--labels", "source")


def in_memory(release: Release, rows: pl.DataFrame) -> Drift:
    scorer = Scorer.load(release.root / paths.ONNX, release.root / paths.MANIFEST)
    answers = [scorer.predict(part) for part in rows.iter_slices(replay.AT_ONCE)]
    scored = rows.with_columns(pl.Series(SCORE, np.concatenate(answers)))
    evaluate = params.load().evaluate
    reference = Reference.read(release.reference, FEATURES, evaluate.costs, evaluate.calibration_bins)
    label = (FEATURES.target.name, FEATURES.excluded.name)
    known = labels.normal(rows.select(FEATURES.key.name, *label))
    return toys.measure(scored.drop(label), known, reference, policy.monitor(), UNTIL, anew=rows)


def test_the_service_and_memory_give_the_same_record(
    release: Release, rows: pl.DataFrame, record: Drift
) -> None:
    assert record.quality is not None
    days = {str(FIRST + timedelta(days=k)) for k in range(12)}
    assert {day for day, lines in record.quality.read.items() if lines} == days  # which memory has not
    newest = record.recent[-1]
    assert newest.rows == rows.height > 10_000
    assert newest.figures["log_loss"].low is not None
    assert all(one.skew == 0 for one in newest.columns)
    quality = record.quality.model_copy(update={"read": dict.fromkeys(record.quality.read, 0)})
    expected = Drift.model_validate_json(in_memory(release, rows).model_dump_json())
    assert record.model_copy(update={"quality": quality}) == expected


def test_answers_are_not_asked_for_twice(release: Release, rows: pl.DataFrame, record: Drift) -> None:
    assert record.until == str(UNTIL)
    log = release.log / "2013-11"
    before = (log / "predictions.jsonl").read_bytes()
    assert release.answer(rows, log) == log
    assert (log / "predictions.jsonl").read_bytes() == before
