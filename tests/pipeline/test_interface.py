"""What a fork forgets is named before anything runs, and not after the training."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml

from mainline.errors import ConfigError
from mainline.schema import Column, Task
from mainline.settings import read
from pipeline import interface
from pipeline.comparing.paired import SHOWN
from pipeline.evaluation import figures
from tests.imports import ROOT
from usecase import schema

OTHERS = ROOT / "tests/slow/usecases"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The use case and params.yaml, alone; the pipeline is ours."""
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src/usecase", tmp_path / "src/usecase", ignore=compiled)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def asked(root: Path, stage: str = "params") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", stage],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root / "src")}, capture_output=True, text=True,
    )  # fmt: skip


def refused(root: Path, *words: str, stage: str = "params") -> None:
    done = asked(root, stage)
    assert done.returncode == ConfigError.exit_code, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


def parameters(root: Path, **sections: dict) -> None:
    content = read(root / "params.yaml")
    for name, changes in sections.items():
        content[name] |= changes
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_ours_is_accepted_and_imports_nothing_heavy(root: Path) -> None:
    code = """
import sys
from pipeline import interface
interface.main([])
sys.exit(", ".join({"torch", "great_expectations", "polars", "pandas"} & set(sys.modules)))
"""
    env = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_other_use_cases_are_accepted(tmp_path: Path, name: str) -> None:
    for part in ("plain", name):
        shutil.copytree(OTHERS / part, tmp_path / "src/usecase", dirs_exist_ok=True)
    shutil.move(tmp_path / "src/usecase/params.yaml", tmp_path)
    done = asked(tmp_path)
    assert done.returncode == 0, done.stderr


PAIRS = [(file, name) for file, names in interface.NAMES.items() for name in names]


@pytest.mark.parametrize(("file", "name"), PAIRS)
def test_each_missing_name_is_told_with_its_file(root: Path, file: str, name: str) -> None:
    path = root / f"src/usecase/{file}.py"
    path.write_text(re.sub(rf"\b{name}\b", f"{name}_OF_NOTHING", path.read_text()))
    with pytest.raises(ConfigError) as caught:
        interface.check_names(root / "src/usecase")
    assert caught.value.what == f"src/usecase/{file}.py has no {name}"


def test_everything_that_lacks_is_told_at_once(root: Path) -> None:
    (root / "src/usecase/card.py").write_text('NAME = "x"\n')
    (root / "src/usecase/params.py").write_text("from mainline.settings import Section as Model\n")
    refused(root, "card.py has no SUMMARY, USES, NOT_FOR, LIMITS", "params.py has no Featurize")


@pytest.mark.parametrize("file", interface.NAMES)
def test_a_file_that_is_missing_or_none(root: Path, file: str) -> None:
    path = root / f"src/usecase/{file}.py"
    path.write_text("def build(:\n")
    with pytest.raises(ConfigError, match=rf"{file}\.py is not valid Python"):
        interface.check_names(root / "src/usecase")
    path.unlink()
    with pytest.raises(ConfigError, match=rf"{file}\.py does not exist"):
        interface.check_names(root / "src/usecase")


@pytest.mark.parametrize(
    "text",
    ["build = 1", "def build(): ...", "class build: ...", "from torch import nn as build", "import build",
     "try:\n    build = 1\nexcept OSError:\n    raise", "build, other = 1, 2", "build: int = 1"],
)  # fmt: skip
def test_every_way_to_give_a_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.py").write_text(text)
    assert "build" in interface.bound(tmp_path, "model")


@pytest.mark.parametrize(
    "text", ["", "def other():\n    build = 1", "print(build)", "class A:\n    build = 1"]
)
def test_what_gives_no_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.py").write_text(text)
    assert "build" not in interface.bound(tmp_path, "model")


def test_the_interface_is_what_the_stages_read() -> None:
    """Else a name that a stage reads one day would not be asked for."""
    needed = set()
    for path in (ROOT / "src/pipeline").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        modules = {}
        for node in (node for node in nodes if isinstance(node, ast.ImportFrom) and node.module):
            if node.module == "usecase":
                modules |= {one.asname or one.name: one.name for one in node.names}
            elif node.module.startswith("usecase."):
                needed |= {(node.module.removeprefix("usecase."), one.name) for one in node.names}
        read = [
            node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        ]
        needed |= {(modules[node.value.id], node.attr) for node in read if node.value.id in modules}
    assert needed - {("model", "__file__")} == set(PAIRS)


def test_the_readme_lists_the_interface() -> None:
    rows = dict(re.findall(r"\| `(\w+)\.py` \| (.+?) \|", (ROOT / "src/usecase/README.md").read_text()))
    assert rows.keys() == interface.NAMES.keys()
    for file, names in interface.NAMES.items():
        assert re.findall(r"`(\w+)", rows[file])[: len(names)] == list(names)


def test_a_model_has_one_name(root: Path) -> None:
    parameters(root, release={"model": "another"})
    refused(root, "src/usecase/card.py: NAME is", "release.model", "'another'")


