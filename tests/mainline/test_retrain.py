"""`mainline retrain` against real Git over HTTP and emulate, a stateful GitHub API, with their faults."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from mainline import cli
from mainline.bot import clone
from mainline.errors import (
    ConfigError,
    ForgeError,
    GitError,
    Interrupted,
    MainlineError,
    RecordError,
    SupersededError,
)
from mainline.forge_pulls import Desk
from mainline.git import BOT, BOT_ADDRESS, Git
from mainline.retraining import markers, texts
from mainline.retraining.limits import DAYS
from mainline.retraining.state import DASHBOARD, LABEL, OVERRIDE, PREFIX
from mainline.verbs import retrain
from mainline.watching import Watch
from tests import clones, servers
from tests.clones import git
from tests.imports import ROOT
from tests.mainline import retrain_world
from tests.mainline.retrain_world import BRANCH, World
from tests.mainline.retraining import EVIDENCE
from tests.servers import ROBOT, STRANGER, Fault, GitHubServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("emulate")]


@pytest.fixture(scope="module")
def running() -> Iterator[GitHubServer]:
    with servers.github() as server:
        yield server


@pytest.fixture
def world(running: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with retrain_world.build(running, tmp_path, monkeypatch) as found:
        yield found


def untouched(world: World) -> list[str]:
    """Of the user: HEAD, index, work tree, references, configuration."""
    return [git(world.root, *words) for words in (
        ("rev-parse", "HEAD"), ("status", "--porcelain"), ("write-tree",), ("show-ref",),
        ("config", "--list"), ("worktree", "list"),
    )]  # fmt: skip


# -- one pull request


def test_evidence_becomes_one_pull_request_and_twice_changes_nothing(world: World) -> None:
    before = untouched(world)
    (world.root / "mine.txt").write_text("a user's own work")
    told = world.run()
    assert (told["outcome"], told["as_of"], told["branch"]) == ("opened", "2013-11", BRANCH)
    [pull] = world.pulls("open")
    assert pull["number"] == told["pull_request"]
    assert (pull["base"]["ref"], pull["head"]["ref"]) == ("main", BRANCH)
    assert [label["name"] for label in pull["labels"]] == [LABEL]
    found = markers.read(pull["body"])
    assert found is not None and (found.fingerprint, found.as_of) == (EVIDENCE, "2013-11")
    world.settled()
    (world.root / "mine.txt").unlink()
    assert untouched(world) == before


def test_the_commit_moves_one_line_and_is_the_bots(world: World) -> None:
    world.run()
    tip, main = str(world.tip()), str(world.tip("main"))
    assert git(world.origin, "rev-parse", f"{tip}^") == main
    assert git(world.origin, "diff", "--stat", main, tip).splitlines()[-1].strip() == (
        "1 file changed, 1 insertion(+), 1 deletion(-)"
    )
    assert yaml.safe_load(git(world.origin, "show", f"{tip}:params.yaml"))["data"]["as_of"] == "2013-11"
    assert git(world.origin, "log", "-1", "--format=%ae %ce", tip) == f"{BOT_ADDRESS} {BOT_ADDRESS}"
    assert "the loss grew in 3 windows" in git(world.origin, "log", "-1", "--format=%B", tip)


def test_with_a_window_that_grows_the_commit_moves_two_lines_and_twice_changes_nothing(world: World) -> None:
    world.policy(train_months=99)
    content = git(world.origin, "show", "main:params.yaml")
    before = yaml.safe_load(content)["data"]["train_months"]
    commented = content.replace(f"  train_months: {before}", f"  # so many\n  train_months: {before}  # of 8")
    world.change("params.yaml", f"{commented}\n")
    planned = world.run("--dry-run")
    assert (planned["as_of"], planned["train_months"]) == ("2013-11", before + 1)
    assert (planned["from"], planned["from_train_months"]) == ("2013-10", before)
    assert f"data to 2013-11, data.train_months {before + 1}, on main" in planned["steps"][0]
    told = world.run()
    assert (told["outcome"], told["as_of"], told["train_months"]) == ("opened", "2013-11", before + 1)
    lines = git(world.origin, "diff", "--unified=0", "main", str(world.tip())).splitlines()
    assert [line for line in lines if re.match(r"[+-](?!\+\+ |-- )", line)] == [
        "-  as_of: 2013-10", "+  as_of: 2013-11",
        f"-  train_months: {before}  # of 8", f"+  train_months: {before + 1}  # of 8",
    ]  # fmt: skip
    assert f"`data.train_months` from {before} to {before + 1}" in world.pulls()[0]["body"]
    world.settled()


def test_a_branch_that_does_not_follow_mains_window_is_made_anew(world: World) -> None:
    """The window was changed on main while the bot pushed, so what it pushed is of the policy before."""
    before = yaml.safe_load(git(world.origin, "show", "main:params.yaml"))["data"]["train_months"]
    world.run(before=lambda step: world.policy(train_months=99) if step == "Open" else None)
    number = world.pulls("open")[0]["number"]
    assert git(world.origin, "rev-parse", f"{world.tip()}^") == world.tip("main")
    told = world.run()
    assert (told["outcome"], told["pull_request"], told["train_months"]) == ("updated", number, before + 1)
    assert told["reason"] == f"data.train_months {before + 1} instead of {before}"
    assert f"`data.train_months` from {before} to {before + 1}" in world.pulls()[0]["body"]
    world.settled()
    world.policy(train_months=1)
    assert world.run()["train_months"] == before
    assert "train_months" not in world.pulls()[0]["body"]
    world.settled()


def test_created_and_updated_are_the_same(world: World) -> None:
    world.run()
    [pull] = world.pulls()
    spoiled = {"title": "mine", "body": pull["body"].replace("Evidence", "evidence")}
    world.call("PATCH", f"/pulls/{pull['number']}", spoiled)
    assert world.run()["steps"] == ["edit"]
    [again] = world.pulls()
    assert (again["title"], again["body"]) == (pull["title"], pull["body"])
    world.settled()


def test_no_difference_no_pull_request(world: World) -> None:
    content = git(world.origin, "show", "main:params.yaml").replace("as_of: 2013-10", "as_of: 2013-11")
    world.change("params.yaml", content)
    assert world.run()["outcome"] == "nothing"
    assert (world.pulls(), world.tip(), world.dashboards()) == ([], None, [])


def test_an_identical_one_is_adopted(world: World) -> None:
    """Somebody opened it by hand, from the branch of a run that was stopped."""
    with pytest.raises(Interrupted):
        world.run(before=lambda step: _stop(step, "Open"))
    by_hand = {"title": "retrain", "head": BRANCH, "base": "main", "body": "please"}
    number = world.call("POST", "/pulls", by_hand)["number"]
    assert world.run()["outcome"] == "current"
    assert [one["number"] for one in world.pulls()] == [number]
    world.settled()


def _stop(step: str, wanted: str) -> None:
    if step == wanted:
        raise KeyboardInterrupt


def test_a_strangers_branch_of_that_name_is_not_ours(world: World) -> None:
    world.server.call("POST", f"/repos/{world.repository}/forks", {}, STRANGER)
    name = world.repository.split("/")[1]
    home = f"/repos/{STRANGER}/{name}"
    base = world.server.call("GET", f"{home}/branches/main", who=STRANGER)["commit"]["sha"]
    world.server.call("POST", f"{home}/git/refs", {"ref": f"refs/heads/{BRANCH}", "sha": base}, STRANGER)
    mark = markers.write(markers.Marker(fingerprint=EVIDENCE, as_of="2013-11", release="v1.0.0"))
    pull = {"title": "t", "head": f"{STRANGER}:{BRANCH}", "base": "main", "body": mark}
    number = world.call("POST", "/pulls", pull, STRANGER)["number"]
    assert world.run()["pull_request"] != number
    assert world.notes(number) == []


# -- people


def test_closing_rejects_the_evidence_and_is_answered_once(world: World) -> None:
    number = world.run()["pull_request"]
    world.close(number)
    tip = world.tip()
    assert world.run()["outcome"] == "rejected"
    assert world.run()["steps"] == []
    assert world.notes(number) == ["rejected"]
    assert [one["state"] for one in world.pulls()] == ["closed"] and world.tip() == tip
    world.says(evidence="f" * 64)
    assert world.run()["pull_request"] > number
    world.settled()


def test_a_tick_on_the_dashboard_asks_for_it_once(world: World) -> None:
    number = world.run()["pull_request"]
    world.close(number)
    world.run()
    [issue] = world.dashboards()
    assert "Rejected" in issue["body"] and f"#{number}" in issue["body"]
    ticked = issue["body"].replace("- [ ] <!-- mainline:ask", "- [x] <!-- mainline:ask")
    world.call("PATCH", f"/issues/{issue['number']}", {"body": ticked})
    assert world.run()["pull_request"] > number
    assert not markers.is_ticked(world.dashboards()[0]["body"], "ask")
    world.settled()


@pytest.mark.parametrize("also", [False, True])
def test_a_dashboard_whose_text_was_replaced_is_written_anew(world: World, also: bool) -> None:
    world.run()
    [issue] = world.dashboards()
    if also:  # another issue of the bot's account with the label, which is none of its dashboards
        other = {"title": "mine", "body": "my own", "labels": [DASHBOARD]}
        world.call("POST", "/issues", other, ROBOT)
    else:
        world.call("PATCH", f"/issues/{issue['number']}", {"body": "what is this?"})
    told = world.run()
    assert told["steps"] == ([] if also else ["dashboard"])
    found = {one["number"]: one for one in world.dashboards()}
    assert found[issue["number"]]["body"] == issue["body"]
    assert len(found) == 1 + also and all(one["state"] == "open" for one in found.values())
    world.server.proxy.seen.clear()
    assert world.run()["steps"] == [] and world.server.proxy.writes() == []


def test_a_commit_by_a_human_stops_the_bot_until_it_is_overridden(world: World) -> None:
    number = world.run()["pull_request"]
    theirs = world.change("README.md", "mine", to=BRANCH)
    world.change("other.txt", "main moves on")
    for _ in range(2):
        assert world.run()["outcome"] == "stopped"
    assert (world.tip(), world.notes(number)) == (theirs, ["stopped"])
    world.call("POST", f"/issues/{number}/labels", {"labels": [OVERRIDE]})
    assert world.run()["outcome"] == "updated"
    assert git(world.origin, "rev-parse", f"{world.tip()}^") == world.tip("main")
    assert [label["name"] for label in world.pulls()[0]["labels"]] == [LABEL]
    world.settled()


def test_the_box_in_the_description_overrides_too(world: World) -> None:
    number = world.run()["pull_request"]
    world.change("README.md", "mine", to=BRANCH)
    body = world.pulls()[0]["body"].replace("- [ ] <!-- mainline:override", "- [x] <!-- mainline:override")
    world.call("PATCH", f"/pulls/{number}", {"body": body})
    assert world.run()["outcome"] == "updated"
    assert not markers.is_ticked(world.pulls()[0]["body"], "override")
    world.settled()


def test_the_lock_that_ci_pushed_is_no_humans_and_its_hours_count(world: World) -> None:
    world.run()
    trained = world.change("dvc.lock", "schema: '2.0'\n", to=BRANCH, who=BOT, hours=3)
    assert world.run()["steps"] == ["edit"]
    found = markers.read(world.pulls()[0]["body"])
    assert found is not None and [one.hours for one in found.trainings] == [3.0]
    assert world.tip() == trained
    world.settled()


def test_what_is_gone_is_closed_with_a_word_and_may_come_again(world: World) -> None:
    number = world.run()["pull_request"]
    world.says("watch")
    assert world.run()["outcome"] == "kept"
    world.says("quiet")
    assert world.run()["outcome"] == "withdrawn"
    assert (world.notes(number), world.tip(), world.pulls("open")) == (["withdrawn"], None, [])
    assert world.run()["steps"] == []
    world.says()
    assert world.run()["pull_request"] > number


def test_what_is_gone_but_edited_by_a_human_is_called_abandoned_and_left(world: World) -> None:
    number = world.run()["pull_request"]
    theirs = world.change("README.md", "mine", to=BRANCH)
    world.says("quiet")
    for _ in range(2):
        assert world.run()["outcome"] == "abandoned"
    [pull] = world.pulls("open")
    assert pull["title"].endswith(texts.ABANDONED)
    assert (world.notes(number), world.tip()) == (["abandoned"], theirs)


def test_a_merge_ends_it(world: World) -> None:
    number = world.run()["pull_request"]
    world.merge(number)
    assert world.run()["outcome"] == "nothing"
    assert world.pulls("open") == []


# -- strangers, who may comment and open issues wherever they may read


def test_a_note_that_a_stranger_planted_is_no_note_of_the_bot(world: World) -> None:
    """It would keep the bot from saying why it closed the pull request."""
    number = world.run()["pull_request"]
    planted = {"body": texts.note("withdrawn", "so I say")}
    world.call("POST", f"/issues/{number}/comments", planted, STRANGER)
    world.says("quiet")
    assert world.run()["outcome"] == "withdrawn"
    assert world.notes(number) == ["withdrawn"]


def test_a_dashboard_that_a_stranger_ticked_asks_for_nothing(world: World) -> None:
    world.says("quiet")
    planted = {"title": "Retraining", "body": f"{markers.box('ask', ticked=True)}\n\n{markers.ISSUE}"}
    number = world.call("POST", "/issues", planted | {"labels": [DASHBOARD]}, STRANGER)["number"]
    assert [label["name"] for label in world.call("GET", f"/issues/{number}")["labels"]] == [DASHBOARD]
    assert world.run()["outcome"] == "nothing"
    assert (world.pulls(), world.tip()) == ([], None)
    world.says()
    world.run()
    assert world.call("GET", f"/issues/{number}")["body"] == planted["body"]
    assert [one["user"]["login"] for one in world.dashboards()] == [ROBOT, STRANGER]


# -- main moves


def test_where_main_moves_the_branch_is_made_anew(world: World) -> None:
    number = world.run()["pull_request"]
    main = world.change("other.txt", "x")
    assert world.run()["outcome"] == "updated"
    assert git(world.origin, "rev-parse", f"{world.tip()}^") == main
    assert [one["number"] for one in world.pulls()] == [number]
    world.settled()


def test_where_main_is_rewritten_the_branch_is_made_anew(world: World) -> None:
    """The commits of the old main lie below the branch, and are no human's edit of it."""
    world.change("other.txt", "x")
    world.change("other.txt", "y")
    world.run()
    git(world.origin, "update-ref", "refs/heads/main", f"{world.tip('main')}~2")
    world.change("third.txt", "z")
    assert world.run()["outcome"] == "updated"
    assert git(world.origin, "rev-parse", f"{world.tip()}^") == world.tip("main")
    world.settled()


