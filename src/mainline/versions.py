"""Pure: the next semantic version, from what one commit would package beside what the last version packaged.

The schema changed: major, because callers must change. Data or parameters: minor. Else, code or libraries:
patch. What packages to the same bytes as an earlier version is that version: a revert makes no new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mainline.records import Manifest
from mainline.settings import CONTROL
from mainline.tags import Version

FIRST = Version(1, 0, 0)
Kind = Literal["first", "major", "minor", "patch", "same"]
# Of an input, what a caller's request depends on; not its description or example.
CONTRACT = ("name", "dtype", "unit", "nullable", "minimum", "maximum", "values", "onnx")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a commit would package. `package`: digest by name of all that ends in the artifact.

    `schema`: what callers rely on, as JSON. `data`: md5 by path. `parameters`: of the stages, JSON a section.
    """

    package: Mapping[str, str]
    schema: str
    data: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Next:
    """The version that a commit gets, and why; `same`: it has been made already."""

    version: Version
    kind: Kind
    reason: str


def decide(now: Contents, made: Mapping[Version, Contents], taken: frozenset[Version] = frozenset()) -> Next:
    """The version of `now`, after those that were made.

    Args:
        made: the versions whose tag could be trusted.
        taken: further names that exist; none of them is given again.
    """
    for version in sorted(made, reverse=True):
        if made[version].package == now.package:
            return Next(version, "same", f"the same package as {version}")
    if not made:
        top = max(taken, default=None)
        return Next(_after(top, "major") if top else FIRST, "first", "the first version")
    last = max(made)
    kind, reason = _change(made[last], now)
    return Next(_after(max(last, *taken) if taken else last, kind), kind, f"{reason} since {last}")


def schema_of(manifest: Manifest) -> str:
    """What callers of the service rely on, in one form."""
    inputs = [{key: one.get(key) for key in CONTRACT} for one in manifest.inputs]
    return _canonical([manifest.task, inputs, manifest.outputs, manifest.classes])


def parameters_of(params: Mapping[str, Any]) -> dict[str, str]:
    """The stages' sections of params.yaml; the control plane's change no model."""
    return {name: _canonical(value) for name, value in params.items() if name not in CONTROL}


def _change(before: Contents, now: Contents) -> tuple[Kind, str]:
    if before.schema != now.schema:
        return "major", "the schema changed"
    if before.data != now.data:
        return "minor", f"the data changed ({_different(before.data, now.data)})"
    if before.parameters != now.parameters:
        return "minor", f"the parameters changed ({_different(before.parameters, now.parameters)})"
    return "patch", f"code changed ({_different(before.package, now.package)})"


def _different(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _after(version: Version, kind: Kind) -> Version:
    if kind == "major":
        return Version(version.major + 1, 0, 0)
    if kind == "minor":
        return Version(version.major, version.minor + 1, 0)
    return Version(version.major, version.minor, version.patch + 1)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
