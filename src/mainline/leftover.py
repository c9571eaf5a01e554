"""Pure: what dvc.lock still holds of a stage, and dvc.yaml no longer names.

DVC looks only at what dvc.yaml names: a stage that lost a parameter, a dependency or an output is "up to
date" with a lock that was made with it, and a stage that is gone stays in the lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import normpath
from typing import Any

GONE = "it is in dvc.lock, and no longer in dvc.yaml"
OUTPUTS = ("outs", "metrics", "plots")
MANY = ("foreach", "matrix")  # in the lock such a stage is NAME@ITEM, one for each


def leftover(pipeline: Mapping[str, Any], lock: Mapping[str, Any]) -> dict[str, list[str]]:
    """Why, by the name of the stage. Those with templates (`${…}`) are left out: only DVC resolves them."""
    stages = pipeline.get("stages") or {}
    found = {}
    for name, locked in (lock.get("stages") or {}).items():
        stage = stages.get(name)
        if stage is None:
            whole = stages.get(name.partition("@")[0]) or {}
            reasons = [] if any(key in whole for key in MANY) else [GONE]
        else:
            reasons = [] if stage.get("frozen") or "${" in str(stage) else [*_dropped(stage, locked)]
        if reasons:
            found[name] = reasons
    return found


def _dropped(stage: Mapping[str, Any], locked: Mapping[str, Any]) -> Iterator[str]:
    for kind, named in (
        ("dependency", _paths(stage.get("deps"))),
        ("output", {path for key in OUTPUTS for path in _paths(stage.get(key))}),
    ):
        there = [entry["path"] for entry in locked.get("deps" if kind == "dependency" else "outs") or ()]
        yield from (f"dvc.yaml no longer names its {kind} {p}" for p in there if normpath(p) not in named)
    params = _params(stage.get("params"))
    for file, values in (locked.get("params") or {}).items():
        keys = params.get(normpath(file), set())
        if keys is not None:
            yield from (
                f"dvc.yaml no longer names its parameter {key} of {file}" for key in values if key not in keys
            )


def _paths(entries: Any) -> set[str]:
    """Each is a path, or a mapping of a path to its options."""
    return {
        normpath(path) for entry in entries or () for path in ([entry] if isinstance(entry, str) else entry)
    }


def _params(entries: Any) -> dict[str, set[str] | None]:
    """Keys by file; None where all of a file counts."""
    found: dict[str, set[str] | None] = {}
    for entry in entries or ():
        for file, keys in {"params.yaml": [entry]}.items() if isinstance(entry, str) else entry.items():
            before = found.setdefault(normpath(file), set())
            found[normpath(file)] = None if before is None or not keys else before | set(keys)
    return found
