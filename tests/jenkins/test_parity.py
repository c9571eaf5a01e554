"""For each event, Jenkins and GitHub run the same verbs in the same order."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from tests.jenkins import jenkins
from tests.jenkins.jenkins import Scenario
from tests.jenkins.test_jenkinsfile import (
    FORK,
    KUBERNETES,
    MAIN,
    PROMOTED,
    PULL,
    SCORED,
    STALE,
    TAG,
    WATCHED,
)
from tests.workflows.verbs import Event, github_verbs

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("jenkins")]

# GitHub's list holds what an event can reach; here each answer of the lock is a build of its own.
BUILDS = {
    "pull_request": [Scenario(PULL, STALE), Scenario(PULL)],
    "fork": [Scenario(FORK)],
    "push": [Scenario(MAIN, parameters=KUBERNETES, says=PROMOTED)],
    "tag": [Scenario(TAG)],
    "schedule": [Scenario({**SCORED, **WATCHED})],
}


def test_both_run_the_same_verbs(tmp_path: Path) -> None:
    assert set(BUILDS) == set(get_args(Event))
    named = {f"{event} {i}": build for event, builds in BUILDS.items() for i, build in enumerate(builds)}
    told = jenkins.run(named, tmp_path)
    for event in get_args(Event):
        runs = [told[f"{event} {i}"].verbs for i in range(len(BUILDS[event]))]
        assert _together(runs) == github_verbs(event), event


def _together(runs: list[list[str]]) -> list[str]:
    """The verbs of several builds, in order: what they begin with alike, then the rest of each."""
    plain = [[" ".join(call.split()[:2]) for call in run] for run in runs]
    alike = 0
    while len(plain) > 1 and len({tuple(run[: alike + 1]) for run in plain}) == 1:
        alike += 1
    return (plain[0][:alike] if plain else []) + [call for run in plain for call in run[alike:]]
