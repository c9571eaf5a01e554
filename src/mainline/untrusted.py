"""The report of a fork's pull request, which its own code made: to be shown, never to be believed or obeyed.

Nothing of a fork is Markdown to us. Rendering its Markdown safely would mean to know all that GitHub makes of
it: mentions notify people, `#12` writes into other issues, images call a server, links and HTML deceive, and
a comment may hide another bot's marker. So the artifact holds a record, and its text is shown as text: inside
one code block that it cannot close, below a verdict that is one of four words and a warning in our own words.
Rendering from the pipeline's records would look better, but half of what the report says comes from the
champion and from Git, which the trusted side does not check out.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from mainline.errors import RecordError
from mainline.records import Record
from mainline.review import REVIEW

NAME = "report.json"  # the one file of the artifact
LONGEST_FILE = 256 * 1024  # bytes
LONGEST_TEXT = 60_000  # characters: the comment, with what we say above, stays below GitHub's limit
CUT = "\n(shortened here: the whole report is among the artifacts of the run)"


class ForkReport(Record):
    """What the first workflow hands to the trusted one. `commit`: the head of the pull request."""

    location = REVIEW / "fork" / NAME
    version: Literal[1] = 1
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    verdict: Literal["promote", "hold", "block", "none"]
    text: Annotated[str, Field(max_length=LONGEST_TEXT)]


def bundle(markdown: str, commit: str, verdict: Literal["promote", "hold", "block", "none"]) -> ForkReport:
    """The record of a report, shortened where it must be; folds are of no use in plain text."""
    text = re.sub(r"</?(?:details|summary)\b[^>\n]*>", "", markdown)
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT - len(CUT)].rsplit("\n", 1)[0] + CUT
    return ForkReport(commit=commit, verdict=verdict, text=text)


def parse(content: bytes, commit: str) -> ForkReport:
    """The record in a hostile file, if it is one and speaks of `commit`. Raises RecordError.

    Args:
        content: of the file; no more than LONGEST_FILE + 1 bytes need be read.
        commit: the head for which the trusted workflow runs, as the forge says.
    """
    if len(content) > LONGEST_FILE:
        raise _refused(f"it is larger than {LONGEST_FILE:,} bytes")
    try:
        content.decode("utf-8")
        report = ForkReport.model_validate_json(content)
    except UnicodeDecodeError:
        raise _refused("it is not UTF-8") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        # A key is the fork's text, and a line of a log that starts with `::` is a command to GitHub's runner.
        raise _refused(f"{str(first['loc'])[:80]}: {first['type']}") from None
    if report.commit != commit:
        raise _refused(f"it speaks of commit {report.commit}, and the run was for {commit}")
    return report


def render(report: ForkReport) -> str:
    """The comment: our own words, then the fork's text where nothing in it has a meaning."""
    said = "gives no verdict" if report.verdict == "none" else f"says **{report.verdict}**"
    return f"""\
> [!WARNING]
> **This report was made by the code of a fork: its figures are not verified.**
> Read the changes, the workflows above all, before you believe it.

It {said}, about {report.commit}.

```text
{inert(report.text)[:LONGEST_TEXT]}
```
"""


def inert(text: str) -> str:
    """Printable characters and newlines only, and nothing that would end a code block of three backticks."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ").split("\n")
    shown = "\n".join("".join(char for char in line if char.isprintable()) for line in lines)
    return re.sub("`{3,}", lambda run: "'" * len(run[0]), shown)


def line(text: str) -> str:
    """One line for a terminal or a log: no name moves a cursor, or gives GitHub's runner a command.

    That reads `::` at the beginning of a line as one, and `##[` anywhere.
    """
    shown = "".join(char if char.isprintable() else "?" for char in text).replace("##[", "## [")
    return f"| {shown}" if shown.lstrip().startswith("::") else shown


def told(text: str) -> str:
    """Likewise of several lines."""
    return "\n".join(map(line, text.split("\n")))


def _refused(why: str) -> RecordError:
    return RecordError(
        "the report of the fork is refused", why=why, remedy="look at the fork's run; nothing was posted"
    )
