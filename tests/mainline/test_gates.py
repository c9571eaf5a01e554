"""The gate's decision: a table of cases, and what must hold for all of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline import gates, manifests, rules
from mainline.gates import Decision, Evidence
from mainline.policy import HIGHER_IS_BETTER, TWO_SIDED, GatePolicy
from mainline.records import Figure, Manifest, Metrics
from mainline.review import Comparison, Latency, Rule, SliceChange

POLICY = GatePolicy(
    resamples=2000,
    confidence=0.95,
    margins={"log_loss": 0.002, "roc_auc": 0.005},
    floors={"roc_auc": 0.65},
    ceilings={"ece": 0.06},
    slice_margin=0.03,
    slice_rows=300,
    model_bytes=1000,
    latency_ms=5,
)
UNDEFINED = Figure(value=None, low=None, high=None)
# Every figure of every task of which less is better; tests/pipeline/test_compare.py looks at the figures.
LOWER_IS_BETTER = ("log_loss", "brier", "ece", "cost", "rmse", "mae", "median_ae")


def figure(value: float, half: float | None = 0.0) -> Figure:
    return Figure(value=value, low=None, high=None) if half is None else Figure(
        value=value, low=value - half, high=value + half
    )  # fmt: skip


def part(least: float, *, rows: int = 1000, value: str = "EWR", wide: float = 0.01) -> SliceChange:
    """A slice whose log loss grew by at least `least`."""
    change = Figure(value=least + wide, low=least, high=least + 2 * wide)
    return SliceChange(
        column="origin", value=value, rows=rows, champion=0.4, candidate=0.4 + least + wide, difference=change
    )


def comparison(**changes: object) -> Comparison:
    values = {
        "task": "binary",
        "rows": 1000,
        "blocks": 31,
        "resamples": 2000,
        "confidence": 0.95,
        "candidate": {"log_loss": figure(0.38), "roc_auc": figure(0.75), "ece": figure(0.02)},
        "champion": {"log_loss": figure(0.38), "roc_auc": figure(0.75), "ece": figure(0.02)},
        "differences": {"log_loss": figure(-0.003, 0.001), "roc_auc": figure(0.002, 0.001)},
        "slices": [part(-0.02)],
        "latency": {
            "candidate": Latency(median_ms=0.1, p95_ms=0.2),
            "champion": Latency(median_ms=0.1, p95_ms=0.2),
        },
    }
    return Comparison(**{**values, **changes})  # type: ignore[arg-type]


def metrics(**changes: object) -> Metrics:
    values = {
        "task": "binary",
        "rows": 1000,
        "blocks": 31,
        "resamples": 1000,
        "confidence": 0.95,
        "parameters": 10,
        "model_bytes": 900,
        "threshold": 0.3,
        "figures": {
            "log_loss": figure(0.38, 0.03), "roc_auc": figure(0.75, 0.03), "ece": figure(0.02, 0.01)
        },
        "baselines": {"rate": {"log_loss": figure(0.47)}, "trees": {"log_loss": figure(0.39)}},
        "differences": {
            "rate": {"log_loss": figure(-0.09, 0.01)}, "trees": {"log_loss": figure(-0.01, 0.001)}
        },
        "slices": [],
        "worst_slice": None,
        "importance": {},
    }  # fmt: skip
    return Metrics(**{**values, **changes})  # type: ignore[arg-type]


def evidence(**changes: object) -> Evidence:
    """Of one good candidate, against `flight-delay#production#3`; fields by name, also the comparison's."""
    own = {key: changes.pop(key) for key in tuple(changes) if key in Evidence.__dataclass_fields__}
    base = Evidence(
        "flight-delay#production#3", "same rows", metrics(), 900, comparison(**changes), manifest=APART
    )
    return replace(base, **own)  # type: ignore[arg-type]


def differing(log_loss: Figure | None = None, roc_auc: Figure | None = None) -> Evidence:
    good = {"log_loss": figure(-0.003, 0.001), "roc_auc": figure(0.002, 0.001)}
    given = {"log_loss": log_loss, "roc_auc": roc_auc}
    return evidence(differences=good | {name: one for name, one in given.items() if one})


def seen(**figures: Figure) -> Evidence:
    measured = comparison().candidate | figures
    return evidence(candidate=measured, metrics=metrics(figures=measured))


