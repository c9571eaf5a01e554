"""The watch's decision: a table of cases, and what must hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline.backtests import newest_labelled_month, wanted
from mainline.drift import NOT_PARQUET, ColumnDrift, Drift, Labels, Malformed, Quality, Reference, Window
from mainline.findings import SEVERITY
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from mainline.watching import Watch, decide
from mainline.watchrules import DECIDING, together
from tests.watchpolicy import POLICY

UNTIL = date(2013, 11, 30)
SPANS = (("2013-09-08", "2013-10-05"), ("2013-10-06", "2013-11-02"), ("2013-11-03", "2013-11-30"))

QUALITY = Quality(
    lines=80000,
    volume={f"2013-11-{day:02}": 930 for day in range(1, 31)},
    newest="2013-11-30T23:59:00",
    age_days=0.0,
    missing={},
    extra={},
    unknown_labels=0,
)


def figure(value: float, half: float | None = 0.001) -> Figure:
    ends = (None, None) if half is None else (value - half, value + half)
    return Figure(value=value, low=ends[0], high=ends[1])


def column(name: str = "temp", **changes: Any) -> ColumnDrift:
    shares = dict.fromkeys(
        (
            "nulls",
            "nulls_reference",
            "unknown",
            "unknown_reference",
            "out_of_range",
            "out_of_range_reference",
        ),
        0.0,
    )
    base = {"name": name, "dtype": "float64", "rows": 26000, "distance": 0.05, "noise": 0.02}
    rest = {"before": None, "constant": False, "skew": None}
    return ColumnDrift(**{**base, **shares, **rest, **changes})


def labels(share: float | None = 1.0, rows: int = 26000, late: int = 0, blocks: int = 28) -> Labels:
    joined = round(rows * (share or 0))
    return Labels(
        joined=joined,
        pending=rows - joined,
        late=late,
        excluded={},
        share=share,
        blocks=blocks if joined else 0,
    )


def window(number: int = 2, **changes: Any) -> Window:
    first, last = SPANS[number]
    base = {
        "name": f"recent {number + 1} of 3",
        "first": first,
        "last": last,
        "rows": 26000,
        "blocks": 28,
        "versions": {"flight-delay@v1.3.0": 26000},
        "duplicates": 0,
        "labels": labels(),
        "figures": {"log_loss": figure(0.4), "skill": figure(0.1)},
        "against": {"log_loss": figure(0.0, 0.03)},
        "excess": figure(0.0, 0.02),
        "recoverable": figure(0.0, 0.002),
        "estimated": figure(0.4),
        "columns": [column()],
        "score": column("score"),
        "target": column("late"),
    }
    return Window(**{**base, **changes})


def drift(recent: list[Window] | None = None, **changes: Any) -> Drift:
    month = window(name="2013-11", first="2013-11-01", last="2013-11-30")
    base = {
        "task": "binary",
        "until": UNTIL.isoformat(),
        "malformed": Malformed(lines=0, reasons={}, samples=[]),
        "reference": Reference(
            model="flight-delay",
            version="flight-delay@v1.3.0",
            commit="0" * 40,
            promoted="2013-09-01",
            windows={
                "train": ["2013-01", "2013-06"],
                "validation": ["2013-07", "2013-07"],
                "test": ["2013-08", "2013-08"],
            },
            rows=28000,
            figures={"log_loss": figure(0.4)},
        ),
        "recent": [window(0), window(1), window(2)] if recent is None else recent,
        "newest": window(name="newest", first="2013-11-29", rows=1800, blocks=2, labels=labels(rows=1800)),
        "months": [month],
        "backtest": None,
        "quality": QUALITY,
    }
    return Drift(**{**base, **changes})


def every(**changes: Any) -> list[Window]:
    return [window(number, **changes) for number in range(3)]


def newest(*columns: ColumnDrift, **changes: Any) -> Window:
    base = {"name": "newest", "first": "2013-11-29", "rows": 1800, "blocks": 2, "columns": list(columns)}
    return window(**{**base, "labels": labels(rows=1800), **changes})


def unusable(day: str, recent: list[Window] | None = None, lines: int = 200, read: int = 1000) -> Drift:
    """Lines of one day that cannot be used."""
    few = lines // 4
    some = {"not JSON": lines - few} | ({"another schema": few} if few else {})
    quality = QUALITY.model_copy(update={"read": dict.fromkeys(QUALITY.volume, read)})
    malformed = Malformed(lines=lines, reasons=some, samples=[], days={day: some})
    return drift(recent, malformed=malformed, quality=quality)


WORSE, BETTER = {"log_loss": figure(0.01, 0.002)}, {"log_loss": figure(-0.01, 0.002)}
ALIKE, BARELY = {"log_loss": figure(0.0, 0.002)}, {"log_loss": figure(-0.002, 0.001)}
LOSS = {"against": {"log_loss": figure(0.08, 0.03)}}
EXCESS = {"excess": figure(0.03, 0.02)}
RECOVERABLE = {"recoverable": figure(0.006, 0.004)}
FAR = {"score": column("score", distance=0.4, noise=0.05)}
UNLABELLED = {
    "labels": labels(None, late=0),
    "figures": {},
    "against": {},
    "excess": None,
    "recoverable": None,
    "target": None,
}

CASES: dict[str, tuple[Drift, str, str]] = {
    "nothing new": (drift(), "quiet", "nothing asks for a look"),
    "higher loss, no backtest": (drift(every(**LOSS)), "watch", "against the recorded one"),
    "higher loss that a retraining mends": (
        drift(every(**LOSS), backtest=BETTER),
        "retrain",
        "a retrained model",
    ),
    "hard days: a retraining gains nothing": (drift(every(**LOSS), backtest=ALIKE), "quiet", "nothing"),
    "a gain too small to be one": (drift(every(**LOSS), backtest=BARELY), "quiet", "nothing"),
    "unexpected loss that no retraining mends": (
        drift(every(**LOSS, **EXCESS), backtest=ALIKE),
        "watch",
        "expect of themselves",
    ),
    "a gain that is not certain": (
        drift(every(**EXCESS), backtest={"log_loss": figure(-0.01, 0.02)}),
        "watch",
        "expect of themselves",
    ),
    "recoverable, and next to nothing": (
        drift(every(recoverable=figure(0.002, 0.001))),
        "watch",
        "recalibration",
    ),
    "hard days that are over": (
        drift(
            [
                window(0, against={"log_loss": figure(0.2, 0.03)}),
                window(1, against={"log_loss": figure(0.2, 0.03)}),
                window(2, against={"log_loss": figure(-0.05, 0.03)}),
            ]
        ),
        "quiet",
        "nothing",
    ),
    "a gain without an alarm": (drift(backtest=BETTER), "quiet", "nothing"),
    "unexpected loss and a gain": (drift(every(**EXCESS), backtest=BETTER), "retrain", "a retrained model"),
    "answers too careful, and a gain": (
        drift(every(excess=figure(-0.03, 0.02)), backtest=BETTER),
        "retrain",
        "a retrained model",
    ),
    "lasting recoverable loss": (drift(every(**RECOVERABLE)), "retrain", "recalibration"),
    "recoverable, in the newest window alone": (
        drift(
            [
                window(0, recoverable=figure(-0.0001, 0.001)),
                window(1, recoverable=figure(-0.0001, 0.001)),
                window(2, recoverable=figure(0.02, 0.001)),
            ]
        ),
        "watch",
        "recalibration",
    ),
    "recoverable, but a retraining is worse": (
        drift(every(**RECOVERABLE), backtest=WORSE),
        "watch",
        "held back",
    ),
    "over in the newest window": (
        drift([window(0, **EXCESS), window(1, **EXCESS), window(2, excess=figure(-0.001))]),
        "quiet",
        "nothing",
    ),
    "no predictions": (drift([]), "insufficient", "no predictions"),
    "one row": (
        drift([window(rows=1, blocks=1, labels=labels(rows=1, blocks=1))]),
        "insufficient",
        "insufficient",
    ),
    "old windows alone": (
        drift([window(0, **RECOVERABLE), window(1, **RECOVERABLE), window(2, rows=10, blocks=1)]),
        "insufficient",
        "insufficient",
    ),
    "labels pending": (drift(every(labels=labels(0.38))), "insufficient", "pending, 38% of labels"),
    "labels late": (drift(every(labels=labels(0.38, late=16000))), "watch", "labels are late"),
    "few labelled days": (drift(every(labels=labels(blocks=3), **EXCESS)), "insufficient", "on 3 days"),
    "no labels, nothing moved": (drift(every(**UNLABELLED)), "insufficient", "pending"),
    "no labels, answers moved": (drift(every(**UNLABELLED, **FAR)), "watch", "answers have moved"),
    "no labels, answers moved, and a gain": (
        drift(every(**UNLABELLED, **FAR), backtest=BETTER),
        "retrain",
        "a retrained model",
    ),
    "no labels, answers moved once": (
        drift([window(0, **UNLABELLED), window(1, **UNLABELLED), window(2, **UNLABELLED, **FAR)]),
        "insufficient",
        "pending",
    ),
    "labels, answers moved": (drift(every(**FAR)), "quiet", "nothing"),
    "all columns moved": (drift(every(columns=[column(distance=0.9)])), "quiet", "nothing"),
    "feature stuck": (drift(newest=newest(column(constant=True, distance=0.9))), "watch", "one value"),
    "dry days": (drift(newest=newest(column(constant=True, distance=0.2))), "quiet", "nothing"),
    "constant where it has values at all": (
        drift(newest=newest(column(constant=True, distance=0.9, nulls=0.9, nulls_reference=0.8))),
        "quiet",
        "nothing",
    ),
    "90 % nulls": (drift(newest=newest(column(nulls=0.9))), "watch", "without a value"),
    "nulls as in training": (
        drift(newest=newest(column(nulls=0.9, nulls_reference=0.8))),
        "quiet",
        "nothing",
    ),
    "new airport": (drift(newest=newest(column(unknown=0.2))), "watch", "the model does not know"),
    "outside the schema": (drift(newest=newest(column(out_of_range=0.2))), "watch", "schema"),
    "served otherwise than computed": (drift(newest=newest(column(skew=1.0))), "watch", "raw data"),
    "labels turned round": (
        drift(newest=newest(figures={"skill": figure(-2, None)})),
        "watch",
        "turned round",
    ),
    "a fault in one row": (
        drift(newest=newest(column(unknown=1.0), rows=1, labels=labels(rows=1))),
        "quiet",
        "nothing",
    ),
    "a fault holds a retraining back": (
        drift(every(**RECOVERABLE), newest=newest(column(skew=1.0))),
        "watch",
        "no broken input",
    ),
    "released the other day": (
        drift(
            every(**RECOVERABLE), reference=drift().reference.model_copy(update={"promoted": "2013-11-20"})
        ),
        "watch",
        "10 days since the release",
    ),
    "lines that are none": (unusable("2013-11-30"), "watch", "10% of the newest days' lines"),
    "lines that are none, which most are": (unusable("2013-11-29"), "watch", "most: not JSON"),
    "an old spell of lines that are none": (unusable("2013-11-28"), "quiet", "nothing"),
    "an old spell does not hold a retraining back": (
        unusable("2013-09-10", every(**RECOVERABLE)),
        "retrain",
        "recalibration",
    ),
    "a new spell holds a retraining back": (
        unusable("2013-11-30", every(**RECOVERABLE)),
        "watch",
        "no broken input",
    ),
    "one broken line of a few": (
        unusable("2013-11-30", lines=1, read=30),
        "quiet",
        "nothing",
    ),
    "a stream that stopped": (
        drift(quality=QUALITY.model_copy(update={"age_days": 3.0})),
        "watch",
        "3.0 days old",
    ),
    "a tenth of the usual volume": (
        drift(
            quality=QUALITY.model_copy(
                update={"volume": QUALITY.volume | {"2013-11-29": 90, "2013-11-30": 90}}
            )
        ),
        "watch",
        "of the usual predictions",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_decision(case: str) -> None:
    record, verdict, why = CASES[case]
    watch = decide(record, POLICY)
    assert (watch.verdict, why in watch.reason) == (verdict, True), watch.reason
    assert watch.findings
    assert all(one.text for one in watch.findings)
    assert Watch.model_validate_json(watch.model_dump_json()) == watch


def promoted(record: Drift, day: str) -> Drift:
    return record.model_copy(update={"reference": record.reference.model_copy(update={"promoted": day})})


def test_a_new_release_is_given_time() -> None:
    record = drift(every(**RECOVERABLE))
    assert decide(promoted(record, "2013-11-25"), POLICY).verdict == "watch"
    assert decide(promoted(record, "2013-10-25"), POLICY).verdict == "retrain"
    assert decide(promoted(record, "2026-01-01"), POLICY).verdict == "watch", "a replay of days before it"
    none = POLICY.model_copy(update={"cooldown_days": 0.0})
    assert decide(promoted(record, "2026-01-01"), none).verdict == "retrain"


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_have_their_own_deciding_figure(task: str) -> None:
    name = DECIDING[task]  # type: ignore[index]
    worse = every(against={name: figure(0.08, 0.03)}, excess=None)
    record = drift(worse, task=task, backtest={name: figure(-0.01, 0.002)})
    assert decide(record, POLICY).verdict == "retrain"
    assert (
        decide(record.model_copy(update={"backtest": {name: figure(0.01, 0.002)}}), POLICY).verdict == "quiet"
    )


def test_values_expect_nothing_of_themselves() -> None:
    """And what a recalibration takes away is held against the gain in the unit of the deciding figure."""
    record = drift(every(against={"rmse": figure(0.0, 0.03)}, excess=None, **RECOVERABLE), task="regression")
    found = decide(record, POLICY)
    assert "excess" not in {one.name for one in found.findings}
    assert not any("themselves" in one.text for one in found.findings)
    assert "off the rmse" in found.reason
    binary = decide(drift(every(**RECOVERABLE)), POLICY)
    assert "excess" in {one.name for one in binary.findings} and "off the loss" in binary.reason


def test_a_backtest_is_asked_for_only_where_it_would_decide() -> None:
    alarm = drift(every(**LOSS))
    assert wanted(decide(alarm, POLICY).findings)
    assert not wanted(decide(drift(), POLICY).findings)
    assert not wanted(decide(alarm.model_copy(update={"backtest": ALIKE}), POLICY).findings)
    assert not wanted(decide(alarm.model_copy(update={"months": []}), POLICY).findings), "no new month"
    assert not wanted(decide(promoted(alarm, "2013-11-29"), POLICY).findings), "cooldown"
    broken = alarm.model_copy(update={"newest": newest(column(skew=1.0))})
    assert not wanted(decide(broken, POLICY).findings), "a fault"


def growing(most: int) -> MonitorPolicy:
    """Of the record's model: trained on six months, tested on August."""
    return POLICY.model_copy(update={"retrain": POLICY.retrain.model_copy(update={"train_months": most})})


