"""The committed params.yaml is complete, and one wrong key anywhere stops a stage before it does anything."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mainline.errors import ConfigError
from mainline.settings import CONTROL, PARAMS, parse
from mainline.settings import read as read_all
from pipeline.params import Params
from tests import clones
from tests.imports import ROOT


def read(path: Path = ROOT / PARAMS) -> dict:
    """The pipeline's sections of a params.yaml."""
    return {name: section for name, section in read_all(path).items() if name not in CONTROL}


def test_the_committed_file_is_accepted() -> None:
    content = read()
    params = parse(content, Params)
    assert params.model_dump(mode="json", by_alias=True) == content


def _leaves(section: dict, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in section.items():
        found += _leaves(value, (*prefix, key)) if isinstance(value, dict) else [(*prefix, key)]
    return found


LEAVES = _leaves(read())


@pytest.mark.parametrize("leaf", LEAVES, ids=".".join)
def test_each_key_is_needed_and_typed(leaf: tuple[str, ...]) -> None:
    for value in (None, {"not": "this"}):  # missing, then of another type
        content = read()
        section = content
        for key in leaf[:-1]:
            section = section[key]
        if value is None:
            del section[leaf[-1]]
        else:
            section[leaf[-1]] = value
        with pytest.raises(ConfigError) as caught:
            parse(content, Params)
        assert ".".join(leaf) in str(caught.value)


@pytest.mark.parametrize("section", [*{leaf[0] for leaf in LEAVES}, None])
def test_an_unknown_key_is_named(section: str | None) -> None:
    content = read()
    (content[section] if section else content)["leraning_rate"] = 1
    with pytest.raises(
        ConfigError, match=f"{section + '.' if section else ''}leraning_rate is not a known key"
    ):
        parse(content, Params)


def test_dvc_watches_every_section() -> None:
    """A parameter that no stage names would change nothing and mislead."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    watched = {p.split(".")[0] for stage in stages.values() for p in stage["params"] if isinstance(p, str)}
    assert watched == set(read())


@pytest.mark.parametrize("stage", ["ingest", "featurize"])
def test_a_stage_refuses_before_it_touches_anything(tmp_path: Path, stage: str) -> None:
    content = read()
    content["train"]["lr"] = "fast"  # not even this stage's own section
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", stage], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == ConfigError.exit_code
    assert "train.lr" in done.stderr and "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"params.yaml", ".mainline"}


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["bake"], 2), (["--help"], 0)])
def test_usage(arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == code
    assert "python -m pipeline train" in done.stderr + done.stdout


REFUSED = {
    "an unknown section": (lambda text: text + "evalaute: {}\n", "evalaute is not a known key"),
    "a section of another name": (lambda text: text.replace("\nexport:", "\nexprot:"), "export is missing"),
    "an unknown key of the gate": (
        lambda text: text.replace("\ngate:", "\ngate:\n  strict: 1"),
        "gate.strict",
    ),
    "a word for a number": (lambda text: re.sub(r"resamples: \d+", "resamples: many", text), ".resamples"),
    "a key twice": (
        lambda text: text.replace("\n  epochs:", "\n  epochs: 9\n  epochs:"),
        "epochs stands there",
    ),
    "no YAML": (lambda text: text + "\n  - [\n", "not valid YAML"),
    "a conflict": (lambda text: f"<<<<<<< ours\n{text}", "not valid YAML"),
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the outputs of the lock as empty files: DVC would take them away before a stage runs."""
    root = clones.copy(tmp_path_factory.mktemp("refused") / "clone")
    (root / "models/model.onnx").write_text("here")
    return root


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=list(REFUSED))
def test_run_refuses_a_file_before_anything_runs(
    clone: Path, change: Callable[[str], str], words: str
) -> None:
    whole = (clone / "params.yaml").read_text()
    wrong = change(whole)
    assert wrong != whole
    (clone / "params.yaml").write_text(wrong)
    try:
        done = clones.mainline(clone, "run")
    finally:
        (clone / "params.yaml").write_text(whole)
    assert done.returncode == ConfigError.exit_code, done.stdout + done.stderr
    assert words in done.stderr
    assert clones.git(clone, "status", "--porcelain") == ""
    assert (clone / "models/model.onnx").read_text() == "here"
