"""The records of a pull request's review: what each verb found, for the verb after it and for the report.

They depend on the champion and the remote, so they are no outputs of the pipeline, and Git ignores them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from mainline.records import Figure, Part, Record
from mainline.schema import Task

REVIEW = Path(".mainline/review")


class StaleStage(Part):
    """A stage that would run again, and because of what, in words."""

    stage: str
    reasons: list[str]


class MissingObject(Part):
    """An object that dvc.lock names and the remote does not have whole. `path`: the output it belongs to.

    `file`: which one, inside an output that is a directory; empty for the output itself. `here`: DVC's cache
    has it, of a directory all of it, so that a push brings it.
    """

    path: str
    md5: str
    file: str = ""
    state: Literal["missing", "damaged"] = "missing"
    here: bool = False

    @property
    def told(self) -> str:
        """`state` in words."""
        return "not pushed yet" if self.here else self.state


class LockState(Record):
    """What `mainline lock` found. `objects`: how many were looked for on the remote.

    `lock_sha256`: of the dvc.lock that it looked at; null when there was none. `unproven`: dependencies
    inside directories whose listings could not be read without the remote.
    """

    location = REVIEW / "lock.json"
    version: Literal[1] = 1
    state: Literal["current", "stale", "broken"]
    commit: str
    lock_sha256: str | None = None
    remote: str | None
    objects: int
    stale: list[StaleStage] = []
    missing: list[MissingObject] = []
    unproven: list[str] = []
    problem: str = ""

    @property
    def unpushed(self) -> bool:
        """Whether a push from here brings all that is missing."""
        return bool(self.missing) and not self.problem and all(item.here for item in self.missing)


class Run(Record):
    """What `mainline run` did with the stages; seconds of those that ran.

    `lock_sha256`: of the dvc.lock that it left.
    """

    location = REVIEW / "run.json"
    version: Literal[1] = 1
    ran: list[str]
    cached: list[str]
    unchanged: list[str]
    seconds: dict[str, float]
    lock_sha256: str | None = None


class SliceChange(Part):
    """One slice on the same rows: the deciding figure of both models, candidate minus champion.

    The interval of `difference` is at the comparison's `slice_confidence`. `value` comes from the data.
    """

    column: str
    value: str
    rows: int
    champion: float | None
    candidate: float | None
    difference: Figure


class Latency(Part):
    """Milliseconds of one row through ONNX Runtime on one thread."""

    median_ms: float
    p95_ms: float


class Comparison(Record):
    """What `python -m pipeline compare` found: both models on the candidate's test rows.

    `champion`, `differences` (candidate minus champion, on the same resamples of whole blocks) and `slices`
    are empty when there is no champion or it cannot read the rows; `unreadable` then says why.
    `slice_confidence`: of each slice's interval, so that all of them hold together with `confidence`.
    """

    location = REVIEW / "comparison.json"
    version: Literal[1] = 1
    task: Task
    rows: int
    blocks: int
    resamples: int
    confidence: float
    slice_confidence: float | None = None
    candidate: dict[str, Figure]
    champion: dict[str, Figure] = {}
    differences: dict[str, Figure] = {}
    slices: list[SliceChange] = []
    latency: dict[Literal["candidate", "champion"], Latency] = {}
    unreadable: str = ""


class Rule(Part):
    """One rule of the gate: what was seen, the limit, and what follows."""

    name: str
    outcome: Literal["promote", "hold", "block"]
    observed: float | None
    limit: float | None
    text: str


class Change(Part):
    """A parameter before and after, as JSON text; null where it does not exist."""

    key: str
    before: str | None
    after: str | None


class Champion(Part):
    """The model that the candidate is compared with. `name`: the tag or branch it was found by.

    `kind`: the newest production tag; the main branch; nothing yet; or what a person named with --champion.
    """

    kind: Literal["production", "main", "baselines", "chosen"]
    name: str
    commit: str | None
    model_md5: str | None


class Gate(Record):
    """What `mainline gate` decided, and every number it used.

    `basis`: the candidate's test rows; the figures each model recorded on its own test rows; the same model
    to the byte (nothing to compare); the baselines; or nothing, where the lock is stale. `changes`: of gate
    and monitor against the champion's branch. `accepted`: a person accepted a hold.
    """

    location = Path("reports/gate.json")
    version: Literal[1] = 1
    verdict: Literal["promote", "hold", "block"]
    reason: str
    rules: list[Rule]
    basis: Literal["same rows", "recorded figures", "same model", "baselines", "nothing"]
    commit: str
    lock_sha256: str
    model_md5: str
    champion: Champion
    comparison: Comparison | None
    policy: dict[str, Any]
    changes: list[Change] = []
    warnings: list[str] = []
    accepted: bool = False
