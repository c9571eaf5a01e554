"""What the workflows may do, read from their YAML: rights, pins, secrets, machines, and verbs that exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import cli, cml, storage
from mainline.required import JOBS
from mainline.tags import Assignment
from tests.imports import ROOT
from tests.workflows import verbs
from tests.workflows.verbs import ACTIONS, GITHUB, WORKFLOWS

FILES = [*WORKFLOWS, *ACTIONS]
PINNED = re.compile(r"uses: (\./\S+|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$")
CI = verbs.load(GITHUB / "workflows/ci.yml")["jobs"]
OURS = "github.event.pull_request.head.repo.full_name == github.repository"
# Programs other than our verbs, and where: they prepare a machine, or start one.
PREPARATION = {
    "curl --fail", "uv sync", r"printf %s\n", "dvc pull", "echo ::notice", "cml runner", "sha256sum --check",
    "echo answer=$answer", "env GITHUB_SHA=$HEAD_SHA", "sleep $PAUSE", "grep --quiet",
}  # fmt: skip
PROMOTE = verbs.load(GITHUB / "workflows/promote.yml")
RELEASE = verbs.load(GITHUB / "workflows/release.yml")
COMMENT = verbs.load(GITHUB / "workflows/comment.yml")
MONITOR = verbs.load(GITHUB / "workflows/monitor.yml")
SCORE = verbs.load(GITHUB / "workflows/score.yml")
SECRET_JOBS = {
    "lock", "data", "provision", "train", "gate", "promote", "deploy", "release", "watch", "retrain", "score",
}  # fmt: skip
# Verbs that ask which version has a stage, or check its tag: none may take one that nobody signed.
READERS = {
    f"mainline {name}"
    for name in ("gate", "promote", "release", "deploy", "monitor", "site", "retrain", "score", "status")
}
TRUSTED = ("promote", "release", "monitor", "score")  # workflows that no pull request starts
KEPT = (".mainline/review", ".mainline/stages", "reports/", "site")
EVERY_JOB = [pytest.param(path, job, id=f"{path.stem}-{name}") for path, name, job in verbs.jobs()]


def tool(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / name), *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-actions", ACTIONS),
        ("dependabot", [GITHUB / "dependabot.yml"]),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE/config.yml"]),
        ("github-issue-forms", [GITHUB / "ISSUE_TEMPLATE/bug.yml"]),
    ],
)
def test_files_follow_their_schema(schema: str, files: list[Path]) -> None:
    tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files))


def test_zizmor_finds_nothing() -> None:
    tool("zizmor", "--offline", "--persona=auditor", "--strict-collection", ".")


def test_every_exception_has_its_reason() -> None:
    for file in FILES:
        for line in file.read_text().splitlines():
            if "zizmor:" in line:
                assert re.search(r"zizmor: ignore\[[\w-]+\] \w+ .{10,}", line), f"{file.name}: {line}"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_rights_of_its_own_and_knows_one_run_at_a_time(file: Path) -> None:
    content = verbs.load(file)
    assert content["permissions"] == {}
    limited = [content] if "concurrency" in content else content["jobs"].values()
    assert all(set(one["concurrency"]) == {"group", "cancel-in-progress"} for one in limited)
    assert "pull_request_target" not in content["on"]


@pytest.mark.parametrize(("file", "job"), EVERY_JOB)
def test_a_job_ends_and_says_why_it_has_each_right(file: Path, job: dict[str, Any]) -> None:
    assert 0 < job["timeout-minutes"] <= 350
    text = file.read_text()
    for right, level in job["permissions"].items():
        assert re.search(rf"^      {right}: {level} # \w+", text, re.MULTILINE), f"{file.name}: why {right}?"


def test_only_these_jobs_may_write() -> None:
    writing = {
        name: [right for right, level in job["permissions"].items() if level == "write"]
        for _, name, job in verbs.jobs()
        if "write" in job["permissions"].values()
    }
    assert writing == {
        "train": ["contents"],
        "comment": ["pull-requests"],
        **{name: ["contents", "id-token"] for name in ("promote", "deploy", "release")},
        "pages": ["pages", "id-token"],
    }


def test_the_job_that_may_comment_runs_no_code_and_checks_nothing_out() -> None:
    job = COMMENT["jobs"]["comment"]
    assert job["permissions"] == {"pull-requests": "write"}
    used = [step["uses"].split("@")[0] for step in job["steps"] if "uses" in step]
    assert used == ["actions/download-artifact", "iterative/setup-cml"]
    run = [command.split()[0] for step in job["steps"] for command in verbs.commands(step)]
    assert run == ["sha256sum", "env", "curl", "sleep", "curl", "grep", "curl"]
    assert "run-id" not in str(job), "it takes only what the job before it left"
    words = set(re.findall(r"needs\.draft\.outputs\.(\w+)", str(job)))
    assert words == set(COMMENT["jobs"]["draft"]["outputs"])


def test_the_job_that_reads_what_a_fork_left_runs_mains_code_and_may_write_nothing() -> None:
    job = COMMENT["jobs"]["draft"]
    assert set(job["permissions"].values()) == {"read"}
    checkouts = [step for step in job["steps"] if "actions/checkout" in step.get("uses", "")]
    assert [set(step["with"]) for step in checkouts] == [{"persist-credentials"}]
    (download,) = (step for step in job["steps"] if "download-artifact" in step.get("uses", ""))
    assert download["with"]["path"].startswith("${{ runner.temp }}/"), "the workspace holds trusted code"


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.parent.name + "-" + path.stem)
def test_actions_are_pinned_with_their_version(file: Path) -> None:
    for line in file.read_text().splitlines():
        if re.match(r"\s*(- )?uses:", line):
            assert PINNED.search(line), f"{file.name}: {line.strip()}"


def test_an_action_has_the_same_pin_everywhere() -> None:
    used = {
        found for file in FILES for found in re.findall(r"uses: ([\w/-]+)@(\w+ # v[\d.]+)", file.read_text())
    }
    assert len({action for action, _ in used}) == len(used)


def test_no_checkout_keeps_a_token() -> None:
    for _, name, job in verbs.jobs():
        for step in job["steps"]:
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, name


def _steps() -> list[tuple[str, dict[str, Any]]]:
    found = [(f"{path.stem}-{name}", step) for path, name, job in verbs.jobs() for step in job["steps"]]
    actions = [yaml.safe_load(file.read_text()) for file in ACTIONS]
    return found + [("setup", step) for action in actions for step in action["runs"]["steps"]]


EVERY_STEP = [pytest.param(step, id=f"{where}-{number}") for number, (where, step) in enumerate(_steps())]


@pytest.mark.parametrize("step", EVERY_STEP)
def test_a_command_is_a_verb_that_exists_and_takes_these_flags(
    step: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "${{" not in step.get("run", ""), "values go through the environment, where no shell reads them"
    for command in verbs.commands(step):
        name = verbs.verb(command)
        if name is None:
            words = command.replace('"', "").split()
            assert " ".join([words[0], words[1].rstrip(",").split(" title=")[0]]) in PREPARATION, command
        elif name.startswith("make"):
            assert re.search(rf"^{name.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command
        else:
            with pytest.raises(SystemExit) as caught:
                cli.main([name.split()[1], "--help"])
            assert caught.value.code == 0, f"{name} does not exist"
            text = capsys.readouterr().out
            assert _flags(command, step) <= set(re.findall(r"--[\w-]+", text)), command


def _flags(command: str, step: dict[str, Any]) -> set[str]:
    """Flags written in the command, or in the variables that it is given unquoted."""
    given = [str(step.get("env", {}).get(name, "")) for name in re.findall(r"(?<!\")\$(\w+)", command)]
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", " ".join([command, *given])))


def test_a_machine_of_ours_is_never_reached_by_a_fork() -> None:
    for path, name, job in verbs.jobs():
        if job["runs-on"] == "ubuntu-latest" or path.stem in TRUSTED:
            continue
        assert path.stem == "ci" and name == "train", f"{name} may run on a machine of ours"
        _guarded(name)
    _guarded("provision")


def _guarded(name: str) -> None:
    """The condition is a conjunction, of which one part admits only our own branches."""
    condition = " ".join(CI[name]["if"].split())
    parts = re.split(r" && (?![^()]*\))", condition.removeprefix("${{ ").removesuffix(" }}"))
    assert not [part for part in parts if "||" in part and not part.startswith("(")], condition
    branch = "github.ref_type == 'branch' && github.ref_name != github.event.repository.default_branch"
    started = f"(github.event_name == 'workflow_dispatch' && {branch})"
    assert f"({started} || {OURS})" in condition, condition


def test_secrets_are_only_where_they_are_needed() -> None:
    for path, name, job in verbs.jobs():
        kept = {key: value for key, value in job.items() if key != "steps"}
        assert "secrets." not in str(kept), f"{name}: secrets belong to steps"
        assert ("secrets." in str(job)) == (path.stem != "comment" and name in SECRET_JOBS), name
        for step in job["steps"]:
            action = step.get("uses", "")
            assert "secrets." not in str(step) or not action or "create-github-app-token" in action, name


def test_nothing_cancels_a_push_and_a_training_ends_itself() -> None:
    """GitHub ends a job that is cancelled five minutes later, whatever its steps' conditions are."""
    assert "concurrency" not in verbs.load(GITHUB / "workflows/ci.yml"), "it would cancel the run whole"
    for name in ("train", "provision"):
        assert CI[name]["concurrency"]["cancel-in-progress"] is False
    (train,) = (step for step in CI["train"]["steps"] if "mainline run" in step.get("run", ""))
    assert verbs.commands(train)[0].startswith('mainline run --pull --while-tip-of "$BRANCH"')
    *_, app, push = CI["train"]["steps"]
    assert push["run"].startswith("mainline push")
    assert push["env"]["BRANCH"] == train["env"]["BRANCH"] == "${{ github.head_ref || github.ref_name }}"
    assert push["if"] == "${{ always() && steps.train.outputs.trained == 'true' }}"  # a person may cancel
    assert app["if"].startswith(push["if"].removesuffix(" }}"))


