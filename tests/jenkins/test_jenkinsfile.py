"""The Jenkinsfile, linted and executed: `sh` really runs stand-ins of the verbs.

What this cannot check, because no Jenkins is here: that the plugins are installed and take these parameters;
the transformation to continuations (CPS); the sandbox with its list of permitted methods; how credentials are
bound and masked; Jenkins' own validation of declarative syntax (ours knows only the words used here); that a
stash or an artifact really travels; and Groovy 2.4, which Jenkins embeds: this is Groovy 4. (Tried by hand
with 2.4.21: the same in every scenario.)
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jenkins import jenkins
from tests.jenkins.jenkins import Scenario, Told
from tests.servers import NODE

# A process of Java and one of Node; ten seconds of processor time each.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("jenkins")]

HOSTILE = "x\"; touch PWNED; $(touch PWNED) `touch PWNED` ' && touch PWNED #\n--allow-main ${BUILD_URL}"
PULL = {
    "BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_BRANCH": "topic", "CHANGE_TARGET": "main",
    "BUILD_NUMBER": "41",
}  # fmt: skip
FORK = {**PULL, "CHANGE_FORK": "stranger"}
STALE = {"mainline-lock": 30}
PUSH = '.venv/bin/mainline push --branch="$CHANGE_BRANCH"'
TRAIN = '.venv/bin/mainline run --pull --while-tip-of="$CHANGE_BRANCH"'
PROMOTED = {"mainline-promote": '{"model": "flight-delay", "version": "v1.3.0", "new": true}\n'}
MAIN = {"BRANCH_NAME": "main", "BUILD_NUMBER": "8"}
TAGGED = "flight-delay#production#7"
TAG = {"BRANCH_NAME": TAGGED, "TAG_NAME": TAGGED, "BUILD_NUMBER": "1"}
KUBERNETES = {"DEPLOY_TARGET": "kubernetes"}
TIMER = {**MAIN, "CAUSE": "TimerTrigger"}
SCORING = {"SCORE_INPUT": "s3://in", "SCORE_OUTPUT": "s3://out"}
WATCHED, SCORED = {**TIMER, "MONITOR": "on"}, {**TIMER, **SCORING}  # as a folder's variables have it
BY_HAND = {**MAIN, "CAUSE": "UserIdCause"}
SCENARIOS = {
    "documentation only": Scenario(PULL),
    "stale": Scenario(PULL, STALE),
    "stale, branch moved on": Scenario(PULL, {**STALE, "mainline-push": 23}),
    "stale, push fails": Scenario(PULL, {**STALE, "mainline-push": 18}),
    "training stopped by a person": Scenario(PULL, STALE, interrupted=TRAIN),
    "training superseded": Scenario(PULL, STALE, interrupted=TRAIN, interruption="NOT_BUILT"),
    "training saw that it is superseded": Scenario(PULL, {**STALE, "mainline-run--while-tip-of": 23}),
    "training fails": Scenario(PULL, {**STALE, "mainline-run--while-tip-of": 14}),
    "training, private": Scenario(PULL, STALE, {"READ_CREDENTIALS": "look"}),
    "stale fork": Scenario(FORK, STALE),
    "fork": Scenario(FORK, parameters={"STORE_READER": "keys"}),
    "quality fails": Scenario(PULL, {"make-test": 2}),
    "validation fails": Scenario(PULL, {"mainline-run": 13}),
    "lock broken": Scenario(PULL, {"mainline-lock": 31}),
    "gate blocks": Scenario(PULL, {"mainline-gate": 33}),
    "gate holds": Scenario(PULL, {"mainline-gate": 32}),
    "hold accepted": Scenario(PULL, parameters={"ACCEPT_HOLD": True}),
    "gate stopped by a person": Scenario(PULL, interrupted=".venv/bin/mainline gate"),
    "no machine": Scenario(PULL, {"make-setup": 1}),
    "main": Scenario(MAIN, says=PROMOTED),
    "main, stale": Scenario(MAIN, STALE),
    "main, deployed": Scenario(MAIN, parameters=KUBERNETES, says=PROMOTED),
    "main, moved on": Scenario(MAIN, {"mainline-promote": 23}, KUBERNETES),
    "main, blocked": Scenario(MAIN, {"mainline-promote": 33}, KUBERNETES),
    "tag": Scenario(TAG, parameters=KUBERNETES),
    "tag, refused by a person": Scenario(TAG, refused=True),
    "tag, refused by the verb": Scenario(TAG, {"mainline-release": 16}),
    "tag of staging": Scenario({**TAG, "TAG_NAME": "flight-delay#staging#7"}),
    "hostile tag": Scenario({**TAG, "TAG_NAME": 'x#production#1"; touch PWNED; $(touch PWNED)'}),
    "main, keys": Scenario(
        MAIN,
        {},
        {
            **KUBERNETES,
            "STORE_READER": "reader",
            "STORE_WRITER": "writer",
            "SIGNING_KEY": "k",
            "TAG_KEY": "t",
        },
        says=PROMOTED,
    ),
    "timer, off": Scenario(TIMER),
    "timer": Scenario(WATCHED, parameters={"STORE_READER": "reader", "STORE_WRITER": "writer"}),
    "timer, private": Scenario(WATCHED, parameters={"READ_CREDENTIALS": "look"}),
    "timer, score, private": Scenario(SCORED, parameters={"READ_CREDENTIALS": "look"}),
    "private": Scenario(PULL, parameters={"READ_CREDENTIALS": "look"}),
    "fork, private": Scenario({**PULL, "CHANGE_FORK": "stranger"}, parameters={"READ_CREDENTIALS": "look"}),
    "timer, retrain": Scenario(WATCHED, {"mainline-monitor": 36}),
    "timer, too little data": Scenario(WATCHED, {"mainline-monitor": 37}),
    "timer, crash": Scenario(WATCHED, {"mainline-monitor": 1}),
    "timer, stopped": Scenario(WATCHED, {"mainline-monitor": 75}),
    "timer, no token": Scenario(WATCHED, {"mainline-retrain": 22}),
    "timer, score": Scenario(SCORED),
    "timer, no day to score": Scenario(SCORED, day=12),
    "timer, nothing to score": Scenario({**SCORED, "SCORE_INPUT": ""}),
    "timer, score with keys": Scenario(
        {**SCORED, "SCORE_CREDENTIALS": "database"}, parameters={"STORE_WRITER": "writer"}
    ),
    "timer, other branch": Scenario({**WATCHED, **SCORING, "BRANCH_NAME": "topic"}),
    "by hand, watch": Scenario(BY_HAND, parameters={"WATCH": True, **KUBERNETES}, says=PROMOTED),
    "by hand, score": Scenario({**BY_HAND, **SCORING}, parameters={"SCORE": True}, day=12),
    "by hand, other branch": Scenario(
        {**BY_HAND, **SCORING, "BRANCH_NAME": "topic"}, parameters={"WATCH": True, "SCORE": True}
    ),
    "by hand, pull request": Scenario({**PULL, **SCORING}, parameters={"WATCH": True, "SCORE": True}),
    "by hand": Scenario({**BY_HAND, **SCORING, "MONITOR": "on"}, says=PROMOTED),
    "other branch": Scenario({"BRANCH_NAME": "topic", "BUILD_NUMBER": "8"}),
    "keys": Scenario(
        PULL, STALE, {"STORE_READER": "reader", "STORE_WRITER": "writer", "MLFLOW_CREDENTIALS": "mlflow"}
    ),
    "hostile": Scenario(
        {**PULL, "CHANGE_BRANCH": HOSTILE, "CHANGE_TITLE": HOSTILE, "DVC_REMOTE_URL": HOSTILE}, STALE
    ),
    "hostile fork": Scenario(
        {**FORK, "CHANGE_FORK": HOSTILE, "CHANGE_BRANCH": HOSTILE, "CHANGE_TITLE": HOSTILE}
    ),
}
QUALITY = ["make lint", "make test"]
DATA = "mainline run --pull validate-features"
TRAINED = "mainline run --pull --while-tip-of=topic"
REPORT = "mainline report --run-url=https://ci.test/job/7 --mlflow-url="
COMMENT = "mainline comment --file incoming/reports/report.md --pr=7 --sha=the head"
TOLD = [REPORT, COMMENT]
PROMOTE = "mainline promote --json"
WATCH = [
    "mainline monitor --until=yesterday --prometheus reports/watch.prom",
    "mainline site --out site --mlflow-url=",
]
RELEASE = f"mainline release --tag {TAGGED}"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Told]]:
    yield jenkins.run(SCENARIOS, tmp_path_factory.mktemp("jenkins"))


@pytest.mark.parametrize(
    ("name", "result", "agents", "verbs"),
    [
        ("documentation only", "SUCCESS", "linux linux linux",
         [*QUALITY, "mainline lock", DATA, "mainline gate", *TOLD]),
        ("stale", "NOT_BUILT", "linux gpu",
         [*QUALITY, "mainline lock", DATA, TRAINED, "mainline push --branch=topic"]),
        ("stale, branch moved on", "NOT_BUILT", "linux gpu",
         [*QUALITY, "mainline lock", DATA, TRAINED, "mainline push --branch=topic"]),
        ("stale, push fails", "FAILURE", "linux gpu linux",
         [*QUALITY, "mainline lock", DATA, TRAINED, "mainline push --branch=topic", *TOLD]),
        ("training superseded", "NOT_BUILT", "linux gpu", [*QUALITY, "mainline lock", DATA]),
        ("training saw that it is superseded", "NOT_BUILT", "linux gpu",
         [*QUALITY, "mainline lock", DATA, TRAINED]),
        ("training fails", "FAILURE", "linux gpu linux", [*QUALITY, "mainline lock", DATA, TRAINED, *TOLD]),
        ("training stopped by a person", "ABORTED", "linux gpu linux",
         [*QUALITY, "mainline lock", DATA, *TOLD]),
        ("quality fails", "FAILURE", "linux linux", [*QUALITY, *TOLD]),
        ("validation fails", "FAILURE", "linux linux", [*QUALITY, "mainline lock", DATA, *TOLD]),
        ("lock broken", "FAILURE", "linux linux", [*QUALITY, "mainline lock", *TOLD]),
        ("gate blocks", "FAILURE", "linux linux linux",
         [*QUALITY, "mainline lock", DATA, "mainline gate", *TOLD]),
        ("gate holds", "FAILURE", "linux linux linux",
         [*QUALITY, "mainline lock", DATA, "mainline gate", *TOLD]),
        ("hold accepted", "SUCCESS", "linux linux linux",
         [*QUALITY, "mainline lock", DATA, "mainline gate --accept-hold", *TOLD]),
        ("gate stopped by a person", "ABORTED", "linux linux linux",
         [*QUALITY, "mainline lock", DATA, *TOLD]),
        ("no machine", "FAILURE", "linux", []),
        ("main", "SUCCESS", "linux linux", [*QUALITY, "make test-ci", "mainline lock", PROMOTE]),
        ("main, deployed", "SUCCESS", "linux linux linux",
         [*QUALITY, "make test-ci", "mainline lock", PROMOTE,
          "mainline deploy v1.3.0 --stage staging --target kubernetes"]),
        ("main, moved on", "SUCCESS", "linux linux",
         [*QUALITY, "make test-ci", "mainline lock", PROMOTE]),
        ("main, blocked", "FAILURE", "linux linux",
         [*QUALITY, "make test-ci", "mainline lock", PROMOTE]),
        ("tag", "SUCCESS", "linux", [f"{RELEASE} --target kubernetes --publish"]),
        ("tag, refused by a person", "ABORTED", "", []),
        ("tag, refused by the verb", "FAILURE", "linux", [f"{RELEASE} --target none --publish"]),
        ("tag of staging", "SUCCESS", "", []),
        ("main, stale", "FAILURE", "linux", [*QUALITY, "make test-ci", "mainline lock"]),
        ("other branch", "SUCCESS", "", []),
        ("timer, off", "SUCCESS", "", []),
        ("timer", "SUCCESS", "linux linux", [*WATCH, "mainline retrain"]),
        ("timer, private", "SUCCESS", "linux linux", [*WATCH, "mainline retrain"]),
        ("timer, retrain", "SUCCESS", "linux linux", [*WATCH, "mainline retrain"]),
        ("timer, too little data", "SUCCESS", "linux linux", [*WATCH, "mainline retrain"]),
        ("timer, crash", "FAILURE", "linux", WATCH[:1]),
        ("timer, stopped", "FAILURE", "linux", WATCH[:1]),
        ("timer, no token", "FAILURE", "linux linux", [*WATCH, "mainline retrain"]),
        ("timer, score", "SUCCESS", "linux", ["mainline score --input s3://in --output s3://out"]),
        ("timer, no day to score", "SUCCESS", "", []),
        ("timer, nothing to score", "SUCCESS", "", []),
        ("timer, other branch", "SUCCESS", "", []),
        ("by hand, watch", "SUCCESS", "linux linux", [*WATCH, "mainline retrain"]),
        ("by hand, score", "SUCCESS", "linux", ["mainline score --input s3://in --output s3://out"]),
        ("by hand, other branch", "SUCCESS", "", []),
        ("by hand, pull request", "SUCCESS", "linux linux linux",
         [*QUALITY, "mainline lock", DATA, "mainline gate", *TOLD]),
        ("by hand", "SUCCESS", "linux linux", [*QUALITY, "make test-ci", "mainline lock", PROMOTE]),
    ],
)  # fmt: skip
def test_what_runs_where_and_how_it_ends(
    told: dict[str, Told], name: str, result: str, agents: str, verbs: list[str]
) -> None:
    build = told[name]
    assert build.verbs == verbs
    assert " ".join(build.of("agent")) == agents
    assert build.result == result


def test_a_build_that_pushed_says_who_decides(told: dict[str, Told]) -> None:
    assert told["stale"].description == "superseded by the commit it pushed"
    for name in ("stale, branch moved on", "training saw that it is superseded"):
        assert told[name].description == "superseded: the branch moved on"


@pytest.mark.parametrize(
    "name", [name for name, scenario in SCENARIOS.items() if "CHANGE_FORK" in scenario.variables]
)
def test_the_code_of_a_fork_meets_no_gpu_no_key_and_no_token(told: dict[str, Told], name: str) -> None:
    build = told[name]
    assert "mainline lock --no-remote" in build.verbs
    assert set(build.of("agent")[:-1]) == {"untrusted"}
    assert build.of("agent")[-1] == "linux", "main's code posts"
    *of_fork, posts = build.of("sh")
    assert all(not event["secrets"] for event in of_fork)
    assert "--untrusted" in posts["script"]
    assert posts["secrets"] == ["GITHUB_ACTOR", "GITHUB_TOKEN"]
    trusted = build.of("checkout")[-1]
    assert trusted["branches"] == [{"name": "refs/remotes/origin/main"}]
    assert "the revision" not in trusted["extensions"]


def test_a_stale_fork_is_told_why_nobody_trains(told: dict[str, Told]) -> None:
    build = told["stale fork"]
    assert build.result == "FAILURE"
    assert "trains only for pull requests from this repository" in str(build.stop)
    assert build.verbs[-3:-1] == [REPORT, "mainline comment --bundle reports/fork"]


def test_keys_are_bound_where_they_are_needed_and_nowhere_else(told: dict[str, Told]) -> None:
    found = {event["script"]: event["secrets"] for event in told["keys"].of("sh") if event["secrets"]}
    store = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    assert found == {
        ".venv/bin/mainline lock": store,
        ".venv/bin/mainline run --pull validate-features": store,
        TRAIN: [*store, "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_USERNAME"],
        PUSH: [*store, "GIT_PASSWORD", "GIT_USERNAME"],
    }


def test_a_promotion_says_its_version_or_why_there_is_none(told: dict[str, Told]) -> None:
    assert told["main, deployed"].description == "v1.3.0"
    assert told["main, moved on"].description == "superseded: main moved on"


def test_only_what_tags_gets_the_key_that_signs_and_only_what_deploys_pushes(told: dict[str, Told]) -> None:
    store, push = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], ["GIT_PASSWORD", "GIT_USERNAME"]
    bound = [event for event in told["main, keys"].of("sh") if event["secrets"]]
    assert {event["script"].split()[1]: event["secrets"] for event in bound} == {
        "lock": store,
        "promote": [*store, *push, "MAINLINE_SIGNING_KEY", "MAINLINE_TAG_KEY"],
        "deploy": [*store, *push],
    }


def test_the_timer_is_for_main_alone_and_says_what_the_watch_found(told: dict[str, Told]) -> None:
    assert told["timer"].of("cron") == ["H 5 * * *"]
    assert told["timer, other branch"].of("cron") == told["stale"].of("cron") == []
    assert told["timer, retrain"].description == "retrain"
    assert told["timer"].description == "quiet"


def test_what_looks_may_not_write_and_what_writes_has_the_bots_account(told: dict[str, Told]) -> None:
    store = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    assert _bound(told["timer"], "secrets") == {
        "monitor": store,
        "pull": store,  # of the pages that the site links to
        "retrain": [*store, "GITHUB_ACTOR", "GITHUB_TOKEN", "GIT_PASSWORD", "GIT_USERNAME"],
    }
    assert _bound(told["timer"], "accounts") == {
        "monitor": ["reader"], "pull": ["reader"], "retrain": ["retrain", "writer"],
    }  # fmt: skip
    assert _bound(told["timer, score with keys"], "secrets") == {"score": [*store, "PGPASSWORD", "PGUSER"]}


def test_what_asks_a_private_origin_has_an_account_that_only_reads(told: dict[str, Told]) -> None:
    """Without one `mainline site` says that nobody was asked; the one that comments is never used for it."""
    look, git = told["timer, private"], ["GIT_PASSWORD", "GIT_USERNAME"]
    assert _bound(look, "accounts") == {"monitor": ["look"], "site": ["look"], "retrain": ["retrain"]}
    assert _bound(look, "secrets")["monitor"] == git
    assert _bound(look, "secrets")["site"] == ["GITHUB_ACTOR", "GITHUB_TOKEN", *git]
    assert _bound(told["timer, score, private"], "secrets") == {"score": git}
    assert _bound(told["private"], "secrets")["gate"] == git
    assert _bound(told["training, private"], "accounts") == {"run": ["look"], "push": ["push"]}
    assert "gate" not in _bound(told["fork, private"], "secrets")


def _bound(build: Told, what: str) -> dict[str, list[str]]:
    """By the verb: the variables that hold secrets (`secrets`), or whose they are (`accounts`)."""
    return {event["script"].split()[1]: event[what] for event in build.of("sh") if event["secrets"]}


def test_a_release_is_approved_first_and_made_by_the_code_of_main(told: dict[str, Told]) -> None:
    events = told["tag"].events
    assert [event["kind"] for event in events[:2]] == ["input", "agent"], "no agent waits for a person"
    (checkout,) = told["tag"].of("checkout")
    assert checkout["branches"] == [{"name": "refs/remotes/origin/main"}]
    assert told["tag of staging"].of("input") == []
    (released,) = (one for one in told["tag"].of("sh") if "mainline release" in one["script"])
    assert {"GITHUB_TOKEN", "GIT_PASSWORD"} <= set(released["secrets"]), "its page, and deploy branches"


@pytest.mark.parametrize("name", ["hostile", "hostile fork", "hostile tag"])
def test_what_outsiders_wrote_is_text(told: dict[str, Told], name: str) -> None:
    build = told[name]
    for event in build.of("sh"):
        assert "PWNED" not in event["script"], "Groovy pasted a value into a script"
    assert not list(build.root.rglob("PWNED"))
    if name == "hostile":
        assert ["mainline", "push", f"--branch={HOSTILE}"] in build.calls
        assert ["mainline", "run", "--pull", f"--while-tip-of={HOSTILE}"] in build.calls
        assert ["dvc", "remote", "modify", "--local", "store", "url", HOSTILE] in build.calls


def test_no_script_is_in_double_quotes() -> None:
    assert jenkins.pasted(jenkins.JENKINSFILE.read_text()) == []
    assert jenkins.pasted('sh "echo ${env.X}"\nsh(returnStatus: true, script: "x")\nsh \'echo "$X"\'') == [
        'sh "echo ${env.X}"',
        'sh(returnStatus: true, script: "x")',
    ]


def test_the_gate_can_see_main_and_all_tags(told: dict[str, Told]) -> None:
    for given in told["documentation only"].of("checkout"):
        assert {"shallow": False, "noTags": False, "reference": "", "honorRefspec": True} in given[
            "extensions"
        ]
        assert "+refs/heads/main:refs/remotes/origin/main" in given["userRemoteConfigs"][0]["refspec"]


def test_nothing_is_left_behind_and_every_record_is_kept(told: dict[str, Told]) -> None:
    for name, build in told.items():
        assert not build.of("left behind"), name
        of_main = [given for given in build.of("checkout") if "the revision" not in given["extensions"]]
        if "timer" not in name and name not in ("by hand, watch", "by hand, score"):
            assert len(build.of("archive")) == len(build.of("agent")) - len(of_main), name


def stopped(older: list[int], newer: int) -> bool:
    """Jenkins' rule: a newer build that passes a milestone stops older ones whose last one is below it."""
    return not older or older[-1] < newer


