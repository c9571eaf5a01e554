"""What the README says is true: its commands exist, its paths exist, its figures are the committed ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mainline.records import Metrics
from mainline.summary import figures
from tests.imports import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(p.relative_to(ROOT) for p in ROOT.rglob("README.md") if not {".venv", ".tools"} & {*p.parts})


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_make_command_exists(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    code = "\n".join(
        re.findall(r"```(?:sh|console)?\n(.*?)```|`(make [a-z-]+)`", text, re.DOTALL).__str__().split("\\n")
    )
    for verb in re.findall(r"\bmake ([a-z][a-z-]+)", code):
        assert verb in _targets(), f"{page} names `make {verb}`"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), f"{page} links to {link}"


def test_the_tree_of_the_readme_is_the_tree() -> None:
    block = re.search(r"```text tree\n(.*?)```", README, re.DOTALL)
    assert block, "the README shows the tree"
    folder = ""
    for line in block[1].splitlines():
        name = line.split()[0]
        path = f"{folder}{name}" if line.startswith("  ") else name
        folder = (
            name
            if name.endswith("/") and not line.startswith("  ")
            else folder
            if line.startswith("  ")
            else ""
        )
        assert (ROOT / path).exists(), f"the tree names {path}"


def test_the_figures_of_the_readme_are_the_committed_ones() -> None:
    table = figures(Metrics.read(ROOT / Metrics.location))
    for row in table.rows:
        line = next((line for line in README.splitlines() if line.startswith(f"{row[0]} ")), None)
        assert line is not None, f"the README shows {row[0]}"
        assert line.split() == " ".join(row).split()


def test_every_verb_is_listed_by_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: ([a-z-]+)", makefile, flags=re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE))
    assert phony == described