def test_a_newer_commit_is_no_failure_and_leaves_nothing_to_push_or_to_report() -> None:
    train, push = (step["run"] for step in CI["train"]["steps"] if "mainline" in step.get("run", ""))
    for code, wanted, trained in ((0, 0, "trained=true\n"), (23, 0, ""), (14, 1, ""), (75, 1, "")):
        assert _ends(train, code) == (wanted, trained), code
    for code, wanted in ((0, 0), (23, 0), (18, 1), (30, 1)):
        assert _ends(push, code) == (wanted, ""), code
    assert "needs.train.result != 'success'" in CI["report"]["if"]


def _ends(script: str, code: int) -> tuple[int, str]:
    """How a step ends whose verb ends with `code`, and what it put out."""
    with tempfile.NamedTemporaryFile("r") as output:
        done = subprocess.run(
            ["bash", "-e", "-c", f"mainline() {{ return {code}; }}\n{script}"],
            env={"BRANCH": "topic", "GITHUB_OUTPUT": output.name, "PATH": os.environ["PATH"]},
        )
        return done.returncode, output.read()


def test_a_promotion_and_a_release_come_from_main_or_a_tag_one_after_the_other() -> None:
    """Neither is ever started by a pull request, cut off, or fed from a cache."""
    assert PROMOTE["on"] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert "github.ref_name == github.event.repository.default_branch" in PROMOTE["jobs"]["promote"]["if"]
    assert PROMOTE["jobs"]["deploy"]["needs"] == ["promote"], "its condition is that promote answered"
    assert set(RELEASE["on"]) == {"push"} and set(RELEASE["on"]["push"]) == {"tags"}
    for workflow in (PROMOTE, RELEASE):
        assert workflow["concurrency"]["cancel-in-progress"] is False
        assert "${{" not in workflow["concurrency"]["group"], "one group for all"
        for name, job in workflow["jobs"].items():
            assert job["environment"] == ("production" if name == "release" else "staging")
            (setup,) = (step for step in job["steps"] if step.get("uses") == "./.github/actions/setup")
            assert setup["with"]["cache"] == "false"
    (action,) = (yaml.safe_load(file.read_text()) for file in ACTIONS)
    assert action["runs"]["steps"][0]["with"]["enable-cache"] == "${{ inputs.cache }}"


