"""Pure: what manifests say of the months that a model was fitted and tested on, and of what it would do."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from mainline.records import Manifest, Metrics

FITTED = ("train", "validation")
MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
# What a service does with the model's scores and asks of its rows; the rest says where it is from.
BEHAVIOUR = ("task", "inputs", "outputs", "classes", "threshold")


def windows(manifest: Manifest | None) -> str:
    """Why the model's own test window proves nothing; empty when it does."""
    found = manifest.windows if manifest else {}
    for name in (*FITTED, "test"):
        if not _months(found.get(name, ())):
            return f"the manifest has no {name} window"
    for name in FITTED:
        if _meet(found[name], found["test"]):
            return f"the {_told(name, found[name])} overlaps the {_told('test', found['test'])}"
    return ""


def overlap(champion: Manifest, candidate: Manifest) -> str:
    """A warning where the champion was fitted on months of the candidate's test window; else empty."""
    test = candidate.windows.get("test", [])
    if len(test) != 2:
        return ""
    for name in FITTED:
        window = champion.windows.get(name, [])
        if len(window) == 2 and _meet(window, test):
            return (
                f"the champion's {_told(name, window)} overlaps the {_told('test', test)}: it has seen these "
                "rows, and the comparison favours it"
            )
    return ""


def same_window(first: Metrics | None, second: Metrics | None, *of: Manifest | None) -> bool:
    """Whether both were measured on the same months, with as many rows and blocks."""
    months = {tuple(one.windows.get("test", ())) if one else () for one in of}
    alike = (
        first is not None
        and second is not None
        and (first.rows, first.blocks) == (second.rows, second.blocks)
    )
    return alike and len(months) == 1 and () not in months


def differing(first: Manifest, second: Manifest) -> list[str]:
    """In what a service would act otherwise with the second, even where the model is the same to the byte."""
    names = [name for name in BEHAVIOUR if getattr(first, name) != getattr(second, name)]
    thresholds = f"threshold ({json.dumps(first.threshold)} to {json.dumps(second.threshold)})"
    return [thresholds if name == "threshold" else name for name in names]


def _months(window: Sequence[str]) -> bool:
    """Whether it is a first and a last month."""
    return len(window) == 2 and all(MONTH.fullmatch(one) for one in window) and window[0] <= window[1]


def _meet(one: Sequence[str], other: Sequence[str]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _told(name: str, window: Sequence[str]) -> str:
    return f"{name} window ({window[0]} to {window[1]})"
