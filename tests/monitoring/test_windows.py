"""Windows: their days, and what each case of bad or unusual input gives. Every record is read back."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline.backtests import newest_labelled_month
from mainline.drift import Window
from mainline.policy import MonitorPolicy
from mainline.schema import Task
from monitoring import labels, outcomes, spans, windows
from monitoring.observed import KNOWN
from monitoring.reference import AT, FITS, SCORE, VERSION
from pipeline.evaluation.figures import Decision
from tests.monitoring import toys
from tests.monitoring.toys import UNTIL, column, labelled, measured, reference, rows
from tests.serving.toys import table

TASKS: list[Task] = ["binary", "multiclass", "regression"]
AT_NOON = pl.col("time").dt.truncate("1d").dt.offset_by("12h").alias(AT)
DAYS = st.dates(date(1970, 1, 1), date(2100, 1, 1))


@given(DAYS, st.integers(1, 60), st.integers(1, 10))
def test_trailing_windows_are_whole_and_touch(until: date, days: int, count: int) -> None:
    found = spans.trailing(until, days, count)
    assert len(found) == count
    assert found[-1][1] == until
    for first, last in found:
        assert (last - first).days + 1 == days
    for (_, last), (first, _) in itertools.pairwise(found):
        assert first == last + timedelta(days=1)


@given(DAYS, st.integers(1, 30), DAYS)
def test_months_touch_and_end_with_until(until: date, count: int, oldest: date) -> None:
    found = spans.months(until, count, oldest)
    assert len(found) <= count
    if oldest <= until:
        assert found[-1][1] == until
        assert found[0][1] >= oldest
    for first, last in found:
        assert first.day == 1
        assert (first.year, first.month) == (last.year, last.month)
    for (_, last), (first, _) in itertools.pairwise(found):
        assert first == last + timedelta(days=1)


@given(DAYS, st.integers(1, 60), st.integers(1, 10))
def test_no_window_is_compared_with_days_that_are_not_read(until: date, days: int, count: int) -> None:
    policy = replace_policy(window_days=days, windows=count)
    first = spans.oldest(until, policy)
    for span in (*spans.trailing(until, days, count), spans.trailing(until, policy.fault_days, 1)[0]):
        before, season = spans.earlier(span, count), spans.year_before(span)
        assert first <= min(before[0], season[0])
        assert before[1] == span[0] - timedelta(days=1)
        assert (before[1] - before[0]).days + 1 == count * ((span[1] - span[0]).days + 1)
        assert season[0].weekday() == span[0].weekday() and (span[0] - season[0]).days == 364


def replace_policy(**changes: Any) -> MonitorPolicy:
    return toys.POLICY.model_copy(update=changes)


@pytest.mark.parametrize("task", TASKS)
def test_each_task_is_measured(task: Task) -> None:
    frame = rows(task)
    found = measured(frame, labelled(frame, task), task)
    window = found.recent[-1]
    assert (window.first, window.last, window.rows, window.blocks) == ("2013-11-21", "2013-11-30", 400, 10)
    assert window.labels.model_dump() == {
        "joined": 400, "pending": 0, "late": 0, "excluded": {}, "share": 1.0, "blocks": 10,
    }  # fmt: skip
    assert [one.rows for one in found.recent] == [400] * 3
    assert [one.name for one in found.months] == ["2013-11"]
    assert found.newest is not None and found.newest.rows == 80
    name = "rmse" if task == "regression" else "log_loss"
    figure, difference = window.figures[name], window.against[name]
    assert figure.value is not None and figure.low is not None and difference.low is not None
    assert difference.value == pytest.approx(figure.value - 0.5, abs=1e-5)
    assert difference.value - difference.low > figure.value - figure.low  # both sides' uncertainty
    for one in [*window.columns, window.score, window.target]:
        assert one is not None and one.distance is not None and one.noise is not None
        assert one.distance < 3 * one.noise + 0.02, one
        assert not one.constant
    if task == "regression":
        assert window.excess is None and window.estimated is None
    else:
        assert window.excess is not None and window.excess.low is not None and window.excess.high is not None
        assert window.excess.low < 0 < window.excess.high  # the toys' answers are calibrated
    assert window.recoverable is not None and abs(window.recoverable.value or 1) < 0.2
    assert found.quality is not None and found.quality.age_days is not None
    assert sum(found.quality.volume.values()) == 1200


def test_the_same_rows_in_another_order_give_the_same_record() -> None:
    frame = rows("binary")
    assert measured(frame, labelled(frame)) == measured(
        frame.sample(fraction=1, shuffle=True, seed=3), labelled(frame)
    )


def test_zero_rows() -> None:
    found = measured(rows("binary").clear(), labelled(rows("binary")))
    assert [window.rows for window in found.recent] == [0, 0, 0]
    window = found.recent[-1]
    assert window.labels.share is None and window.figures == {} and window.columns == []
    assert window.estimated is None and window.score is None
    assert found.quality is not None
    assert found.quality.newest is None and found.quality.age_days is None
    assert found.quality.unknown_labels == 1200


def test_one_row_has_counts_and_no_intervals() -> None:
    frame = rows("binary").tail(1)
    window = measured(frame, labelled(frame)).recent[-1]
    assert (window.rows, window.blocks, window.labels.joined) == (1, 1, 1)
    assert window.figures["log_loss"].value is not None
    assert window.figures["log_loss"].low is None and window.figures["roc_auc"].value is None
    assert window.recoverable is None
    x = column(window, "x")
    assert x.noise is not None and x.noise > 0.5  # by chance alone: any distance
    assert not x.constant


@pytest.mark.parametrize("dtype", [pl.Null, pl.Float64])
def test_an_all_null_column(dtype: Any) -> None:
    frame = rows("binary").with_columns(pl.lit(None, dtype=dtype).alias("x"))
    x = column(measured(frame).recent[-1], "x")
    assert (x.nulls, x.distance, x.noise, x.before, x.constant) == (1, None, None, None, False)


def test_a_column_that_was_null_in_the_reference() -> None:
    before = toys.rows("binary", 60, first=date(2013, 8, 1)).with_columns(
        pl.lit(None, dtype=pl.Float64).alias("x")
    )
    x = column(measured(rows("binary"), reference=reference(train=before)).recent[-1], "x")
    assert (x.distance, x.nulls, x.nulls_reference) == (None, 0, 1)


def test_90_percent_nulls_are_told_as_a_share() -> None:
    frame = rows("binary").with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.col("x")).alias("x"),
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.col("c")).alias("c"),
    )
    window = measured(frame).recent[-1]
    assert column(window, "x").nulls == column(window, "c").nulls == 0.9
    assert (column(window, "x").distance or 1) < 0.4  # of the values that are there


def test_infinite_numbers_are_out_of_range() -> None:
    frame = rows("binary").with_columns(
        pl.when(pl.int_range(pl.len()) % 4 == 0)
        .then(float("inf"))
        .otherwise(pl.col("x").clip(-1, 1))
        .alias("x")
    )
    x = column(measured(frame).recent[-1], "x")
    assert (x.out_of_range, x.nulls) == (0.25, 0)
    assert x.distance is not None and x.distance < 0.2


def test_values_beyond_the_schema_and_new_categories() -> None:
    frame = rows("binary").with_columns(pl.col("x") + 5, c=pl.lit("\x1b[31mnew @team"))
    window = measured(frame).recent[-1]
    assert column(window, "x").out_of_range == 1
    assert column(window, "x").distance == 1
    c = column(window, "c")
    assert (c.unknown, c.unknown_reference, c.distance, c.constant) == (1, 0, 1, True)


def test_a_constant_column_and_one_that_always_was() -> None:
    before = toys.rows("binary", 60, first=date(2013, 8, 1)).with_columns(y=pl.lit(7))
    frame = rows("binary").with_columns(y=pl.lit(7), x=pl.lit(0.1))
    window = measured(frame, reference=reference(train=before)).recent[-1]
    assert column(window, "x").constant and not column(window, "y").constant


def test_labels_that_have_not_come_are_pending_never_0() -> None:
    frame = rows("binary")
    found = measured(frame, None)
    window = found.recent[-1]
    assert (window.labels.joined, window.labels.pending, window.labels.share) == (0, 400, 0)
    assert window.figures == {} and window.excess is None and window.target is None
    assert window.estimated is not None and window.estimated.value is not None
    # Rows of the last day are not late: their day has just ended.
    assert window.labels.late == 360


def test_late_and_partial_labels() -> None:
    frame = rows("binary")
    known = labelled(frame).with_columns(
        frame["time"].dt.offset_by("3d").alias(KNOWN),
        pl.when(pl.int_range(pl.len()) % 8 == 0).then(pl.lit("cancelled")).alias("excluded"),
    )
    window = measured(frame, known, known_by=datetime(2013, 12, 1)).recent[-1]
    assert window.labels.excluded == {"cancelled": 36}
    # Known are the days up to the 27th, and the row at midnight after them; the last day's are not late yet.
    assert (window.labels.joined, window.labels.pending, window.labels.late) == (245, 119, 79)
    assert window.labels.share == pytest.approx(245 / 364, abs=1e-6)
    later = measured(frame, known, known_by=datetime(2013, 12, 4)).recent[-1]
    assert (later.labels.joined, later.labels.pending, later.labels.share) == (350, 0, 1)


def test_a_single_class_has_the_figures_that_are_defined() -> None:
    frame = rows("binary").with_columns(target=pl.lit(0))
    window = measured(frame, labelled(frame)).recent[-1]
    assert window.figures["log_loss"].value is not None
    assert window.figures["roc_auc"].value is None and window.figures["skill"].value is None
    assert window.excess is not None and window.excess.value is not None and window.excess.value < 0
    assert window.recoverable is not None and (window.recoverable.value or 0) > 0


def test_a_flip_of_the_labels_shows_in_excess_and_a_recalibration_takes_it_away() -> None:
    frame = rows("binary")
    flipped = labelled(frame).with_columns((1 - pl.col("target")).alias("target"))
    window = measured(frame, flipped).recent[-1]
    assert window.excess is not None and window.excess.low is not None and window.excess.low > 0.2
    assert window.recoverable is not None and window.recoverable.low is not None
    assert window.recoverable.low > 0.2


def test_a_recalibration_of_values_is_told_in_their_unit() -> None:
    """Answers 5 too high, with an error of 1: the RMSE is 5.1, and a recalibration leaves 1."""
    frame = rows("regression").with_columns(pl.col(SCORE) + 5)
    window = measured(frame, labelled(frame, "regression"), "regression").recent[-1]
    before, found = window.figures["rmse"].value, window.recoverable
    assert before is not None and before == pytest.approx(26**0.5, abs=0.1)
    assert found is not None and found.value is not None and found.low is not None and found.high is not None
    assert found.value == pytest.approx(before - 1, abs=0.1)
    assert found.low < found.value < found.high and found.high - found.low < 0.3


def test_the_estimate_is_near_the_loss_that_labels_tell() -> None:
    frame = rows("binary", a_day=300)
    window = measured(frame, labelled(frame)).recent[-1]
    assert window.estimated is not None and window.estimated.value is not None
    assert window.estimated.value == pytest.approx(window.figures["log_loss"].value, abs=0.02)


@pytest.mark.parametrize("task", TASKS)
def test_of_too_many_rows_figures_are_of_a_sample_and_counts_of_all(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = rows(task, a_day=200)
    known = labelled(frame, task).head(5800)
    whole = measured(frame, known, task)
    assert {one.sampled for one in (*whole.recent, *whole.months)} == {None}
    monkeypatch.setattr(outcomes, "MOST", 1200)
    found = measured(frame, known, task)
    assert found == measured(frame.sample(fraction=1, shuffle=True, seed=3), known, task), "by the keys"
    assert found.newest is not None and found.newest.sampled is None, "400 rows"
    name = "rmse" if task == "regression" else "log_loss"
    for one, full in zip((*found.recent, *found.months), (*whole.recent, *whole.months), strict=True):
        assert one.sampled is not None and abs(one.sampled - 1200) < 100
        assert (one.rows, one.blocks, one.labels) == (full.rows, full.blocks, full.labels)
        assert (one.columns, one.score, one.target) == (full.columns, full.score, full.target)
        figure, exact = one.figures[name], full.figures[name].value
        assert figure.low is not None and figure.high is not None and exact is not None
        slack = figure.high - figure.low
        assert figure.low - slack < exact < figure.high + slack and figure.value != exact


def test_a_repeated_key_counts_once_and_its_first_answer_counts() -> None:
    frame = rows("binary")
    again = frame.tail(50).with_columns(pl.lit(0.999).alias(SCORE))
    both = pl.concat([frame, again])
    window = measured(both, labelled(frame)).recent[-1]
    assert (window.rows, window.duplicates) == (400, 50)
    assert window.figures == measured(frame, labelled(frame)).recent[-1].figures


def test_a_release_in_the_middle_counts_by_version() -> None:
    frame = rows("binary").with_columns(
        pl.when(pl.col("time") < datetime(2013, 11, 26))
        .then(pl.lit("v0.9.0\n@x"))
        .otherwise(pl.lit("v1.0.0"))
        .alias(VERSION)
    )
    window = measured(frame, labelled(frame)).recent[-1]
    assert window.versions == {"v0.9.0\\n\\x40x": 200, "v1.0.0": 200}
    assert (window.rows, window.labels.joined) == (200, 200)


def without_past(window: Window) -> Window:
    """What the versions before leave as it is."""
    columns = [one.model_copy(update={"before": None}) for one in window.columns]
    target = window.target and window.target.model_copy(update={"before": None})
    return window.model_copy(update={"columns": columns, "target": target})


def test_months_keep_what_the_versions_before_answered() -> None:
    """A release must not empty the page: what decides is production's alone, what is shown is everyone's."""
    frame = toys.answered_by("v0.9.0", until=date(2013, 11, 25))
    decides = replace(reference(), decision=Decision(0.5, 1, 1))
    found = measured(frame, labelled(frame), reference=decides)
    october, november = found.months
    assert (october.rows, october.versions) == (1240, {"v0.9.0": 1240})
    assert (november.rows, november.versions) == (1200, {"v0.9.0": 1000, "v1.0.0": 200})
    for month in found.months:
        assert month.labels.joined == month.rows and month.figures["log_loss"].low is not None
        assert month.against == {}, "no version promised that"
        assert column(month, "x").rows == month.rows and month.score is not None and month.target is not None
        assert month.figures.keys().isdisjoint({"cost", "accuracy"}), "another version had another threshold"
    assert [one.rows for one in found.recent] == [0, 0, 200]
    assert found.recent[-1].against["log_loss"].value is not None and "cost" in found.recent[-1].figures
    alone = measured(frame.filter(pl.col(VERSION) == "v1.0.0"), labelled(frame), reference=decides)
    assert found.newest is not None and alone.newest is not None
    assert without_past(found.newest) == without_past(alone.newest)
    same = {"versions": found.recent[-1].versions}
    assert without_past(found.recent[-1]) == without_past(alone.recent[-1].model_copy(update=same))
    assert column(found.recent[-1], "x").before is not None, "what callers sent is nobody's version"
    assert column(alone.recent[-1], "x").before is None
    assert found.recent[-1].score is not None and found.recent[-1].score.before is None, "answers are"
    assert newest_labelled_month(found, 0.8) == "2013-11"
    waiting = toys.answered_by("v0.9.0", until=UNTIL)
    assert newest_labelled_month(measured(waiting, labelled(waiting)), 0.8) is None, "it answered in no month"


def test_a_key_that_two_versions_answered_is_one_row_of_its_month() -> None:
    frame = rows("binary")
    old = frame.with_columns(pl.lit("v0.9.0").alias(VERSION), AT_NOON)
    new = frame.head(200).with_columns(
        pl.lit("v1.0.0").alias(VERSION), AT_NOON.dt.offset_by("1h"), pl.lit(0.999).alias(SCORE)
    )
    found = measured(pl.concat([new, old]), labelled(frame))
    month = found.months[-1]
    assert (month.rows, month.duplicates, month.versions) == (1200, 200, {"v0.9.0": 1200, "v1.0.0": 200})
    assert month.figures["log_loss"] == measured(frame, labelled(frame)).months[-1].figures["log_loss"]
    assert found.recent[0].rows == 200 and found.recent[0].duplicates == 0


def test_what_the_version_before_could_not_have_is_neither_null_nor_skewed() -> None:
    """Its schema may be another one: then its answers count, and its features are of no column."""
    frame = toys.answered_by("v0.9.0", until=date(2013, 11, 15))
    old = pl.col(VERSION) == "v0.9.0"
    frame = frame.with_columns(pl.when(~old).then("x").alias("x"), (~old).alias(FITS))
    anew = frame.select("key", (pl.col("y") + 1).alias("y"))
    october, november = measured(frame, labelled(frame), anew=anew).months
    assert (october.rows, october.labels.joined, november.rows) == (1240, 1240, 1200)
    assert (column(october, "x").rows, column(october, "x").distance) == (0, None)
    assert (column(november, "x").rows, column(november, "x").nulls) == (600, 0)
    assert column(november, "y").skew == 1 and column(october, "y").skew is None
    assert october.score is not None and october.score.rows == 1240
    # An answer that cannot be one of this model's is of no figure.
    blank = frame.with_columns(pl.when(~old).then(SCORE).alias(SCORE))
    october, november = measured(blank, labelled(frame)).months
    assert (october.rows, october.versions, november.rows) == (0, {"v0.9.0": 1240}, 600)


def test_labels_of_unknown_keys_are_ignored_and_counted() -> None:
    frame = rows("binary")
    more = pl.concat(
        [labelled(frame), labelled(frame.head(5)).with_columns(("other-" + pl.col("key")).alias("key"))]
    )
    found = measured(frame, more)
    assert found.quality is not None and found.quality.unknown_labels == 5
    assert found.recent == measured(frame, labelled(frame)).recent


def test_served_values_are_compared_with_those_from_raw_data() -> None:
    frame = rows("binary")
    third = pl.int_range(pl.len()) % 4 == 0
    anew = frame.select("key", "c", "d", "y", pl.col("x").cast(pl.Float32).cast(pl.Float64)).head(1000)
    served = frame.with_columns(
        pl.when(third).then(pl.col("y") + 1).otherwise("y").alias("y"),
        pl.when(third).then(None).otherwise(pl.col("c")).alias("c"),
    )
    first, _, last = measured(served, None, anew=anew).recent
    assert {one.name: one.skew for one in first.columns} == {"c": 0.25, "x": 0, "d": 0, "y": 0.25}
    assert all(one.skew == 0.25 for one in last.columns if one.name == "y")
    assert measured(frame).recent[-1].columns[0].skew is None


def test_features_that_the_code_computes_otherwise_by_now_have_no_skew() -> None:
    """Between the merge and the release of a changed feature, each served value would be a wrong one."""
    frame = rows("binary")
    anew = frame.select("key", "x", (pl.col("y") * 2).alias("y"), pl.col("c").alias("new"))
    only_x = replace(reference(), alike=frozenset({"x"}))
    last = measured(frame, None, anew=anew, reference=only_x).recent[-1]
    assert {one.name: one.skew for one in last.columns} == {"c": None, "x": 0, "d": None, "y": None}


def test_a_label_of_a_class_that_the_model_has_not_is_none_of_its_own() -> None:
    frame = rows("multiclass")
    known = labelled(frame, "multiclass").with_columns(
        pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.lit("four")).otherwise("target").alias("target")
    )
    found = measured(frame, known, "multiclass").recent[-1].labels
    assert (found.joined, found.pending, found.excluded) == (300, 0, {"a class that the model has not": 100})


def test_malformed_lines_are_in_the_record_by_day() -> None:
    from monitoring.reading import Found

    frame, log = rows("binary"), Found(lines=5, others=2)
    for day, number in ((date(2013, 7, 1), 9), (UNTIL, 2), (date(2013, 12, 1), 1)):
        log.refuse("not JSON", "", "log.jsonl", 1, {day: number})
    seen = windows.record(
        toys.at_once(frame.drop("target"), None, reference()), reference(), toys.POLICY, UNTIL, log=log
    )
    assert (seen.malformed.lines, seen.malformed.days) == (12, {"2013-11-30": {"not JSON": 2}})
    assert seen.quality is not None and seen.quality.others == 2
    assert next(iter(seen.quality.read)) == "2013-11-01" and seen.quality.read["2013-11-30"] == 2


def test_rows_after_until_are_not_looked_at() -> None:
    frame = rows("binary", days=40)
    found = measured(frame, labelled(frame))
    assert (
        found.recent == measured(frame.filter(pl.col("time") < datetime(2013, 12, 1)), labelled(frame)).recent
    )
    assert found.quality is not None and found.quality.newest == "2013-11-30T00:39:00"
    assert found.until == UNTIL.isoformat()


def test_a_growing_shift_grows_the_distance_and_the_windows_before_tell_when() -> None:
    frame = rows("binary").with_columns(
        pl.when(pl.col("time") >= datetime(2013, 11, 21)).then(pl.col("x") + 0.5).otherwise("x").alias("x")
    )
    first, second, third = measured(frame).recent
    assert (column(third, "x").distance or 0) > 0.4 > 0.15 > (column(second, "x").distance or 1)
    assert (column(third, "x").before or 0) > 0.4
    assert column(first, "x").before is None  # there is nothing before it


def test_all_windows_before_are_compared_with_as_many_as_there_are() -> None:
    """A column that jumps every ten days: the one window before is as this one, or as far as can be."""
    high = ((pl.col("time").cast(pl.Date) - date(2013, 10, 2)).dt.total_days() // 10) % 2 == 1
    frame = rows("binary", 60, first=date(2013, 10, 2)).with_columns(
        pl.when(high).then(pl.col("x") + 9).otherwise("x").alias("x")
    )
    before = [column(window, "x").before for window in measured(frame).recent]
    assert before == pytest.approx([0.68, 0.68, 0.68], abs=0.02), "two of three are far away"
    jumped = column(measured(frame.tail(800)).recent[-1], "x").before
    assert jumped == pytest.approx(1), "only the one window before is there"


def seasonal(frame: pl.DataFrame) -> pl.DataFrame:
    """`x` by the month, as temperature."""
    month = pl.col("time").dt.month().cast(pl.Float64)
    return frame.with_columns((pl.col("x") + 0.5 * (month * 2 * np.pi / 12).cos()).alias("x"))


def test_a_season_is_told_from_a_fault_by_the_year_before() -> None:
    """A log of fourteen months: far from the training's and from the windows before, as a year ago."""
    frame = seasonal(rows("binary", 425, first=date(2012, 10, 2)))
    warm = seasonal(rows("binary", 60, first=date(2013, 6, 1)))
    found = measured(frame, labelled(frame), reference=reference(train=warm))
    for window in (*found.recent, found.newest):
        assert window is not None
        x, y = column(window, "x"), column(window, "y")
        assert (x.distance or 0) > 0.6 and x.season is not None and x.season < 0.35
        assert y.season is not None and y.season < 0.35
        assert window.score is not None and window.target is not None
        assert window.score.season is not None and window.target.season is not None
    broken = frame.with_columns(
        pl.when(pl.col("time") >= datetime(2013, 11, 21)).then(pl.col("x") + 9).otherwise("x").alias("x")
    )
    x = column(measured(broken, reference=reference(train=warm)).recent[-1], "x")
    assert x.season is not None and x.season > 0.7


