"""What the comment says, in which order, and that it says it whatever is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mainline import errors
from mainline.records import Figure
from mainline.report import headline, markdown, page, parameters, sections
from mainline.report.blocks import Bullets, Code, Details, Document, Headline, Link, Paragraph, Section, Table
from mainline.report.facts import Base, Facts
from mainline.review import Champion, Change, MissingObject, Rule, Run
from mainline.summary import HEADLINES
from tests.mainline import reporting

UNNAMED = {
    "GitError",
    "ForgeError",
    "SupersededError",
    "DeployError",
    "ServiceError",
    "ReproductionError",
}  # no stage ends with these
GOLDEN = Path(__file__).parent / "golden" / "report.md"
NOTHING = Facts(commit=reporting.COMMIT, base=Base(name="none"))


def text(facts: Facts) -> str:
    return markdown.render(sections.build(facts))


def first(facts: Facts) -> str:
    return text(facts).splitlines()[0]


def test_the_whole_report_word_for_word() -> None:
    """After a change of wording: write the new text to the file, and look at the difference in review."""
    assert text(reporting.facts()) == GOLDEN.read_text()


def test_a_run_that_left_another_lock_is_not_told() -> None:
    shown = text(reporting.facts(lock_sha256="9" * 64))
    assert "stages ran" not in shown and "Nothing was run for this report" in shown


@pytest.mark.parametrize(
    "changes",
    [
        {"lock": reporting.stale(), "gate": None},
        {"lock": reporting.stale()},
        {"lock": reporting.stale(state="broken", problem="no remote is configured")},
        {"gate": reporting.gate(verdict="block", reason="stale", basis="nothing", comparison=None)},
    ],
)
def test_where_the_lock_is_stale_no_figure_and_no_run_is_the_candidates(changes: dict) -> None:
    """They are of the model before the change, most often the champion's own."""
    shown = text(reporting.facts(**changes))
    assert "There are no figures of this yet" in shown
    for word in ("0.3800", "stages ran", "28.9", "Learning curve", "trained on", "MLflow run", "### Slices"):
        assert word not in shown, word
    assert "stages ran" in text(reporting.facts(lock=reporting.stale(lock_sha256="2" * 64)))


HOLD = reporting.gate(verdict="hold", reason="cannot tell: log loss +0.0010 [−0.0014, +0.0034]")
BLOCKED = Rule(name="floor", outcome="block", observed=0.5, limit=0.65, text="ROC-AUC 0.5000, floor 0.6500")
BROKEN = MissingObject(path="data/raw", md5="f" * 32, file="flights/month=2013-01.parquet")
CASES = {
    "promote": ({}, "✅ Promote: log loss −0.0100 [−0.0150, −0.0050]"),
    "hold": ({"gate": HOLD}, "⚠ Hold: cannot tell: log loss +0.0010"),
    "accepted": (
        {"gate": HOLD.model_copy(update={"accepted": True})},
        "✅ Held, accepted by a person: cannot",
    ),
    "block": (
        {"gate": reporting.gate(verdict="block", reason="certainly worse: 3")},
        "⛔ Block: certainly worse",
    ),
    "no number": (
        {"gate": reporting.gate(verdict="block", reason="too low", rules=[BLOCKED])},
        "⛔ Block: too low (floor 0.5, limit 0.65)",
    ),
    "stale": (
        {"gate": None, "lock": reporting.stale()},
        "⚠ The lock is stale: 1 stage must run again: train",
    ),
    "stale beats promote": ({"lock": reporting.stale()}, "⚠ The lock is stale"),
    "stale before, ran since": ({"lock": reporting.stale(lock_sha256="2" * 64)}, "✅ Promote"),
    "stale after an old run": (
        {"lock": reporting.stale(), "run": reporting.facts().run},
        "⚠ The lock is stale",
    ),
    "stale without a lock, which came back": ({"lock": reporting.stale(lock_sha256=None)}, "✅ Promote"),
    "stale at another commit": ({"lock": reporting.stale(commit="e" * 40)}, "✅ Promote"),
    "broken": (
        {"lock": reporting.stale(state="broken", stale=[], missing=[BROKEN])},
        "⛔ The lock is broken: 1 object missing or damaged on the remote, first data/raw",
    ),
    "broken for a reason": (
        {"lock": reporting.stale(state="broken", problem="no remote is configured")},
        "⛔ The lock is broken: no remote is configured",
    ),
    "validation failed": (
        {"validations": (reporting.validation("critical"),), "gate": None},
        "⛔ Data validation failed: 1 critical expectation broken, first",
    ),
    "training failed": (
        {"gate": None, "failed": {"train": 14}},
        "⛔ The pipeline failed: stage train, exit code 14: training gave no usable model",
    ),
    "crashed": ({"gate": None, "failed": {"train": 1}}, "exit code 1: it crashed"),
    "a file that is not its record's": (
        {"gate": None, "failed": {"evaluate": 16}},
        "stage evaluate, exit code 16: a file is not the one its record names",
    ),
    "the comparison failed": (
        {"gate": None, "failed": {"compare": 17}},
        "⛔ The comparison failed: exit code 17: the exported model is not the trained one",
    ),
    "a stage failed first": ({"gate": None, "failed": {"compare": 1, "train": 14}}, "stage train, exit"),
    "the gate found a stale lock": (
        {"gate": reporting.gate(verdict="block", reason="dvc.lock is stale", rules=[], basis="nothing")},
        "⛔ Block: `dvc.lock` is stale",
    ),
    "an old failure": ({"failed": {"train": 14}}, "✅ Promote"),
    "no gate": ({"gate": None}, "⚠ No verdict: the gate has left no record"),
    "gate of another lock": ({"lock_sha256": "9" * 64}, "⚠ No verdict: the gate judged another `dvc.lock`"),
}


