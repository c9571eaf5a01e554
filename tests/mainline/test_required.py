"""When CI's one check passes: a table, and that nothing else passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline import cli, required
from mainline.errors import Answer, ConfigError, RecordError
from mainline.required import CANCELLED, FAILURE, JOBS, RESULTS, SKIPPED, SUCCESS, Job

PROMOTED = dict.fromkeys(JOBS, SUCCESS) | {"provision": SKIPPED, "train": SKIPPED}
MERGED = dict.fromkeys(JOBS, SKIPPED) | {"quality": SUCCESS, "lock": SUCCESS}
TRAINED = dict.fromkeys(JOBS, SUCCESS) | {"provision": SKIPPED, "gate": SKIPPED, "report": SKIPPED}


def problems(event: str, answer: str, results: dict[str, str], *, fork: bool = False, **changed: str) -> str:
    jobs = {name: Job(result) for name, result in (results | changed).items()}
    jobs["lock"] = Job(jobs["lock"].result, {"lock": answer})
    return "\n".join(required.problems(event, jobs, fork=fork))


def test_what_passes() -> None:
    assert problems("pull_request", "current", PROMOTED) == ""
    assert problems("pull_request", "current", PROMOTED, fork=True) == ""
    assert problems("workflow_dispatch", "current", PROMOTED) == ""
    assert problems("push", "current", MERGED) == ""


@pytest.mark.parametrize(
    ("event", "answer", "results", "changed", "words"),
    [
        ("pull_request", "current", PROMOTED, {"quality": FAILURE}, "quality: failure"),
        ("pull_request", "current", PROMOTED, {"data": FAILURE}, "data: failure"),
        ("pull_request", "current", PROMOTED, {"data": SKIPPED}, "data: skipped"),
        ("pull_request", "current", PROMOTED, {"gate": SKIPPED}, "gate: skipped"),
        ("pull_request", "current", PROMOTED, {"gate": FAILURE}, "gate: failure"),
        ("pull_request", "current", PROMOTED, {"gate": CANCELLED}, "gate: cancelled"),
        ("pull_request", "current", PROMOTED, {"report": FAILURE}, "report: failure"),
        ("pull_request", "current", PROMOTED, {"train": SUCCESS}, "train: success, expected skipped"),
        ("pull_request", "", PROMOTED, {"lock": FAILURE}, "lock: failure"),
        ("pull_request", "", PROMOTED, {}, "neither current nor stale"),
        ("pull_request", "stale", TRAINED, {}, "superseded"),
        ("pull_request", "stale", TRAINED, {"train": FAILURE}, "train: failure"),
        ("pull_request", "stale", TRAINED, {"train": CANCELLED}, "training: cancelled"),
        ("pull_request", "stale", TRAINED, {"train": SKIPPED}, "training: skipped"),
        ("pull_request", "stale", TRAINED, {"provision": FAILURE, "train": SKIPPED}, "provision: failure"),
        ("pull_request", "stale", PROMOTED, {}, "it is stale"),
        ("push", "stale", MERGED, {}, "what is merged has a stale lock"),
        ("push", "current", MERGED, {"quality": FAILURE}, "quality: failure"),
        ("push", "current", MERGED, {"lock": CANCELLED}, "lock: cancelled"),
        ("push", "current", MERGED, {"gate": SUCCESS}, "gate: success, expected skipped"),
        ("merge_group", "stale", MERGED, {}, "stale"),
    ],
)
def test_what_does_not(
    event: str, answer: str, results: dict[str, str], changed: dict[str, str], words: str
) -> None:
    assert words in problems(event, answer, results, **changed)


def test_a_training_that_nothing_kept_from_running_is_started_by_hand() -> None:
    assert "by hand" in problems("pull_request", "stale", TRAINED, train=SKIPPED)
    assert "by hand" not in problems("pull_request", "stale", TRAINED, train=SKIPPED, data=FAILURE)


def test_a_fork_is_told_who_trains() -> None:
    assert "a maintainer takes the branch" in problems(
        "pull_request", "stale", TRAINED, fork=True, train=SKIPPED
    )


@given(
    st.sampled_from(["pull_request", "workflow_dispatch", "push", "merge_group", ""]),
    st.sampled_from(["current", "stale", "broken", ""]),
    st.fixed_dictionaries({name: st.sampled_from(RESULTS) for name in JOBS}),
    st.booleans(),
)
def test_nothing_else_passes(event: str, lock: str, results: dict[str, str], fork: bool) -> None:
    meant = PROMOTED if event in required.REVIEWS else MERGED
    passed = problems(event, lock, results, fork=fork) == ""
    assert passed == (lock == "current" and results == meant)


def test_a_job_of_which_nothing_is_known_fails() -> None:
    assert required.problems("push", {}, fork=False) == [
        f"{name}: nothing is known of this job" for name in JOBS
    ]


@pytest.mark.parametrize("text", ["", "[]", "null", '{"lock": 1}', '{"lock": {"result": "neutral"}}', "{"])
def test_what_is_no_result_is_an_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["required", "--event", "push", "--needs", text]) == ConfigError.exit_code
    assert "toJSON" in capsys.readouterr().err


def test_answers_of_a_lock_that_was_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["answers"]) == RecordError.exit_code
    assert "do:  mainline lock" in capsys.readouterr().err


def test_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    needs = {name: {"result": result, "outputs": {}} for name, result in PROMOTED.items()}
    needs["lock"]["outputs"] = {"lock": "current"}
    call = ["required", "--event", "pull_request", "--needs"]
    assert cli.main([*call, json.dumps(needs)]) == 0
    needs["gate"]["result"] = SKIPPED
    assert cli.main([*call, json.dumps(needs), "--json"]) == Answer.BLOCK
    assert "gate: skipped" in json.loads(capsys.readouterr().out.splitlines()[-1])["problems"][0]
