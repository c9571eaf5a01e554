"""The page: nothing comes from elsewhere, no script runs, plots are inside. tests/slow has a browser look."""

from __future__ import annotations

import base64
import hashlib
import re

from mainline.report import page, sections
from tests.mainline import reporting

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def shown() -> str:
    return page.render(sections.build(reporting.facts()), {"learning": SVG, '"><script>': b"<svg/>"})


def test_the_policy_lets_in_only_our_style_and_embedded_images() -> None:
    found = shown()
    style = re.search(r"<style>(.*?)</style>", found, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() if style else ""
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in found
    assert "unsafe" not in found
    assert found.index("Content-Security-Policy") < found.index("<style>")


def test_nothing_comes_from_elsewhere() -> None:
    found = shown()
    assert not re.search(r"<(script|link|iframe|object|embed)\b", found)
    assert not re.search(r"\b(src|srcset|data|poster)=\"(?!data:)", found)
    assert "url(" not in found and "@import" not in found and 'style="' not in found
    assert re.findall(r'href="([^"]*)"', found) == ["https://ci.example/runs/7"]


def test_plots_are_images_so_that_their_scripts_cannot_run() -> None:
    found = shown()
    assert f'src="data:image/svg+xml;base64,{base64.b64encode(SVG).decode()}"' in found
    assert "alert(1)" not in found
    assert 'alt="Plot: learning"' in found


def test_tables_scroll_and_say_what_they_are() -> None:
    found = shown()
    assert (
        len(re.findall("<table[> ]", found))
        == found.count("<caption>")
        == found.count('tabindex="0" role="region"')
    )
    assert '<th scope="col"' in found and '<th scope="row">' in found


def test_the_verdict_is_worded_and_coloured() -> None:
    found = shown()
    assert '<header class="verdict good">\n<p class="word">Promote</p>' in found
    assert "<title>Promote" in found