def test_every_exit_code_of_a_stage_has_words() -> None:
    """Else the report says of a wrong params.yaml that it crashed."""
    kinds = [errors.MainlineError, *errors.MainlineError.__subclasses__()]
    assert {kind.__name__ for kind in kinds if kind.exit_code not in headline.CODES} == UNNAMED


@pytest.mark.parametrize("name", CASES)
def test_the_first_line_says_what_happened(name: str) -> None:
    changes, words = CASES[name]
    run = {} if "run" in changes or "an old" in name else {"run": None}
    assert words in first(reporting.facts(**{**run, **changes}))


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("promote", "accepted")])
def test_whoever_cannot_merge_is_told_what_to_do(name: str) -> None:
    changes, words = CASES[name]
    if "✅" in words:
        return
    facts = reporting.facts(**{"run": None, **changes})
    below = text(facts).split("\n\n")[1:3]
    assert any(block.startswith("> [!NOTE]") for block in below)


def test_what_is_damaged_is_to_be_deleted_first() -> None:
    """`dvc push` leaves alone what is there under its name."""
    for state, wanted in (("damaged", True), ("missing", False)):
        gone = BROKEN.model_copy(update={"state": state})
        shown = text(reporting.facts(lock=reporting.stale(state="broken", stale=[], missing=[gone])))
        assert ("Delete what is damaged from the remote first." in shown) == wanted


def test_a_change_of_the_policy_stands_right_below_the_verdict() -> None:
    below = text(reporting.facts()).split("\n\n")[1]
    assert below.startswith("> [!WARNING]")
    assert "`gate.margins.log_loss`: `0.002` → `0.05`" in below


def test_without_a_gate_the_policy_is_compared_with_the_base() -> None:
    below = text(reporting.facts(gate=None)).split("\n\n")[1]
    assert "`gate.x`: `1` → `2`" in below
    assert "gate.x" not in text(reporting.facts(gate=None)).split("### Parameters")[1]


def test_a_hold_and_a_block_name_the_other_rules_that_do_not_promote() -> None:
    held = HOLD.model_copy(update={"rules": [BLOCKED.model_copy(update={"outcome": "hold"})]})
    assert "Also **hold**: ROC-AUC 0.5000, floor 0.6500" in text(reporting.facts(gate=held))


def test_parameters_are_compared_by_their_full_names() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "e": {}}
    after = {"a": {"b": 1.0, "c": [1, 3]}, "d": None, "e": {}}
    assert parameters.changes(before, after) == [
        Change(key="a.b", before="1", after="1.0"),
        Change(key="a.c", before="[1, 2]", after="[1, 3]"),
        Change(key="d", before=None, after="null"),
    ]


@pytest.mark.parametrize("missing", [f for f in Facts.__dataclass_fields__ if f not in ("commit", "base")])
def test_any_record_may_be_missing(missing: str) -> None:
    default = getattr(NOTHING, missing)
    facts = reporting.facts(**{missing: default})
    assert text(facts).startswith("### ")
    assert "<h1>" in page.render(sections.build(facts), {})


def test_nothing_at_all_is_a_report_too() -> None:
    shown = text(NOTHING)
    assert "No verdict" in shown and "There are no figures" in shown
    assert "no profile of the candidate's data" in shown


@pytest.mark.parametrize("missing", ["metrics", "params", "profile"])
def test_the_base_may_lack_any_record(missing: str) -> None:
    facts = reporting.facts(base=replace(reporting.facts().base, **{missing: None}))
    assert "✅ Promote" in text(facts)


