"""Which of our modules a module imports, read from the source (imports inside functions count too)."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("mainline", "pipeline", "usecase")


def path(module: str) -> Path | None:
    """The file of one of our modules, relative to the root; None when it is not ours."""
    base = Path("src", *module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate
    return None


def direct(module: str) -> set[str]:
    """Our modules that `module` imports itself, packages' `__init__` included when they hold code."""
    file = path(module)
    if file is None:
        raise LookupError(module)
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(f"{file}: write imports absolute, so that they can be followed")
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    found |= {name.rsplit(".", count)[0] for name in found for count in range(1, name.count(".") + 1)}
    return {name for name in found if name.split(".")[0] in ROOMS and path(name) is not None}


def closure(module: str) -> set[Path]:
    """Every file of ours that running `module` can execute; empty `__init__` files are left out."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(direct(name))
    files = {path(name) for name in seen}
    return {file for file in files if file is not None and (ROOT / file).stat().st_size}


def foreign(module: str) -> set[str]:
    """Top-level names of the other packages that `module` imports."""
    file = path(module)
    if file is None:
        raise LookupError(module)
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found - set(ROOMS)
