"""Whole workflows, run by act in the demo's harness, on a use case whose pipeline takes seconds.

A scenario raises Stopped where something did not hold.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import yaml

from tests import clones
from tests.e2e.faults.table import Scenario, must
from tests.e2e.faults.tracking import DISTURBED, text
from tests.e2e.hub import MAIN
from tests.e2e.ideas import Idea
from tests.e2e.play import Play
from tests.servers import REPOSITORY, Fault
from tests.slow.test_seam import fork as use_case
from tests.workflows.conftest import CONTROL

PROMOTE = ("lock", "tags", "pull", "gate", "build", "check", "attach", "put", "tag", "push", "view")
CUTS = {"pack": "in the pack", "answer": "before the answer"}
SOON = {"Retry-After": "1"}
ANSWERS: dict[str, Callable[[], Fault]] = {
    "403 with Retry-After": lambda: Fault("GET", "/comments", 403, SOON, {"message": "secondary rate limit"}),
    "429": lambda: Fault("GET", "/comments", 429, SOON),
    "500": lambda: Fault("PATCH", "/comments/", 500),
    "502 after it was done": lambda: Fault("PATCH", "/comments/", 502, after=True),
    "no answer": lambda: Fault("GET", "/pulls", hang=True),
}
Seen = list[tuple[int, str]]


def first(play: Play) -> None:
    """A repository with a trained, pushed main and one version."""
    root = use_case("wine", play.folder / "ada")
    params = yaml.safe_load((root / "params.yaml").read_text()) | CONTROL
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    play.settle(root, "ada")
    clones.git(root, "remote", "add", "origin", play.hub.origin("ada-token"))
    play.command(root, "mainline.cli", "run")
    clones.git(root, "checkout", "--quiet", "--orphan", "fresh")
    clones.commit(root, "wine")
    clones.git(root, "branch", "--quiet", "--move", "--force", MAIN)
    clones.git(
        root,
        "commit",
        "--quiet",
        "--allow-empty",
        "--message",
        "main as it was is what promote compares with",
    )
    play.command(root, "dvc", "push", "--quiet")
    clones.git(root, "push", "--quiet", "--set-upstream", "origin", MAIN)
    play.promoted()


def tuned(branch: str, value: float) -> Idea:
    """Another model: CI has to train it."""

    def change(root: Path) -> None:
        content = yaml.safe_load((root / "params.yaml").read_text())
        content["train"]["weight_decay"] = value
        (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    return Idea(branch, branch, "", change, "")


def worded(branch: str, file: str) -> Idea:
    """Words alone: nothing to train."""

    def change(root: Path) -> None:
        (root / file).write_text(f"{branch}\n")
        clones.git(root, "add", file)

    return Idea(branch, branch, "", change, "")


def cut(play: Play) -> Seen:
    """The connection breaks while CI pushes what it trained; closing and reopening starts the next run."""
    rows: Seen = []
    for number, where in enumerate(CUTS):
        pull = play.propose(tuned(f"cut-{where}", 0.011 + number / 1000))
        before = pull.sha
        play.hub.repository.cuts = [where]
        first = play.runner.ended("ci.yml", pull=pull.number)
        must(not play.hub.repository.cuts, "nothing was pushed", first)
        if first.jobs.get("train") != "success":
            must(play.hub.pull(pull.number).sha == before, "half of a push arrived", first)
            first.problem = DISTURBED
            for state in ("closed", "open"):
                play.hub.set_state(pull.number, state, "ada")
        play.reviewed(pull.number)
        log = play.hub.repository.git("rev-list", f"{MAIN}..{pull.branch}").splitlines()
        must(len(log) == 2, f"{pull.branch} has {len(log)} commits, not the idea and its lock")
        rows.append((1, "one lock commit, one comment"))
        play.hub.close_pull(pull.number, "ada")
    return rows


def api(play: Play) -> Seen:
    """The API fails while a damaged comment is put right: before it did its work, after it, and silently."""
    pull = play.propose(worded("api", "api.txt"))
    whole, ci = play.reviewed(pull.number)
    report = (ci.artifact("report") / "report.md").read_text().rstrip()
    must(whole.startswith(report), "the comment is not the report", ci)
    rows: Seen = []
    for name, make in ANSWERS.items():
        fault = make()
        comment = play.hub.api.call("GET", f"/repos/{REPOSITORY}/issues/{pull.number}/comments")[0]
        path = f"/repos/{REPOSITORY}/issues/comments/{comment['id']}"
        play.hub.api.call("PATCH", path, {"body": whole.replace("\n", "\n ", 1)}, "robot")
        play.hub.api.proxy.faults[:] = [fault]
        done = len(play.runner.of("comment.yml", pull=pull.number)) + 1
        play.runner.follow(ci)
        run = play.runner.ended("comment.yml", done, pull=pull.number)
        must(run.status == "success", f"the comment was not posted: {name}", run)
        must(fault.times == 0, f"the API was not asked: {name}", run)
        texts = [body for _, body in play.hub.api.comments(pull.number)]
        must(texts == [whole], f"not the one report: {name}: {texts}", run)
        rows.append((1, "one comment, the whole report"))
    play.hub.close_pull(pull.number, "ada")
    return rows


def killed(play: Play) -> Seen:
    """promote is killed at each of its steps, on one new model, and then run once more."""
    pull = play.propose(tuned("killed", 0.02))
    play.reviewed(pull.number)
    before = (len(play.tags("@")), len(play.tags("#staging#")))
    play.runner.held = {"promote.yml"}
    play.merge(pull.number)
    play.runner.held = set()
    for step in PROMOTE:
        count = len(play.runner.of("promote.yml"))
        play.runner.dispatch("promote.yml", MAIN, "grace-token")
        (run,) = play.runner.of("promote.yml")[count:]
        play.runner.until(f"step {step}", lambda: run.ended or f"▸ {step}\n" in text(run))  # noqa: B023
        play.runner.kill(run)
        play.runner.until("its end", lambda: run.ended)  # noqa: B023
        must(run.jobs.get("promote") != "success", f"{step} was over before it was killed", run)
        run.problem = DISTURBED
    play.runner.dispatch("promote.yml", MAIN, "grace-token")
    run = play.runner.of("promote.yml")[-1]
    play.runner.until("the last promote", lambda: run.ended)
    must(run.status == "success", "promote does not go on", run)
    after = (len(play.tags("@")), len(play.tags("#staging#")))
    must(after == (before[0] + 1, before[1] + 1), f"tags before and after: {before}, {after}", run)
    return [(len(PROMOTE), "one version, one staging tag")]


def merges(play: Play) -> Seen:
    """Two merges at once: the older one's promote finds that it was overtaken."""
    pulls = [play.propose(tuned("one", 0.03)), play.propose(worded("two", "two.txt"))]
    for pull in pulls:
        play.reviewed(pull.number)
    before, earlier = len(play.tags("@")), len(play.runner.of("promote.yml"))
    play.hub.strict = False  # else the second one is refused, as it was not up to date
    threads = [threading.Thread(target=play.hub.merge, args=(pull.number, "grace-token")) for pull in pulls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    play.runner.quiet()
    tip = play.hub.repository.tip(MAIN)
    merged = [play.hub.pull(pull.number).content for pull in pulls]
    must(all(one["merged"] for one in merged), "one of them was lost")
    promoted = play.runner.of("promote.yml")[earlier:]
    commits = sorted(one["merge_commit_sha"] for one in merged)
    must(sorted(run.sha for run in promoted) == commits, f"promotes of {[run.sha for run in promoted]}")
    for run in promoted:
        must(run.status == "success", "a promote failed", run)
    newest = play.tags("@")[before:]
    must(len(newest) == 1, f"versions: {newest}")
    must(play.hub.repository.git("rev-parse", f"{newest[0]}^{{commit}}") == tip, "the version is not main's")
    return [(1, "both on main, one version, of main's newest commit")]


LOOP: tuple[Scenario[Play], ...] = (
    Scenario("cut", tuple(f"git cut {words}, while CI pushes the lock" for words in CUTS.values()), cut),
    Scenario("api", tuple(f"the API answers with {one}, while the report is posted" for one in ANSWERS), api),
    Scenario("killed", ("promote killed at each of its steps, then run again",), killed),
    Scenario("merges", ("two merges at once",), merges),
)