def test_a_newer_build_stops_a_training_and_never_a_push(told: dict[str, Told]) -> None:
    events = told["stale"].events
    push = next(
        i for i, event in enumerate(events) if event["kind"] == "sh" and event["what"]["script"] == PUSH
    )
    train = next(
        i for i, event in enumerate(events) if event["kind"] == "sh" and event["what"]["script"] == TRAIN
    )

    def passed(before: int) -> list[int]:
        return [event["what"] for event in events[:before] if event["kind"] == "milestone"]

    newer = passed(train)[0] + 1
    assert stopped(passed(train), newer)
    assert not stopped(passed(push), newer)
    assert told["main"].of("milestone") == [], "what is merged is always looked at to the end"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("beforeAgent true\n                changeRequest()\n                expression { !env.CHANGE_FORK }",
         "changeRequest()\n                expression { !env.CHANGE_FORK }"),
        ("expression { !env.CHANGE_FORK }\n                environment", "environment"),
    ],
)  # fmt: skip
def test_these_tests_see_a_fork_on_the_gpu(tmp_path: Path, before: str, after: str) -> None:
    text = jenkins.JENKINSFILE.read_text()
    assert before in text
    (tmp_path / "Jenkinsfile").write_text(
        text.replace(before, after).replace("error 'dvc.lock is stale", "echo '")
    )
    with pytest.raises(AssertionError):
        found = jenkins.run({"fork": SCENARIOS["stale fork"]}, tmp_path, tmp_path / "Jenkinsfile")
        assert "gpu" not in found["fork"].of("agent")


