"""Foreign text in the report is seen as it is, and never becomes markup, a link, a mention or a marker."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from typing import Any, Literal, get_origin

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mainline.records import Part
from mainline.report import escape, markdown, page, sections
from mainline.report.blocks import Code, Link, Table
from tests.mainline import reporting

GFM = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
ATTACKS = [
    "[x](https://evil.example)", "![x](https://evil.example/x.png)", "<https://evil.example>", "@team",
    "#12", "https://evil.example", "www.evil.example", "owner/repo#1", "owner@" + "a" * 40, "GH-7",
    "me@evil.example", "<img src=x onerror=alert(1)>", "<script>alert(1)</script>",
    "<!-- mainline report -->", "</details>", "# heading", "a\n# heading", "a\n\n- item", "- item",
    "1. item", "> quote", "```\ncode", "~~~", "---", "===", "a | b | c", "|---|---|", "\\|", "`", "``a",
    "a`b`c", "**bold**", "_it_", "~~gone~~", "$x$", "$$x$$", "&lt;b&gt;", "&#64;team", ":tada:", "[^1]",
    "[x]: https://evil.example", "- [x] done", "a\u202eb", "\u200b", "\ufeff@team", "\x1b[31m", "\x00",
    "\r\n", "    indented", "\ud800", "x" * 5000, " ", "", "\u3164", "(@team)",
    '"https://evil.example"', "[!WARNING]", "a\\", "javascript:alert(1)", "\u2028# x", "#production#3",
    "deadbeefcafe", "![CML watermark](https://raw.githubusercontent.com/x/y.svg)", "=cmd|' /C calc'!A0",
]  # fmt: skip
HOSTILE = st.one_of(
    st.sampled_from(ATTACKS),
    st.lists(st.sampled_from(ATTACKS), min_size=1, max_size=3).map(" ".join),
    st.lists(st.sampled_from(ATTACKS), min_size=1, max_size=3).map("".join),
    st.text(alphabet="ab1 |`<>*_[]()#@!\n\\~:/.-+=&$^\"'é\u202e\u200b", max_size=40),
    st.text(max_size=40),
)
EQUAL = {"commit", "lock_sha256"}  # by which records find each other


def poisoned(value: Any, text: str) -> Any:
    """The same records with `text` wherever a string may stand, also as a key."""
    if isinstance(value, str):
        return text
    if isinstance(value, list | tuple):
        return type(value)(poisoned(item, text) for item in value)
    if isinstance(value, dict):
        return {text: poisoned(item, text) for item in value.values()}  # noqa: B035  one key for all
    if isinstance(value, Part):
        kinds = type(value).model_fields
        found = {
            name: poisoned(getattr(value, name), text)
            for name, kind in kinds.items()
            if get_origin(kind.annotation) is not Literal and name not in EQUAL | {"task"}
        }
        return value.model_copy(update=found)
    if is_dataclass(value):
        names = [field.name for field in fields(value) if field.name not in EQUAL | {"run_url", "mlflow_url"}]
        return replace(value, **{name: poisoned(getattr(value, name), text) for name in names})
    return value


def flat(tokens: list[Token]) -> list[Token]:
    return [inner for token in tokens for inner in (token, *flat(token.children or []))]


def harmless(shown: str, headings: int | None = None, link: str = "") -> list[Token]:
    tokens = flat(GFM.parse(shown))
    for token in tokens:
        assert token.type not in ("image", "hr", "code_block", "html_inline", "s_open"), token
        if token.type == "link_open":
            assert token.attrs["href"] == link, token
        if token.type == "html_block":
            assert re.fullmatch(r"<details><summary>[^<>@#]*</summary>\n?|</details>\n?", token.content), (
                token
            )
        if token.type == "fence":
            assert token.info == "mermaid"
        if token.type == "text":
            assert not re.search(
                r"[@#$<`\\]|://|www\.|gh-\d|:[\w+-]+:|mailto|[a-z]\.[a-z]", token.content, re.I
            ), token
        assert all(c.isprintable() or c == "\n" for c in token.content), token
    if headings is not None:
        assert sum(token.type == "heading_open" for token in tokens) == headings
    return tokens


def seen(tokens: list[Token]) -> str:
    return "".join(token.content for token in tokens if token.type in ("text", "code_inline"))


@given(HOSTILE)
@settings(max_examples=300, deadline=None)
def test_a_name_is_one_code_span_and_survives(text: str) -> None:
    for shown in (f"before {escape.code(text)} after", f"- {escape.code(text)}"):
        spans = [token for token in harmless(shown) if token.type == "code_inline"]
        assert [span.content for span in spans] == [seen(harmless(escape.code(text)))]
        assert spans[0].content.replace("\\x20", " ").strip(" ") == (
            escape.visible(text, escape.NAME, escape.ENDS_A_SPAN).replace("\\x20", " ").strip(" ")
            or ("" if text else '""')
        )
    assert "<!--" not in escape.code(text)


def test_spaces_at_the_ends_and_nothing_at_all_are_seen() -> None:
    spans = [flat(GFM.parse(escape.code(text)))[2].content for text in (" a ", "  ", "")]
    assert spans == [r"\x20a\x20", r"\x20\x20", '""']


@given(HOSTILE)
@settings(max_examples=300, deadline=None)
@example(":tada:")
def test_a_sentence_is_one_paragraph_of_words_and_code(text: str) -> None:
    tokens = harmless(escape.prose(text))
    kinds = {token.type for token in tokens}
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "code_inline"}
    if (
        len(text) < escape.NAME
        and text.isprintable()
        and not set(text) & (escape.ENDS_A_SPAN | escape.UNSEEN)
    ):
        assert seen(tokens).split() == text.split(), "plain or not, every word is seen"
    assert "<!--" not in escape.prose(text)


@given(HOSTILE, HOSTILE)
@settings(max_examples=200, deadline=None)
def test_a_cell_stays_in_its_column(one: str, other: str) -> None:
    shown = markdown.table(Table("t", (one, other), (((Code(one),), (other,)), ((other,), (Code(one),)))))
    kinds = [token.type for token in harmless(shown)]
    assert (kinds.count("th_open"), kinds.count("td_open"), kinds.count("tr_open")) == (2, 4, 3)


@given(HOSTILE)
@settings(max_examples=60, deadline=None)
def test_a_whole_report_of_hostile_text(text: str) -> None:
    facts = poisoned(reporting.facts(), text)
    document = sections.build(facts)
    titles = sum(bool(section.title) for section in document.sections)
    shown = markdown.render(document)
    harmless(shown, headings=titles + 1, link=facts.run_url)
    assert shown.startswith("### ✅ Promote: ")
    assert shown.count("<!--") == 0
    assert "Learn slower" not in shown, "the title was one of the poisoned"


@pytest.mark.parametrize("state", ["stale", "broken"])
@pytest.mark.parametrize("text", ATTACKS)
def test_other_first_lines_of_hostile_text(text: str, state: str) -> None:
    bad = reporting.facts(gate=None, lock=reporting.stale(state=state, problem=text), run=None)
    failed = reporting.facts(gate=None, validations=(reporting.validation("critical"),))
    crashed = reporting.facts(gate=None, failed={"train": 1})
    for facts in (bad, failed, crashed):
        harmless(markdown.render(sections.build(poisoned(facts, text))), link=facts.run_url)


class Page(HTMLParser):
    """Every tag and attribute of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value) for name, value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@given(HOSTILE)
