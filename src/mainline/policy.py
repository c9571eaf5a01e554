"""The sections `release` and `gate` of `params.yaml`, parsed once and strictly."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mainline.errors import ConfigError
from mainline.settings import PARAMS, Section, parse, read

Share = Annotated[float, Field(gt=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
# Figures of which more is better; of the others, less is.
# fmt: off
HIGHER_IS_BETTER = frozenset((
    "skill", "accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "mcc", "roc_auc",
    "pr_auc", "ks", "lift_10", "macro_f1", "macro_auc", "r2",
))
# fmt: on


class Release(Section):
    """`model`: its name in the tags (letters, digits, hyphens)."""

    model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]


class GatePolicy(Section):
    """What a candidate must hold. The first of `margins` is the deciding figure, also within slices."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Share
    margins: Annotated[dict[str, NonNegative], Field(min_length=1)]
    floors: dict[str, float]
    ceilings: dict[str, float]
    slice_margin: NonNegative
    slice_rows: Annotated[int, Field(ge=1)]
    model_bytes: Annotated[int, Field(ge=1)]
    latency_ms: Annotated[float, Field(gt=0)]


class _Gate(Section):
    gate: GatePolicy


class _Release(Section):
    release: Release


def gate(content: dict[str, Any] | None = None) -> GatePolicy:
    """The gate's policy, from the working tree's params.yaml unless given. Raises ConfigError."""
    return parse(_section("gate", content), _Gate).gate


def release(content: dict[str, Any] | None = None) -> Release:
    """The release section, likewise. Raises ConfigError."""
    return parse(_section("release", content), _Release).release


def _section(name: str, content: dict[str, Any] | None) -> dict[str, Any]:
    content = read(PARAMS) if content is None else content
    if name not in content:
        raise ConfigError(
            f"params.yaml: {name} is missing", remedy=f"the template's params.yaml has a section {name}"
        )
    return {name: content[name]}