def recorded(*, alike: bool = True, **figures: Figure) -> Evidence:
    return evidence(metrics=metrics(figures=metrics().figures | figures), alike=alike)


def unreadable(
    ours: Figure, theirs: Figure, *, same_window: bool = True, levels: tuple[float, float] = (0.95, 0.95)
) -> Evidence:
    recorded = [
        metrics(
            figures={"log_loss": one, "roc_auc": figure(0.75, 0.001), "ece": figure(0.02)}, confidence=level
        )
        for one, level in zip((ours, theirs), levels, strict=True)
    ]
    return evidence(
        basis="recorded figures", metrics=recorded[0], recorded=recorded[1], same_window=same_window,
        unreadable="temp is missing", champion="main", candidate=recorded[0].figures, differences={},
        slices=[],
    )  # fmt: skip


def first(trees: Figure, **changes: object) -> Evidence:
    """No champion yet."""
    differences = {"rate": {"log_loss": figure(-0.09, 0.01)}, "trees": {"log_loss": trees}}
    recorded = metrics(differences=differences, **changes)
    return evidence(basis="baselines", metrics=recorded, differences={}, blocks=recorded.blocks)


def manifest(**windows: list[str]) -> Manifest:
    return Manifest(
        task="binary", inputs=[], outputs=[], classes=[], threshold=None, vocabularies={}, windows=windows,
        device_class="cpu", files={}, code={},
    )  # fmt: skip


WINDOWS = {
    "train": ["2013-01", "2013-08"], "validation": ["2013-09", "2013-09"], "test": ["2013-10", "2013-10"]
}  # fmt: skip
APART = manifest(**WINDOWS)


def windowed(**windows: list[str]) -> Evidence:
    """As `evidence`, of a model of other windows; an empty one is left out of the manifest."""
    return evidence(manifest=manifest(**{name: one for name, one in (WINDOWS | windows).items() if one}))


def undefined_part(champion: float | None, candidate: float | None, rows: int = 1000) -> SliceChange:
    return part(0).model_copy(
        update={"champion": champion, "candidate": candidate, "rows": rows, "difference": UNDEFINED}
    )


def timed(candidate: float, champion: float | None = None, p95: float | None = None) -> Evidence:
    found = {"candidate": Latency(median_ms=candidate, p95_ms=p95 or candidate)}
    if champion is not None:
        found["champion"] = Latency(median_ms=champion, p95_ms=champion)
    return evidence(latency=found)


