"""What a report is made of, whatever it is written as: the renderers alone know Markdown and HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Code:
    """A name or a value: shown as it is, in a code span."""

    text: str


@dataclass(frozen=True, slots=True)
class Strong:
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """Only http and https become links; see `escape.url`."""

    label: str
    url: str


# A plain string is prose; renderers trust none of it, so a hostile name in a sentence stays a name.
Piece = str | Code | Strong | Link
Text = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: Text


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`caption` says what it is to who cannot see it. Columns after the first `names` are numbers.

    `stacks`: to be seen whole on a phone, where the page sets the cells of a row one below the other.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    names: int = 1
    stacks: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same x values, all finite and in order."""

    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    lines: tuple[tuple[str, tuple[float, ...]], ...]

    @property
    def span(self) -> tuple[float, float]:
        """Of the y axis: a little room around the values, but never below 0 where no value is."""
        every = [value for _, values in self.lines for value in values]
        low, high = min(every), max(every)
        room = (high - low) * 0.05 or abs(high) * 0.05 or 1
        return (0.0 if 0 <= low < room else low - room), high + room


@dataclass(frozen=True, slots=True)
class Alert:
    kind: Literal["NOTE", "WARNING", "CAUTION"]
    items: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Details:
    """Folded; `summary` is ours, never made of data."""

    summary: str
    blocks: tuple[Block, ...]


Block = Paragraph | Bullets | Table | Chart | Alert | Details


@dataclass(frozen=True, slots=True)
class Section:
    """`weight`: the lighter is left out sooner for want of room; without a title it never is."""

    title: str
    weight: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """The first line: the verdict in a word, and the number that decided. `colour` is the page's."""

    mark: str
    word: str
    reason: str
    colour: Literal["good", "unsure", "bad"]


@dataclass(frozen=True, slots=True)
class Document:
    """`full`: where the unshortened report is, empty if nowhere."""

    headline: Headline
    sections: tuple[Section, ...]
    full: str = ""
