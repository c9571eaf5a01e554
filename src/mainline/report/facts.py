"""Everything a report speaks of, read before and handed over as values; what is missing is None or empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mainline.profile import Profile
from mainline.records import Features, Manifest, Metrics, Training, Validation
from mainline.review import Gate, LockState, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The commit that the candidate is held against. `outputs`: md5 of its data and models, by path."""

    name: str
    commit: str | None = None
    metrics: Metrics | None = None
    params: Mapping[str, Any] | None = None
    profile: Profile | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The working tree, the records of the review, and the base.

    `failed`: exit code of each stage that stopped on its last run. `seconds`: of each stage when it last ran
    anywhere, from the lock's commit. `following`: the version that a merge would get, and why.
    `calibration`: predicted and observed share of each bin. `problems`: files that could not be read and why.
    """

    commit: str
    base: Base
    branch: str = ""
    title: str = ""
    lock_sha256: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    gate: Gate | None = None
    lock: LockState | None = None
    run: Run | None = None
    metrics: Metrics | None = None
    training: Training | None = None
    features: Features | None = None
    validations: tuple[Validation, ...] = ()
    manifest: Manifest | None = None
    profile: Profile | None = None
    params: Mapping[str, Any] | None = None
    failed: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    calibration: tuple[tuple[float, float], ...] = ()
    following: str = ""
    plots: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    run_url: str = ""
    mlflow_url: str = ""
    mlflow_run: str = ""

    @property
    def verdict(self) -> Gate | None:
        """The gate's record if it judged this very lock; None when there is none, or it is of another one."""
        if self.gate is None or self.lock_sha256 is None or self.gate.lock_sha256 == self.lock_sha256:
            return self.gate
        return None

    @property
    def lock_here(self) -> LockState | None:
        """What the lock check found at this commit and of this dvc.lock, not of earlier ones."""
        if self.lock is None:
            return None
        same = (self.lock.commit, self.lock.lock_sha256) == (self.commit, self.lock_sha256)
        return self.lock if same else None

    @property
    def stale(self) -> bool:
        """Whether model, figures and run are of before the last change: none is the candidate's."""
        judged = self.verdict is not None and self.verdict.basis == "nothing"
        return judged or (self.lock_here is not None and bool(self.lock_here.stale))

    @property
    def run_here(self) -> Run | None:
        """What the run did that left this very dvc.lock."""
        return self.run if self.run is not None and self.run.lock_sha256 == self.lock_sha256 else None
