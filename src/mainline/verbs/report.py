"""`mainline report`: reads every record there is, writes the comment and the page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mainline.gathered import PLOTS, Asked, gather
from mainline.git import Git
from mainline.records import write_atomically
from mainline.report import escape, markdown, page, sections
from mainline.report.blocks import Document
from mainline.verbs import lock, parsing

MARKDOWN, HTML = Path("reports/report.md"), Path("reports/report.html")
LARGEST_PLOT = 2_000_000  # bytes; larger ones are left to the artifacts


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline report`."""
    verb = parsing.add(
        names,
        "report",
        report,
        "one comment to decide by, and the same as a page",
        """\
  mainline report                       writes reports/report.md and reports/report.html
  mainline report --stdout              prints the Markdown too
  mainline report --base v1.2.0         against another commit than the champion's
  mainline report --run-url URL         where the artifacts and the full report are
  mainline report --json                the first line and the sections, for a program""",
    )
    verb.add_argument(
        "--base", metavar="REF", help="show changes against this (default: the champion, or main)"
    )
    verb.add_argument("--title", default="", help="of the pull request")
    verb.add_argument("--run-url", default="", metavar="URL", help="of the run with the artifacts")
    verb.add_argument("--mlflow-url", default="", metavar="URL", help="of the MLflow run")
    verb.add_argument("--stdout", action="store_true", help="print the Markdown instead of its path")


def report(options: argparse.Namespace) -> int:
    """Write the report of whatever is there; what is missing or broken is said in it.

    Raises ConfigError outside of a pipeline's folder, GitError outside of a repository or for another base.
    """
    lock.need_pipeline()
    run_url, mlflow_url = _address("run", options.run_url), _address("mlflow", options.mlflow_url)
    asked = Asked(options.base, options.title, run_url, mlflow_url)
    document = sections.build(gather(asked, Git()))
    text = markdown.render(document)
    write_atomically(MARKDOWN, text.encode())
    write_atomically(HTML, page.render(document, _plots()).encode())
    if options.json:
        print(json.dumps(_parts(document, text)))
    elif options.stdout:
        print(text, end="")
    else:
        print(text.splitlines()[0].removeprefix(markdown.HEADINGS))
        print(f"  comment  {MARKDOWN} ({len(text):,} characters)\n  page     {HTML}")
    return 0


def _address(name: str, url: str) -> str:
    """Only what a reader can open is linked; a report is not refused for `databricks` or `sqlite:///`."""
    if url and not escape.url(url):
        print(f"mainline report: --{name}-url is no plain http(s) address and is left out", file=sys.stderr)
        return ""
    return url


def _parts(document: Document, text: str) -> dict[str, Any]:
    head = document.headline
    return {
        "verdict": head.word,
        "reason": head.reason,
        "markdown": str(MARKDOWN),
        "page": str(HTML),
        "characters": len(text),
        "sections": {s.title or "first": markdown.section(s) for s in document.sections},
    }


def _plots() -> dict[str, bytes]:
    files = [path for path in PLOTS.glob("*.svg") if path.stat().st_size <= LARGEST_PLOT]
    return {path.stem: path.read_bytes() for path in files}