@pytest.mark.parametrize("typo", ["stagez {", "unsuccessfull {", "sh(returnCode: true, script: 'x'"])
def test_a_word_that_jenkins_does_not_know_is_found(tmp_path: Path, typo: str) -> None:
    right = {"stagez {": "stages {", "unsuccessfull {": "unsuccessful {"}.get(typo, "sh(returnStatus: true")
    (tmp_path / "Jenkinsfile").write_text(
        jenkins.JENKINSFILE.read_text().replace(right, typo.split(", script")[0])
    )
    with pytest.raises(AssertionError):
        jenkins.run({"one": SCENARIOS["stale"]}, tmp_path, tmp_path / "Jenkinsfile")


def test_the_linter_is_content() -> None:
    program = [str(NODE), str(jenkins.LINTER / "lib" / "index.js"), "--noserver"]
    done = subprocess.run(
        [*program, "--javaexecutable", jenkins.java(), "--config", str(jenkins.HERE), "--failon", "info",
         "--output", "json", str(jenkins.JENKINSFILE)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["summary"]["totalFilesLinted"] == 1
    problems = [error for file in found["files"].values() for error in file["errors"]]
    assert problems == []
    assert done.returncode == 0, done.stderr


def test_the_stand_ins_are_no_more_than_the_verbs() -> None:
    """A flag that a verb does not have would pass here, as the stand-ins take any."""
    asked = {
        "lock": ["--no-remote"], "run": ["--pull", "--while-tip-of"], "push": ["--branch"],
        "gate": ["--accept-hold"],
        "report": ["--run-url", "--mlflow-url"],
        "comment": ["--file", "--bundle", "--untrusted", "--pr", "--sha"],
        "monitor": ["--until", "--prometheus"], "retrain": [], "site": ["--out", "--mlflow-url"],
        "score": ["--input", "--output"],
        "promote": ["--json"], "deploy": ["--stage", "--target"],
        "release": ["--tag", "--target", "--publish"],
    }  # fmt: skip
    for verb, flags in asked.items():
        done = subprocess.run(
            [sys.executable, "-m", "mainline.cli", verb, "--help"], capture_output=True, text=True
        )
        assert done.returncode == 0, f"mainline {verb}: {done.stderr}"
        for flag in flags:
            assert flag in done.stdout, f"mainline {verb} has no {flag}"