@pytest.mark.parametrize(("days", "held"), [(425, True), (369, True), (367, False), (60, False)])
def test_a_season_of_which_the_log_has_less_than_half_is_none(days: int, held: bool) -> None:
    """364 days before the newest ten: 2012-11-22 to 2012-12-01."""
    frame = rows("binary", days, first=UNTIL - timedelta(days=days - 1))
    assert (column(measured(frame).recent[-1], "x").season is not None) == held


def test_a_season_that_another_version_answered_counts_for_columns_alone() -> None:
    frame = toys.answered_by("v0.9.0", date(2013, 10, 31), date(2012, 10, 2), 425)
    newest = measured(frame, labelled(frame)).recent[-1]
    assert column(newest, "x").season is not None and newest.target is not None
    assert newest.target.season is not None
    assert newest.score is not None and newest.score.season is None


def test_wrong_labels_are_refused_by_name() -> None:
    for task, value in (("binary", 2), ("multiclass", "@four"), ("regression", float("inf"))):
        frame = pl.DataFrame({"key": ["=1\n"], "target": [value]})
        with pytest.raises(labels.DataError, match=r"=1\\n has"):
            labels.normal(frame, table(task))  # type: ignore[arg-type]


def test_numbers_are_finite_in_the_record() -> None:
    frame = rows("regression").with_columns(pl.lit(1e300).alias("x"))
    x = column(measured(frame, None, "regression").recent[-1], "x")
    assert x.distance is not None and np.isfinite(x.distance)
