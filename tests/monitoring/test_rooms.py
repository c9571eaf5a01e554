"""What the watch imports: the use case, the pipeline, the lower layers of the control plane."""

from __future__ import annotations

import ast

import pytest

from tests.imports import ROOT

FILES = sorted((ROOT / "monitoring").glob("*.py"))
CONTROL = {
    "errors", "settings", "schema", "records", "profile", "drift", "policy", "watching", "untrusted",
    "interrupts",
    "retraining",  # of it `parameters`: the training window that a retraining would have
}  # fmt: skip
LATE = {"evidently_report.py": {"evidently", "pandas"}}  # inside the function that needs them


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_monitoring_imports_only_what_it_may(file) -> None:  # type: ignore[no-untyped-def]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "write imports absolute"
            base = [f"mainline.{alias.name}" for alias in node.names]
            found.update(base if node.module == "mainline" else [node.module])
    assert not {name for name in found if name.split(".")[0] in ("serving", "tests")}
    control = {name.split(".")[1] for name in found if name.startswith("mainline.")}
    assert control <= CONTROL, f"{file.name} imports {control - CONTROL} of mainline"
    heavy = {name.split(".")[0] for name in found} & {"evidently", "pandas", "matplotlib", "mlflow"}
    assert heavy <= LATE.get(file.name, set())