CASES = [
    ("better", evidence(), "promote", "margin log_loss"),
    ("the same to the byte", evidence(basis="same model", comparison=None), "promote", "same model"),
    ("worse within the margin, certainly", differing(figure(0.001, 0.0005)), "promote", "margin log_loss"),
    ("worse to the margin exactly", differing(figure(0.001, 0.001)), "promote", "margin log_loss"),
    ("equal, and the rows cannot tell", differing(figure(0.0, 0.003)), "hold", "margin log_loss"),
    ("certainly worse, perhaps by more", differing(figure(0.002, 0.001)), "block", "margin log_loss"),
    ("worse by far", differing(figure(0.05, 0.001)), "block", "margin log_loss"),
    ("ROC-AUC worse by far", differing(roc_auc=figure(-0.05, 0.001)), "block", "margin roc_auc"),
    ("ROC-AUC cannot tell", differing(roc_auc=figure(-0.004, 0.005)), "hold", "margin roc_auc"),
    ("ROC-AUC better by far", differing(roc_auc=figure(0.05, 0.001)), "promote", "margin log_loss"),
    ("too few blocks", differing(figure(-0.1, None)), "hold", "margin log_loss"),
    ("an undefined difference", differing(UNDEFINED), "block", "margin log_loss"),
    ("no differences", evidence(differences={}), "block", "margin log_loss"),
    ("no comparison at all", evidence(comparison=None), "block", "margin log_loss"),
    ("an undefined floor", seen(roc_auc=UNDEFINED), "block", "floor roc_auc"),
    ("below the floor", seen(roc_auc=figure(0.64)), "block", "floor roc_auc"),
    ("on the floor", seen(roc_auc=figure(0.65)), "promote", "margin log_loss"),
    ("above the ceiling", seen(ece=figure(0.07)), "block", "ceiling ece"),
    ("an undefined ceiling", seen(ece=UNDEFINED), "block", "ceiling ece"),
    ("no figures", evidence(candidate={}), "block", "floor roc_auc"),
    ("a slice certainly worse", evidence(slices=[part(0.04)]), "block", "slices"),
    ("a slice perhaps worse", evidence(slices=[part(0.02)]), "promote", "margin log_loss"),
    ("a small slice much worse", evidence(slices=[part(0.4, rows=299)]), "promote", "margin log_loss"),
    ("a slice of just enough rows", evidence(slices=[part(0.4, rows=300)]), "block", "slices"),
    (
        "a slice that lost its figure",
        evidence(slices=[part(0), undefined_part(0.4, None)]),
        "block",
        "slices",
    ),
    ("a small one that did", evidence(slices=[undefined_part(0.4, None, 299)]), "promote", "margin log_loss"),
    (
        "a slice that never had one",
        evidence(slices=[undefined_part(None, None)]),
        "promote",
        "margin log_loss",
    ),
    ("a slice that gained one", evidence(slices=[undefined_part(None, 0.4)]), "promote", "margin log_loss"),
    ("other rows than were evaluated", evidence(rows=999), "block", "rows"),
    ("rows of other blocks", evidence(metrics=metrics(blocks=30)), "block", "rows"),
    ("recorded better than it is", recorded(log_loss=figure(0.05)), "block", "record"),
    ("recorded worse than it is", recorded(roc_auc=figure(0.7)), "block", "record"),
    ("recorded without a value", recorded(ece=UNDEFINED), "block", "record"),
    ("nothing recorded", evidence(metrics=metrics(figures={})), "block", "record"),
    ("recorded by another processor", recorded(log_loss=figure(0.38001)), "promote", "margin log_loss"),
    ("measured in main's way", recorded(alike=False, log_loss=figure(0.05)), "promote", "margin log_loss"),
    ("fitted on a test month", windowed(train=["2013-01", "2013-10"]), "block", "windows"),
    ("calibrated on a test month", windowed(validation=["2013-10", "2013-11"]), "block", "windows"),
    ("no test window", windowed(test=[]), "block", "windows"),
    ("no train window", windowed(train=[]), "block", "windows"),
    ("no validation window", windowed(validation=[]), "block", "windows"),
    ("windows that are no months", windowed(train=["", "2013-08"]), "block", "windows"),
    ("a window the wrong way round", windowed(train=["2013-08", "2013-01"]), "block", "windows"),
    ("no manifest", evidence(manifest=None), "block", "windows"),
    ("nine blocks", evidence(blocks=9, metrics=metrics(blocks=9)), "hold", "margin log_loss"),
    ("ten blocks", evidence(blocks=10, metrics=metrics(blocks=10)), "promote", "margin log_loss"),
    ("no slices", evidence(slices=[]), "promote", "margin log_loss"),
    ("a leak", evidence(metrics=metrics(suspects={"arrival": 0.999})), "block", "leak"),
    (
        "a leak in the same model",
        evidence(basis="same model", comparison=None, metrics=metrics(suspects={"arrival": 0.999})),
        "block",
        "leak",
    ),
    ("of unknown size", evidence(model_bytes=None), "block", "size"),
    ("of the greatest size", evidence(model_bytes=1000), "promote", "margin log_loss"),
    ("too large", evidence(model_bytes=1001), "block", "size"),
    ("too slow", timed(6, 0.1), "block", "latency"),
    ("too slow, alone", timed(6), "block", "latency"),
    ("too slow, like the champion", timed(6, 7), "hold", "latency"),
    ("slow now and then", timed(0.1, 0.1, p95=50), "promote", "margin log_loss"),
    ("not timed", evidence(latency={}), "block", "latency"),
    ("first, and better than the trees", first(figure(-0.01, 0.001)), "promote", "baseline"),
    ("first, and about as good", first(figure(0.001, 0.002)), "hold", "baseline"),
    ("first, and certainly worse", first(figure(0.01, 0.001)), "block", "baseline"),
    ("first, without an interval", first(figure(-0.01, None)), "hold", "baseline"),
    ("first, at a lower confidence", first(figure(-0.01, 0.001), confidence=0.5), "hold", "baseline"),
    ("first, on nine blocks", first(figure(-0.01, 0.001), blocks=9), "hold", "baseline"),
    ("first, without baselines", first(figure(-0.01, 0.001), baselines={}), "block", "baseline"),
    ("first, undefined", first(UNDEFINED), "block", "baseline"),
    ("recorded, far better", unreadable(figure(0.3, 0.01), figure(0.4, 0.01)), "promote", "margin log_loss"),
    ("recorded, about equal", unreadable(figure(0.38, 0.03), figure(0.38, 0.03)), "hold", "margin log_loss"),
    ("recorded, far worse", unreadable(figure(0.5, 0.01), figure(0.4, 0.01)), "block", "margin log_loss"),
    (
        "recorded, on other rows",
        unreadable(figure(0.3, 0.01), figure(0.4, 0.01), same_window=False),
        "hold",
        "margin log_loss",
    ),
    (
        "recorded, by the candidate at a lower confidence",
        unreadable(figure(0.3, 0.01), figure(0.4, 0.01), levels=(0.5, 0.95)),
        "hold",
        "margin log_loss",
    ),
    (
        "recorded, by the champion at a lower confidence",
        unreadable(figure(0.3, 0.01), figure(0.4, 0.01), levels=(0.95, 0.5)),
        "hold",
        "margin log_loss",
    ),
    ("recorded, by the candidate not", unreadable(UNDEFINED, figure(0.4)), "block", "margin log_loss"),
    ("recorded, by the champion not", unreadable(figure(0.4), UNDEFINED), "hold", "margin log_loss"),
]