@pytest.mark.parametrize(
    ("most", "told"), [(5, None), (6, None), (7, "7 months instead of 6"), (24, "9 months instead of 6")]
)
def test_a_window_that_still_grows_is_a_reason_for_a_backtest_and_for_nothing_else(
    most: int, told: str | None
) -> None:
    """`more data` is quiet by itself: nobody is to look at a model that does what it promised."""
    found = decide(drift(), growing(most))
    assert found.verdict == "quiet"
    assert wanted(found.findings) == bool(told)
    assert [one.text for one in found.findings if one.name == "more data"] == (
        [f"a backtest is due: a retrained model would learn from {told}"] if told else []
    )
    better = decide(drift(backtest=BETTER), growing(most))
    assert better.verdict == ("retrain" if told else "quiet")
    assert (f"a retrained model, of {told}: log loss" in better.reason) == bool(told)
    for answer in (ALIKE, BARELY, WORSE, {}):
        assert decide(drift(backtest=answer), growing(most)).verdict == "quiet"


def test_what_holds_a_retraining_back_holds_back_that_of_a_growing_window() -> None:
    news = decide(promoted(drift(), "2013-11-29"), growing(12))
    assert (news.verdict, wanted(news.findings)) == ("quiet", False), "a release lately: nothing to say yet"
    assert decide(promoted(drift(backtest=BETTER), "2013-11-29"), growing(12)).verdict == "watch"
    broken = drift(newest=newest(column(skew=1.0)))
    assert not wanted(decide(broken, growing(12)).findings)
    assert decide(broken.model_copy(update={"backtest": BETTER}), growing(12)).verdict == "watch"
    assert not wanted(decide(drift(months=[]), growing(12)).findings), "no new month"
    for newest_window in (window(2, **UNLABELLED), window(2, rows=10, labels=labels(rows=10))):
        silent = drift([window(0), window(1), newest_window])
        found = decide(silent, growing(12))
        assert (found.verdict, wanted(found.findings)) == ("insufficient", False), "nothing to judge by"
        told = decide(silent.model_copy(update={"backtest": BETTER}), growing(12))
        assert told.verdict == "insufficient", "not hidden behind a retraining"
    none = drift().reference.model_copy(update={"windows": {}})
    assert not wanted(decide(drift(reference=none), growing(12)).findings), "a reference without windows"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "2013-11"),
        ({"last": "2013-11-29"}, None),
        ({"labels": labels(0.5)}, None),
        ({"labels": labels(None)}, None),
        ({"first": "2013-08-01", "last": "2013-08-31"}, None),
        ({"first": "2013-12-01", "last": "2013-12-31"}, "2013-12"),
    ],
)
def test_newest_labelled_month(changes: dict[str, Any], expected: str | None) -> None:
    base = {"first": "2013-11-01", "last": "2013-11-30"}
    assert newest_labelled_month(drift(months=[window(**{**base, **changes})]), 0.8) == expected