# -- limits


def test_the_limit_of_a_day_is_kept_over_runs(world: World) -> None:
    world.policy(daily_limit=2)
    world.run()
    for index in range(3):
        world.change("other.txt", f"{index}")
        tip, told = world.tip(), world.run()
        assert told["outcome"] == ("updated" if index == 0 else "limited")
        assert (world.tip() != tip) == (index == 0)
    assert "limit of 2 a day" in world.dashboards()[0]["body"]


def test_hours_that_cannot_be_counted_are_too_many(world: World) -> None:
    number = world.run()["pull_request"]
    body = world.pulls()[0]["body"]
    world.call("PATCH", f"/pulls/{number}", {"body": re.sub("retrain v1 .*? -->", "retrain v1 ? -->", body)})
    world.change("other.txt", "x")
    tip, told = world.tip(), world.run()
    assert told["outcome"] == "limited" and "cannot be read" in told["reason"]
    assert world.tip() == tip
    world.call("PATCH", f"/pulls/{number}", {"body": body})
    assert world.run()["outcome"] == "updated"


def test_expected_hours_come_from_the_last_training_that_main_tells_of(world: World) -> None:
    """`change` writes two hours into each message."""
    world.policy(gpu_hours=1.9)
    assert world.run()["outcome"] == "limited"
    world.policy(gpu_hours=2)
    assert world.run()["outcome"] == "opened"


