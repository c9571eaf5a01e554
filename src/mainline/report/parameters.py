"""What changed in params.yaml: of the model, and of the policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mainline.report.blocks import Code, Paragraph, Section, Table
from mainline.report.facts import Facts
from mainline.review import Change
from mainline.settings import CONTROL


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every parameter that differs, by its full name, in the order of its name."""
    old, new = dict(_flat(before)), dict(_flat(after))
    return [
        Change(key=key, before=old.get(key), after=new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _flat(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        else:
            yield name, json.dumps(value, ensure_ascii=False, default=str)


def control_changes(facts: Facts) -> list[Change]:
    """Changes of gate, monitor and release: as the gate saw them, else against the base."""
    if facts.verdict is not None:
        return facts.verdict.changes
    return [change for change in _all(facts) if _controls(change)]


def section(facts: Facts) -> Section:
    """Parameters of the pipeline before and after."""
    if facts.params is None or facts.base.params is None:
        missing = "The base's params.yaml cannot be read, so its parameters cannot be compared."
        return Section("Parameters", 70, (Paragraph((missing,)),))
    found = [change for change in _all(facts) if not _controls(change)]
    if not found:
        return Section("Parameters", 20, (Paragraph(("No parameter of the pipeline changed.",)),))
    rows = tuple(((Code(c.key),), (_shown(c.before),), (_shown(c.after),)) for c in found)
    table = Table("Parameters that changed", ("parameter", "before", "after"), rows, names=3)
    return Section("Parameters", 70, (table,))


def _all(facts: Facts) -> list[Change]:
    if facts.params is None or facts.base.params is None:
        return []
    return changes(facts.base.params, facts.params)


def _controls(change: Change) -> bool:
    return change.key.split(".")[0] in CONTROL


def _shown(value: str | None) -> Code | str:
    return "not there" if value is None else Code(value)