def test_the_evidence_is_the_same_on_the_next_day_and_another_with_news() -> None:
    record = drift(every(**RECOVERABLE))
    evidence = decide(record, POLICY).evidence
    later = record.model_copy(
        update={"until": "2013-12-04", "recent": every(recoverable=figure(0.007, 0.004))}
    )
    assert decide(later, POLICY).evidence == evidence
    wavering = record.model_copy(update={"recent": every(**RECOVERABLE, **EXCESS, **LOSS)})
    assert decide(wavering, POLICY).evidence == evidence
    month = window(name="2013-12", first="2013-12-01", last="2013-12-31")
    news: list[dict[str, Any]] = [
        {"months": [*record.months, month]},
        {"reference": record.reference.model_copy(update={"version": "flight-delay@v1.4.0"})},
        {"newest": newest(column("seats", unknown=0.2))},
        {"newest": newest(column("temp", unknown=0.2))},
    ]
    found = {decide(record.model_copy(update=one), POLICY).evidence for one in news}
    assert len(found) == len(news)
    assert evidence not in found


def test_windows_are_joined_as_independent_ones() -> None:
    """Two equal windows halve the variance; one without an interval counts for nothing."""
    one = together([(window(0), figure(0.01, 0.01)), (window(1), figure(0.01, 0.01))])
    assert one is not None
    assert one.low == pytest.approx(0.01 - 0.01 / 2**0.5)
    assert together([(window(0), figure(0.01, 0.01)), (window(1), figure(9, None))]) == figure(0.01, 0.01)
    assert together([(window(0), None)]) is None