def test_an_open_pull_request_of_another_branch_of_the_bot_counts(world: World) -> None:
    other = {"title": "retrain", "head": f"{PREFIX}other", "base": "main", "body": "another model's"}
    number = world.call("POST", "/pulls", other, ROBOT)["number"]
    told = world.run()
    assert told["outcome"] == "limited" and "limit of 1 open at once" in told["reason"]
    assert ([one["number"] for one in world.pulls()], world.tip()) == ([number], None)
    world.close(number)
    assert world.run()["outcome"] == "opened"


def test_off_the_schedule_only_the_dashboard_says_what_waits(world: World) -> None:
    """Not tomorrow's day either: midnight may pass while this runs."""
    today = datetime.now(UTC).weekday()
    world.policy(schedule=[DAYS[(today + 3) % 7]])
    told = world.run()
    assert told["outcome"] == "waiting" and "the schedule opens one on" in told["reason"]
    assert (told["steps"], world.pulls(), world.tip()) == (["dashboard"], [], None)
    world.policy(schedule=[DAYS[today], DAYS[(today + 1) % 7]])
    assert world.run()["outcome"] == "opened"


def test_cooldown(world: World) -> None:
    number = world.run()["pull_request"]
    world.policy(cooldown_days=21)
    world.close(number)
    world.says(evidence="f" * 64)
    told = world.run()
    assert told["outcome"] == "waiting" and "cooldown" in told["reason"]
    assert world.run("--force")["outcome"] == "opened"


