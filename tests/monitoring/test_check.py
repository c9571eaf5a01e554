"""The check from a log on disk to the record: which day it ends with, and what there need not be yet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mainline import drift, policy, watching
from mainline.drift import Drift
from mainline.errors import DataError, RecordError
from mainline.records import Manifest, Metrics
from monitoring import check, labels
from monitoring.reference import AT
from monitoring.staging import Stage
from pipeline import ingest, params
from tests import watchpolicy
from tests.imports import ROOT
from tests.keys import named
from usecase.schema import FEATURES

FIRST = date(2013, 11, 4)
VERSION = "v0.0.1"
CLASSES = FEATURES.classes or (0, 1)
SCORE = [1 / len(CLASSES)] * len(CLASSES) if FEATURES.task == "multiclass" else 0.2


def line(day: date, key: str | int, at: date | None = None, **changes: Any) -> bytes:
    """A prediction for `day`, answered on it unless at another day."""
    content = {
        "at": f"{at or day}T12:00:00+00:00", "model": policy.release().model, "version": VERSION,
        "key": key, "time": f"{day}T10:00:00", "score": SCORE, "decision": False,
        "features": {one.name: None for one in FEATURES.features}, **changes,
    }  # fmt: skip
    return json.dumps(content).encode() + b"\n"


def log(folder: Path, volume: dict[date, int], at: date | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [
        line(day, named(f"{day} {number}"), at) for day, rows in volume.items() for number in range(rows)
    ]
    (folder / "predictions.jsonl").write_bytes(b"".join(lines))
    return folder


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    metrics = Metrics.read(ROOT / Metrics.location)
    record = drift.Reference(
        model=policy.release().model, version=VERSION, commit="0" * 40, promoted=None, windows={},
        rows=metrics.rows, figures=metrics.figures,
    )  # fmt: skip
    (folder / "reference.json").write_text(record.model_dump_json())
    for path in ("reports/metrics.json", "reports/profile.json", str(Manifest.location)):
        shutil.copy(ROOT / path, folder / Path(path).name)
    return folder


Checked = Callable[..., Drift]


@pytest.fixture
def checked(reference: Path, tmp_path: Path) -> Checked:
    def run(place: Path, *more: str) -> Drift:
        out = tmp_path / "drift.json"
        flags = [] if "--features" in more or "source" in more else ["--features", "none"]
        flags += ["--reference", str(reference), "--log", str(place), "--out", str(out)]
        assert check.main([*flags, *more]) == 0
        return Drift.read(out)

    return run


def days(count: int, first: date = FIRST, rows: int = 20) -> dict[date, int]:
    return {first + timedelta(days=number): rows for number in range(count)}


def staged(volume: dict[date, int], folder: Path, at: Callable[[date], date | None]) -> Stage:
    """As `volume` says, each row answered on the day that `at` says of its own."""
    time = FEATURES.time.name
    frames = [
        pl.DataFrame({time: [day] * rows, AT: [at(day)] * rows}, schema={time: pl.Date, AT: pl.Date})
        for day, rows in volume.items()
    ]
    stage = Stage(folder, FEATURES.key.name)
    stage.fill([one.with_columns(pl.all().cast(pl.Datetime("us"))) for one in frames], time, lambda _: None)
    return stage


Answered = Callable[[date], date | None]
WHOLE, UNFINISHED = date(2013, 11, 12), date(2013, 11, 13)  # the last two of days(10)
NEXT, STRAY, FAR = date(2013, 11, 14), date(2013, 11, 25), date(2093, 11, 1)
FALL = date(2013, 12, 4)  # after days(30)
YEARS_LATER = date(2026, 11, 20)


def same(day: date) -> date:
    return day


def never(day: date) -> None:
    return None


def late(day: date) -> date:
    return YEARS_LATER


def early(day: date) -> date:
    return day - timedelta(days=1)


def at_once(day: date) -> date:
    return min(day, UNFINISHED)


def once_wrong(day: date) -> date:
    return FAR if day == STRAY else day


ENDS: dict[str, tuple[dict[date, int], Answered, date]] = {
    "the newest day may not be over": (days(10), same, WHOLE),
    "one row ahead": (days(10) | {STRAY: 1}, at_once, WHOLE),
    "every row is of the day after": (days(10), early, WHOLE - timedelta(days=1)),
    "a fault took the rows away": (days(10) | days(3, NEXT, 2), same, NEXT + timedelta(days=1)),
    "traffic fell for good": (days(30, rows=200) | days(30, FALL, 4), same, date(2014, 1, 1)),
    "a clock that was wrong once": (days(10) | {STRAY: 1}, once_wrong, WHOLE),
    "a replay": (days(10), late, WHOLE),
    "a replay, one row far ahead": (days(10) | {STRAY: 1}, late, WHOLE),
    "no at": (days(10), never, WHOLE),
    "no at, one row far ahead": (days(10) | {FAR: 1}, never, WHOLE),
    "no at, some rows ahead": (days(10, rows=200) | days(3, STRAY, 6), never, WHOLE),
    "no at, the newest day has just begun": (days(10) | {NEXT: 1}, never, UNFINISHED),
    "no at, traffic fell for good": (days(30, rows=200) | days(30, FALL, 4), never, date(2013, 12, 29)),
    "the ends of the calendar": (days(10) | {date.min: 1, date.max: 1}, never, WHOLE),
    "the first day and no other": ({date.min: 1}, never, date.min),
    "one day": (days(1), same, FIRST),
    "one day, no at": (days(1), never, FIRST),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_last_day_is_the_newest_whole_one(case: str, tmp_path: Path) -> None:
    volume, at, until = ENDS[case]
    assert staged(volume, tmp_path, at).newest_whole_day() == until


def test_a_row_ahead_hides_nothing_and_is_counted(
    checked: Checked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = log(tmp_path / "log", days(10))
    with (place / "ahead.jsonl").open("wb") as file:
        file.write(line(STRAY, named("ahead"), UNFINISHED))
    found = checked(place)
    assert found.until == "2013-11-12"
    assert found.newest is not None and found.newest.rows == 40
    assert found.quality is not None and found.quality.after == 21
    assert "21 rows are of days after 2013-11-12" in capsys.readouterr().err


@pytest.mark.parametrize("day", [date.min, date(1970, 1, 1), date.max])
def test_a_log_of_no_time_of_ours_is_no_crash(day: date, checked: Checked, tmp_path: Path) -> None:
    try:
        found = checked(log(tmp_path / "log", {day: 5}))
    except DataError as error:
        assert "no day that windows can end with" in str(error)
    else:
        assert found.recent[-1].rows == 5


@pytest.mark.parametrize("empty", ["folder", "file"])
def test_an_empty_log_is_too_little_data(empty: str, checked: Checked, tmp_path: Path) -> None:
    place = tmp_path / "log"
    if empty == "folder":
        place.mkdir()
    else:
        place.write_bytes(b"")
    before = datetime.now(UTC).date() - timedelta(days=1)
    found = checked(place, "--labels", "source")
    assert before <= date.fromisoformat(found.until) <= datetime.now(UTC).date() - timedelta(days=1)
    assert [window.rows for window in found.recent] == [0] * len(found.recent)
    assert watching.decide(found, watchpolicy.POLICY).verdict == "insufficient"


def test_a_log_that_does_not_exist_is_an_error(checked: Checked, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        checked(tmp_path / "none")


def test_labels_that_have_not_come_at_all_are_pending(
    checked: Checked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = log(tmp_path / "log", days(10))
    (tmp_path / "labels").mkdir()
    found = checked(place, "--labels", str(tmp_path / "labels"))
    window = found.recent[-1]
    assert (window.labels.joined, window.labels.pending, window.labels.share) == (0, 180, 0)
    assert "holds no labels yet" in capsys.readouterr().err


def test_a_corrected_label_counts_and_a_doubtful_one_is_told(
    checked: Checked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = log(tmp_path / "log", days(10))
    (tmp_path / "labels").mkdir()
    key, other = named(f"{FIRST} 0"), named(f"{FIRST} 1")
    for name, target, known in (
        ("1", CLASSES[0], datetime(2013, 11, 5)),
        ("2", CLASSES[1], datetime(2013, 11, 8)),
    ):
        pl.DataFrame(
            {"key": [key, other], "target": [target, target], "known_at": [known, datetime(2013, 11, 6)]}
        ).write_parquet(tmp_path / "labels" / f"{name}.parquet")
    found = checked(place, "--labels", str(tmp_path / "labels"))
    assert (found.recent[-1].labels.joined, found.recent[-1].labels.pending) == (1, 179)
    assert found.quality is not None and found.quality.contradicting_labels == 1
    assert "1 keys have labels that contradict each other" in capsys.readouterr().err


@pytest.fixture(scope="module")
def november() -> labels.Computed:
    """What the raw data has of some days."""
    settings = params.load()
    month = ingest.connect(settings.ingest.source).months[-1].first_day
    return labels.from_source(settings, month, month + timedelta(days=11), 1, lookback=0)


def served(computed: labels.Computed, folder: Path, fault: str) -> tuple[Path, Path]:
    """The log of those rows, with a wrong unit in column `fault`, and a table of their labels."""
    assert computed.anew is not None
    key, time = FEATURES.key.name, FEATURES.time.name
    rows = computed.anew.head(3000).with_columns((pl.col(fault) * 1.8 + 32).cast(computed.anew.schema[fault]))
    lines = [
        line(row[time].date() if isinstance(row[time], datetime) else row[time], row[key], features=one)
        for row, one in zip(
            rows.iter_rows(named=True),
            rows.select(column.name for column in FEATURES.features).iter_rows(named=True),
            strict=True,
        )
    ]
    (folder / "log.jsonl").write_bytes(b"".join(lines))
    computed.labels.select(key, FEATURES.target.name).write_parquet(folder / "labels.parquet")
    return folder / "log.jsonl", folder / "labels.parquet"


@pytest.mark.slow
def test_a_wrong_unit_is_caught_with_labels_from_a_table_too(
    november: labels.Computed, checked: Checked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Distances tell no wrong unit from a season: only the features of the raw data do."""
    assert november.anew is not None
    numbers = (one.name for one in FEATURES.features if one.dtype.startswith(("float", "int")))
    fault = next(name for name in numbers if november.anew[name].drop_nulls().n_unique() > 20)
    place, known = served(november, tmp_path, fault)
    more = ("--labels", str(known), "--lookback", "0")
    found = checked(place, *more, "--features", "source")
    assert found.newest is not None and found.quality is not None and found.quality.unchecked == []
    skews = {one.name: one.skew for one in found.newest.columns}
    assert (skews.pop(fault) or 0) > 0.9 and set(skews.values()) == {0}
    assert found.newest.labels.joined > 0
    reasons = [one.name for one in watching.decide(found, watchpolicy.POLICY).findings if one.column == fault]
    assert "skew" in reasons
    blind = checked(place, *more, "--features", "none")
    assert blind.newest is not None and {one.skew for one in blind.newest.columns} == {None}
    assert blind.quality is not None and blind.quality.unchecked == ["--features none"]
    assert "warning: skew: not looked for" in capsys.readouterr().err