small = st.floats(-1, 1)
shares = st.floats(0, 1)
half = st.floats(0, 0.2)
maybe = st.none() | st.builds(figure, small, st.none() | half)


@st.composite
def windows(draw: Callable[..., Any]) -> Window:
    rows = draw(st.sampled_from([0, 1, 600, 26000]))
    blocks = draw(st.integers(0, 28)) if rows else 0
    share = draw(st.none() | shares) if rows else None
    columns = [
        column(
            name,
            distance=draw(st.none() | shares),
            noise=draw(st.none() | shares),
            unknown=draw(shares),
            nulls=draw(shares),
            constant=draw(st.booleans()),
            skew=draw(st.none() | shares),
        )
        for name in draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=4))
    ]
    return window(
        draw(st.integers(0, 2)),
        rows=rows,
        blocks=blocks,
        labels=labels(share, rows, blocks=blocks),
        columns=columns,
        against={"log_loss": draw(maybe) or figure(0.0)},
        excess=draw(maybe),
        recoverable=draw(maybe),
        score=draw(st.none() | st.builds(column, distance=shares, noise=shares)),
        figures=draw(st.sampled_from([{}, {"skill": figure(0.1)}, {"skill": figure(-3, None)}])),
    )


records = st.builds(
    drift,
    st.lists(windows(), max_size=3),
    newest=st.none() | windows(),
    months=st.lists(windows(), max_size=2),
    backtest=st.none()
    | st.dictionaries(st.sampled_from(["log_loss", "roc_auc"]), st.builds(figure, small, half)),
    quality=st.none() | st.just(QUALITY),
)


