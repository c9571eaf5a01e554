"""What there is to look at: the repository, its pull requests and its runs, as plain pages of one style."""

from __future__ import annotations

import html
import mimetypes
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

from markdown_it import MarkdownIt

from tests.e2e.hub import Hub, Pull
from tests.e2e.runner import Runner
from tests.e2e.runs import Run
from tests.servers import REPOSITORY

MARKDOWN = MarkdownIt("gfm-like", {"html": False, "linkify": False})
STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
a { color: LinkText } h1 { font-size: 1.5rem } small, .muted { opacity: .7 }
table { border-collapse: collapse; display: block; overflow-x: auto }
pre { overflow-x: auto; padding: .75rem }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left }
pre, article { border: 1px solid var(--line); border-radius: .5rem }
article { padding: 0 1rem; margin: 1rem 0 }
"""
HREF = re.compile(r'href="([^"]+)"')
Answer = tuple[int, str, bytes]
esc = html.escape


class Pages:
    """Answers the hub's GET requests that are neither Git's nor the API's."""

    def __init__(self, hub: Hub, runner: Runner, shelves: dict[str, Path]) -> None:
        self.hub, self.runner = hub, runner
        self.shelves = shelves  # folders that are shown as they are, by name
        self.links: list[tuple[str, str]] = []  # title and address, on the first page

    def __call__(self, path: str) -> Answer | None:
        home = f"/{REPOSITORY}"
        if path in ("", "/", home):
            return _page(REPOSITORY, self._home())
        if not path.startswith(f"{home}/"):
            return None
        kind, _, rest = path.removeprefix(f"{home}/").partition("/")
        show: dict[str, Callable[[str], Answer | None]] = {
            "pull": self._pull, "issues": self._pull, "actions": self._run, "files": self._file,
        }  # fmt: skip
        return show[kind](rest) if kind in show else None

    def _home(self) -> str:
        pulls = "".join(
            f'<tr><td><a href="/{REPOSITORY}/pull/{pull.number}">#{pull.number}</a></td>'
            f"<td>{esc(str(pull.content['title']))}</td><td>{self._state(pull)}</td></tr>"
            for pull in reversed(self.hub.pulls())
        )
        tags = "".join(
            f"<tr><td><code>{esc(name.removeprefix('refs/tags/'))}</code></td></tr>"
            for name in sorted(self.hub.repository.refs()) if name.startswith("refs/tags/")
        )  # fmt: skip
        links = "".join(f'<li><a href="{esc(to)}">{esc(title)}</a></li>' for title, to in self.links)
        runs = "".join(map(self._row, reversed(self.runner.runs)))
        return (
            f"<ul>{links}</ul><h2>Pull requests</h2><table>{pulls}</table>"
            f"<h2>Tags</h2><table>{tags}</table><h2>Runs</h2><table>{runs}</table>"
        )

    @staticmethod
    def _state(pull: Pull) -> str:
        return "merged" if pull.content.get("merged") else str(pull.content["state"])

    def _row(self, run: Run) -> str:
        jobs = ", ".join(f"{name} {result}" for name, result in run.jobs.items())
        return (
            f'<tr><td><a href="/{REPOSITORY}/actions/runs/{run.id}">{run.id}</a></td><td>{esc(run.name)}</td>'
            f"<td>{esc(run.event.name)} {esc(run.event.type)}</td><td>{run.status}</td>"
            f"<td>{run.seconds:.0f} s</td><td><small>{esc(jobs)}</small></td></tr>"
        )

    def _pull(self, rest: str) -> Answer | None:
        known = {str(pull.number): pull for pull in self.hub.pulls()}
        if rest not in known:
            return None
        pull = known[rest]
        said = [(pull.content["user"]["login"], pull.content.get("body") or "")]
        said += self.hub.api.comments(pull.number)
        words = "".join(f"<article><p><b>{esc(who)}</b></p>{_markdown(text)}</article>" for who, text in said)
        runs = "".join(self._row(run) for run in self.runner.runs if run.pull == pull.number)
        head = f"<p>{self._state(pull)} · <code>{esc(pull.branch)}</code> · <code>{pull.sha[:10]}</code></p>"
        title = f"#{pull.number} {pull.content['title']}"
        return _page(title, f"{head}{words}<h2>Checks</h2><table>{runs}</table>")

    def _run(self, rest: str) -> Answer | None:
        known = {f"runs/{run.id}": run for run in self.runner.runs}
        if rest not in known:
            return None
        run = known[rest]
        log = run.log.read_text(errors="replace") if run.log.exists() else ""
        shelf = f"/{REPOSITORY}/files/runs/"
        paths = [path for path in sorted((run.folder / "artifacts").rglob("*")) if path.is_file()]
        inside = [path.relative_to(self.shelves["runs"]) for path in paths]
        files = "".join(f'<li><a href="{shelf}{esc(str(p))}">{esc(p.name)}</a></li>' for p in inside)
        body = f"<table>{self._row(run)}</table><h2>Artifacts</h2><ul>{files}</ul><pre>{esc(log)}</pre>"
        return _page(f"{run.name} {run.id}", body)

    def _file(self, rest: str) -> Answer | None:
        """A file of a shelf; nothing outside of it."""
        shelf, _, name = rest.partition("/")
        root = self.shelves.get(shelf)
        path = (root / (name or "index.html")).resolve() if root else None
        if root is None or path is None or not path.is_relative_to(root.resolve()) or not path.is_file():
            return None
        kind = mimetypes.guess_type(path.name)[0] or "text/plain"
        return 200, f"{kind}; charset=utf-8", path.read_bytes()


def _markdown(text: str) -> str:
    """As GitHub shows it, as far as our reports go: no HTML but what folds; hidden marks are hidden."""
    shown = MARKDOWN.render(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
    begin = r"<p>&lt;details&gt;(?:\n)?&lt;summary&gt;(.*?)&lt;/summary&gt;</p>"
    opened = re.sub(begin, r"<details><summary>\1</summary>", shown)
    return opened.replace("<p>&lt;/details&gt;</p>", "</details>")


def _page(title: str, body: str) -> Answer:
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    where = f'<p class="muted"><a href="/{REPOSITORY}">{REPOSITORY}</a></p>'
    text = (
        f'<!doctype html><html lang="en"><head>{head}<title>{esc(title)}</title><style>{STYLE}</style></head>'
        f"<body>{where}<h1>{esc(title)}</h1>{body}</body></html>"
    )
    return 200, "text/html; charset=utf-8", text.encode()


def broken(home: str) -> list[str]:
    """Of the first page and the links on it those that do not answer with 200, and what they answer."""
    why, text = _get(home)
    links = {urljoin(home, html.unescape(to)): "" for to in HREF.findall(text)}
    answers = {home: why} | {url: _get(url)[0] for url in links if url != home}
    return [f"{url}: {why}" for url, why in answers.items() if why]


def _get(url: str) -> tuple[str, str]:
    """Why it is not 200, empty when it is; the page."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return "" if answer.status == 200 else str(answer.status), answer.read().decode(errors="replace")
    except OSError as error:  # urllib's HTTPError too
        return str(error), ""
