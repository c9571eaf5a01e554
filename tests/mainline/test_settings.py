"""params.yaml is parsed strictly: every wrong key is named in full, and nothing is coerced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline.errors import ConfigError
from mainline.settings import Month, Section, parse, read


class Inner(Section):
    rate: float
    count: int


class Outer(Section):
    inner: Inner
    name: str


GOOD = {"inner": {"rate": 0.5, "count": 2}, "name": "x"}


def test_a_correct_mapping_is_parsed() -> None:
    assert parse(GOOD, Outer) == Outer(inner=Inner(rate=0.5, count=2), name="x")


@pytest.mark.parametrize(
    ("text", "told"), [("300", "300"), ("2e-3", "0.002"), ("1.0", "1"), ("0.25", "0.25"), ("-7", "-7")]
)
def test_a_number_in_quotes_is_told_as_it_should_be_written(text: str, told: str) -> None:
    """`300.0` would not do where a whole number is wanted."""
    with pytest.raises(ConfigError, match=rf"YAML wants it written as {told}\n"):
        parse({**GOOD, "inner": {"rate": 0.5, "count": text}}, Outer)


def test_every_problem_is_listed_by_its_full_name() -> None:
    wrong = {"inner": {"rate": "fast", "depth": 3}, "name": "x", "extra": 1}
    with pytest.raises(ConfigError) as caught:
        parse(wrong, Outer)
    text = str(caught.value)
    for expected in (
        "inner.rate",
        "inner.count is missing",
        "inner.depth is not a known key",
        "extra is not",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("text", "why"),
    [("a: 1\na: 2", "a stands there twice"), ("s: {a: 1, 'a': 2}", "a stands there twice"), ("[a]: 1", "")],
)
def test_what_yaml_would_take_without_a_word_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match="not valid YAML") as caught:
        read(tmp_path / "params.yaml")
    assert why in str(caught.value)


def test_a_key_that_overrides_a_merged_one_does_not_stand_there_twice(tmp_path: Path) -> None:
    """PyYAML merges into the nodes, and may do so before it makes the mapping of them."""
    text = "base: &base {x: 1, y: 1}\none: &one\n  <<: *base\n  x: 2\ntwo:\n  <<: *one\n  y: 3\n"
    (tmp_path / "params.yaml").write_text(text)
    found = read(tmp_path / "params.yaml")
    assert (found["one"], found["two"]) == ({"x": 2, "y": 1}, {"x": 2, "y": 3})


@pytest.mark.parametrize("value", ["2", 2.5, True, None, [2]])
def test_types_are_not_coerced(value: object) -> None:
    with pytest.raises(ConfigError, match=r"inner\.count"):
        parse({"inner": {"rate": 0.5, "count": value}, "name": "x"}, Outer)


def test_a_number_that_yaml_reads_as_text_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"inner\.rate.*written as 0\.002"):
        parse({"inner": {"rate": "2e-3", "count": 1}, "name": "x"}, Outer)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ConfigError, match=r"inner\.rate"):
        parse({"inner": {"rate": value, "count": 1}, "name": "x"}, Outer)


@pytest.mark.parametrize("content", ["", "- a\n", "a: [", "\x00"])
def test_a_file_without_sections_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"params\.yaml"):
        read(file)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read(file)


def test_a_missing_file_says_where_to_run_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="root of the repository"):
        read(tmp_path / "params.yaml")


months = st.builds(Month, st.integers(1900, 2200), st.integers(1, 12))


@given(months)
def test_a_month_is_read_back_as_written(month: Month) -> None:
    assert Month.parse(str(month)) == month


@given(months, st.integers(-600, 600), st.integers(-600, 600))
def test_months_add_like_integers_and_keep_order(month: Month, first: int, second: int) -> None:
    assert month.plus(first).plus(second) == month.plus(first + second)
    assert (month.plus(first) < month.plus(second)) == (first < second)


@pytest.mark.parametrize(
    "text", ["2013", "2013-13", "13-2013", "2013-1", "2013-10-01", 2013, None, "2013/10"]
)
def test_what_is_not_a_month_is_refused_by_name(text: object) -> None:
    with pytest.raises(ConfigError, match=r"data\.as_of"):
        Month.parse(text, name="data.as_of")