def test_the_watch_is_started_by_the_clock_or_a_person_and_by_nothing_that_the_bot_does() -> None:
    for workflow in (MONITOR, SCORE):
        assert set(workflow["on"]) == {"schedule", "workflow_dispatch"}
        assert workflow["concurrency"]["cancel-in-progress"] is False
    first = MONITOR["jobs"]["watch"]
    assert "(vars.MONITOR == 'on' || github.event_name == 'workflow_dispatch')" in first["if"], (
        "forks stay quiet"
    )
    for name in ("SCORE_INPUT", "SCORE_OUTPUT"):
        assert f"vars.{name} != ''" in SCORE["jobs"]["score"]["if"]
    assert set(MONITOR["jobs"]) - {"watch"} == {
        name for name, job in MONITOR["jobs"].items() if job.get("needs") == ["watch"]
    }


def test_what_looks_at_production_may_write_nothing() -> None:
    assert MONITOR["jobs"]["watch"]["permissions"] == {"contents": "read", "pull-requests": "read"}
    assert MONITOR["jobs"]["retrain"]["permissions"] == {}, "the App writes, so that checks start"
    assert "APP_PRIVATE_KEY" not in str(MONITOR["jobs"]["watch"])


def test_a_release_runs_the_code_of_main_and_takes_the_tag_as_a_value() -> None:
    (job,) = RELEASE["jobs"].values()
    assert job["steps"][0]["with"]["ref"] == "${{ github.event.repository.default_branch }}"
    assert "github.ref_name" not in str([step.get("run") for step in job["steps"]])


