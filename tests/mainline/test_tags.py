"""Tags in GTO's grammar: the newest by number, and everything else passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline.tags import Assignment, newest


def test_the_newest_is_the_highest_number_not_the_last_by_letter() -> None:
    found = newest(["m#production#9", "m#production#10", "m#production#2"], "m", "production")
    assert found == Assignment("m", "production", 10)
    assert str(found) == "m#production#10"


@pytest.mark.parametrize(
    "tag",
    [
        "m#staging#99", "other#production#99", "m@v1.0.0", "v1", "", "m#production#", "m#production#0",
        "m#production#01", "m#production#-1", "m#production#1.5", "m#production#x", "m#production#1#2",
        "m#production#١", f"m#production#{'9' * 5000}", " m#production#99", "m#production#99\n",
        "M#production#99", "x/m#production#99",
    ],
)  # fmt: skip
def test_other_tags_are_passed_over(tag: str) -> None:
    assert newest([tag, "m#production#1"], "m", "production") == Assignment("m", "production", 1)
    assert newest([tag], "m", "production") is None


@given(st.lists(st.text()))
def test_any_text_is_a_tag_or_not_and_never_an_error(tags: list[str]) -> None:
    assert newest([*tags, "m#production#1"], "m", "production") is not None


@given(st.lists(st.integers(1, 10**6), min_size=1))
def test_the_order_of_the_tags_does_not_matter(numbers: list[int]) -> None:
    tags = [f"m#production#{number}" for number in numbers]
    assert newest(tags, "m", "production") == newest(reversed(tags), "m", "production")
    assert newest(tags, "m", "production") == Assignment("m", "production", max(numbers))
