"""Pure: does a second run of the same commit give the same thing?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mainline.records import Metrics

Verdict = Literal["identical", "within the interval", "different"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict, which outputs differ, and which figures left their recorded interval."""

    verdict: Verdict
    differing: tuple[str, ...]
    outside: tuple[str, ...]


def outputs(lock: Mapping[str, Any]) -> dict[str, str]:
    """md5 of every output in a dvc.lock, by path."""
    return {
        out["path"]: out["md5"] for stage in lock.get("stages", {}).values() for out in stage.get("outs", [])
    }


def compare(
    recorded: Mapping[str, str],
    reproduced: Mapping[str, str],
    old: Metrics,
    new: Metrics,
    *,
    same_device_class: bool,
) -> Comparison:
    """Within a device class only the same bytes will do; across classes the figures must agree.

    Agree: every reproduced figure lies within the recorded one's bootstrap interval. What lies under `data/`
    no device may change.
    """
    differing = tuple(sorted(p for p in {*recorded, *reproduced} if recorded.get(p) != reproduced.get(p)))
    if not differing:
        return Comparison("identical", (), ())
    outside = tuple(name for name in old.figures if not _within(old, new, name))
    data = [path for path in differing if path.startswith("data/")]
    agrees = not outside and not data and not same_device_class
    return Comparison("within the interval" if agrees else "different", differing, outside)


def _within(old: Metrics, new: Metrics, name: str) -> bool:
    before, after = old.figures[name], new.figures.get(name)
    if after is None or before.value is None or after.value is None:
        return after is not None and before.value is after.value
    if before.low is None or before.high is None:
        return before.value == after.value
    return before.low <= after.value <= before.high