# -- failures


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", r"/pulls$", 502),
        Fault("POST", r"/pulls$", 502, after=True),
        Fault("POST", r"/pulls$", 422, after=True, body={"message": "Validation Failed"}),
        Fault("POST", r"/pulls$", 429, {"Retry-After": "0"}),
        Fault("POST", r"/pulls$", 403, body={"message": "You have exceeded a secondary rate limit"}),
        Fault("POST", r"/pulls$", hang=True),
        Fault("POST", r"/pulls$", after=True, hang=True),
        Fault("POST", r"/issues$", 500, after=True),
        Fault("POST", r"/issues$", after=True, hang=True),
        Fault("POST", r"/labels$", 503, times=3),
        Fault("GET", r"/pulls\?", 500),
        Fault("GET", r"/issues\?", 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
        Fault("GET", "/user", 502),
    ],
    ids=str,
)
def test_after_a_passing_fault_there_is_one_pull_request(world: World, fault: Fault) -> None:
    world.server.proxy.faults.append(fault)
    world.run()
    assert fault.times == 0, "the fault was never met"
    world.settled()


@pytest.fixture
def unwanted(world: World) -> int:
    """What the open pull request, whose number this is, was made for is gone."""
    number = int(world.run()["pull_request"])
    world.says("quiet")
    return number