@given(records)
def test_every_record_gets_an_answer_with_its_reason(record: Drift) -> None:
    watch = decide(record, POLICY)
    assert watch.reason
    assert watch == decide(record, POLICY)
    worst = max((SEVERITY[one.outcome] for one in watch.findings), default=0)
    assert SEVERITY[watch.verdict] == worst or watch.verdict == "watch", "only what is held back is less"
    if not record.recent or record.recent[-1].rows < POLICY.minimum_rows:
        assert watch.verdict != "quiet"


@given(records, st.floats(0, 1), st.sampled_from(["against", "excess", "recoverable"]))
def test_a_worse_loss_never_makes_it_quieter(record: Drift, more: float, what: str) -> None:
    """`excess` below zero is a mistake too, so only a record that shows none there is made worse."""

    def raised(one: Figure | None) -> Figure | None:
        if one is None or one.value is None:
            return one
        ends = (None if end is None else end + more for end in (one.low, one.high))
        return Figure(value=one.value + more, low=next(ends), high=next(ends))

    def worse(one: Window) -> Window:
        if what == "against":
            against = {name: raised(figure) for name, figure in one.against.items()}
            return one.model_copy(update={"against": against})
        return one.model_copy(update={what: raised(getattr(one, what))})

    if what == "excess":
        calm = [
            one.model_copy(update={"excess": figure(abs((one.excess or figure(0)).value or 0), 0.01)})
            for one in record.recent
        ]
        record = record.model_copy(update={"recent": calm})
    after = record.model_copy(update={"recent": [worse(one) for one in record.recent]})
    assert SEVERITY[decide(after, POLICY).verdict] >= SEVERITY[decide(record, POLICY).verdict]


