"""Foreign text in Markdown and HTML: seen as it is, and nothing else.

Data, branches, titles and parameters may be written to be links, images, mentions, markup or the hidden
marker by which the comment is found again. GitHub looks for mentions and references in the text that Markdown
leaves, so a backslash does not help; a code span does. Every word that is not plainly a word goes into one.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

NAME = 80  # characters of a name or a value
PROSE = 600  # of a sentence
ENDS_A_SPAN = frozenset("`|<")  # a code span, a table's cell; and the start of an HTML comment
SPACE = r"\x20"
# Printable by Unicode, and yet nothing is seen.
UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for start, end in ((0x180B, 0x1810), (0xFE00, 0xFE10), (0xE0100, 0xE01F0))
    for code in range(start, end)
}  # fmt: skip
AROUND = re.compile(r"^([(\"']*)(.*?)([)\"',.;:!?]*)$", re.DOTALL)
INTERVAL = re.compile(r"^\[?[+\-−]?\d[\d,.]*%?\]?$")
SAFE = frozenset(".,;:%()+-–−—'\"/=≤≥±→×·…?!°")
# Hosts and keys, addresses, commits, issue numbers of other trackers, pictures by name.
RISKY = re.compile(
    r"://|^www\.|[^\W\d]\.[^\W\d]|^[0-9a-f]{7,64}$|[a-z]-\d|:[\w+-]+:", re.IGNORECASE | re.DOTALL
)
AT_START = re.compile(r"^([-+]+|=+|\d{1,9}[.)])$")  # would begin a list or underline a heading


def visible(text: str, limit: int, special: frozenset[str] = frozenset()) -> str:
    """Escape what cannot be seen (and what is `special`) so that it can, and cut at `limit` characters."""
    if len(text) <= limit and text.isprintable() and special.isdisjoint(text) and UNSEEN.isdisjoint(text):
        return text
    found: list[str] = []
    room = limit
    for character in text[: limit + 1]:
        hidden = character in special or character in UNSEEN or not character.isprintable()
        shown = _escape(character) if hidden else character
        room -= len(shown)
        if room < 0:
            return "".join(found) + "…"
        found.append(shown)
    return "".join(found)


def _escape(character: str) -> str:
    code = ord(character)
    if short := {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character):
        return short
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def code(text: str, limit: int = NAME) -> str:
    """A Markdown code span that holds anything, also within a table. Backtick, pipe and < are escaped."""
    shown = visible(text, limit, ENDS_A_SPAN)
    if not shown:
        return '`""`'
    # Spaces at the ends would be taken as padding.
    core = shown.lstrip(" ")
    before, core = len(shown) - len(core), core.rstrip(" ")
    after = len(shown) - before - len(core)
    return f"`{SPACE * before}{core}{SPACE * after}`"


def prose(text: str, limit: int = PROSE) -> str:
    """A sentence as Markdown: plain words as they are, every other word as code; one line."""
    words = text[: limit + 1].split()
    cut = len(text) > limit
    shown = [_word(word, first=index == 0) for index, word in enumerate(words)]
    return " ".join(shown) + ("…" if cut else "")


def _word(word: str, *, first: bool) -> str:
    if INTERVAL.match(word.rstrip(",;:")) and not AT_START.match(word):
        return word
    parts = AROUND.match(word)
    if parts is None or (first and AT_START.match(word)):
        return code(word)
    before, core, after = parts.groups()
    if len(word) > NAME or (RISKY.search(word) and not RISKY.search(core)):
        return code(word)  # e.g. `:tada:`, of which the last sign would be taken as the sentence's
    return word if not core or _plain(core) else f"{before}{code(core)}{after}"


def _plain(word: str) -> bool:
    return not RISKY.search(word) and all((c.isalnum() and c not in UNSEEN) or c in SAFE for c in word)


def url(text: str) -> str:
    """An http(s) address that cannot leave its parentheses or its attribute; empty when it is none."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or not text.isprintable():
        return ""
    return quote(text, safe="/:?#@!$&*+,;=%~-._[]").replace("[", "%5B").replace("]", "%5D")