def closed(world: World, number: int) -> None:
    """With one word, marked as the bot's doing; and a further run writes nothing."""
    assert (world.pulls("open"), world.tip(), world.notes(number)) == ([], None, ["withdrawn"])
    world.server.proxy.seen.clear()
    assert world.run()["steps"] == [] and world.server.proxy.writes() == []
    world.says()
    assert world.run()["outcome"] == "opened", "it was taken for a rejection"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH", r"/pulls/\d+$", 502),
        Fault("PATCH", r"/pulls/\d+$", 502, after=True),
        Fault("PATCH", r"/pulls/\d+$", 429, {"Retry-After": "0"}),
        Fault("PATCH", r"/pulls/\d+$", after=True, hang=True),
        Fault("PATCH", r"/pulls/\d+$", 500, times=3, after=True),
        Fault("POST", r"/comments$", 502),
        Fault("POST", r"/comments$", 502, after=True),
        Fault("POST", r"/comments$", 403, body={"message": "You have exceeded a secondary rate limit"}),
        Fault("POST", r"/comments$", after=True, hang=True),
        Fault("GET", r"/comments", 500),
    ],
    ids=str,
)
def test_after_a_passing_fault_it_is_closed_with_one_word(world: World, unwanted: int, fault: Fault) -> None:
    world.server.proxy.faults.append(fault)
    assert world.run()["outcome"] == "withdrawn"
    assert fault.times == 0, "the fault was never met"
    closed(world, unwanted)