@given(records)
def test_the_order_of_columns_does_not_matter(record: Drift) -> None:
    def turned(one: Window) -> Window:
        return one.model_copy(update={"columns": one.columns[::-1]})

    other = record.model_copy(
        update={
            "recent": [turned(one) for one in record.recent],
            "newest": turned(record.newest) if record.newest else None,
        }
    )
    one, two = decide(record, POLICY), decide(other, POLICY)
    assert (one.verdict, one.reason, one.evidence) == (two.verdict, two.reason, two.evidence)


def test_hostile_names_stay_on_one_line() -> None:
    name = "temp\n@team ](x)" + "y" * 500
    watch = decide(drift(newest=newest(column(name, unknown=0.5))), POLICY)
    assert watch.verdict == "watch"
    assert all("\n" not in one.text and len(one.text) < 300 for one in watch.findings)


SUNDAY = date(2013, 12, 1)
Days = dict[str, int]


def stream(by_weekday: list[int], changes: Days | None = None, last: date = SUNDAY) -> Quality:
    """12 weeks up to SUNDAY with so many rows on Monday, Tuesday …; none after `last`."""
    days = [SUNDAY - timedelta(days=back) for back in range(84)]
    volume = {day.isoformat(): by_weekday[day.weekday()] if day <= last else 0 for day in days}
    volume |= changes or {}
    newest = max((day for day, rows in volume.items() if rows), default=None)
    if newest is None:
        return QUALITY.model_copy(update={"volume": volume, "newest": None, "age_days": None})
    age = (SUNDAY - date.fromisoformat(newest)).days + 0.25
    return QUALITY.model_copy(update={"volume": volume, "newest": f"{newest}T18:00:00", "age_days": age})


def november(first: int, last: int, rows: int) -> Days:
    return {f"2013-11-{day:02}": rows for day in range(first, last + 1)}


def weekend(saturday: int, sunday: int) -> Days:
    return {"2013-11-30": saturday, "2013-12-01": sunday}


EVEN, QUIET, CLOSED, NEW = [2000] * 7, [2000] * 5 + [100] * 2, [2000] * 5 + [0] * 2, [0] * 7
STREAMS = {
    "every day the same": (stream(EVEN), ""),
    "a quiet weekend": (stream(QUIET), ""),
    "a quiet weekend, less than half of it": (stream(QUIET, weekend(40, 40)), "volume"),
    "a closed weekend": (stream(CLOSED), ""),
    "stopped on Wednesday": (stream(EVEN, last=date(2013, 11, 27)), "freshness volume"),
    "stopped on Thursday, closed on weekends": (stream(CLOSED, last=date(2013, 11, 28)), ""),
    "stopped on Wednesday, closed on weekends": (stream(CLOSED, last=date(2013, 11, 27)), "freshness"),
    "stopped two months ago": (stream(EVEN, last=date(2013, 9, 28)), "freshness volume"),
    "stopped two months ago, closed on weekends": (stream(CLOSED, last=date(2013, 9, 27)), "freshness"),
    "half of the usual": (stream(EVEN, weekend(1000, 1000)), ""),
    "less than half of the usual": (stream(EVEN, weekend(1000, 990)), "volume"),
    "a week old": (stream(NEW, november(25, 30, 2000) | {"2013-12-01": 9}), ""),
    "two weeks old": (stream(NEW, november(18, 30, 2000) | {"2013-12-01": 2000}), ""),
    "two weeks old, and less": (stream(NEW, november(18, 29, 2000) | weekend(9, 9)), "volume"),
    "a holiday the week before": (stream(EVEN, november(23, 24, 0)), ""),
    "too few to tell": (stream([20] * 7, weekend(5, 5)), ""),
    "nothing at all": (stream(NEW), ""),
}


