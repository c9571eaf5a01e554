"""What the service imports: the use case, the manifest, the lowest layers; nothing that trains."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from serving import staging
from tests.imports import ROOT
from tests.test_rooms import HEAVY

FILES = sorted((ROOT / "serving").glob("*.py"))
OURS = {"mainline", "pipeline", "serving", "usecase"}
LOWEST = {f"mainline.{name}" for name in ("errors", "schema", "records", "policy", "settings", "archives")}
# Elsewhere than in the service: at build, in a check, and where a signature is asked for.
BUILDING = {("libraries.py", "mainline.supply.packages"), ("image.py", "mainline.images")}
BESIDE = {"staging.py": {"onnx"}, "check.py": {"polars"}}


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}: write imports absolute"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _path(name: str) -> str | None:
    """The module of ours that an imported name is, or is in."""
    for base in (Path("src"), Path()):
        for parts in (name.split("."), name.split(".")[:-1]):
            if parts and (ROOT / base.joinpath(*parts)).with_suffix(".py").is_file():
                return ".".join(parts)
    return None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_serving_imports_only_what_it_may(file: Path) -> None:
    for name in _imports(file):
        if name.split(".")[0] in OURS - {"serving"} and (module := _path(name)):
            signing = module == "mainline.signing" and file.name == "signature.py"
            manifest = module == "pipeline.exporting.manifest"
            beside = (file.name, module) in BUILDING
            assert signing or manifest or beside or module in LOWEST or module.startswith("usecase."), (
                f"{file.name} imports {module}"
            )
    heavy = {name.split(".")[0] for name in _imports(file)} & (HEAVY - {"bentoml", "onnxruntime"})
    assert heavy <= BESIDE.get(file.name, set())


def test_a_bento_holds_every_module_that_the_service_can_import() -> None:
    packed = {
        ".".join([*Path(package.removeprefix("src/")).parts, module])
        for package, modules in staging.CODE.items()
        for module in modules
    }
    elsewhere = {"serving.staging", "mainline.policy"}  # for the working tree only
    waiting, seen = ["serving.run", "serving.service"], set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen | elsewhere:
            continue
        seen.add(module)
        base = ROOT if module.startswith("serving") else ROOT / "src"
        names = _imports(base.joinpath(*module.split(".")).with_suffix(".py"))
        waiting += [found for name in names if (found := _path(name)) and found.split(".")[0] in OURS]
    assert seen <= packed
