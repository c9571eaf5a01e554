"""What a lock's commit tells of its run: read as it was written, and nothing else is."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from mainline.trailers import Told, read, write

NAMES = st.from_regex(r"[\w.@-]{1,20}", fullmatch=True).filter(str.isascii)
SECONDS = st.floats(0, 1e6).map(lambda value: round(value, 1))
HEX = st.text(string.hexdigits[:16], min_size=32, max_size=32)
RUN = st.tuples(st.text(string.digits, min_size=1, max_size=9), HEX)


@st.composite
def tellings(draw: st.DrawFn) -> Told:
    seconds = draw(st.dictionaries(NAMES, SECONDS))
    cached = draw(st.lists(NAMES.filter(lambda name: name not in seconds), unique=True))
    return Told(seconds, tuple(cached), draw(st.none() | RUN))


@given(tellings(), st.text(), st.text())
def test_it_is_read_as_it_was_written(told: Told, before: str, after: str) -> None:
    lines = write(told)
    assert read(f"subject\n\n{lines}\n") == told
    surrounded = read(f"{before}\n{lines}\n{after}")
    assert {**surrounded.seconds, **told.seconds}.keys() == surrounded.seconds.keys()


@given(st.text())
def test_no_message_is_too_odd_to_read(message: str) -> None:
    found = read(f"Stage-Seconds: {message}\nStages-Cached: {message}\nMLflow-Run: {message}")
    assert all(0 <= value < 1e9 for value in found.seconds.values())
    assert not set(found.cached) & set(found.seconds)


def test_messages_of_people_and_of_squashes() -> None:
    squashed = "Title \n\nStage-Seconds: train=26.1\n\n* more\n\nStage-Seconds: train=9.0 b@1=2\n"
    squashed += "Stages-Cached: train c\n"
    assert read(squashed) == Told({"train": 9.0, "b@1": 2.0}, ("c",))
    for odd in (
        "train=1e400",
        "train=nan",
        "train=-1",
        "=1",
        "train=",
        "train=1=2",
        "tr<b>=1",
        "x" * 300 + "=1",
    ):
        assert read(f"Stage-Seconds: {odd}").seconds == {}, odd
    for odd in ("1", "1/", "../../x", f"1/{'a' * 31}", f"1/{'A' * 32}"):
        assert read(f"MLflow-Run: {odd}").mlflow is None, odd
    assert read("see Stage-Seconds: train=1") == Told()
    assert write(Told()) == "" == write(Told({"of a matrix": 1.0}, ("a b",), ("x", "y")))