@pytest.mark.parametrize(("day", "seen"), [("2013-11-29", True), ("2013-10-02", False)])
def test_a_damaged_file_of_the_newest_days_is_a_fault_however_much_else_came(day: str, seen: bool) -> None:
    """It is one "line" of a million, and nobody knows of how many."""
    quality = QUALITY.model_copy(update={"read": dict.fromkeys(QUALITY.volume, 1_000_000)})
    reasons = {NOT_PARQUET: 1}
    malformed = Malformed(lines=1, reasons=reasons, samples=[], days={day: reasons})
    found = decide(drift(malformed=malformed, quality=quality), POLICY)
    alarms = [one.text for one in found.findings if one.name == "damaged" and one.outcome == "watch"]
    assert bool(alarms) == seen and (found.verdict == "watch") == seen
    assert not any(one.name == "malformed" for one in found.findings), "a share of lines says nothing of it"


@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_is_compared_with_the_same_weekdays(case: str) -> None:
    quality, expected = STREAMS[case]
    found = decide(drift(quality=quality, until=SUNDAY.isoformat()), POLICY).findings
    alarms = [one.name for one in found if one.name in ("volume", "freshness") and one.outcome == "watch"]
    assert sorted(alarms) == expected.split()


def moved(columns: list[ColumnDrift]) -> dict[str | None, str]:
    """What is said of each column that has moved."""
    found = decide(drift([window(0), window(1), window(2, columns=columns)]), POLICY).findings
    return {one.column: one.text for one in found if one.name == "column drift"}


@pytest.mark.parametrize(("distance", "columns", "found"), [(0.24, 1, 1), (0.24, 30, 0), (0.26, 30, 30)])
def test_the_largest_of_many_columns_is_larger_by_chance(distance: float, columns: int, found: int) -> None:
    """One column's chance is 0.1 here, and that of the largest of 30 about 2.5 times it; the limit is 0.2."""
    assert POLICY.limits.drift_distance == 0.2
    every = [column(f"c{number}", distance=distance, noise=0.1) for number in range(columns)]
    assert len(moved(every)) == found


def test_a_column_that_moved_lately_is_told_from_one_that_moved_long_ago() -> None:
    told = moved(
        [
            column("lately", distance=0.3, noise=0.05, before=0.25),
            column("long ago", distance=0.3, noise=0.05, before=0.19),
            column("by chance", distance=0.9, noise=0.2, before=0.25),
            column("new", distance=0.3, noise=0.05, before=None),
        ]
    )
    assert told["lately"] == "lately has moved by 0.30 (chance 0.05), by 0.25 since the windows before"
    assert {name for name, text in told.items() if "windows before" not in text} == {
        "long ago",
        "by chance",
        "new",
    }


def test_a_column_that_moved_with_the_season_is_told_from_one_that_never_was_so() -> None:
    told = moved(
        [
            column("winter", distance=0.9, noise=0.05, before=0.6, season=0.1),
            column("broken", distance=0.9, noise=0.05, before=0.6, season=0.8),
            column("long", distance=0.9, noise=0.05, before=0.1, season=0.8),
        ]
    )
    assert told["winter"].endswith(", by 0.60 since the windows before, as a year ago")
    assert told["broken"].endswith(", by 0.60 since the windows before, by 0.80 in a year")
    assert told["long"].endswith("(chance 0.05), by 0.80 in a year")


def test_figures_of_a_sample_are_told() -> None:
    found = decide(drift([window(0), window(1), window(2, sampled=499_827)]), POLICY).findings
    assert [one.text for one in found if one.name == "rows"] == [
        "26,000 predictions on 28 days, figures of 499,827 of them"
    ]


def test_the_past_of_a_column_decides_nothing() -> None:
    plain, told = (
        decide(drift([window(0), window(1), window(2, columns=[one])]), POLICY)
        for one in (
            column("x", distance=0.9, noise=0.05),
            column("x", distance=0.9, noise=0.05, before=1.0, season=1.0),
        )
    )
    assert (plain.verdict, plain.evidence) == (told.verdict, told.evidence)