@pytest.mark.parametrize(("case", "verdict", "rule"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_table(case: Evidence, verdict: str, rule: str) -> None:
    decision = gates.decide(case, POLICY)
    assert (decision.verdict, decided(decision).name) == (verdict, rule)


def decided(decision: Decision) -> Rule:
    found = next(rule for rule in decision.rules if rule.outcome == decision.verdict)
    assert decision.reason == found.text
    return found


def test_the_reason_is_one_sentence_with_the_number_and_the_margin() -> None:
    case = differing(Figure(value=-0.0031, low=-0.0045, high=-0.0017))
    assert gates.decide(case, POLICY).reason == (
        "log loss −0.0031 [−0.0045, −0.0017] against flight-delay#production#3, margin +0.0020"
    )


def test_the_worst_slice_is_named_and_hostile_values_stay_on_one_line() -> None:
    slices = [part(0.04, value="JFK"), part(0.05, value="x\n# hi" + "y" * 500), part(0.9, rows=3)]
    reason = gates.decide(evidence(slices=slices), POLICY).reason
    assert "origin is x?# hi" in reason and "\n" not in reason and len(reason) < 300


def test_the_unreadable_champion_is_told_with_the_reason() -> None:
    reason = gates.decide(unreadable(figure(0.38, 0.03), figure(0.38, 0.03)), POLICY).reason
    assert "recorded figures" in reason and "temp is missing" in reason


@pytest.mark.parametrize(
    ("mains", "verdict"),
    [(evidence(), "promote"), (differing(figure(0.0, 0.01)), "hold"), (differing(figure(0.05)), "hold")],
)
def test_the_gate_on_main_holds_what_a_looser_one_promotes(mains: Evidence, verdict: str) -> None:
    own = gates.decide(evidence(), POLICY)
    judged = gates.under_main(own, gates.decide(mains, POLICY))
    assert judged.verdict == verdict
    assert judged.rules[-1].name == gates.MAIN_RULE
    assert gates.under_main(own, None).verdict == "hold"
    unread = gates.under_main(own, None, "the gate on main cannot be read: gate.x is missing")
    assert (unread.verdict, unread.reason) == ("hold", "the gate on main cannot be read: gate.x is missing")
    blocked = gates.decide(differing(figure(0.05)), POLICY)
    assert gates.under_main(blocked, gates.decide(mains, POLICY)).verdict == "block"


@pytest.mark.parametrize("name", [*sorted(HIGHER_IS_BETTER), *LOWER_IS_BETTER])
def test_every_figure_is_turned_the_right_way(name: str) -> None:
    """In margins, slices and against baselines alike."""
    policy = POLICY.model_copy(update={"margins": {name: 0.01}, "floors": {}, "ceilings": {}})
    better = figure(0.2 if name in HIGHER_IS_BETTER else -0.2, 0.01)
    worse = figure(-better.value, 0.01)  # type: ignore[operator]
    for change, expected in ((better, "promote"), (worse, "block")):
        assert gates.decide(evidence(differences={name: change}, slices=[]), policy).verdict == expected
        changed = part(0).model_copy(update={"difference": change})
        found = gates.decide(evidence(differences={name: better}, slices=[changed]), policy)
        assert next(rule.outcome for rule in found.rules if rule.name == "slices") == expected
        recorded = metrics(baselines={"b": {name: figure(0.5)}}, differences={"b": {name: change}})
        assert gates.decide(evidence(basis="baselines", metrics=recorded), policy).verdict == expected


def test_every_figure_has_one_direction_or_two_sides() -> None:
    assert not HIGHER_IS_BETTER & TWO_SIDED
    assert not {*LOWER_IS_BETTER} & (HIGHER_IS_BETTER | TWO_SIDED)


def test_sides_of_unequal_length_add_in_squares_end_by_end() -> None:
    """0.40 [0.35, 0.42] minus 0.30 [0.29, 0.36]: down 0.05 and 0.06, up 0.02 and 0.01."""
    found = rules.unpaired(
        Figure(value=0.40, low=0.35, high=0.42), Figure(value=0.30, low=0.29, high=0.36)
    )  # fmt: skip
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1 - math.sqrt(0.05**2 + 0.06**2))
    assert found.high == pytest.approx(0.1 + math.sqrt(0.02**2 + 0.01**2))


def test_the_deciding_figure_may_be_one_of_which_more_is_better() -> None:
    policy = POLICY.model_copy(update={"margins": {"roc_auc": 0.005}, "floors": {}, "ceilings": {}})
    worse = Figure(value=-0.06, low=-0.08, high=-0.04)
    bad = part(0).model_copy(update={"difference": worse})
    good = part(0).model_copy(update={"difference": Figure(value=0.06, low=0.04, high=0.08)})
    assert gates.decide(evidence(slices=[good]), policy).verdict == "promote"
    assert gates.decide(evidence(slices=[good, bad]), policy).verdict == "block"
    baselines = {"low": {"roc_auc": figure(0.6)}, "high": {"roc_auc": figure(0.7)}}
    differences = {"low": {"roc_auc": figure(0.1, 0.01)}, "high": {"roc_auc": figure(0.0, 0.01)}}
    case = evidence(basis="baselines", metrics=metrics(baselines=baselines, differences=differences))
    assert gates.decide(case, policy).verdict == "hold", "the best baseline counts"


@pytest.mark.parametrize(
    ("train", "warned"),
    [
        (["2013-01", "2013-09"], False), (["2013-01", "2013-10"], True), (["2013-11", "2013-12"], True),
        (["2013-12", "2014-01"], False), (["2012-01", "2014-01"], True), ([], False),
    ],
)  # fmt: skip
def test_a_champion_that_saw_the_test_rows_is_a_warning(train: list[str], warned: bool) -> None:
    candidate = manifest(test=["2013-10", "2013-11"])
    for name in ("train", "validation"):
        warning = manifests.overlap(manifest(**{name: train}), candidate)
        assert bool(warning) == warned
        assert not warned or f"the champion's {name} window" in warning
    assert manifests.overlap(manifest(train=train), manifest()) == ""


def test_the_same_window_is_the_same_months_and_as_many_rows_and_blocks() -> None:
    october, november = manifest(test=["2013-10", "2013-10"]), manifest(test=["2013-11", "2013-11"])
    assert manifests.same_window(metrics(), metrics(), october, october)
    assert not manifests.same_window(metrics(), metrics(), october, november)
    assert not manifests.same_window(metrics(), metrics(), manifest(), manifest())
    assert not manifests.same_window(metrics(), metrics(), october, None)
    assert not manifests.same_window(metrics(), metrics(rows=999), october, october)
    assert not manifests.same_window(metrics(), metrics(blocks=30), october, october)
    assert not manifests.same_window(metrics(), None, october, october)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"threshold": 0.5}, ["threshold (null to 0.5)"]),
        ({"classes": ["a", "b"]}, ["classes"]),
        ({"inputs": [{"name": "x"}]}, ["inputs"]),
        ({"outputs": ["other"]}, ["outputs"]),
        ({"task": "regression"}, ["task"]),
        ({"files": {"a": "b"}, "code": {"a": "b"}, "windows": {}}, []),
        ({}, []),
    ],
)
def test_what_a_service_would_do_otherwise_with_the_same_model_is_named(changes: dict, told: list) -> None:
    assert manifests.differing(APART, APART.model_copy(update=changes)) == told
    assert bool(manifests.differing(APART.model_copy(update=changes), APART)) == bool(told)