@pytest.mark.parametrize("status", [403, 500])
@pytest.mark.parametrize("method, path", [("PATCH", r"/pulls/\d+$"), ("POST", r"/comments$")])
def test_a_lasting_fault_while_it_is_closed_is_told_and_a_rerun_converges(
    world: World, unwanted: int, method: str, path: str, status: int
) -> None:
    world.server.proxy.faults.append(Fault(method, path, status, times=99))
    with pytest.raises(ForgeError) as raised:
        world.run()
    assert raised.value.exit_code == 22
    assert world.tip() is not None, "the branch goes last"
    world.server.proxy.faults.clear()
    assert world.run()["outcome"] == "withdrawn"
    closed(world, unwanted)


@pytest.mark.parametrize("status", [403, 500])
def test_a_lasting_fault_while_it_is_updated_is_told_and_a_rerun_converges(world: World, status: int) -> None:
    """The branch is moved by then; its training is on record as soon as the forge takes it."""
    number = world.run()["pull_request"]
    world.change("other.txt", "main moves on")
    world.server.proxy.faults.append(Fault("PATCH", r"/pulls/\d+$", status, times=99))
    with pytest.raises(ForgeError):
        world.run()
    tip = world.tip()
    world.server.proxy.faults.clear()
    assert world.run()["pull_request"] == number
    assert world.tip() == tip, "it was not trained twice"
    found = markers.read(world.pulls()[0]["body"])
    assert found is not None and [one.commit for one in found.trainings][-1] == str(tip)[:12]
    assert len(found.trainings) == 2
    world.settled()


@pytest.mark.parametrize("path", [r"/pulls$", r"/labels$", r"/issues$"])
@pytest.mark.parametrize("status", [403, 429, 500])
def test_a_lasting_fault_after_the_push_is_told_and_a_rerun_converges(
    world: World, path: str, status: int
) -> None:
    world.server.proxy.faults.append(Fault("POST", path, status, times=99))
    with pytest.raises(ForgeError) as raised:
        world.run()
    assert raised.value.exit_code == 22
    tip = world.tip()
    world.server.proxy.faults.clear()
    world.run()
    assert world.tip() == tip, "it was not trained twice"
    world.settled()


@pytest.mark.parametrize("step", ["Push", "Open", "Label", "Dashboard"])
def test_a_run_that_is_stopped_before_a_step_is_finished_by_the_next(world: World, step: str) -> None:
    with pytest.raises(Interrupted):
        world.run(before=lambda one: _stop(one, step))
    world.run()
    world.settled()


@pytest.mark.parametrize("step", ["Edit", "Note", "Close", "Drop"])
def test_a_closing_that_is_stopped_is_finished_by_the_next(world: World, step: str) -> None:
    number = world.run()["pull_request"]
    world.says("quiet")
    with pytest.raises(Interrupted):
        world.run(before=lambda one: _stop(one, step))
    world.run()
    assert (world.pulls("open"), world.tip(), world.notes(number)) == ([], None, ["withdrawn"])
    world.says()
    assert world.run()["outcome"] == "opened", "it was taken for a rejection"


def test_a_push_whose_answer_is_lost_has_arrived(world: World) -> None:
    world.http.lose = True
    assert world.run()["outcome"] == "opened"
    world.settled()


def test_a_push_that_is_refused_is_an_error_of_git(world: World) -> None:
    world.http.refuse = 403
    with pytest.raises(GitError, match="did not take"):
        world.run()
    assert (world.tip(), world.pulls()) == (None, [])


def test_a_missing_right_is_named(world: World) -> None:
    forbidden = {"message": "Resource not accessible by integration"}
    world.server.proxy.faults.append(Fault("POST", r"/pulls$", 403, body=forbidden, times=9))
    with pytest.raises(ForgeError, match="the right `pull-requests: write`"):
        world.run()


# -- others at the same time


