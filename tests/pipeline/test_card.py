"""The model card: every figure with its interval, and nothing in it that a reader's tools would act on."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline.records import Figure, Metrics, Slice, Split
from mainline.schema import Column
from pipeline.exporting import card
from tests.pipeline.test_manifest import FEATURES, TABLE, TRAINING

WORDS = card.Words("a-model", "What it predicts.", ("this",), ("that",), ("limited",))
AUC = Figure(value=0.7, low=0.6512, high=0.75)
UNKNOWN = Figure(value=None, low=None, high=None)


def metrics(**changes: Any) -> Metrics:
    worst = Slice(column="c", value="b", rows=400, target=0.4, figures={"roc_auc": AUC})
    other = Slice(column="c", value="a", rows=20, target=None, figures={"roc_auc": UNKNOWN})
    figures = {"roc_auc": AUC, "ece": Figure(value=0.01, low=None, high=None)}
    content = {
        "task": "binary", "rows": 2000, "blocks": 31, "resamples": 1000, "confidence": 0.95, "parameters": 3,
        "model_bytes": 1234, "threshold": 0.25, "figures": figures,
        "baselines": {"base rate": {"roc_auc": Figure(value=0.5, low=0.5, high=0.5)}},
        "slices": [other, worst], "worst_slice": worst, "importance": {},
    }  # fmt: skip
    return Metrics.model_construct(**{**content, **changes})


def render(**changes: Any) -> str:
    return card.render(WORDS, TABLE, FEATURES, TRAINING, metrics(**changes), "f" * 64)


def test_figures_stand_with_intervals_beside_baselines() -> None:
    text = render()
    assert "| `roc_auc` | 0.7000 (0.6512 to 0.7500) | 0.5000 (0.5000 to 0.5000) |" in text
    assert "| `ece` | 0.0100 | – |" in text
    assert "2,000 rows in 31 blocks" in text
    assert "95% interval of 1,000 bootstrap resamples" in text
    assert "Decisions are taken at a probability of 0.2500" in text
    assert "SHA-256 `" + "f" * 64 in text


def test_the_worst_slice_is_marked_and_an_undefined_figure_is_a_dash() -> None:
    text = render()
    assert "| c | **b** (worst) | 400 | 0.4000 | 0.7000 (0.6512 to 0.7500) |" in text
    assert "| c | a | 20 | – | – |" in text


def test_what_is_left_out_is_counted() -> None:
    split = Split(
        first_month="2013-10",
        last_month="2013-10",
        rows=28_000,
        blocks=31,
        excluded={"cancelled": 1236, "diverted": 9},
        target={"mean": 0.2},
    )
    features = FEATURES.model_copy(update={"test": split})
    text = card.render(WORDS, TABLE, features, TRAINING, metrics(), "f" * 64)
    assert "| test | 2013-10 | 28,000 | 31 | 0.2000 | cancelled 1,236, diverted 9 |" in text


def test_a_card_without_slices_or_threshold() -> None:
    text = render(slices=[], worst_slice=None, threshold=None, baselines={})
    assert "## Slices\n\nNone." in text
    assert "Decisions" not in text


HOSTILE = [
    "a|b",
    "line\nbreak",
    "<script>",
    "@team",
    "[link](http://x)",
    "`code`",
    "**bold**",
    "![i](x)",
    "&amp;",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_stay_inside_their_cell(value: str) -> None:
    slices = [Slice(column="c", value=value, rows=1, target=0.0, figures={})]
    text = render(slices=slices, worst_slice=None)
    plain = render(slices=[slices[0].model_copy(update={"value": "v"})], worst_slice=None)
    assert value not in text
    assert text.count("\n") == plain.count("\n")
    assert text.count("|") == plain.count("|")


@given(st.text(max_size=30))
def test_any_text_leaves_the_table_whole(value: str) -> None:
    slices = [Slice(column=value, value=value, rows=1, target=0.0, figures={value: AUC})]
    text = render(slices=slices, worst_slice=None)
    row = next(
        line for line in text.splitlines() if line.endswith("| 1 | 0.0000 | 0.7000 (0.6512 to 0.7500) |")
    )
    assert row.count("|") == 6
    assert not set("<>@") & set(row)


def read(text: str) -> float:
    return float(text.replace(",", ""))


@given(st.floats(-1e300, 1e300))
def test_numbers_keep_their_first_digits(value: float) -> None:
    assert read(card.number(value)) == pytest.approx(value, rel=5e-2)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.0000"), (0.0208, "0.0208"), (1.5, "1.5000"), (12.345, "12.35"), (-123.45, "-123.5"),
     (52345.6, "52,346"), (1e9, "1e+09"), (0.000312, "0.0003120"), (1e-9, "1e-09"), (None, "–")],
)  # fmt: skip
def test_a_number(value: float | None, text: str) -> None:
    assert card.number(value) == text


SIZES = st.floats(1e-6, 1e6)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), SIZES)
def test_the_numbers_of_an_interval_have_the_same_decimals(shares: list[float], size: float) -> None:
    low, value, high = sorted(share * size for share in shares)
    text = card.interval(Figure(value=value, low=low, high=high))
    found = re.fullmatch(r"(\S+) \((\S+) to (\S+)\)", text)
    assert found, text
    decimals = {len(number.partition(".")[2]) for number in found.groups() if "e" not in number}
    assert len(decimals) <= 1, text
    widest = max(map(abs, (low, value, high)))
    for number, exact in zip(found.groups(), (value, low, high), strict=True):
        assert read(number) == pytest.approx(exact, abs=1e-3 * widest + 1e-4)


def test_a_small_end_has_the_decimals_of_the_others() -> None:
    figure = Figure(value=-0.047, low=-0.0873, high=-0.0007648)
    assert card.interval(figure) == "-0.0470 (-0.0873 to -0.0008)"


def described(**changes: Any) -> str:
    """The card's line of a feature."""
    column = replace(Column("income", "string", "of a household"), **changes)
    text = card.render(
        WORDS, replace(TABLE, features=(column,), slices=()), FEATURES, TRAINING, metrics(), "f" * 64
    )
    return text.partition("## Inputs")[2].strip().splitlines()[2]


SEEN = [
    "10 k$", "$5 to $10", "a|b", "<10 & >2", "5 * 3 *", "~~x~~", "[1](x)", "`x`", "_x_", "a_b_c", "@home",
    "C:\\temp", "&amp;",
]  # fmt: skip


@pytest.mark.parametrize("written", SEEN)
def test_the_words_of_the_schema_are_seen_as_they_were_written(written: str) -> None:
    row = described(unit=written, description=written, values=(written,))
    cells = row.strip("| ").split(" | ")
    assert len(cells) == 6, "no cell more"
    for cell in (*cells[2:4], cells[5]):
        assert not set("[]~\\@*") & set(cell)
        assert html.unescape(re.sub("</?(span|code)>", "", cell.strip("`"))) == written
        assert "$" not in cell.replace("<span>$</span>", ""), "two of them are a formula on GitHub"


def test_names_of_columns_stay_code_and_lines_stay_lines() -> None:
    assert described().startswith("| `income` |")
    assert described(name="größe (m) 100 %").startswith("| <code>größe (m) 100 %</code> |")
    assert described(description="two\nlines\x1b").endswith("| two lines&#92;x1b |")


@given(st.text(max_size=30))
def test_any_word_of_the_schema_leaves_the_table_whole(text: str) -> None:
    assert described(unit=text, description=text, values=(text,)).count("|") == 7


def test_the_same_records_give_the_same_card() -> None:
    assert render() == render()