@settings(max_examples=60, deadline=None)
def test_a_page_of_hostile_text(text: str) -> None:
    plain, bad = Page(), Page()
    facts = reporting.facts()
    plain.feed(page.render(sections.build(facts), {}))
    bad.feed(page.render(sections.build(poisoned(facts, text)), {}))
    assert bad.tags <= plain.tags
    new = {name for name, _ in bad.attributes} - {name for name, _ in plain.attributes}
    assert not new
    assert {v for n, v in bad.attributes if n in ("href", "src")} == {facts.run_url}
    assert all(c.isprintable() or c == "\n" for c in bad.text)


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", "data:text/html,x", "//evil.example", "https://", "https://a@evil.example/",
     "http://[::1", "https://x.example/\n", "ftp://x.example", "", "x"],
)  # fmt: skip
def test_an_address_that_is_none_is_not_linked(text: str) -> None:
    assert escape.url(text) == ""
    assert markdown.inline((Link("label", text),)) == "label"


@given(HOSTILE)
@settings(max_examples=200, deadline=None)
def test_an_address_cannot_leave_its_parentheses(text: str) -> None:
    address = f"https://ci.example/{text}"
    tokens = flat(GFM.parse(markdown.inline((Link("label", address),))))
    links = [token for token in tokens if token.type == "link_open"]
    assert len(links) == bool(escape.url(address))
    assert [t.content for t in tokens if t.type == "text" and t.content] == ["label"]
    assert not {t.type for t in tokens} & {"image", "html_inline", "html_block"}