def test_tags_of_production_start_a_release_and_no_others() -> None:
    (pattern,) = RELEASE["on"]["push"]["tags"]
    # GitHub's filter: `*` is all but a slash; of what is used here nothing else is special, `#` is itself.
    assert set(re.findall(r"[^\w-]", pattern)) == {"*", "#"}
    started = re.compile("[^/]*".join(map(re.escape, pattern.split("*"))))
    assert started.fullmatch(str(Assignment("flight-delay", "production", 7)))
    for tag in ("flight-delay#staging#7", "flight-delay@v1.3.0", "v1.0.0", "a/b#production#1"):
        assert not started.fullmatch(tag), tag


ASKING = [
    pytest.param(step, id=f"{where}-{step['run'].split()[1]}")
    for where, step in _steps()
    if "GIT_CONFIG_VALUE_0" in step.get("env", {})
]


@pytest.mark.parametrize("step", ASKING)
def test_git_gets_the_token_from_the_environment_of_its_step_alone(step: dict[str, Any]) -> None:
    values = {key: str(value) for key, value in step["env"].items() if "GIT" in key}
    (token,) = {"PUSH_TOKEN", "READ_TOKEN"} & set(step["env"])
    done = subprocess.run(
        ["git", "credential", "fill"], input="protocol=https\nhost=github.com\n\n", text=True,
        capture_output=True, env={"PATH": os.environ["PATH"], **values, token: "s3cr3t"},
    )  # fmt: skip
    assert {"username=x-access-token", "password=s3cr3t"} <= set(done.stdout.splitlines()), done.stderr