@pytest.mark.parametrize(("name", "words"), [("LIMITS", '("one")'), ("SUMMARY", "('a',)"), ("USES", "(1,)")])
def test_words_of_another_kind(root: Path, name: str, words: str) -> None:
    with (root / "src/usecase/card.py").open("a") as card:
        card.write(f"\n{name} = {words}\n")
    refused(root, f"src/usecase/card.py: {name} is not")


@pytest.mark.parametrize("part", ["margins", "floors", "ceilings"])
def test_a_gate_of_another_task_is_refused(root: Path, part: str) -> None:
    other = "log_loss" if schema.FEATURES.task == "regression" else "rmse"
    parameters(root, gate={part: {other: 0.1}})
    refused(root, f"gate: {other} is no figure of a {schema.FEATURES.task} model", "gate.margins", "skill")


@pytest.mark.parametrize("task", get_args(Task))
def test_the_figures_of_a_task(task: Task) -> None:
    found = interface.figure_names(task, decides=True)
    assert set(SHOWN[task]) <= set(found)
    random = np.random.default_rng(0)
    said = random.dirichlet((1, 1, 1), 60) if task == "multiclass" else random.uniform(0.1, 0.9, 60)
    decision = figures.Decision(0.3, 1, 3) if task == "binary" else None
    rows = figures.Rows(task, random.integers(0, 2, 60).astype(float), np.arange(60) % 6, decision)
    assert found == list(figures.compute(rows, said, np.ones((1, 6))))


def test_figures_of_decisions_need_costs() -> None:
    without, known = (interface.figure_names("binary", decides=decides) for decides in (False, True))
    assert set(known) - set(without) >= {"f1", "cost"}


def test_tables_that_are_none_and_features_that_are_dates() -> None:
    raw, table = schema.RAW, schema.FEATURES
    interface.check_schema(raw, table)
    for wrong in ((), list(raw), (*raw, raw[0]), (table,), raw[0]):
        with pytest.raises(ConfigError, match="RAW is no tuple of tables"):
            interface.check_schema(wrong, table)
    with pytest.raises(ConfigError, match="FEATURES is no FeatureTable"):
        interface.check_schema(raw, raw[0])
    dated = replace(table, features=(*table.features, Column("since", "date", "")))
    with pytest.raises(ConfigError, match="the features since are dates"):
        interface.check_schema(raw, dated)


def test_a_schema_that_cannot_be_is_told_without_a_traceback(root: Path) -> None:
    path = root / "src/usecase/schema.py"
    more = "from dataclasses import replace\nFEATURES = replace(FEATURES, features=())\n"
    path.write_text(f"{path.read_text()}\n{more}")
    refused(root, "the feature table cannot be declared like this: it has no features", path.name)


FAULTS = {
    "1 / 0": "ZeroDivisionError: division by zero",
    "import library_of_nothing": "ModuleNotFoundError: No module named 'library_of_nothing'",
    "Column('x', 'float64')": "TypeError",
    "raise ValueError('one\\ntwo')": "ValueError: one two",
}


@pytest.mark.parametrize("file", ["schema", "params", "card"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_whose_import_raises_is_told_by_its_line(root: Path, file: str, fault: str) -> None:
    path = root / f"src/usecase/{file}.py"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "from mainline.schema import Column", fault]))
    refused(root, f"params: src/usecase/{file}.py, line {len(lines) + 2}", FAULTS[fault], "  do:  ")


def test_a_fault_of_what_a_line_of_the_use_case_calls_is_told_by_that_line(root: Path) -> None:
    """Not by a place in a library, and not by the file that imports the one at fault."""
    path = root / "src/usecase/schema.py"
    path.write_text(path.read_text() + "\n\ndef broken(text):\n    return int(text)\n\n\nbroken('x')\n")
    with (root / "src/usecase/params.py").open("a") as params:
        params.write("\nfrom usecase import schema\n")
    line = len(path.read_text().splitlines())
    refused(root, f"src/usecase/schema.py, line {line}", "ValueError: invalid literal")


@pytest.mark.parametrize(
    ("text", "words"),
    [("def build(:\n", "line 1: SyntaxError"), ("x = 1\nopen('none.txt')\n", "line 2: FileNotFoundError"),
     ("1 / 0\n", "line 1: ZeroDivisionError")],
)  # fmt: skip
def test_a_stage_tells_a_file_whose_import_raises(root: Path, text: str, words: str) -> None:
    """One that nothing else reads; `python -m pipeline params` imports only what is light."""
    (root / "src/usecase/features.py").write_text(text)
    refused(root, f"featurize: src/usecase/features.py, {words}", stage="featurize")


def test_the_first_stage_asks_what_the_last_one_would_miss(root: Path) -> None:
    """Plain `dvc repro` starts with no check: the export would end with this, after the training."""
    card = root / "src/usecase/card.py"
    card.write_text(card.read_text().replace("LIMITS", "LIMIT"))
    refused(root, "ingest: src/usecase/card.py has no LIMITS", stage="ingest")
    assert not (root / "data").exists()
