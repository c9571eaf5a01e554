"""The sections `release`, `gate` and `monitor` of `params.yaml`, parsed once and strictly."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mainline.errors import ConfigError
from mainline.review import Change
from mainline.settings import CONTROL, PARAMS, Section, parse, read

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
# Figures of which more is better; of the others, less is.
# fmt: off
HIGHER_IS_BETTER = frozenset((
    "skill", "accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "mcc", "roc_auc",
    "pr_auc", "ks", "lift_10", "macro_f1", "macro_auc", "r2",
))
# fmt: on
# Of these too little is as bad as too much, so a limit on one side would reward one of the two.
TWO_SIDED = frozenset(("gap", "bias", "calibration_slope", "calibration_intercept"))
REGISTRY = r"^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*$"
REGISTRY_VARIABLE = "MAINLINE_IMAGE_REGISTRY"  # instead of release.registry; `none`: make no image
JUDGED = (*CONTROL, "evaluate")  # what a candidate is measured and judged by; `evaluate` has costs and bins


def _one_sided(figures: dict[str, float]) -> dict[str, float]:
    for name in sorted(TWO_SIDED & figures.keys()):
        what = "{name} is best at 0 or 1, so no limit on one side holds it: use ece, log_loss or rmse"
        raise PydanticCustomError("two_sided", what, {"name": name})
    return figures


Margins = Annotated[dict[str, NonNegative], Field(min_length=1), AfterValidator(_one_sided)]
Limits = Annotated[dict[str, float], AfterValidator(_one_sided)]


class Release(Section):
    """`model`: its name in the tags (letters, digits, hyphens).

    `registry`: host and path below which images are pushed (HOST/PATH/MODEL); without it none are made.
    """

    model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]
    registry: Annotated[str, Field(pattern=REGISTRY, max_length=200)] | None = None


class GatePolicy(Section):
    """What a candidate must hold. The first of `margins` is the deciding figure, also within slices.

    `margins`: how much worse than the champion is as good as equal. `latency_ms`: median of one row.
    """

    resamples: Annotated[int, Field(ge=100)]
    confidence: Share
    margins: Margins
    floors: Limits
    ceilings: Limits
    slice_margin: NonNegative
    slice_rows: Annotated[int, Field(ge=1)]
    model_bytes: Annotated[int, Field(ge=1)]
    latency_ms: Annotated[float, Field(gt=0)]

    @property
    def deciding(self) -> str:
        return next(iter(self.margins))

    @property
    def names(self) -> list[str]:
        """Every figure that a rule needs, once."""
        return list(dict.fromkeys((*self.margins, *self.floors, *self.ceilings)))


class RetrainPolicy(Section):
    """What the bot may do. `schedule`: weekdays on which it may open a pull request; none named: any.

    `train_months`: to so many the training window grows with the data; then it slides. `gpu_hours`: of a
    calendar month.
    """

    where: Literal["ci", "here"]
    train_months: Count
    schedule: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]]
    open_limit: Count
    daily_limit: Count
    gpu_hours: NonNegative


class WatchLimits(Section):
    """From where on the watch speaks; params.yaml says what each key means and what it was measured by."""

    gain: NonNegative
    persistence: Count
    drift_distance: Share
    rows: Count
    nulls: Share
    share: Share
    constant_distance: Share
    negative_skill: NonNegative
    malformed: Share
    volume_drop: Share


class MonitorPolicy(Section):
    """What the watch looks at, and when the bot may act; params.yaml says what each key means."""

    window_days: Count
    windows: Count
    fault_days: Count
    months: Count
    confidence: Share
    resamples: Annotated[int, Field(ge=100)]
    minimum_rows: Count
    minimum_blocks: Annotated[int, Field(ge=5)]
    label_lag_days: NonNegative
    labelled_share: Share
    cooldown_days: NonNegative
    limits: WatchLimits
    retrain: RetrainPolicy


class _Gate(Section):
    gate: GatePolicy


class _Monitor(Section):
    monitor: MonitorPolicy


class _Release(Section):
    release: Release


def gate(content: dict[str, Any] | None = None) -> GatePolicy:
    """The gate's policy, from the working tree's params.yaml unless given. Raises ConfigError."""
    return parse(_section("gate", content), _Gate).gate


def release(content: dict[str, Any] | None = None) -> Release:
    """The release section, likewise. Raises ConfigError."""
    return parse(_section("release", content), _Release).release


def registry(environ: Mapping[str, str] = os.environ) -> str | None:
    """Where images of the service are pushed; None: none are made. Raises ConfigError."""
    mine = release()
    match environ.get(REGISTRY_VARIABLE, ""):
        case "":
            return mine.registry
        case "none":
            return None
        case given:
            section = {"release": {"model": mine.model, "registry": given}}
            return parse(section, _Release, name=REGISTRY_VARIABLE).release.registry


def monitor(content: dict[str, Any] | None = None) -> MonitorPolicy:
    """The monitor section, likewise. Raises ConfigError."""
    return parse(_section("monitor", content), _Monitor).monitor


def written(policy: GatePolicy, evaluate: Any = None) -> str:
    """A parameter file with this gate, and this `evaluate` unless it is None; margins keep their order."""
    sections = {"gate": policy.model_dump(mode="json")} | ({} if evaluate is None else {"evaluate": evaluate})
    return yaml.safe_dump(sections, sort_keys=False)


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """What differs in the sections that judge a candidate between two parameter files, key by key."""
    old, new = ({name: one[name] for name in JUDGED if name in one} for one in (before, after))
    return differing(old, new)


def differing(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Every leaf that is not the same, by its full name; None where one side has it not."""
    old, new = _leaves(before), _leaves(after)
    return [
        Change(key=key, before=old.get(key), after=new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _leaves(value: Any, prefix: str = "") -> dict[str, str]:
    """Each leaf as JSON text, by its full name; an empty mapping is a leaf."""
    if isinstance(value, dict) and value:
        found: dict[str, str] = {}
        for key, inner in value.items():
            found |= _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
        return found
    # A section that is no mapping, or without keys, still shows; no sections at all show nothing.
    return {prefix: json.dumps(value, default=str, ensure_ascii=True)} if prefix else {}


def _section(name: str, content: dict[str, Any] | None) -> dict[str, Any]:
    content = read(PARAMS) if content is None else content
    if name not in content:
        raise ConfigError(
            f"params.yaml: {name} is missing", remedy=f"the template's params.yaml has a section {name}"
        )
    return {name: content[name]}
