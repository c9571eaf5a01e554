"""Whether the jobs of a workflow ended as they must, for the one check that branch protection asks for. Pure.

GitHub counts a skipped job as success. Here a job may be skipped only where the event and the lock's answer
say that there was nothing for it to do; every other result, and one that nobody expected, fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SUCCESS, SKIPPED, FAILURE, CANCELLED = "success", "skipped", "failure", "cancelled"
RESULTS = (SUCCESS, SKIPPED, FAILURE, CANCELLED)
REVIEWS = ("pull_request", "workflow_dispatch")  # judge a candidate; other events look at what is merged
JOBS = ("quality", "data", "lock", "provision", "train", "gate", "report")

REMEDIES = {
    "quality": "run `make lint` and `make test`",
    "data": "its log names the expectation or the stage; run `mainline run validate-features`",
    "lock": "its log names what is missing: push it with `dvc push`, or set the variable DVC_REMOTE_URL",
    "provision": "the machine for the training did not start; its log says why",
    "train": "its log names the stage; the same commit trains again when the job is re-run",
    "gate": "reports/gate.json and the comment name the rule that decided",
    "report": "its log says what could not be rendered",
}
PUSHED = (
    "this commit is superseded: CI trained and pushed the lock as a new commit, or a newer one came, "
    "and that one's run decides. If none starts (no GitHub App is set up), close and reopen the pull request"
)
FORK = (
    "the lock is stale, and a fork's pull request is never trained here, nor can it push data: a maintainer "
    "takes the branch into this repository"
)
BY_HAND = ". Dependabot's runs have no keys; start ci by hand on its branch, in the tab Actions"
MERGED = (
    "what is merged has a stale lock: open a pull request that runs the pipeline (`make run`) and commits it"
)


@dataclass(frozen=True, slots=True)
class Job:
    """How one job ended, and what it put out."""

    result: str
    outputs: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> dict[str, Job]:
    """GitHub's `toJSON(needs)`. Raises ValueError when it is anything else."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("not an object of jobs")
    return {name: _job(value) for name, value in content.items()}


def _job(value: Any) -> Job:
    if not isinstance(value, dict) or value.get("result") not in RESULTS:
        raise ValueError(f"not a job: {value!r}")
    outputs = value.get("outputs") or {}
    return Job(value["result"], {str(name): str(text) for name, text in outputs.items()})


def problems(event: str, jobs: Mapping[str, Job], *, fork: bool) -> list[str]:
    """What keeps this commit from being merged, in words; empty when everything is as it must be."""
    absent = [name for name in JOBS if name not in jobs]
    if absent:
        return [f"{name}: nothing is known of this job" for name in absent]
    state = jobs["lock"].outputs.get("lock", "")
    found = [
        f"{name}: {jobs[name].result}, expected {' or '.join(expected)}; {REMEDIES[name]}"
        for name, expected in _expected(event, state).items()
        if jobs[name].result not in expected
    ]
    if jobs["lock"].result == SUCCESS and state != "current":
        found.append(f"lock: {_stale(event, state, jobs, fork)}")
    return found


def _expected(event: str, state: str) -> dict[str, tuple[str, ...]]:
    always = {"quality": (SUCCESS,), "lock": (SUCCESS,)}
    if event not in REVIEWS:
        return {**always, **dict.fromkeys(("data", "provision", "train", "gate", "report"), (SKIPPED,))}
    if state == "current":
        judged = {"gate": (SUCCESS,), "report": (SUCCESS,)}
        return {**always, "data": (SUCCESS,), "provision": (SKIPPED,), "train": (SKIPPED,), **judged}
    # Stale or unknown: no result makes this commit one to merge; only what failed is named.
    return {**always, "data": (SUCCESS,), "provision": (SUCCESS, SKIPPED), "train": (SUCCESS, SKIPPED)}


def _stale(event: str, state: str, jobs: Mapping[str, Job], fork: bool) -> str:
    if state != "stale":
        return f"its answer was {state!r}, which is neither current nor stale"
    if event not in REVIEWS:
        return MERGED
    if fork:
        return FORK
    train = jobs["train"].result
    if train == SUCCESS:
        return PUSHED
    skipped = train == SKIPPED and jobs["data"].result == SUCCESS and jobs["provision"].result != FAILURE
    return f"it is stale; training: {train}{BY_HAND if skipped else ''}"
