"""Imports point one way, and each DVC stage names every file of ours that it runs."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging import utils
from packaging.requirements import Requirement

from mainline import records
from mainline.profile import Profile
from pipeline import paths
from tests import imports

MODULES = sorted(
    ".".join(file.relative_to("src").with_suffix("").parts)
    for file in (f.relative_to(imports.ROOT) for f in (imports.ROOT / "src").rglob("*.py"))
    if file.stem != "__init__"
)
# Lower layers never import higher ones; modules of one layer may.
LAYERS = {
    "errors": 0, "schema": 0, "interrupts": 0,
    "settings": 1, "records": 1, "profile": 1, "review": 1, "policy": 1, "tags": 1, "trailers": 1,
    "releases": 1, "drift": 1, "archives": 1,
    "summary": 2, "datadiff": 2, "report": 2, "untrusted": 2, "reproduction": 2, "required": 2, "gates": 2,
    "rules": 2, "locks": 2, "leftover": 2, "worktree": 2, "manifests": 2, "watching": 2, "watchrules": 2,
    "streamrules": 2, "findings": 2, "backtests": 2,
    "exposition": 2,
    "git": 3, "lookout": 3, "gathered": 3, "forge": 3, "patience": 3, "cml": 3, "storage": 3, "champion": 3,
    "exported": 3, "objects": 3, "store": 3, "remote": 3, "inventory": 3, "mainpolicy": 3,
    "state": 2,
    "versions": 2, "promotion": 2, "ledger": 3, "packaged": 3, "verification": 3, "attachments": 3,
    "mainbranch": 3, "notes": 2, "forge_releases": 3, "publishing": 3, "images": 3,
    "upcoming": 3, "predictions": 3,
    "supply": 2, "view": 2, "signing": 3, "registry": 3,
    "deploy": 3, "deploying": 3, "watched": 3,
    "retraining": 2, "forge_pulls": 3, "bot": 3,
    "verbs": 4, "cli": 4,
}  # fmt: skip
# The vocabulary in which a use case declares itself.
VOCABULARY = {"mainline.errors", "mainline.schema", "mainline.settings"}
HEAVY = {
    "torch", "mlflow", "great_expectations", "sklearn", "matplotlib", "onnx", "onnxruntime", "pandas",
    "polars", "scipy", "narwhals", "bentoml", "evidently",
}  # fmt: skip


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("mainline.")])
def test_the_control_plane_imports_only_itself_and_lower_layers(module: str) -> None:
    name = module.split(".")[1]
    assert name in LAYERS, f"give {module} a layer in this test"
    for other in imports.direct(module):
        assert other.startswith("mainline"), f"{module} imports {other}"
        if other != "mainline":
            assert LAYERS[other.split(".")[1]] <= LAYERS[name], f"{module} imports the higher {other}"


def test_the_readme_of_the_control_plane_names_each_module_in_its_layer() -> None:
    text = (imports.ROOT / "src/mainline/README.md").read_text()
    rows = {
        line[2]: set(re.findall(r"`(\w+)/?`", line))
        for line in text.splitlines()
        if re.match(r"\| \d \|", line)
    }
    assert rows == {str(layer): {name for name in LAYERS if LAYERS[name] == layer} for layer in range(5)}


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("usecase.")])
def test_a_use_case_imports_only_the_vocabulary(module: str) -> None:
    for other in imports.direct(module):
        assert other in VOCABULARY | {"mainline"} or other.split(".")[0] == "usecase", (
            f"{module} imports {other}"
        )


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("mainline.")])
def test_the_control_plane_imports_nothing_heavy(module: str) -> None:
    late = {"mainline.registry": {"mlflow"}}.get(module, set())  # inside the function that connects
    assert not imports.foreign(module) & HEAVY - late


def _stages() -> dict[str, dict]:
    return yaml.safe_load((imports.ROOT / "dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("stage", _stages())
def test_a_stage_names_every_file_of_ours_that_it_runs(stage: str) -> None:
    """Otherwise an edit to a file that is not named would silently reuse a cached model."""
    declared = _stages()[stage]
    verb = declared["cmd"].split()[3]
    needed = imports.closure("pipeline.__main__") | imports.closure(f"pipeline.{verb}")
    named = {Path(dep) for dep in declared["deps"] if dep.startswith("src/")}
    lines = "\n".join(f"      - {file}" for file in sorted(map(str, needed)))
    assert named == needed, f"deps of {stage} should hold exactly these files of ours:\n{lines}"


# Imported by a stage, and free to move: nothing that they do reaches the bytes of an output.
UNPINNED = {
    "pyyaml",  # reads params.yaml and dvc.lock; DVC compares the values that it reads
    "psutil",  # samples of the machine, for MLflow alone
    "s3fs", "botocore",  # carry a source's files, or fail
}  # fmt: skip
UNSEEN = {"export": {"onnxscript", "onnx-ir"}}  # torch's exporter imports them: they shape the graph


@pytest.mark.parametrize("stage", _stages())
def test_a_stage_has_the_exact_versions_of_its_libraries_as_parameters(stage: str) -> None:
    """Otherwise an upgrade would silently reuse a model that another version made.

    What a use case alone imports need only be exact somewhere: a fork touches no dvc.yaml.
    """
    verb = _stages()[stage]["cmd"].split()[3]
    files = imports.closure("pipeline.__main__") | imports.closure(f"pipeline.{verb}")
    theirs = {file for file in files if file.parts[1] == "usecase"}
    needed = _distributions(files - theirs) | UNSEEN.get(stage, set())
    missing = needed - _exact(_kept(stage)) - UNPINNED
    assert not missing, f"{stage}: name a group of pyproject.toml that holds an exact {missing}"
    missing = _distributions(theirs) - _exact(GROUPS) - UNPINNED
    assert not missing, f"{stage}: pin {missing} in the group `data` of pyproject.toml"


def _distributions(files: set[Path]) -> set[str]:
    names = set().union(*(imports.foreign(_module(file)) for file in files)) - sys.stdlib_module_names
    found = metadata.packages_distributions()
    return {utils.canonicalize_name(found[name][0]) for name in names}


def _module(file: Path) -> str:
    return ".".join(file.relative_to("src").with_suffix("").parts).removesuffix(".__init__")


GROUPS = tomllib.loads((imports.ROOT / "pyproject.toml").read_text())["dependency-groups"]


def _kept(stage: str) -> set[str]:
    """The groups that are parameters of the stage."""
    kept = [entry["pyproject.toml"] for entry in _stages()[stage]["params"] if isinstance(entry, dict)]
    return {name.split(".")[1] for names in kept for name in names}


def _exact(groups: Iterable[str]) -> set[str]:
    """What stands with one version in these groups."""
    lines = [line for name in groups for line in GROUPS[name]]
    found = [Requirement(line) for line in lines if isinstance(line, str)]
    return {
        utils.canonicalize_name(one.name) for one in found if re.fullmatch(r"==[\w.]+", str(one.specifier))
    }


def test_records_lie_where_the_pipeline_writes_them() -> None:
    assert records.Validation.location == paths.VALIDATION
    assert records.Features.location == paths.FEATURE_SUMMARY
    assert records.Training.location == paths.TRAINING
    assert records.Metrics.location == paths.METRICS
    assert records.Manifest.location == paths.MANIFEST
    assert Profile.location == paths.PROFILE
