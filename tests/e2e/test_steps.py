"""What the steps decide by: the gate's refusal, the pages that answer, the machine."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e import needs, pages
from tests.e2e.filters import Event
from tests.e2e.runs import Run
from tests.e2e.steps import refused

GATED = {"lock": "success", "gate": "failure", "report": "success", "required": "failure"}


@pytest.mark.parametrize(
    ("jobs", "verdict", "expected"),
    [
        (GATED, "hold", "hold"),
        (GATED, "block", "block"),
        (GATED, "promote", ""),
        (GATED, None, ""),
        (GATED | {"quality": "failure"}, "hold", ""),
        ({"train": "failure", "required": "failure"}, None, ""),
        (GATED | {"required": "success"}, "hold", ""),
    ],
)
def test_only_the_gates_answer_is_a_refusal(
    tmp_path: Path, jobs: dict[str, str], verdict: str | None, expected: str
) -> None:
    run = Run(1, "ci.yml", Event("pull_request", "main"), "0" * 40, tmp_path, jobs=jobs)
    if verdict:
        run.artifact("reports-gate").mkdir(parents=True)
        (run.artifact("reports-gate") / "gate.json").write_text(json.dumps({"verdict": verdict}))
    assert refused(run) == expected


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_page_that_does_not_answer_is_named(site: str, tmp_path: Path) -> None:
    (tmp_path / "a & b").write_text("here")
    (tmp_path / "index.html").write_text('<a href="/a%20&amp;%20b">a</a> <a href="/">home</a>')
    assert pages.broken(site) == []
    (tmp_path / "index.html").write_text('<a href="gone">b</a> <a href="http://127.0.0.1:9/">c</a>')
    first, second = pages.broken(site)
    assert first.startswith(f"{site}gone: HTTP Error 404") and second.startswith("http://127.0.0.1:9/: ")
    (closed,) = pages.broken("http://127.0.0.1:9/")
    assert "refused" in closed


@pytest.mark.parametrize(
    ("platform", "git", "says"),
    [
        ("linux", "git version 2.38.0", ""),
        ("linux", "git version 3.0.rc1", ""),
        ("linux", "git version 2.37.9", "git 2.38 or newer"),
        ("linux", "git version 2.9", "git 2.38 or newer"),
        ("linux", "", "this is none"),
        ("darwin", "git version 2.39.5 (Apple Git-154)", "Linux alone"),
    ],
)
def test_what_the_machine_lacks_is_said(platform: str, git: str, says: str) -> None:
    found = needs.lacking(platform, git, [needs.FLIGHTS])
    assert says in found and bool(found) is bool(says)


def test_this_machine_lacks_nothing() -> None:
    assert needs.lacking(sys.platform, needs.git_version(), [needs.FLIGHTS]) == ""
    assert "plays flights" in needs.lacking(sys.platform, needs.git_version(), ["wine"])