def test_baselines_same_model_and_recorded_figures_are_said() -> None:
    none = Champion(kind="baselines", name="the baselines", commit=None, model_md5=None)
    first_model = reporting.gate(basis="baselines", champion=none, comparison=None)
    shown = text(reporting.facts(gate=first_model, base=Base(name="none")))
    assert "There is no champion yet" in shown and "**Champion**: none yet." in shown
    same = text(reporting.facts(gate=reporting.gate(basis="same model", comparison=None)))
    assert "The same model and test rows, to the byte, as `flight-delay#production#3`" in same
    unread = reporting.comparison(champion={}, differences={}, slices=[], unreadable="the input temp is gone")
    recorded = text(reporting.facts(gate=reporting.gate(basis="recorded figures", comparison=unread)))
    assert "could not be scored on these rows**: the input temp is gone." in recorded
    assert "champion, as recorded" in recorded


def test_better_and_worse_follow_the_figure() -> None:
    up = {"log_loss": reporting.figure(0.01, 0.001), "roc_auc": reporting.figure(0.01, 0.001)}
    shown = text(reporting.facts(gate=reporting.gate(comparison=reporting.comparison(differences=up))))
    rows = {
        line.split("|")[1].strip(): line.split("|")[5].strip()
        for line in shown.splitlines()
        if "+0.01" in line
    }
    assert rows == {"log loss": "worse", "roc auc": "better"}


def gap(mine: float, theirs: float, width: float, by: float) -> str:
    """The last cell of the gap's row; `width`: half of each own interval, `by`: of the difference's."""
    own, other, moved = (
        reporting.figure(v, w) for v, w in ((mine, width), (theirs, width), (mine - theirs, by))
    )
    told = reporting.comparison(candidate={"gap": own}, champion={"gap": other}, differences={"gap": moved})
    shown = text(reporting.facts(gate=reporting.gate(comparison=told)))
    assert "gap: mean observed minus mean predicted, best at 0." in shown
    return next(line.split("|")[5].strip() for line in shown.splitlines() if line.startswith("| gap "))


def test_a_figure_that_is_best_at_0_is_nearer_or_farther_only_when_that_is_certain() -> None:
    assert gap(0.01, 0.03, 0.005, 0.005) == "nearer to 0"
    assert gap(-0.01, -0.03, 0.005, 0.005) == "nearer to 0"
    assert gap(-0.03, 0.01, 0.005, 0.005) == "farther from 0"
    assert gap(0.03, 0.02, 0.005, 0.02) == "not clearly different"
    assert gap(0.02, -0.02, 0.005, 0.005) == "not clearly nearer to 0", "on the other side, about as far"
    assert gap(0.01, 0.03, 0.05, 0.005) == "not clearly nearer to 0", "lower, but of which sign?"
    assert "gap:" not in text(reporting.facts())


def test_the_same_model_moved_no_slice() -> None:
    shown = text(reporting.facts(gate=reporting.gate(basis="same model", comparison=None)))
    assert "The model is the same, so no slice moved." in shown
    assert "There is no champion" not in shown


def test_after_a_run_of_nothing_the_last_trainings_seconds_stand() -> None:
    run = Run(ran=[], cached=[], unchanged=["ingest", "featurize"], seconds={}, lock_sha256=reporting.LOCK)
    shown = text(reporting.facts(run=run))
    assert "the lock's stages took 6.5 s when they last ran" in shown and "of 2 stages ran" not in shown


@pytest.mark.parametrize("task", HEADLINES)
def test_every_task_has_its_figures(task: str) -> None:
    figures = {name: reporting.figure(0.5) for name in HEADLINES[task]}
    metrics = reporting.metrics(task=task, figures=figures, baselines={"mean": figures})
    comparison = reporting.comparison(task=task, candidate=figures, champion=figures, differences=figures)
    shown = text(reporting.facts(metrics=metrics, gate=reporting.gate(comparison=comparison)))
    assert all(f"| {name.replace('_', ' ')} " in shown for name in HEADLINES[task])
    balanced(shown)


def test_undefined_figures_are_said() -> None:
    hole = {"log_loss": Figure(value=None, low=None, high=None), "roc_auc": reporting.figure(0.7)}
    shown = text(reporting.facts(gate=None, metrics=reporting.metrics(figures=hole)))
    assert "undefined" in shown


def test_the_same_data_is_said_to_be_the_same_to_the_byte_only_when_it_is() -> None:
    facts = reporting.facts()
    facts = replace(facts, profile=facts.base.profile)
    assert "The data looks the same" in text(facts)
    same = {"data/raw": "1", "models/x": "2"}
    facts = replace(facts, outputs=same, base=replace(facts.base, outputs={"data/raw": "1", "models/x": "3"}))
    assert "The data is the same, to the byte." in text(facts)