def test_what_pushes_has_a_token_and_what_asks_origin_one_that_reads() -> None:
    """In a private repository the gate could not ask origin which model is in production without one."""
    pushing = {"train-push", "promote-promote", "deploy-deploy", "release-release", "retrain-retrain"}
    reading = {"gate-gate", "train-run", "watch-monitor", "watch-site", "score-score"}
    assert {str(one.id).split("-", 1)[1] for one in ASKING} == pushing | reading
    for one in ASKING:
        (step,) = one.values
        reads = str(one.id).split("-", 1)[1] in reading
        assert (step["env"].get("READ_TOKEN") == "${{ github.token }}") == reads, one.id
    assert CI["gate"]["permissions"] == {"contents": "read"}
    given = [step for step in CI["gate"]["steps"] if "github.token" in str(step)]
    assert [step["run"].split()[1] for step in given] == ["gate"]
    assert given[0]["env"]["READ_TOKEN"] == "${{ github.token }}"
    assert "PUSH_TOKEN" not in str(CI["gate"])


def test_a_stage_is_given_no_token_of_git() -> None:
    """The training's may write: a job has one."""
    names = {name for one in ASKING for name in one.values[0]["env"] if name.endswith("_TOKEN")}
    assert names - {"GITHUB_TOKEN"} == set(storage.TOKENS)


def test_what_asks_which_version_has_a_stage_knows_who_may_sign() -> None:
    asked = set()
    for where, step in _steps():
        if names := READERS & {verbs.verb(command) for command in verbs.commands(step)}:
            asked |= names
            given = step["env"].get("MAINLINE_ALLOWED_SIGNERS")
            assert given == "${{ vars.ALLOWED_SIGNERS }}", f"{where}: {names}"
    assert asked == READERS - {"mainline status"}, "status is for a laptop"


def test_only_a_run_that_dependabot_itself_started_is_spared_the_proof_that_the_data_is_pushed() -> None:
    """GitHub gives that run no keys.

    Anybody may call a branch dependabot/…, and whoever pushes to one of Dependabot's, or reopens its pull
    request, has keys: so its account must be the run's and the pull request's.
    """
    another = "github.event.pull_request.head.repo.full_name != github.repository"
    both = "github.actor == 'dependabot[bot]' && github.event.pull_request.user.login == 'dependabot[bot]'"
    (lock,) = (step for step in CI["lock"]["steps"] if "mainline lock" in step.get("run", ""))
    spared = f"github.event_name == 'pull_request' && ({another} || {both}) && '--no-remote' || ''"
    assert lock["env"]["NO_REMOTE"] == f"${{{{ {spared} }}}}"
    for name in ("provision", "train"):
        condition = " ".join(CI[name]["if"].split())
        assert "&& github.actor != 'dependabot[bot]' &&" in condition, f"{name}: it has no keys"
    assert "triggering_actor" not in (GITHUB / "workflows/ci.yml").read_text(), (
        "a rerun keeps the first one's keys"
    )


def test_what_a_fork_or_dependabot_hands_over_is_found_where_it_is_looked_for() -> None:
    named = (
        "${{ github.event_name == 'pull_request' && (github.event.pull_request.head.repo.full_name"
        " != github.repository || startsWith(github.head_ref, 'dependabot/')) }}"
    )
    handed = [step["if"] for step in CI["report"]["steps"] if ".mainline/review/fork" in str(step)]
    assert handed == [named] * 2
    ours = (
        "${{ github.event.workflow_run.head_repository.full_name == github.repository"
        " && !startsWith(github.event.workflow_run.head_branch, 'dependabot/') }}"
    )
    job = COMMENT["jobs"]["draft"]
    assert job["env"] == {"OURS": ours}, "a report is Markdown to us only where ours is what made it"
    (download,) = (step for step in job["steps"] if "download-artifact" in step.get("uses", ""))
    assert download["with"]["name"] == "${{ env.OURS == 'true' && 'report' || 'report-fork' }}"
    (draft,) = (step for step in job["steps"] if "mainline" in step.get("run", ""))
    assert draft["env"]["KIND"] == "${{ env.OURS == 'true' && '--file' || '--untrusted' }}"


