"""The page as one HTML file: no script, nothing from elsewhere, and all foreign text inert."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from mainline.state import State
from mainline.watching import Finding, Watch
from monitoring.site import data, markup, performance, releases
from monitoring.site.headline import Headline, headline
from monitoring.site.markup import Cell, Html

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M1 12 5 7l3 3 7-8' fill='none' stroke='%230a5cc2' stroke-width='2.5'/%3E%3C/svg%3E"
)
# Hatched and dotted grounds, so that no bar is told from another by its colour alone.
PATTERNS = """<svg class="patterns" width="0" height="0" aria-hidden="true" focusable="false"><defs>
<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="var(--ground)"/><line x1="0" x2="0" y1="0" y2="6" stroke="var(--one)" stroke-width="5"/></pattern>
<pattern id="dots" width="5" height="5" patternUnits="userSpaceOnUse"><rect width="5" height="5" fill="var(--ground)"/><circle cx="2.5" cy="2.5" r="1.4" fill="var(--one)"/></pattern>
</defs></svg>"""  # noqa: E501
SECTIONS = (
    ("stages", "Now"), ("watch", "Findings"), ("performance", "Performance"), ("drift", "Drift"),
    ("volume", "Volume"), ("quality", "Quality"), ("pulls", "Pull requests"), ("history", "History"),
    ("more", "More"),
)  # fmt: skip
DAYS, COUNTS = ("cooldown", "freshness"), ("rows", "damaged")  # findings whose numbers are no figures


def render(state: State, unit: str = "") -> str:
    """The page. The same state gives the same page. `unit`: of the target, where it has one."""
    style = resources.files("monitoring.site").joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    top = headline(state)
    sections = "\n".join(
        (
            releases.stages(state, unit), watch(state), performance.section(state, unit), data.drift(state),
            data.volume(state), data.quality(state), releases.pulls(state),
            releases.history(state, unit), more(state),
        )
    )  # fmt: skip
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{markup.text(top.word)} · {markup.text(state.model, 60)}</title>
<link rel="icon" href="{ICON}">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
{_header(state, top)}
{_navigation()}
<main id="main" tabindex="-1">
{PATTERNS}
{sections}
</main>
{_footer(state)}
</body>
</html>
"""


def watch(state: State) -> str:
    """The findings of the watch: what asks for something, then what was looked at."""
    found = state.watch
    if found is None:
        text = "There is no watch.json: run mainline monitor."
        return markup.section("watch", "Findings of the watch", markup.paragraph(text))
    loud = [one for one in found.findings if one.outcome != "quiet"]
    calm = [one for one in found.findings if one.outcome == "quiet"]
    blocks = [_findings("What asks for attention", found, loud)] if loud else []
    if not loud:
        blocks.append(markup.paragraph(found.reason or "No rule found anything."))
    if calm:
        label = f"{len(calm)} rule{'s' if len(calm) > 1 else ''} found nothing"
        blocks.append(markup.details(label, _findings("Rules that found nothing", found, calm)))
    evidence = Html(f'<p class="note">Evidence <code>{markup.text(found.evidence, 16)}</code></p>')
    return markup.section("watch", "Findings of the watch", *blocks, evidence.code if loud else "")


def more(state: State) -> str:
    """Links to the other pages, and what this one does not know."""
    items = [
        Html(f"{markup.link(one.name, one.href).code}: {markup.text(one.about)}") for one in state.resources
    ]
    notes = f"<h3>Not on this page</h3>{markup.bullets(state.notes)}" if state.notes else ""
    return markup.section(
        "more", "More", markup.bullets(items) if items else markup.paragraph("There is no other page."), notes
    )


def _findings(caption: str, found: Watch, findings: list) -> str:  # type: ignore[type-arg]
    rows: list[list[Cell]] = [
        [
            Html(f'<span class="outcome {one.outcome}">{one.outcome}</span> {markup.text(one.name)}'),
            one.text, one.kind, one.window, markup.name(one.column) if one.column else "–",
            _measure(one, one.observed), _measure(one, one.limit),
        ]
        for one in findings
    ]  # fmt: skip
    header = ("finding", "in words", "kind", "window", "column", "observed", "limit")
    return markup.table(f"{caption}, {found.release} up to {found.until[:10]}", header, rows, numbers=5)


def _measure(one: Finding, value: float | None) -> str:
    """What a finding observed, or its limit: a figure or a share, unless its name says days or a count."""
    if one.name in DAYS:
        return markup.days(value)
    return f"{value:,.0f}" if one.name in COUNTS and value is not None else markup.number(value)


def _header(state: State, top: Headline) -> str:
    action = markup.link(top.action, top.pull.url) if top.pull else Html(markup.text(top.action))
    return (
        f'<header class="verdict {top.colour}">\n<p class="word">{markup.text(top.word)}'
        f'<span class="model">{markup.text(state.model, 60)}</span></p>\n'
        f"<h1>{markup.text(top.sentence)}</h1>\n"
        f'<p class="action">{action.code}</p>\n</header>'
    )


def _navigation() -> str:
    items = "".join(f'<li><a href="#{anchor}">{name}</a></li>' for anchor, name in SECTIONS)
    return f'<nav aria-label="On this page"><ul>{items}</ul></nav>'


def _footer(state: State) -> str:
    made = f", {markup.moment(state.at).code} UTC" if state.at else ""
    return (
        f"<footer><p>Made by <code>mainline site</code> at commit "
        f"{releases.commit(state, state.commit).code}{made}. Times are UTC.</p></footer>"
    )
