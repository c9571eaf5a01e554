"""The page in a real browser, Chromium: phone and desktop, light and dark, served and as a file.

The browser writes what it laid out into the page's title, by a script that these tests add and that the
page's own policy would refuse: so the copies that are measured have no policy, and one test keeps it.
"""

from __future__ import annotations

import functools
import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.site import page
from tests.monitoring import siting
from tests.monitoring.test_site import hostile, shown
from tests.slow.test_report_page import CHROMIUM, browse

pytestmark = pytest.mark.slow
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
MEASURE = """<script>
const rgb = t => t.match(/[0-9.]+/g).map(Number);
const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
const ground = e => {
  for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
  return [255, 255, 255];
};
document.querySelectorAll('details').forEach(d => d.open = true);
const seen = [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest('svg')
  && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
const faint = seen.filter(e => contrast(rgb(getComputedStyle(e).color), ground(e)) < 4.5);
const marks = [...document.querySelectorAll('figure > svg')].filter(e => e.checkVisibility());
const labels = marks.flatMap(e => [...e.querySelectorAll('text')]);
const apart = svg => {
  const boxes = [...svg.querySelectorAll('text')].map(t => t.getBoundingClientRect());
  return boxes.every((a, i) => boxes.every((b, j) => j <= i || a.right <= b.left + 1 || b.right <= a.left + 1
    || a.bottom <= b.top + 3 || b.bottom <= a.top + 3));
};
document.title = JSON.stringify({
  wide: document.documentElement.scrollWidth, room: document.documentElement.clientWidth,
  faint: faint.slice(0, 3).map(e => e.outerHTML.slice(0, 200)), looked: seen.length,
  ground: light(rgb(getComputedStyle(document.body).backgroundColor)), charts: marks.length,
  smallest: Math.min(12, ...labels.map(t => parseFloat(t.getAttribute('font-size'))
    * t.closest('svg').getBoundingClientRect().width / t.closest('svg').viewBox.baseVal.width)),
  colliding: marks.filter(e => !apart(e)).map(e => e.getAttribute('aria-label').slice(0, 60)),
  cut: marks.filter(e => [...e.querySelectorAll('text')].some(t => {
    const a = t.getBoundingClientRect(), b = e.getBoundingClientRect();
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
  })).map(e => e.getAttribute('aria-label').slice(0, 60)),
  beyond: [...document.querySelectorAll('#history .scroll, #watch .scroll')]
    .filter(e => e.scrollWidth > e.clientWidth).map(e => e.getAttribute('aria-label')),
  unreachable: [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth && e.tabIndex < 0).length,
});
</script></body>"""  # noqa: E501


def measured(tmp_path: Path, content: str, *, width: int, dark: bool) -> dict[str, Any]:
    """Chromium's window is at least 500 wide, so a frame of the wanted width holds the page."""
    (tmp_path / "page.html").write_text(POLICY.sub("", content).replace("</body>", MEASURE))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<!doctype html><iframe src="page.html" width="{width}" height="900" onload="'
        'document.title = frames[0].document.title"></iframe>'
    )
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    found = browse(frame, "--allow-file-access-from-files", "--window-size=1400,1000", scheme)
    title = re.search(r"<title>(.*?)</title>", found, re.DOTALL)
    assert title, found[:500]
    return dict(json.loads(title[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1280])
@pytest.mark.parametrize("name", ["full", "bare", "one", "rides"])
def test_everything_fits_and_can_be_read(tmp_path: Path, name: str, width: int, dark: bool) -> None:
    found = measured(tmp_path, shown(name), width=width, dark=dark)
    assert found["wide"] <= found["room"] <= width, "the page itself never scrolls sideways; its tables do"
    assert found["faint"] == [] and found["looked"] > 20, "WCAG AA, each text on its own ground"
    assert (found["ground"] < 0.1) == dark
    assert found["charts"] == {"bare": 0, "one": 3, "full": 4, "rides": 4}[name], (
        "one drawing of each chart is shown"
    )
    assert found["smallest"] >= 10, "CSS pixels of the smallest text in a chart"
    assert found["colliding"] == [] and found["cut"] == [] and found["unreachable"] == 0
    assert found["beyond"] == [] or width < 1280, "on a desktop these tables are there whole"


@pytest.mark.parametrize("width", [360, 1280])
def test_many_months_columns_and_hostile_names_fit(tmp_path: Path, width: int) -> None:
    for content in (shown("long"), page.render(hostile("x" * 5000)), page.render(hostile("<b>@team</b>"))):
        found = measured(tmp_path, content, width=width, dark=False)
        assert found["wide"] <= found["room"] <= width
        assert found["cut"] == []


def test_hostile_text_runs_nothing_even_without_the_policy(tmp_path: Path) -> None:
    attack = "\"'><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">"
    (tmp_path / "page.html").write_text(POLICY.sub("", page.render(hostile(attack))))
    assert "<title>ran" not in browse(tmp_path / "page.html")


def test_the_policy_stops_scripts(tmp_path: Path) -> None:
    """An attack that got past the escaping would still find no right to run."""
    broken = '<script>document.title = "ran"</script><p style="color: red">'
    content = shown().replace("</main>", f"{broken}</main>")
    (tmp_path / "page.html").write_text(content)
    assert "<title>Retrain" in browse(tmp_path / "page.html")
    (tmp_path / "page.html").write_text(POLICY.sub("", content))
    assert "<title>ran" in browse(tmp_path / "page.html"), "without the policy it does run"


class Recorder(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and remembers what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    (tmp_path / "index.html").write_text(page.render(siting.state()))
    asked: list[str] = []
    handler = functools.partial(type("Mine", (Recorder,), {"asked": asked}), directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_request_and_a_clean_console(served: tuple[str, list[str]], tmp_path: Path) -> None:
    """Also that Chromium's log shows a refusal, when there is one."""
    address, asked = served
    assert console(address) == []
    assert asked == ["/"], "nothing but the page itself was asked for"
    broken = tmp_path / "broken.html"
    broken.write_text(shown().replace("</main>", "<script>1</script></main>"))
    assert any("Content Security Policy" in line for line in console(broken.as_uri()))


def console(address: str) -> list[str]:
    """Lines that the page left in the browser's console."""
    assert CHROMIUM, "this test needs Chromium: apt-get install chromium"
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
        "--dump-dom", address,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "<main" in done.stdout, done.stderr[-2000:]
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]
