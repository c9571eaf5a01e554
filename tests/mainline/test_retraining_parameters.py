"""What a retraining moves in params.yaml: the values follow from the policy, and no other byte changes."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mainline.errors import ConfigError
from mainline.retraining import parameters
from mainline.retraining.parameters import Data
from mainline.settings import Month
from tests.imports import ROOT
from tests.mainline.retraining import data

MONTHS = st.builds(Month, st.integers(1, 9998), st.integers(1, 12))
ANY = st.builds(Data, MONTHS, st.integers(1, 400))


# -- where it moves to


@pytest.mark.parametrize(
    ("before", "most", "to", "after"),
    [
        (data("2013-10", 8), 8, "2013-11", data("2013-11", 8)),
        (data("2013-10", 8), 1, "2013-11", data("2013-11", 8)),
        (data("2013-10", 8), 12, "2013-11", data("2013-11", 9)),
        (data("2013-10", 8), 12, "2014-10", data("2014-10", 12)),
        (data("2013-12", 1), 2, "2014-01", data("2014-01", 2)),
        (data("2013-10", 8), 12, "2013-10", data("2013-10", 8)),
        (data("2013-10", 8), 12, "2013-09", data("2013-09", 8)),
    ],
)
def test_a_window_grows_to_so_many_months_then_slides_and_never_gets_shorter(
    before: Data, most: int, to: str, after: Data
) -> None:
    assert before.moved(Month.parse(to), most) == after


@given(ANY, st.integers(1, 400), st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_while_it_grows_the_first_month_stays_however_often_it_moves(
    before: Data, most: int, steps: list[int]
) -> None:
    now = before
    for step in steps:
        now = now.moved(now.as_of.plus(step), most)
    if now.train_months < most:
        assert now.as_of.plus(-now.train_months) == before.as_of.plus(-before.train_months)
    assert now.train_months in (before.train_months, most) or now.train_months < most
    assert before.moved(now.as_of, most) == now, "in one step as in many"


# -- how it is written

AROUND = st.sampled_from(
    ["", "# the last month: {a}\n", "x: {a}  # {n}\n", "train_months: {n}\nas_of: {a}\n"]
)
QUOTES = st.sampled_from(["{a}", "'{a}'", '"{a}"'])
COMMENTS = st.sampled_from(["", "  # {a}", "   # {n} months"])


@st.composite
def files(draw: st.DrawFn) -> str:
    """A parameter file with the two values as {A} and {N}, and the old ones, {a} and {n}, all over it."""
    month = draw(QUOTES).replace("a", "A")
    lines = [f"as_of: {month}", "train_months: {N}", "other: {n}", "first: {a}"]
    lines = draw(st.permutations(lines))
    if draw(st.booleans()):
        section = f"data: {{{{{', '.join(lines)}}}}}{draw(COMMENTS)}\n"
    else:
        indent = draw(st.sampled_from(["  ", "    "]))
        section = "data:\n" + "".join(f"{indent}{line}{draw(COMMENTS)}\n" for line in lines)
    text = f"{draw(AROUND)}{section}{draw(AROUND).replace('x:', 'y:').replace('as_of', 'z')}"
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@given(files(), ANY, ANY)
def test_these_two_values_are_changed_and_no_other_byte(file: str, before: Data, after: Data) -> None:
    def filled(now: Data) -> str:
        return file.format(a=before.as_of, n=before.train_months, A=now.as_of, N=now.train_months)

    assert parameters.read(filled(before)) == before
    changed = parameters.written(filled(before), after)
    assert changed == filled(after)
    assert parameters.read(changed) == after
    assert parameters.written(changed, after) == changed


def test_the_own_file_changes_in_these_lines_alone() -> None:
    text = (ROOT / "params.yaml").read_text()
    before = parameters.read(text)
    after = before.moved(before.as_of.plus(3), 99)
    changed = parameters.written(text, after)
    different = [(a, b) for a, b in zip(text.splitlines(), changed.splitlines(), strict=True) if a != b]
    assert [re.sub(r"[\d-]+", "", a) for a, _ in different] == [
        re.sub(r"[\d-]+", "", b) for _, b in different
    ]
    old, new = yaml.safe_load(text), yaml.safe_load(changed)
    assert len(different) in (1, 2), "a fork may write both in one line"
    assert (
        old | {"data": old["data"] | {"as_of": str(after.as_of), "train_months": after.train_months}} == new
    )


@pytest.mark.parametrize(
    "text",
    [
        "data: {as_of: 2013-10, train_months: !!int '8'}\n",
        "\ufeffdata: {as_of: 2013-10, train_months: 8}\n",
        "other: &a 2013-10\ndata: {as_of: 2013-10, train_months: +8}\n",
    ],
)
def test_a_value_that_is_written_in_an_odd_way_is_changed_where_that_is_safe(text: str) -> None:
    changed = parameters.written(text, data("2013-11", 10))
    assert changed == text.replace("as_of: 2013-10", "as_of: 2013-11").replace("8", "10")


@pytest.mark.parametrize(
    "text",
    [
        "", "x: 1\n", "data: 1\n", "data: [\n", "data: {}\n", "data: {as_of: 2013-10}\n",
        "data: {train_months: 8}\n", "data: {as_of: 3, train_months: 8}\n",
        "data: {as_of: 2013-10, train_months: '8'}\n", "data: {as_of: 2013-10, train_months: true}\n",
        "data: {as_of: 2013-10, train_months: 0}\n", "data: {as_of: 2013-10, train_months: 8.0}\n",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"data\."):
        parameters.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "x: &m 2013-10\ndata: {as_of: *m, train_months: 8, other: *m}\n",
        "data: {as_of: 2013-10, train_months: &n 8, other: *n}\n",
        "usual: &u {as_of: 2013-10, train_months: 8}\ndata:\n  <<: *u\n",
        "data: {as_of: 2013-10, as_of: 2013-10, train_months: 8}\n",
        "data: {as_of: 2013-10, train_months: 0b1000}\n",
        "data: {as_of: 2013-10, train_months: 0x8}\n",
    ],
)
def test_what_cannot_be_changed_in_place_is_refused(text: str) -> None:
    assert parameters.read(text) == data("2013-10", 8)
    with pytest.raises(ConfigError, match="cannot be changed in place"):
        parameters.written(text, data("2013-11", 10))