def test_insufficient_data_is_said() -> None:
    temp = reporting.numbers(0, 1, nulls=0.95)
    facts = reporting.facts(profile=reporting.profile("2013-10", temp, {"UA": 0.75, "HA": 0.25}))
    assert "**Too few values** to say whether they moved: `raw/flights temp`." in text(facts)


def test_seconds_saved_are_those_of_what_did_not_run() -> None:
    assert "1 of 3 stages ran, in 28.9 s; 2 were reused, which saved 6.5 s." in text(reporting.facts())
    partly = text(reporting.facts(seconds={"ingest": 1.9}))
    assert "which saved 1.9 s (the seconds of 1 are not known)." in partly


# The limit of a comment

HOSTILE = st.text(alphabet="ab |`<>*_[]()#@\n\\~:/.é😀\u202e", max_size=30)


def balanced(shown: str) -> None:
    """Every fold, fence and table is whole: what GitHub would show of a report cut in the middle is not."""
    assert shown.count("<details>") == shown.count("</details>")
    assert shown.count("```") % 2 == 0
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(shown)
    assert sum(t.nesting for t in tokens) == 0
    for block in shown.split("\n\n"):
        lines = block.split("\n")
        if lines[0].startswith("| "):
            assert len(lines) > 2 and all(line.startswith("|") and line.endswith("|") for line in lines)
            assert len({line.count("|") for line in lines}) == 1


@st.composite
def documents(draw: st.DrawFn) -> Document:
    def table() -> Table:
        rows, columns = draw(st.integers(0, 900)), draw(st.integers(1, 5))
        cell = (Code(draw(HOSTILE) * draw(st.integers(1, 9))), draw(HOSTILE))
        return Table(
            "t", tuple(draw(HOSTILE) for _ in range(columns)), tuple((cell,) * columns for _ in range(rows))
        )

    found = []
    for index in range(draw(st.integers(0, 9))):
        bullets = Bullets(((draw(HOSTILE), Link("x", "https://x.example/")),) * draw(st.integers(1, 2000)))
        inner = (table(), Paragraph((draw(HOSTILE) * 50,)), Details("more", (table(), bullets)))
        found.append(Section(f"Section {index}", draw(st.integers(0, 100)), inner))
    head = Headline("⛔", "Block", draw(HOSTILE) * draw(st.integers(1, 99)), "bad")
    return Document(head, tuple(found), draw(st.sampled_from(["", "https://ci.example/1"])))


@given(documents())
@settings(max_examples=40, deadline=None)
def test_a_report_of_any_size_is_valid_and_fits(document: Document) -> None:
    shown = markdown.render(document)
    assert len(shown.encode()) <= markdown.LIMIT < markdown.GITHUB
    assert shown.splitlines()[0].startswith("### ⛔ Block: ")
    assert len(shown.splitlines()[0]) > len("### ⛔ Block: ") or not document.headline.reason.strip()
    balanced(shown)
    assert all(f"### {section.title}\n" in shown for section in document.sections)


def huge() -> Facts:
    slices = [reporting.change(f"{'x' * 60}{i}", 0.01 * i) for i in range(5000)]
    long = {f"key{i}": "v" * 300 for i in range(4000)}
    missing = [MissingObject(path=f"{'r' * 900}{i}", md5="0" * 32) for i in range(500)]
    return reporting.facts(
        gate=reporting.gate(
            comparison=reporting.comparison(slices=slices),
            changes=[Change(key=f"gate.x{i}", before="b" * 200, after="a" * 200) for i in range(900)],
        ),
        params={"train": long}, lock=reporting.stale(state="broken", stale=[], missing=missing),
        problems=("p" * 5000,) * 50,
        validations=(reporting.validation(sample=[{f"c{i}": "y" * 200 for i in range(50)}] * 500),),
    )  # fmt: skip


def test_the_least_important_is_shortened_first_and_the_policy_stays() -> None:
    document = sections.build(huge())
    shown = markdown.render(document)
    assert len(shown.encode()) <= markdown.LIMIT
    balanced(shown)
    assert "This pull request changes the policy" in shown
    assert "more, see the full report" in shown
    assert "| log loss |" in shown, "the figures outlive the slices"
    small = markdown.render(document, 9_000)
    assert "Left out, there is no room: see [the full report](https://ci.example/runs/7)" in small
    balanced(small)
    kept = {s.title for s in document.sections if f"### {s.title}\n\nLeft out" not in small}
    gone = {s.title for s in document.sections} - kept
    weights = {s.title: s.weight for s in document.sections if s.title}
    assert gone and max(weights[t] for t in gone) <= min(weights[t] for t in kept if t in weights)


def test_the_page_is_never_shortened() -> None:
    shown = page.render(sections.build(huge()), {})
    assert f"{'x' * 60}4999" in shown and "more, see the full report" not in shown
