"""A fork's report is shown as text, whatever it holds; all but the one expected record is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mainline import cml, untrusted
from mainline.errors import RecordError
from mainline.forge import LONGEST_BODY

SHA = "a" * 40
GOOD: dict[str, Any] = {"version": 1, "commit": SHA, "verdict": "promote", "text": "all is well"}
HOSTILE = st.lists(
    st.sampled_from([
        "```", "````", "~~~", "\n", "\r", "\r\n", "\u2028", "\x0b", "\x0c", "\t", " ", "@octo/team", "#12",
        "<!--", "-->", "</details>", "<img src=//e.vil>", "![x](//e.vil)", "[a]: //e.vil", "> ", "\x00",
        "\x1b[31m", "\u202e", cml.watermark(SHA), "`", "text",
    ]) | st.text(max_size=20)
).map("".join)  # fmt: skip


def _bytes(**changed: Any) -> bytes:
    return json.dumps(GOOD | changed).encode()


@given(text=HOSTILE)
def test_the_text_of_a_fork_is_one_code_block_and_nothing_else(text: str) -> None:
    """Read by a CommonMark parser, the comment has our own words and one block, whatever the text."""
    report = untrusted.parse(_bytes(text=text), SHA)
    harmless = untrusted.parse(_bytes(text="x"), SHA)
    parser = MarkdownIt("gfm-like", {"linkify": False})
    found, expected = (parser.parse(untrusted.render(one)) for one in (report, harmless))
    assert [token.type for token in found] == [token.type for token in expected]
    assert [t.content for t in found if t.type == "inline"] == [
        t.content for t in expected if t.type == "inline"
    ]
    block = next(token for token in found if token.type == "fence")
    assert block.content == untrusted.inert(text) + "\n"
    assert all(char == "\n" or char.isprintable() for char in block.content)


@given(text=HOSTILE)
def test_a_fork_cannot_pass_for_another_report(text: str) -> None:
    """Our marker is the last line, and stays the only one by which a report is known."""
    assert not cml.is_report(untrusted.render(untrusted.parse(_bytes(text=text), SHA)))


@given(markdown=HOSTILE | st.integers(0, 3).map(lambda n: "word word\n" * (n * 6_001)))
def test_what_is_bundled_can_be_read_and_posted(markdown: str) -> None:
    clean = markdown.encode("utf-8", "ignore").decode()
    bundled = untrusted.bundle(clean, SHA, "hold")
    content = json.dumps(bundled.model_dump(mode="json"), ensure_ascii=False).encode()
    assert untrusted.parse(content, SHA) == bundled
    assert len(untrusted.render(bundled)) + len(cml.watermark(SHA)) + 2 <= LONGEST_BODY
    assert (untrusted.CUT in bundled.text) == (len(re.sub("</?(details|summary)>", "", clean)) > 60_000)


REFUSED = {
    "empty": b"",
    "not JSON": b"# promote",
    "not UTF-8": b'{"version": 1, "text": "\xff"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "too large": b" " * untrusted.LONGEST_FILE + json.dumps(GOOD).encode(),
    "too long a text": _bytes(text="x" * (untrusted.LONGEST_TEXT + 1)),
    "another version": _bytes(version=2),
    "another commit": _bytes(commit="b" * 40),
    "a commit with a newline": _bytes(commit=SHA + "\n"),
    "a branch for a commit": _bytes(commit="main"),
    "an invented verdict": _bytes(verdict="promote**, says @octo"),
    "a number of its own": _bytes(pull_request=7),
    "text that is no text": _bytes(text=["a"]),
    "half a pair": b'{"version":1,"commit":"' + SHA.encode() + b'","verdict":"hold","text":"\\ud800"}',
    "a list": b"[]",
    "null": b"null",
    "NaN": b'{"version": NaN}',
    "a tower": b"[" * 100_000,
    "a huge number": b'{"version": ' + b"9" * 5000 + b"}",
    "a missing key": json.dumps({key: GOOD[key] for key in ("version", "commit", "text")}).encode(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_but_the_expected_record_is_refused(name: str) -> None:
    with pytest.raises(RecordError, match="refused"):
        untrusted.parse(REFUSED[name], SHA)


def test_a_refusal_repeats_no_line_of_the_fork() -> None:
    """A line of a log that starts with `::` is a command to GitHub's runner."""
    with pytest.raises(RecordError) as raised:
        untrusted.parse(_bytes(**{"\n::add-mask::x\x1b[31m": 1}), SHA)
    assert len(str(raised.value).splitlines()) == 3
    assert "\x1b" not in str(raised.value)


@given(content=st.binary(max_size=400))
def test_bytes_give_a_record_or_a_refusal(content: bytes) -> None:
    with pytest.raises(RecordError):
        untrusted.parse(content, SHA)