# What must hold for all evidence.

SEVERITY = {"promote": 0, "hold": 1, "block": 2}
small = st.floats(-0.1, 0.1)
worse_by = st.floats(0, 0.2)


@given(small, st.floats(0, 0.05), worse_by, small, st.floats(0, 0.05), worse_by)
def test_a_worse_candidate_never_gets_a_better_verdict(
    loss: float, loss_half: float, more: float, auc: float, auc_half: float, less: float
) -> None:
    before = differing(figure(loss, loss_half), figure(auc, auc_half))
    after = differing(figure(loss + more, loss_half), figure(auc - less, auc_half))
    assert severity(after) >= severity(before)


@given(st.floats(0.4, 1), worse_by, st.floats(0, 0.2), worse_by, small, worse_by, st.integers(1, 2000))
def test_nor_one_that_is_worse_in_a_floor_a_ceiling_a_slice_or_the_size(
    auc: float, less: float, ece: float, more: float, least: float, deeper: float, size: int
) -> None:
    def case(auc: float, ece: float, least: float, size: int) -> Evidence:
        figures = comparison().candidate | {"roc_auc": figure(auc), "ece": figure(ece)}
        return evidence(candidate=figures, slices=[part(least)], model_bytes=size)

    assert severity(case(auc - less, ece + more, least + deeper, size * 2)) >= severity(
        case(auc, ece, least, size)
    )


