"""Text of others and of our own on pages: data may hold newlines, markup, formulas and mentions."""

from __future__ import annotations

import re

SPECIAL = set("@<>`|[]*\\&$")  # markup, mentions and templates
# What Markdown and HTML would act on, so that it shows; of a dollar GitHub would make a formula.
ENTITIES = {ord(one): f"&#{ord(one)};" for one in "&<>`|[]*_~\\@"} | {ord("$"): "<span>$</span>"}


def inert(text: str, limit: int = 80) -> str:
    """Escape what a terminal, Markdown, HTML or a template would act on, and cut at `limit` characters."""
    return "".join(character if _plain(character) else _escape(character) for character in _cut(text, limit))


def shown(text: str, limit: int = 80) -> str:
    """A text of the use case's own in a line or cell of Markdown: a reader sees what was written."""
    line = _cut(" ".join(text.split()), limit)
    plain = "".join(one if one.isprintable() else _escape(one) for one in line)
    return re.sub(r"(?<=\w)&#95;(?=\w)", "_", plain.translate(ENTITIES))  # within a word it is no markup


def code(name: str) -> str:
    """The name of a column or a figure, as code."""
    return f"`{name}`" if name.isidentifier() else f"<code>{shown(name)}</code>"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _plain(character: str) -> bool:
    return character.isprintable() and character not in SPECIAL


def _escape(character: str) -> str:
    return (
        character.encode("unicode_escape").decode()
        if not character.isprintable()
        else f"\\x{ord(character):02x}"
    )