def test_months_that_the_source_has_not_are_told(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default, with labels from anywhere: without a word, no skew would look like none found."""
    place, out = log(tmp_path / "log", days(10, date(2031, 11, 4))), tmp_path / "drift.json"
    flags = ["--reference", str(reference), "--log", str(place), "--out", str(out), "--lookback", "0"]
    assert check.main(flags) == 0
    told = Drift.read(out).quality
    name = params.load().ingest.source
    assert told is not None and told.unchecked == [f"{name} has no 2031-11"]
    assert (
        f"warning: skew: not looked for, or not everywhere: {name} has no 2031-11" in capsys.readouterr().err
    )


VALUES = {"string": "ab", "bool": (True, False), "date": None, "datetime": None}


def varied(rows: int) -> list[dict[str, Any]]:
    """Features of each row, of two values each where their type has such."""
    return [
        {
            one.name: two[number % 2] if (two := VALUES.get(one.dtype, (1, 2))) else None
            for one in FEATURES.features
        }
        for number in range(rows)
    ]


def test_the_sample_for_evidently_changes_no_answer(
    checked: Checked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, kept = log(tmp_path / "log", days(10)), tmp_path / "sample.parquet"
    expected = checked(place)
    assert checked(place, "--sample", str(kept)) == expected
    assert pl.read_parquet(kept).height == 180 and "warning: sample" not in capsys.readouterr().err
    kept.unlink()
    kept.mkdir()  # cannot be written
    assert checked(place, "--sample", str(kept)) == expected
    assert f"warning: {kept}: " in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert checked(empty, "--sample", str(tmp_path / "none.parquet")).recent[-1].rows == 0
    assert "not written" in capsys.readouterr().err


@pytest.mark.slow
def test_a_report_that_cannot_be_drawn_is_an_error_that_names_the_file(
    reference: Path, checked: Checked, tmp_path: Path
) -> None:
    place, rows, page = tmp_path / "log.jsonl", tmp_path / "test.parquet", tmp_path / "drift.html"
    answered = [
        line(FIRST + timedelta(days=n // 20), named(str(n)), features=one)
        for n, one in enumerate(varied(200))
    ]
    place.write_bytes(b"".join(answered))
    pl.DataFrame(
        [{FEATURES.key.name: named(str(n))} | one for n, one in enumerate(varied(100))]
    ).write_parquet(rows)
    checked(place, "--sample", str(tmp_path / "sample.parquet"))
    command = [sys.executable, "-m", "monitoring", "evidently_report", "--reference", str(reference)]
    command += ["--reference-rows", str(rows), "--sample", str(tmp_path / "sample.parquet")]

    def drawn() -> subprocess.CompletedProcess[str]:
        more = ["--html", str(page)]
        return subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=300)

    done = drawn()
    assert done.returncode == 0, done.stderr
    assert "Drift" in page.read_text() and "warning" not in done.stderr
    page.unlink()
    rows.write_bytes(b"PAR1 and no more")
    done = drawn()
    assert done.returncode == DataError.exit_code and "test.parquet cannot be read" in done.stderr
    assert not page.exists()


def test_a_verb_runs_with_the_pipelines_switches() -> None:
    """numpy reads them when it is imported: a challenger trained without them has other bytes."""
    code = """\
import os, sys
from monitoring import __main__ as watch
assert "numpy" not in sys.modules
try:
    watch.main(["backtest", "--help"])
except SystemExit:
    print(os.environ["MKL_CBWR"], os.environ["OMP_NUM_THREADS"])
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "7", "MKL_CBWR": "AVX"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "COMPATIBLE 2"


def test_an_error_moves_no_cursor() -> None:
    hostile = "\x1b[2Jnone"
    done = subprocess.run(
        [sys.executable, "-m", "monitoring", "check", "--reference", hostile, "--log", "here"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == RecordError.exit_code, done.stderr
    assert "?[2Jnone" in done.stderr and "\x1b" not in done.stderr
