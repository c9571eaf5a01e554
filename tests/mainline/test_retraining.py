"""The pure part of the bot: cases, and that any state leads to one pull request and then to rest."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mainline.errors import ConfigError, RecordError
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from mainline.retraining import evidence, limits, markers, texts
from mainline.retraining.evidence import Wish
from mainline.retraining.markers import Marker, Training
from mainline.retraining.parameters import Data
from mainline.retraining.plan import plan
from mainline.retraining.state import (
    LABEL,
    OVERRIDE,
    PREFIX,
    Branch,
    Close,
    CloseIssue,
    Dashboard,
    Drop,
    Edit,
    Issue,
    Label,
    Note,
    Open,
    Plan,
    Pull,
    Push,
    State,
    Step,
)  # fmt: skip
from mainline.settings import Month
from mainline.watching import Finding
from tests.mainline.retraining import EVIDENCE, MODEL, data, drift, policy, watch, window

NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)  # a Wednesday
BASE, MOVED = "b" * 40, "c" * 40
NAME = f"{PREFIX}{MODEL}"


def branch(**changes: Any) -> Branch:
    """As a run of the bot leaves it."""
    at = NOW - timedelta(hours=3)
    usual = Branch(tip="1" * 40, base=BASE, made="1" * 12, at=at.isoformat(), data=data("2013-11"), newest=at)
    return replace(usual, **changes)


def marker(**changes: Any) -> Marker:
    training = Training(commit="1" * 12, at=(NOW - timedelta(hours=3)).isoformat(), hours=1.0)
    usual = Marker(fingerprint=EVIDENCE, as_of="2013-11", release="v1.0.0", trainings=[training])
    return usual.model_copy(update=changes)


def pull(number: int = 7, **changes: Any) -> Pull:
    given = {
        "number": number, "branch": NAME, "base": "main", "title": "t", "body": markers.write(marker()),
        "state": "open", "labels": frozenset({LABEL}), "created": NOW - timedelta(hours=3), "closed": None,
    }  # fmt: skip
    given |= {"closed": NOW - timedelta(days=40)} if changes.get("state", "open") != "open" else {}
    return Pull(**(given | changes))


def marked(**changes: Any) -> str:
    return markers.write(marker(**changes))


def state(**changes: Any) -> State:
    usual = State(
        now=NOW, model=MODEL, base="main", base_tip=BASE, base_data=data("2013-10"), branch=None, pulls=(),
        dashboards=(), expected_hours=1.0,
    )  # fmt: skip
    return replace(usual, **changes)


def wish(verdict: str = "retrain", **changes: Any) -> Wish:
    asked = {name: changes.pop(name) for name in ("force", "as_of") if name in changes}
    return Wish(watch(verdict, **changes), drift(), **asked)


def apply(now: State, step: Step, mine: MonitorPolicy) -> State:  # noqa: C901  (one case a step)
    """What a step does to the world."""

    def changed(number: int, **what: Any) -> State:
        pulls = tuple(replace(one, **what) if one.number == number else one for one in now.pulls)
        return replace(now, pulls=pulls)

    found = {one.number: one for one in now.pulls}
    match step:
        case Push(wanted, tip, expected):
            assert expected == (now.branch.tip if now.branch else None), "the lease would be refused"
            name = f"{len(now.pulls):02x}{hash((wanted, tip, expected)) & 0xFFFF:04x}"
            new = Branch(tip=f"{name:f<40}", base=tip, made=f"{name:f<12}", at=now.now.isoformat(),
                         data=wanted, trained=mine.retrain.where == "here", newest=now.now)  # fmt: skip
            return replace(now, branch=new)
        case Drop(expected):
            assert now.branch is not None and expected == now.branch.tip
            return replace(now, branch=None)
        case Open(title, body):
            assert now.branch is not None, "there is nothing to open a pull request of"
            number = max(found, default=0) + 1
            new_pull = pull(number, title=title, body=body, labels=frozenset(), created=now.now)
            return replace(now, pulls=(*now.pulls, new_pull))
        case Edit(number, title, body):
            return changed(number, title=title, body=body)
        case Label(number, name, on):
            labels = found[number].labels
            return changed(number, labels=labels | {name} if on else labels - {name})
        case Note(number, kind, _):
            return changed(number, notes=found[number].notes | {kind})
        case Close(number):
            return changed(number, state="closed", closed=now.now)
        case Dashboard(None, body):
            return replace(now, dashboards=(*now.dashboards, Issue(900, body, open=True)))
        case Dashboard(number, body):
            issues = (replace(one, body=body) if one.number == number else one for one in now.dashboards)
            return replace(now, dashboards=tuple(issues))
        case CloseIssue(number):
            issues = (replace(one, open=False) if one.number == number else one for one in now.dashboards)
            return replace(now, dashboards=tuple(issues))
    raise AssertionError(step)


def follow(now: State, asked: Wish, mine: MonitorPolicy) -> tuple[State, list[Step], Plan]:
    """As the adapter does it: one step, then anew. The first plan, too."""
    done: list[Step] = []
    first = plan(now, asked, mine)
    while steps := plan(now, asked, mine).steps:
        assert len(done) < 40, f"it does not come to rest: {done[-6:]}"
        now, done = apply(now, steps[0], mine), [*done, steps[0]]
        if isinstance(steps[0], Open):
            asked = replace(asked, force=False)
    return now, done, first


def kinds(steps: list[Step]) -> list[str]:
    return [type(step).__name__ for step in steps]


LONG_AGO = NOW - timedelta(days=41)
EDITED = branch(others=("abc",))
TICKED = Issue(3, f"{markers.box('ask', ticked=True)} x\n\n{markers.ISSUE}", open=True)


# -- what happens when


def test_evidence_opens_one_pull_request_and_then_nothing_happens() -> None:
    end, done, first = follow(state(), wish(), policy())
    assert (first.outcome, first.data) == ("opened", data("2013-11"))
    assert kinds(done) == ["Push", "Open", "Label", "Dashboard"]
    found = markers.read(end.open[0].body)
    assert found is not None and found.fingerprint == EVIDENCE and len(found.trainings) == 1
    assert plan(end, wish(), policy()).steps == ()


def test_created_and_updated_are_the_same_to_the_byte() -> None:
    fresh, _, _ = follow(state(), wish(), policy())
    stale = replace(fresh.open[0], title="old", body=markers.write(limits.marker_of(fresh.open[0])))
    again, done, _ = follow(replace(fresh, pulls=(stale,)), wish(), policy())
    assert kinds(done) == ["Edit"]
    assert again == fresh


@pytest.mark.parametrize(
    ("given", "what", "outcome"),
    [
        (state(base_data=data("2013-11")), wish(), "nothing"),
        (state(), wish("quiet"), "nothing"),
        (state(), wish("watch"), "nothing"),
        (state(), wish("insufficient"), "nothing"),
        (state(), wish("quiet", force=True), "opened"),
        (state(dashboards=(TICKED,)), wish("quiet"), "opened"),
        (state(dashboards=(replace(TICKED, open=False),)), wish("quiet"), "nothing"),
        (state(pulls=(pull(state="closed"),)), wish(), "rejected"),
        (state(pulls=(pull(state="closed"),)), wish(force=True), "opened"),
        (state(pulls=(pull(state="closed", body=marked(fingerprint="other")),)), wish(), "opened"),
        (state(pulls=(pull(state="closed", body=marked(withdrawn=True)),)), wish(), "opened"),
        (state(pulls=(pull(state="merged"),)), wish(), "opened"),
        (state(pulls=(pull(state="merged", closed=NOW - timedelta(days=20)),)), wish(), "waiting"),
        (state(pulls=(pull(state="merged", closed=NOW - timedelta(days=22)),)), wish(), "opened"),
        (state(pulls=(pull(branch=f"{PREFIX}other"),)), wish(), "limited"),
        (state(pulls=(pull(branch=f"{PREFIX}other"),)), wish(force=True), "limited"),
        (state(branch=branch(others=("abc",))), wish(), "stopped"),
        (state(branch=branch(others=("abc",))), wish(force=True), "stopped"),
        (state(branch=replace(EDITED, newest=LONG_AGO), pulls=(pull(state="merged"),)), wish(), "opened"),
        (state(branch=EDITED, pulls=(pull(state="merged"),)), wish(), "stopped"),
        (state(branch=branch(), pulls=(pull(base="develop"),)), wish(), "limited"),
        (state(branch=branch(), pulls=(pull(),)), wish(), "current"),
        (state(branch=branch(base=MOVED), pulls=(pull(),)), wish(), "updated"),
        (state(branch=None, pulls=(pull(),)), wish(), "updated"),
        (state(branch=branch(data=data("2013-10")), pulls=(pull(),)), wish(), "updated"),
        (state(branch=branch(others=("abc",)), pulls=(pull(),)), wish(), "stopped"),
        (state(branch=EDITED, pulls=(pull(labels=frozenset({OVERRIDE})),)), wish(), "updated"),
        (state(branch=branch(), pulls=(pull(),)), wish("quiet"), "withdrawn"),
        (state(branch=branch(), pulls=(pull(),)), wish("watch"), "kept"),
        (state(branch=branch(), pulls=(pull(),)), wish("insufficient"), "kept"),
        (state(branch=branch(), pulls=(pull(body=marked(asked=True)),)), wish("quiet"), "kept"),
        (state(branch=branch(others=("abc",)), pulls=(pull(),)), wish("quiet"), "abandoned"),
        (state(branch=branch(), base_data=data("2013-11"), pulls=(pull(),)), wish(), "withdrawn"),
    ],
)  # fmt: skip
def test_the_outcome(given: State, what: Wish, outcome: str) -> None:
    assert plan(given, what, policy()).outcome == outcome


def test_a_rejection_is_answered_once() -> None:
    end, done, _ = follow(state(pulls=(pull(state="closed"),)), wish(), policy())
    assert kinds(done) == ["Note", "Dashboard"]
    assert not end.open


def test_what_is_gone_is_closed_with_a_word_and_is_no_rejection() -> None:
    end, done, _ = follow(state(branch=branch(), pulls=(pull(),)), wish("quiet"), policy())
    assert kinds(done) == ["Edit", "Note", "Close", "Drop"]
    assert limits.rejections(end) == []
    later = replace(end, now=NOW + timedelta(days=22))
    assert plan(later, wish(), policy()).outcome == "opened"


def test_what_a_human_changed_is_not_closed_but_called_abandoned() -> None:
    end, done, _ = follow(state(branch=branch(others=("abc",)), pulls=(pull(),)), wish("quiet"), policy())
    assert kinds(done) == ["Edit", "Note", "Dashboard"]
    assert end.open[0].title.endswith(" (abandoned)")


def test_a_box_lets_the_bot_overwrite_once() -> None:
    ticked = f"{markers.box('override', ticked=True)} x\n\n{markers.write(marker())}"
    start = state(branch=branch(others=("abc",)), pulls=(pull(body=ticked),))
    end, done, _ = follow(start, wish(), policy())
    assert kinds(done)[:3] == ["Note", "Push", "Edit"]
    assert not markers.is_ticked(end.open[0].body, "override")


def test_of_two_open_ones_the_older_stays() -> None:
    end, _, _ = follow(state(branch=branch(), pulls=(pull(8), pull(7))), wish(), policy())
    assert [one.number for one in end.open] == [7]
    assert limits.rejections(end) == []


def test_a_run_that_died_after_its_push_is_finished_by_the_next() -> None:
    end, done, first = follow(state(branch=branch()), wish(), policy())
    assert first.outcome == "opened" and kinds(done)[0] == "Open"
    found = limits.marker_of(end.open[0])
    assert found is not None and [one.commit for one in found.trainings] == ["1" * 12]


def test_a_run_that_died_after_its_push_is_recorded_before_the_branch_is_moved() -> None:
    _, done, _ = follow(state(branch=branch(base=MOVED)), wish(), policy())
    assert kinds(done)[:3] == ["Open", "Label", "Push"] or kinds(done)[:2] == ["Open", "Push"]


def test_a_month_that_a_person_chose_is_not_taken_back() -> None:
    chosen, _, _ = follow(state(), wish(as_of=Month(2013, 12)), policy())
    assert plan(chosen, wish(), policy()).steps == ()
    with pytest.raises(ConfigError, match="after 2013-09"):
        plan(state(), wish(as_of=Month(2013, 9)), policy())


def test_a_tick_is_taken_off_when_it_was_done_and_kept_where_a_limit_holds() -> None:
    start = state(dashboards=(TICKED,))
    end, _, _ = follow(start, wish("quiet"), policy())
    assert len(end.open) == 1 and not markers.is_ticked(end.dashboards[0].body, "ask")
    held, _, first = follow(start, wish("quiet"), policy(gpu_hours=0.5))
    assert first.outcome == "limited" and markers.is_ticked(held.dashboards[0].body, "ask")


# -- the training window


@pytest.mark.parametrize(
    ("most", "has", "outcome", "reason"),
    [
        (1, data("2013-11", 8), "current", "up to date"),
        (1, data("2013-11", 9), "updated", "data.train_months 8 instead of 9"),
        (12, data("2013-11", 9), "current", "up to date"),
        (12, data("2013-11", 8), "updated", "data.train_months 9 instead of 8"),
        (12, data("2013-12", 10), "updated", "data to 2013-11 instead of 2013-12"),
        (12, None, "updated", "data to 2013-11 instead of None"),
    ],
)
@pytest.mark.parametrize("opened", [True, False])
def test_a_branch_with_another_window_than_the_policys_is_made_anew(
    most: int, has: Data | None, outcome: str, reason: str, opened: bool
) -> None:
    """Also that of a run which died before it opened the pull request."""
    mine = policy(train_months=most, daily_limit=9)
    described, _, _ = follow(state(branch=branch(data=has), pulls=(pull(),)), wish(), policy(daily_limit=1))
    start = described if opened else replace(described, pulls=())
    if opened:
        first = plan(start, wish(), mine)
        assert first.outcome == outcome and reason in first.reason
    elif has:
        [recorded] = [step for step in plan(start, wish(), mine).steps if isinstance(step, Open)]
        assert recorded.title.endswith(f"to {has.as_of}"), "the training that was is recorded first"
        assert ("`data.train_months` from 8" in recorded.body) == (has.train_months != 8)
    end, done, _ = follow(start, wish(), mine)
    assert end.branch is not None and end.branch.data == data("2013-11", 9 if most == 12 else 8)
    assert [step.data for step in done if isinstance(step, Push)] == (
        [] if outcome == "current" else [end.branch.data]
    )


def test_a_window_that_grows_keeps_its_first_month_and_the_description_says_so() -> None:
    mine = policy(train_months=12)
    end, done, first = follow(state(), wish(), mine)
    assert first.data == data("2013-11", 9) and kinds(done) == ["Push", "Open", "Label", "Dashboard"]
    assert "from `2013-10` to `2013-11`" in end.open[0].body
    assert (
        "`data.train_months` from 8 to 9: the training window grows with the data, up to 12 months"
        in end.open[0].body
    )
    later, _, _ = follow(end, wish(as_of=Month(2014, 1)), mine)
    assert later.branch is not None and later.branch.data == data("2014-01", 11)
    slid, _, _ = follow(state(), wish(), policy())
    assert "train_months" not in slid.open[0].body


def test_where_a_limit_holds_the_description_is_of_the_branch_as_it_is() -> None:
    start = state(branch=branch(data=data("2013-11", 12)), pulls=(pull(),))
    end, done, first = follow(start, wish(), policy(train_months=12, daily_limit=1))
    assert (first.outcome, first.data) == ("limited", data("2013-11", 9)) and "Push" not in kinds(done)
    assert "`data.train_months` from 8 to 12" in end.open[0].body


# -- limits


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [({"daily_limit": 1}, "limited"), ({"daily_limit": 2}, "updated"), ({"gpu_hours": 1.9}, "limited"),
     ({"gpu_hours": 2.0}, "updated"), ({"gpu_hours": 0.0}, "limited")],
)  # fmt: skip
def test_limits_of_a_day_and_of_hours(limit: dict[str, Any], outcome: str) -> None:
    given = state(branch=branch(base=MOVED), pulls=(pull(),))
    assert plan(given, wish(), policy(**limit)).outcome == outcome
    assert plan(given, wish(force=True), policy(**limit)).outcome == outcome


def test_other_days_and_months_do_not_count() -> None:
    old = Training(commit="2" * 12, at="2026-02-28T23:59:59+00:00", hours=1000)
    given = state(branch=branch(base=MOVED), pulls=(pull(body=markers.write(marker(trainings=[old]))),))
    end, done, first = follow(given, wish(), policy(daily_limit=2))
    assert first.outcome == "updated"
    assert "Push" in kinds(done) and plan(end, wish(), policy()).outcome == "current"


def trained(count: int, start: datetime) -> list[Training]:
    """One every hour."""
    return [
        Training(commit=f"{i:012x}", at=(start + timedelta(hours=i)).isoformat(), hours=0.25)
        for i in range(count)
    ]


def test_trainings_of_earlier_months_leave_the_record() -> None:
    """Each is some 100 characters of a description, of which GitHub takes 65,536."""
    old = trained(800, NOW - timedelta(days=35))
    within = [one.commit for one in old if one.at[:7] == "2026-03"]
    assert 0 < len(within) < 500
    body = markers.write(marker(trainings=old))
    assert len(body) > 65_536
    for what, outcome in ((wish(), "current"), (wish("quiet"), "withdrawn")):
        end, _, first = follow(state(branch=branch(), pulls=(pull(body=body),)), what, policy())
        found = limits.marker_of(end.pulls[0])
        assert first.outcome == outcome and found is not None
        assert len(end.pulls[0].body) < 65_536
        assert [one.commit for one in found.trainings] == [*within, "1" * 12]


def test_the_branchs_own_training_stays_on_record_over_the_turn_of_the_month() -> None:
    start = state(branch=branch(), pulls=(pull(),))
    end, _, _ = follow(replace(start, now=NOW + timedelta(days=40)), wish(), policy())
    found = limits.marker_of(end.open[0])
    assert found is not None and [one.commit for one in found.trainings] == ["1" * 12]


def test_a_month_of_more_trainings_than_a_description_holds_is_limited() -> None:
    free = policy(daily_limit=1000, gpu_hours=1000.0)
    full = trained(limits.ON_RECORD - 1, NOW - timedelta(days=15))
    start = state(branch=branch(base=MOVED), pulls=(pull(body=markers.write(marker(trainings=full))),))
    end, done, first = follow(start, wish(), free)
    assert first.outcome == "limited" and f"{limits.ON_RECORD} trainings" in first.reason
    assert "Push" not in kinds(done) and len(end.open[0].body) < 65_536
    fewer = pull(body=markers.write(marker(trainings=full[1:])))
    assert plan(replace(start, pulls=(fewer,)), wish(), free).outcome == "updated"


@pytest.mark.parametrize("damage", ["<!-- mainline:retrain v1 e30= -->", "<!-- mainline:retrain v1 %% -->"])
def test_what_cannot_be_counted_is_too_much(damage: str) -> None:
    stale = state(branch=branch(base=MOVED), pulls=(pull(body=damage),))
    assert plan(stale, wish(), policy()).outcome == "limited"
    ended = pull(body=damage, state="closed", closed=NOW - timedelta(days=1))
    assert plan(state(pulls=(ended,)), wish(force=True), policy()).outcome == "limited"
    long_ago = replace(ended, closed=NOW - timedelta(days=40))
    assert plan(state(pulls=(long_ago,)), wish(), policy()).outcome == "opened"


def test_the_schedule_holds_back_the_opening_and_nothing_else() -> None:
    assert plan(state(), wish(), policy(schedule=["mon"])).outcome == "waiting"
    assert plan(state(), wish(), policy(schedule=["wed"])).outcome == "opened"
    assert plan(state(), wish(force=True), policy(schedule=["mon"])).outcome == "opened"
    moved = state(branch=branch(base=MOVED), pulls=(pull(),))
    assert plan(moved, wish(), policy(schedule=["mon"])).outcome == "updated"


# -- any state

INSTANTS = st.integers(-60 * 24, 0).map(lambda hours: NOW + timedelta(hours=hours))
TRAININGS = st.lists(
    st.builds(Training, commit=st.text("0123456789abcdef", min_size=12, max_size=12),
              at=INSTANTS.map(lambda at: at.isoformat()), hours=st.floats(0, 30)), max_size=3,
)  # fmt: skip
MARKERS = st.builds(
    Marker, fingerprint=st.sampled_from([EVIDENCE, "other"]), as_of=st.sampled_from(["2013-11", "2013-12"]),
    release=st.just("v1.0.0"), asked=st.booleans(), withdrawn=st.booleans(), trainings=TRAININGS,
)  # fmt: skip
BODIES = st.one_of(
    MARKERS.map(markers.write), st.just(""), st.just("<!-- mainline:retrain v1 x -->"),
    MARKERS.map(lambda found: f"{markers.box('override', ticked=True)}\n\n{markers.write(found)}"),
)  # fmt: skip


@st.composite
def pulls(draw: st.DrawFn) -> tuple[Pull, ...]:
    found = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        kind = draw(st.sampled_from(["open", "closed", "merged"]))
        labels = draw(st.frozensets(st.sampled_from([LABEL, OVERRIDE])))
        name = draw(st.sampled_from([NAME, NAME, NAME, f"{PREFIX}other"]))
        ended = draw(INSTANTS) if kind != "open" else None
        found.append(pull(number, branch=name, state=kind, body=draw(BODIES), labels=labels,
                          closed=ended, created=draw(INSTANTS)))  # fmt: skip
    return tuple(found)


DATA = st.none() | st.builds(
    data, st.sampled_from(["2013-09", "2013-10", "2013-11", "2013-12"]), st.sampled_from([8, 9, 10])
)
BRANCHES = st.one_of(
    st.none(),
    st.builds(
        branch, base=st.sampled_from([BASE, MOVED]), data=DATA,
        others=st.sampled_from([(), ("abc",)]), trained=st.booleans(),
        at=INSTANTS.map(lambda at: at.isoformat()), newest=INSTANTS, hours=st.none() | st.floats(0, 30),
    ),
    st.just(Branch("2" * 40, None, None, None, data("2013-10"), ("abc",))),
    st.just(Branch("3" * 40, None, None, None, data("2013-10"))),
)  # fmt: skip
BOXES = st.sampled_from(["", f"{markers.box('ask', ticked=True)}\n", f"{markers.box('ask')}\n"])
STATES = st.builds(
    state, branch=BRANCHES, pulls=pulls(), base_data=st.sampled_from([data("2013-10"), data("2013-11", 9)]),
    dashboards=st.lists(BOXES, max_size=2).map(
        lambda found: tuple(Issue(i, f"{box}{markers.ISSUE}", i != 1) for i, box in enumerate(found))
    ),
)  # fmt: skip
WISHES = st.builds(
    wish, st.sampled_from(["retrain", "retrain", "quiet", "watch", "insufficient"]), force=st.booleans(),
    as_of=st.sampled_from([None, None, Month(2013, 12)]),
)  # fmt: skip
POLICIES = st.builds(
    policy, where=st.sampled_from(["ci", "here"]), train_months=st.sampled_from([1, 9, 24]),
    open_limit=st.integers(1, 2), daily_limit=st.integers(1, 3), gpu_hours=st.sampled_from([0.0, 5.0, 30.0]),
    schedule=st.sampled_from([[], ["mon"]]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(STATES, WISHES, POLICIES)
def test_any_state_leads_to_one_pull_request_and_to_rest_within_the_limits(
    start: State, asked: Wish, mine: MonitorPolicy
) -> None:
    end, done, _ = follow(start, asked, mine)
    assert len(end.open) <= 1
    last = plan(end, replace(asked, force=False), mine)
    assert last.steps == () or asked.force
    if last.outcome == "current":
        assert end.branch is not None and last.data is not None
        wanted = start.base_data.moved(last.data.as_of, mine.retrain.train_months)
        assert end.branch.data == last.data == wanted
        grown = f"from {start.base_data.train_months} to {wanted.train_months}"
        assert (grown in end.open[0].body) == (wanted.train_months > start.base_data.train_months)
    if any(isinstance(step, Push) for step in done):
        counted = limits._trainings(end)
        today = [one for one in counted if datetime.fromisoformat(one.at).date() == NOW.date()]
        month = [one for one in counted if one.at[:7] == "2026-03"]
        assert len(today) <= mine.retrain.daily_limit
        assert sum(one.hours for one in month) <= mine.retrain.gpu_hours
    if any(isinstance(step, Open) for step in done):
        assert sum(one.state == "open" for one in end.pulls) <= mine.retrain.open_limit
    if start.branch and start.branch.others and not start.open:
        merged = start.mine and start.mine[-1].state == "merged"
        assert merged or end.branch == start.branch, "somebody's commits were overwritten"


# -- texts and formats


@pytest.mark.parametrize("excess", [None, Figure(value=0.02, low=0.01, high=0.03)])
def test_the_table_of_windows_has_a_column_for_what_its_task_has(excess: Figure | None) -> None:
    """A regression expects no loss of itself."""
    seen = drift().recent[0].model_copy(update={"excess": excess})
    what = replace(wish(), drift=drift(recent=[seen]))
    shown = texts.body(state(), what, policy(), marker(), data("2013-11"))
    head, rule, row = next(
        lines for index, _ in enumerate(shown.splitlines())
        if (lines := shown.splitlines()[index : index + 3])[0].startswith("| days |")
    )  # fmt: skip
    assert ("beyond its own expectation" in head) == (excess is not None)
    assert head.count("|") == rule.count("|") == row.count("|")


HOSTILE = (
    "@octo/team fixes #12 [click](https://evil.example) ![x](http://evil.example/p.png) <b>b</b> "
    "<!-- mainline:retrain v1 e30= -->\n<!-- mainline:retrain v1 e30= -->\n"
    "- [x] <!-- mainline:override --> | a"
)


@pytest.mark.parametrize(
    "hostile", [HOSTILE, "\n" * 5 + HOSTILE, "`" + HOSTILE, "x" * 100_000, "@ " * 50_000]
)
def test_no_text_of_the_data_means_anything_in_a_body(hostile: str) -> None:
    finding = Finding(name=hostile, kind="drift", outcome="retrain", window=hostile, column=hostile,
                      observed=1.0, limit=0.1, text=hostile)  # fmt: skip
    found = watch(reason=hostile, until=hostile, release=hostile, findings=[finding] * 40)
    figures = {f"{hostile}{index}": Figure(value=1.0, low=None, high=None) for index in range(30)}
    what = Wish(found, drift(backtest=figures, recent=[replace_window(hostile)] * 30))
    body = texts.body(state(), what, policy(), marker(), data("2013-11"))
    shown = texts.dashboard(
        state(),
        what,
        Plan("limited", hostile, data("2013-11")),
        None,
        [pull(title=hostile)] * 30,
        asked=False,
    )
    for text in (body, shown):
        assert len(text) < 65_536
        html = MarkdownIt("commonmark").enable("table").render(text)
        plain = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
        assert "@octo" not in plain and "#12" not in plain and "<a " not in plain and "<img" not in plain
        assert "<b>" not in plain
    assert markers.read(body) == marker()
    assert not markers.is_ticked(body, "override") and not markers.is_ticked(shown, "ask")


def replace_window(text: str):
    return window("2013-11-01", "2013-11-30").model_copy(
        update={"first": text, "last": text, "against": {text: Figure(value=1.0, low=0.0, high=2.0)}}
    )


@given(MARKERS, st.text(max_size=200))
def test_a_marker_is_read_as_it_was_written(found: Marker, around: str) -> None:
    body = texts.prose(around) + "\n\n" + markers.write(found)
    assert markers.read(body) == found
    assert markers.read(body.replace("\n", "\r\n")) == found


def test_two_markers_are_one_too_many() -> None:
    with pytest.raises(RecordError):
        markers.read(f"{marked()}\n\n{marked(fingerprint='other')}")


@given(st.text(max_size=300))
def test_any_body_has_a_marker_or_none_or_is_said_to_be_damaged(body: str) -> None:
    for text in (body, f"<!-- mainline:retrain v1 {body} -->"):
        try:
            markers.read(text)
        except RecordError as error:
            assert "cannot be read" in error.what


@given(st.text(max_size=300))
def test_a_commit_message_commands_nothing(text: str) -> None:
    said = evidence.spoken(f"{text} [skip ci] fixes #12 @octo skip ci")
    assert not set(said) & set("#@[]/<>`\n")
    assert "skip ci" not in said and len(said) <= 200


@pytest.mark.parametrize(
    ("months", "found"),
    [
        ([("2013-10-01", "2013-10-31", {}), ("2013-11-01", "2013-11-30", {})], "2013-11"),
        ([("2013-10-01", "2013-10-31", {}), ("2013-11-01", "2013-11-29", {})], "2013-10"),
        ([("2013-10-01", "2013-10-31", {}), ("2013-11-01", "2013-11-30", {"share": 0.79})], "2013-10"),
        ([("2013-10-01", "2013-10-31", {}), ("2013-11-01", "2013-11-30", {"share": None})], "2013-10"),
        ([("2013-10-01", "2013-10-31", {}), ("2013-11-01", "2013-11-30", {"pending": 31})], "2013-10"),
        ([("2013-11-01", "2013-11-20", {})], None),
        ([], None),
    ],
)
def test_the_newest_month_whose_labels_are_complete(months: list, found: str | None) -> None:
    windows = [window(first, last, **what) for first, last, what in months]
    newest = evidence.newest_month(drift(months=windows), policy())
    assert (None if newest is None else str(evidence.month_of(newest))) == found


def test_reports_of_two_runs_are_refused() -> None:
    evidence.check(watch(), drift())
    with pytest.raises(RecordError, match="do not belong together"):
        evidence.check(watch(until="2013-12-11"), drift())


def test_every_step_has_words() -> None:
    assert len({one.__name__ for one in Step.__args__}) == 9
    assert all(dataclasses.is_dataclass(one) for one in Step.__args__)