def test_two_bots_at_once_make_one_pull_request(world: World) -> None:
    """Both read, both want to push; the lease lets one through."""
    together = threading.Barrier(2, timeout=30)
    ended: list[MainlineError | None] = []

    def bot() -> None:
        first = True

        def wait(words: str) -> None:
            nonlocal first
            if first and "branch" in words:
                first = False
                together.wait()

        try:
            with clone.opened(Git(world.root)) as mine:
                desk = Desk(world.repository, f"{ROBOT}-token", world.server.url, timeout=5, pause=0.01)
                options = cli.parser().parse_args(["retrain"])
                wish = retrain._wish(options)
                keeper = retrain._keeper(mine, desk, retrain._policy(mine, wish), wish, Git(world.root))
                keeper.say = wait
                keeper.keep()
            ended.append(None)
        except MainlineError as error:
            ended.append(error)

    threads = [threading.Thread(target=bot) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    [lost] = [one for one in ended if one is not None]
    assert isinstance(lost, SupersededError) and lost.exit_code == 23
    assert len(ended) == 2
    world.settled()


def test_somebody_who_closes_it_meanwhile_is_heard(world: World) -> None:
    """Every write is planned on what was read just before it."""
    number = world.run()["pull_request"]
    body = world.pulls()[0]["body"]
    world.change("other.txt", "x")
    world.run(before=lambda step: world.close(number) if step == "Push" else None)
    [pull] = world.pulls()
    assert (pull["state"], pull["body"]) == ("closed", body)
    assert world.notes(number) == ["rejected"]


def test_somebody_who_pushes_meanwhile_keeps_his_commit(world: World) -> None:
    world.run()
    world.change("other.txt", "x")
    theirs: list[str] = []
    with pytest.raises(SupersededError):
        world.run(before=lambda _: theirs.append(world.change("mine", "x", to=BRANCH)))
    assert world.tip() == theirs[0]


# -- what it refuses


def test_a_dry_run_writes_nothing_anywhere(world: World) -> None:
    before, refs = untouched(world), git(world.origin, "show-ref")
    told = world.run("--dry-run")
    assert told["outcome"] == "opened" and told["dry_run"] is True
    assert any("make the branch" in step for step in told["steps"])
    assert world.server.proxy.writes() == [] and world.http.pushes == 0
    assert (untouched(world), git(world.origin, "show-ref")) == (before, refs)


@pytest.mark.parametrize("absent", ["GITHUB_TOKEN", "GITHUB_REPOSITORY"])
def test_a_dry_run_without_the_forge_says_what_git_knows(
    world: World, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    full = world.run("--dry-run")
    monkeypatch.delenv(absent)
    world.server.proxy.seen.clear()
    told = world.run("--dry-run")
    assert told["unasked"] and not full["unasked"] and world.server.proxy.seen == []
    same = ("outcome", "reason", "branch", "from", "as_of", "steps")
    assert [told[name] for name in same] == [full[name] for name in same]
    assert (told["from"], told["as_of"]) == ("2013-10", "2013-11")
    with pytest.raises(ForgeError):
        world.run()
    assert world.tip() is None


def test_a_dry_run_without_the_forge_says_so_in_words(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    assert cli.main(["retrain", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"would make the branch {BRANCH}" in shown and "data.as_of: 2013-10 → 2013-11" in shown
    assert "train_months" not in shown
    world.policy(train_months=99)
    before = yaml.safe_load(git(world.origin, "show", "main:params.yaml"))["data"]["train_months"]
    assert cli.main(["retrain", "--dry-run"]) == 0
    assert f"  data.train_months: {before} → {before + 1}\n" in capsys.readouterr().out
    assert "The forge was not asked: there is no token for the forge." in shown


def test_a_default_branch_that_nobody_made_is_main(world: World) -> None:
    """`git init --bare` names master, and the first push makes main."""
    git(world.origin, "symbolic-ref", "HEAD", "refs/heads/master")
    assert world.run()["outcome"] == "opened"
    assert world.pulls()[0]["base"]["ref"] == "main"
    world.settled()


def test_an_origin_without_a_default_branch_is_refused(world: World) -> None:
    git(world.origin, "update-ref", "--no-deref", "HEAD", str(world.tip("main")))
    with pytest.raises(GitError, match="no default branch"):
        world.run()


def test_a_default_branch_that_is_the_bots_own_is_refused(world: World) -> None:
    git(world.origin, "branch", BRANCH, "main")
    git(world.origin, "symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")
    with pytest.raises(ConfigError, match="one of the bot's own"):
        world.run()


def test_the_token_of_actions_is_refused_unless_that_is_accepted(world: World) -> None:
    viewer = {"data": {"viewer": {"login": "github-actions[bot]"}}}
    json_type = {"Content-Type": "application/json"}
    world.server.proxy.faults += [
        Fault("GET", "/user", 403, body={"message": "Resource not accessible by integration"}, times=99),
        Fault("POST", "/graphql", 200, json_type, viewer, times=99),
    ]
    with pytest.raises(ForgeError, match="the token is that of"):
        world.run()
    assert (world.tip(), world.pulls()) == (None, [])
    assert world.run("--accept-github-token", "--dry-run")["outcome"] == "opened"


def test_a_run_for_the_bots_own_pull_request_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_HEAD_REF", BRANCH)
    with pytest.raises(ConfigError, match="bot's own"):
        world.run()


def test_reports_that_are_missing_or_of_another_model_are_named(world: World) -> None:
    world.says(model="other")
    with pytest.raises(RecordError, match="do not belong together"):
        world.run()
    (world.root / Watch.location).unlink()
    with pytest.raises(RecordError, match="does not exist") as raised:
        world.run()
    assert "mainline monitor" in raised.value.remedy


def test_a_watch_of_before_the_newest_release_is_refused(world: World) -> None:
    """A job that is run again weeks later still has the old watch's records."""
    world.change("other.txt", "x")
    world.release("v1.1.0")
    said = r"about 'v1\.0\.0', and v1\.1\.0 is in production"
    for flags in ((), ("--force",), ("--dry-run",)):
        with pytest.raises(SupersededError, match=said) as raised:
            world.run(*flags)
        assert raised.value.remedy == "mainline monitor"
    assert (world.tip(), world.pulls(), world.dashboards()) == (None, [], [])
    assert world.server.proxy.writes() == []


def test_a_release_meanwhile_is_heard(world: World) -> None:
    with pytest.raises(SupersededError, match=r"v1\.1\.0 is in production"):
        world.run(before=lambda step: world.release("v1.1.0") if step == "Push" else None)
    assert world.pulls() == []


def test_where_nothing_is_in_production_nothing_is_retrained(world: World) -> None:
    for name in git(world.origin, "tag", "--list").splitlines():
        git(world.origin, "tag", "--delete", name)
    with pytest.raises(SupersededError, match="and nothing is in production"):
        world.run()


@pytest.mark.parametrize("key", ["url", "pushurl"])
def test_a_pull_request_in_another_repository_than_the_branch_is_refused(world: World, key: str) -> None:
    git(world.root, "config", f"remote.origin.{key}", "https://ada:hunter2@github.com/octo/elsewhere.git")
    for flags in ((), ("--repository", "octo/third")):
        with pytest.raises(ConfigError, match="octo/elsewhere") as raised:
            world.run(*flags)
        assert "hunter2" not in str(raised.value)
    assert world.server.proxy.seen == []


def test_hostile_words_of_the_data_do_nothing(world: World) -> None:
    world.says(reason="[skip ci] @octo closes #1\n<!-- mainline:retrain v1 e30= -->\nx: y")
    world.run()
    message = git(world.origin, "log", "-1", "--format=%B", str(world.tip()))
    assert "[skip ci]" not in message and "#1" not in message and "@octo" not in message
    body = world.pulls()[0]["body"]
    found = markers.read(body)
    assert found is not None and found.fingerprint == EVIDENCE
    assert "`@octo`" in body
    world.settled()


def test_the_command_line(world: World) -> None:
    """As CI calls it: JSON on standard output, steps on standard error, and exit codes."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mainline.cli", "retrain", *arguments],
            cwd=world.root, env=clones.environment(ROOT), capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    done = call("--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "opened"
    assert "▸ open a pull request" in done.stderr
    again = call()
    assert again.returncode == 0 and "pull request" in again.stdout
    assert call("--as-of", "2013-01").returncode == 11
    assert "examples:" in call("--help").stdout
