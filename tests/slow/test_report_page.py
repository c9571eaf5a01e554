"""The page in a real browser, Chromium: at phone and desktop width, light and dark, and with hostile text.

The browser writes what it laid out into the page's title, by a script that this test adds and the page's own
policy would refuse: so the copies that are measured have no policy, and one test keeps it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mainline.report import page, sections
from tests.mainline import reporting
from tests.mainline.test_report_hostile import ATTACKS, poisoned

pytestmark = pytest.mark.slow
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MEASURE = """<script>
const rgb = (e, p) => getComputedStyle(e)[p].match(/[0-9.]+/g).slice(0, 3).map(Number);
const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
document.querySelectorAll('details').forEach(d => d.open = true);
const head = document.querySelector('header'), ground = rgb(document.body, 'backgroundColor');
const of = s => { const e = document.querySelector(s); return e ? contrast(rgb(e, 'color'), ground) : 21; };
document.title = JSON.stringify({
  wide: document.documentElement.scrollWidth, room: document.documentElement.clientWidth,
  contrast: Math.min(contrast(rgb(head, 'color'), rgb(head, 'backgroundColor')),
                     ...['p', 'caption', 'a', 'summary', 'th'].map(s => of('main ' + s))),
  over: Math.max(...[...document.querySelector('table').querySelectorAll('caption, tbody th, tbody td')]
    .map(e => { const r = document.createRange(); r.selectNodeContents(e);
                return Math.max(e.getBoundingClientRect().right, r.getBoundingClientRect().right); }))
    - document.querySelector('main').getBoundingClientRect().right,
  heads: [...document.querySelectorAll('table.stack td')].map(e => getComputedStyle(e, '::before').content),
  ground: light(ground), images: [...document.images].every(i => i.complete && i.naturalWidth > 0),
});
</script></body>"""


def browse(path: Path, *flags: str) -> str:
    """The page's document after its scripts, as Chromium has it."""
    assert CHROMIUM, "this test needs Chromium: apt-get install chromium"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", *flags, path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def measured(tmp_path: Path, content: str, *, width: int, dark: bool) -> dict[str, float | bool]:
    """Chromium's window is at least 500 wide, so a frame of the wanted width holds the page."""
    scriptable = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", content)
    (tmp_path / "page.html").write_text(scriptable.replace("</body>", MEASURE))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<!doctype html><iframe src="page.html" width="{width}" height="900" onload="'
        'document.title = frames[0].document.title"></iframe>'
    )
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    shown = browse(frame, "--allow-file-access-from-files", "--window-size=1400,1000", scheme)
    title = re.search(r"<title>(.*?)</title>", shown, re.DOTALL)
    assert title, shown[:500]
    return dict(json.loads(title[1]))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300"><rect width="9" height="9"/></svg>'


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 1280])
def test_nothing_overflows_and_everything_can_be_read(tmp_path: Path, width: int, dark: bool) -> None:
    long = reporting.facts(title="x" * 300, problems=("y" * 400,), gate=reporting.gate(verdict="hold"))
    found = measured(tmp_path, page.render(sections.build(long), {"learning": SVG}), width=width, dark=dark)
    assert found["wide"] <= found["room"] <= width, "the page itself never scrolls sideways; its tables do"
    assert found["contrast"] >= 4.5, "WCAG AA"
    assert (found["ground"] < 0.1) == dark
    assert found["images"]


@pytest.mark.parametrize("value", [0.38, 98765.4321])
@pytest.mark.parametrize("width", [320, 375, 1280])
def test_the_first_table_is_there_whole(tmp_path: Path, width: int, value: float) -> None:
    """What a reviewer decides by: no figure, difference or word of it lies beyond the edge of a phone."""
    compared = reporting.comparison()
    wide = {name: one.model_copy(update={"value": value}) for name, one in compared.candidate.items()}
    facts = reporting.facts(gate=reporting.gate(comparison=compared.model_copy(update={"candidate": wide})))
    found = measured(tmp_path, page.render(sections.build(facts), {}), width=width, dark=False)
    assert found["over"] <= 0
    heads = {str(text) for text in found["heads"]}
    labelled = {'"candidate"', '"champion"', '"difference"', '"candidate is"'}
    assert heads >= labelled if width < 640 else heads == {"none"}, heads


def test_the_policy_stops_scripts_and_requests(tmp_path: Path) -> None:
    """An attack that got past the escaping would still find no right to run."""
    content = page.render(sections.build(reporting.facts()), {})
    broken = '<script>document.title = "ran"</script><img src="x" onerror="document.title = \'ran\'">'
    (tmp_path / "page.html").write_text(content.replace("</main>", f"{broken}</main>"))
    assert "<title>Promote" in browse(tmp_path / "page.html")
    (tmp_path / "page.html").write_text(
        re.sub("<meta http-equiv[^>]*>", "", content).replace("</main>", f"{broken}</main>")
    )
    assert "<title>ran" in browse(tmp_path / "page.html"), "without the policy it does run"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """All attacks in one page, without the policy: nothing runs, nothing is added."""
    bodies = []
    for text in ATTACKS:
        whole = page.render(sections.build(poisoned(reporting.facts(), text)), {})
        bodies.append(re.sub("<meta http-equiv[^>]*>", "", whole).split("<body>")[1].split("</body>")[0])
    (tmp_path / "page.html").write_text(f"<!doctype html><title>calm</title>{''.join(bodies)}")
    shown = browse(tmp_path / "page.html")
    assert "<title>calm</title>" in shown
    assert not re.search(r"<(script|img|iframe|object)\b", shown)
    assert set(re.findall(r' href="([^"]*)"', shown)) == {"https://ci.example/runs/7"}
