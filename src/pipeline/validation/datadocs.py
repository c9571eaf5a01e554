"""Data Docs: Great Expectations' renderers inside a page of our own.

Its own page loads scripts and styles from seven hosts and carries the clock; ours is one file, works offline,
and is the same for the same data.
"""

from __future__ import annotations

import html
from pathlib import Path

from mainline.records import Batch, Status, write_atomically

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; margin: 2rem auto; max-width: 72rem;
padding: 0 1rem }
a { color: #0969da } h1 { font-size: 1.5rem } h5 { font-size: 1.1rem; margin: 1.5rem 0 .3rem }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #d1d9e0; padding: .3rem .6rem;
text-align: left; vertical-align: top } pre { white-space: pre-wrap } .badge { background: #eff2f5;
border-radius: 4px; padding: 0 .3rem } .failed { color: #d1242f } .warning { color: #9a6700 }
.passed { color: #1a7f37 }
.text-success::before { content: "✓"; color: #1a7f37 } .text-danger::before { content: "✗"; color: #d1242f }
.text-warning::before { content: "!"; color: #9a6700 } .ge-section { overflow-x: auto }
"""
PAGE = (
    """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ expectation_suite_name }}</title><style>"""
    + STYLE
    + """</style></head><body>
<p><a href="../index.html">all batches</a></p><h1>{{ expectation_suite_name }}</h1>
<p>Result: <b class="{{ status }}">{{ status }}</b></p>
{% for section in sections %}{% set section_loop = loop %}{% include 'section.j2' %}{% endfor %}
</body></html>
"""
)


def page(result: object, status: Status) -> str:
    """One batch: its status, every expectation, what was observed, and a few offending values."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView
    from jinja2 import ChoiceLoader, DictLoader

    view = DefaultJinjaPageView()
    view.env.loader = ChoiceLoader([DictLoader({"page.j2": PAGE}), view.env.loader])
    ids = iter(range(1_000_000))
    view.env.filters["generate_html_element_uuid"] = lambda prefix="": f"{prefix or ''}{next(ids)}"
    view.env.globals["status"] = status
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(result)
    del document.sections[-1]  # name and time of a run; ours has neither
    # It knows no warnings, and links to a page of the suite in a site that is not ours.
    del document.sections[0].content_blocks[0]
    return view.render(document)


def location(table: str, month: str | None) -> Path:
    """Where a batch's page lies, relative to the site."""
    return Path(table) / f"{month}.html" if month else Path(f"{table}.html")


def publish(pages: dict[Path, str], site: Path, batches: list[Batch]) -> Path:
    """Write the pages and an index of the batches; sweep pages of batches that are gone."""
    for where, content in pages.items():
        write_atomically(site / where, content.encode())
    known = {site / location(batch.table, batch.month) for batch in batches}
    for path in site.rglob("*.html"):
        if path not in known or not path.stat().st_size:  # a file that could not be read has no page
            path.unlink()
    index = site / "index.html"
    write_atomically(index, _index(batches, site).encode())
    return index


def _index(batches: list[Batch], site: Path) -> str:
    rows = "".join(_row(batch, site) for batch in batches)
    head = "<tr><th>batch<th>rows<th>expectations<th>result<th>what failed</tr>"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Data Docs</title>'
        f"<style>{STYLE}</style></head><body><h1>Data Docs</h1><table>{head}{rows}</table></body></html>\n"
    )


def _row(batch: Batch, site: Path) -> str:
    name = html.escape(f"{batch.table} {batch.month or ''}".strip())
    failed = ", ".join(f"{check.column or 'table'}: {check.expectation}" for check in batch.failures)
    link = location(batch.table, batch.month)
    if (site / link).exists():
        name = f'<a href="{html.escape(link.as_posix())}">{name}</a>'
    return (
        f"<tr><td>{name}<td>{batch.rows:,}<td>{batch.checks}"
        f'<td class="{batch.status}">{batch.status}<td>{html.escape(failed)}</tr>'
    )