REPOSITORY = (
    "github.event.pull_request.head.repo.full_name || github.repository"  # a fork's stops none of ours
)
LATE = {"report", "required"}  # they follow train, while a newer run may be at work


@pytest.mark.parametrize("name", CI)
def test_a_newer_commit_stops_the_same_job_of_its_branch_and_no_other(name: str) -> None:
    """Of two jobs of a group the one that comes later cancels the one that is there, be it newer."""
    concurrency = CI[name]["concurrency"]
    group = concurrency["group"]
    # Each merged commit is a group of its own; else the branch.
    of = "github.event_name == 'push' && github.sha || github.head_ref || github.ref_name"
    if name in LATE:
        of = "github.event.pull_request.head.sha || github.sha"
    assert re.findall(r"\$\{\{ (.*?) \}\}", group) == ["github.event_name", REPOSITORY, of]
    assert re.sub(r"\$\{\{.*?\}\}", "*", group) == f"ci-{name}-*-*-*"
    if name not in ("train", "provision"):
        assert concurrency["cancel-in-progress"] == "${{ github.event_name != 'push' }}"


def test_jobs_that_may_be_older_than_what_runs_cancel_nothing_newer() -> None:
    """Once a training is over, any job of its run may meet one of a newer run."""
    after = {"train"}
    for _ in CI:
        after |= {name for name, job in CI.items() if after & set(job.get("needs", []))}
    assert after - {"train"} == LATE


def test_a_run_of_which_a_newer_one_cancelled_a_job_has_no_report() -> None:
    condition = " ".join(CI["report"]["if"].split())
    for name in ("lock", "data", "gate"):
        assert f"&& needs.{name}.result != 'cancelled'" in condition
    assert "needs.train.result != 'cancelled'" not in condition, "that is its time limit, which is told"


def test_required_looks_at_every_job_and_always() -> None:
    assert sorted(CI["required"]["needs"]) == sorted(set(CI) - {"required"}) == sorted(JOBS)
    assert CI["required"]["if"] == "${{ always() }}"


def test_uv_is_the_one_of_the_makefile() -> None:
    (wanted,) = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (setup,) = (yaml.safe_load(file.read_text()) for file in ACTIONS)
    assert setup["runs"]["steps"][0]["with"]["version"] == wanted


def test_cml_is_the_version_whose_comments_we_know() -> None:
    steps = [step for _, step in _steps()]
    versions = {step["with"]["version"] for step in steps if "setup-cml" in step.get("uses", "")}
    assert versions == {f"v{cml.VERSION}"}


def test_cml_starts_machines_that_stop_themselves_and_sends_no_image_anywhere() -> None:
    (launch,) = (run for step in CI["provision"]["steps"] if "cml runner" in (run := step.get("run", "")))
    assert {"--single", "--idle-timeout=600"} <= set(launch.split())
    posting = COMMENT["jobs"]["comment"]["steps"]
    (update,) = (run for step in posting if "cml comment" in (run := step.get("run", "")))
    assert {"update", "--publish=false", f"--watermark-title={cml.TITLE}"} <= set(update.split())


def test_artifacts_are_records_and_are_kept_for_days() -> None:
    for _, _, job in verbs.jobs():
        for step in job["steps"]:
            if "upload-artifact" in step.get("uses", ""):
                paths = str(step["with"]["path"]).split()
                assert all(path.startswith(KEPT) for path in paths), paths
                assert step["with"]["retention-days"] <= 30