@given(small, st.floats(0, 0.05), worse_by)
def test_nor_against_the_baselines_or_on_recorded_figures(value: float, half: float, more: float) -> None:
    assert severity(first(figure(value + more, half))) >= severity(first(figure(value, half)))
    before, after = (unreadable(figure(0.4 + one, half), figure(0.4, 0.01)) for one in (value, value + more))
    assert severity(after) >= severity(before)


def severity(case: Evidence) -> int:
    return SEVERITY[gates.decide(case, POLICY).verdict]


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["log_loss", "roc_auc", "ece"])
@pytest.mark.parametrize("end", ["value", "low", "high"])
def test_nothing_undefined_promotes(bad: float | None, name: str, end: str) -> None:
    """Records refuse NaN; the decision does so once more."""
    broken = Figure.model_construct(**{**figure(-0.5, 0.1).model_dump(), end: bad})
    if name != "ece":
        differences = comparison().differences | {name: broken}
        found = comparison().model_copy(update={"differences": differences})
        assert gates.decide(evidence(comparison=found), POLICY).verdict == (
            "block" if end == "value" else "hold"
        )
    if end == "value" and name != "log_loss":
        found = comparison().model_copy(update={"candidate": comparison().candidate | {name: broken}})
        assert gates.decide(evidence(comparison=found), POLICY).verdict == "block"


def test_the_order_of_slices_and_figures_changes_nothing() -> None:
    parts = [part(0.04, value="a"), part(0.04, value="b"), part(0.01, value="c")]
    texts = {
        gates.decide(evidence(slices=list(order)), POLICY).reason for order in itertools.permutations(parts)
    }
    assert len(texts) == 1
    turned = comparison(candidate=dict(reversed(comparison().candidate.items())))
    assert gates.decide(evidence(comparison=turned), POLICY) == gates.decide(evidence(), POLICY)
    policy = POLICY.model_copy(update={"floors": {"roc_auc": 0.99, "ece": 0.5}})
    other = POLICY.model_copy(update={"floors": {"ece": 0.5, "roc_auc": 0.99}})
    assert gates.decide(evidence(), policy).verdict == gates.decide(evidence(), other).verdict == "block"
