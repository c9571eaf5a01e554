"""Foreign text made harmless: data may hold newlines, markup, formulas and mentions."""

from __future__ import annotations

SPECIAL = set("@<>`|[]*\\&$")  # markup, mentions and templates


def inert(text: str, limit: int = 80) -> str:
    """Escape what a terminal, Markdown, HTML or a template would act on, and cut at `limit` characters."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return "".join(character if _plain(character) else _escape(character) for character in cut)


def _plain(character: str) -> bool:
    return character.isprintable() and character not in SPECIAL


def _escape(character: str) -> str:
    return (
        character.encode("unicode_escape").decode()
        if not character.isprintable()
        else f"\\x{ord(character):02x}"
    )
