"""What the README says is true: its commands exist, its paths exist, its figures are the committed ones."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from mainline import cli
from mainline.records import Metrics
from mainline.summary import figures
from pipeline.__main__ import STAGES
from tests.imports import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALLED = {".venv", ".tools", "node_modules"}
PAGES = sorted(p.relative_to(ROOT) for p in ROOT.rglob("README.md") if not INSTALLED & {*p.parts})


def _verbs() -> set[str]:
    """The verbs that `mainline --help` lists."""
    return set(re.findall(r"^    ([a-z]+)(?: |$)", cli.parser().format_help(), flags=re.MULTILINE))


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def _code(text: str) -> str:
    """What a page shows as code: fenced blocks, and words between backticks outside of them."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```[^\n]*\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join([*blocks, *re.findall(r"`([^`]+)`", prose)])


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_exists(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "@@" not in text, "a figure was not filled in"
    code = _code(text)
    for verb in re.findall(r"\bmake ([a-z][a-z-]+)", code):
        assert verb in _targets(), f"{page} names `make {verb}`"
    for verb in re.findall(r"\bmainline ([a-z]+)\b", code):
        assert verb in _verbs(), f"{page} names `mainline {verb}`"
    for stage in re.findall(r"python -m pipeline ([a-z]+)", code):
        assert stage in STAGES, f"{page} names the stage {stage}"


def _lines(text: str) -> list[str]:
    """The commands of the blocks for a shell, each on one line."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def _parsed(words: list[str]) -> bool:
    """Whether this is a command whose options we know; exits where they are wrong."""
    match words:
        case ["mainline", *rest]:
            cli.parser(rest[0]).parse_args(rest)
        case ["python", "-m", "monitoring", verb, *rest]:
            importlib.import_module(f"monitoring.{verb}")._parser().parse_args(rest)
        case ["python", "-m", str(name), *rest] if name.startswith("serving."):
            module = f"{name}.__main__" if name == "serving.batch" else name
            importlib.import_module(module).parser().parse_args(rest)
        case _:
            return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_has_the_options_that_it_needs(page: Path) -> None:
    for line in _lines((ROOT / page).read_text(encoding="utf-8")):
        try:
            _parsed(shlex.split(line, comments=True))
        except SystemExit:
            pytest.fail(f"{page} shows a command that ends with 2: {line}")


def test_the_readmes_commands_are_parsed() -> None:
    """The control of the test above."""
    assert sum(_parsed(shlex.split(line, comments=True)) for line in _lines(README)) > 8
    with pytest.raises(SystemExit):
        _parsed(["python", "-m", "monitoring", "replay"])


def test_the_readme_shows_its_commands_as_code() -> None:
    """The control of the test above: it sees them."""
    code = _code(README)
    assert "make run" in code and "make test-all" in code and "mainline --help" in code


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), f"{page} links to {link}"


def test_the_picture_of_the_readme_shows_every_stage_and_nothing_but_a_picture() -> None:
    block = re.search(r"```mermaid\nflowchart LR\n(.*?)```", README, re.DOTALL)
    assert block, "the README has a picture of the loop"
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert not [stage for stage in stages if f"[{stage}]" not in block[1]]
    for line in block[1].splitlines():
        assert re.search(r"--> |\. |-- ", line), f"not an arrow: {line}"


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
    """Of the same test window: the next month's figures need not be typed into the README by hand."""
    metrics = Metrics.read(ROOT / Metrics.location)
    if f"on {metrics.rows:,} rows in {metrics.blocks} blocks" not in README:
        pytest.skip("the README shows another month, or another use case")
    table = figures(metrics)
    for row in table.rows:
        line = next((line for line in README.splitlines() if line.startswith(f"{row[0]} ")), None)
        assert line is not None, f"the README shows {row[0]}"
        assert line.split() == " ".join(row).split()


def test_every_verb_is_listed_by_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: ([a-z-]+)", makefile, flags=re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE))
    assert phony == described


def test_the_walk_forward_of_the_readme_is_the_committed_one() -> None:
    table = (ROOT / "reports" / "walkforward.md").read_text()
    mean = next(line for line in table.splitlines() if line.startswith("| mean"))
    page = (ROOT / "src" / "pipeline" / "README.md").read_text()
    shown = [line for line in page.splitlines() if line.startswith("| mean")]
    if not shown or shown[0].split("|")[2] != mean.split("|")[2]:
        pytest.skip("the page shows other months, or another use case")
    assert shown == [mean]


def test_what_the_readme_says_of_the_watch_is_what_was_measured() -> None:
    page = (ROOT / "monitoring" / "README.md").read_text(encoding="utf-8")
    words = r"In N cases [^:]*: N right alarms and N false ones, Evidently's preset N and N\."
    told = re.search(words.replace("N", r"(\d+)"), README)
    if not told:
        pytest.skip("the README says something else of the watch, or it is another use case")
    watch = re.search(r"^\| the watch \(`retrain`\) \|(.*)\|$", page, re.MULTILINE)
    preset = re.search(r"^\| Evidently's preset[^|]*\|(.*)\|$", page, re.MULTILINE)
    assert watch and preset, "monitoring/README.md has the table of alarms"
    ours, theirs = ([int(cell) for cell in row[1].split("|")[:4]] for row in (watch, preset))
    assert [int(number) for number in told.groups()] == [sum(ours), *ours[:2], *theirs[:2]]
