"""The play, step by step. A new one is a function and a line in STEPS."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mainline.settings import Month
from tests import clones
from tests.e2e import ideas, pages, sample
from tests.e2e.hub import MAIN, Pull
from tests.e2e.play import Play, Stopped
from tests.e2e.runs import Run
from tests.e2e.stage import prepare
from tests.servers import REPOSITORY

BROKEN = Month(2013, 10)
MONTHS = ("2013-11", "2013-12")
Function = Callable[[Play], None]


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    function: Function


def push(play: Play) -> None:
    """The repository gets its first commit, a model and a remote."""
    play.runner.may_start = play.may_start
    if play.fast:
        play.environment["MAINLINE_TRACKING"] = "defer"  # to import MLflow costs as much as the trainings
    root = play.folder / "ada"
    prepare(root, play.folder, fast=play.fast)
    play.settle(root, "ada")
    clones.git(root, "remote", "add", "origin", play.hub.origin("ada-token"))
    play.tell.say(f"a Git server, a GitHub API and act as the runner: {play.hub.home}")
    if not play.fast:
        play.command(root, "dvc", "fetch", "--quiet", "--remote", "here", accept=(0, 1, 255))
    play.tell.hand("mainline run", "dvc push", "git push origin main")
    with play.tell.waiting("the pipeline"):
        play.command(root, "mainline.cli", "run")
    clones.git(root, "add", "--all")
    clones.git(root, "commit", "--quiet", "--amend", "--message", "The flights and a first model")
    play.command(root, "dvc", "push", "--quiet")
    clones.git(root, "push", "--quiet", "--set-upstream", "origin", MAIN)
    sha = clones.git(root, "rev-parse", "--short", "HEAD")
    play.tell.result(f"main is at {sha}; its data is on the remote")


def first_release(play: Play) -> None:
    """promote was started by the push. A developer does not wait for it: CI trains an idea beside it."""
    play.ideas = [(ideas.BETTER, play.propose(ideas.BETTER))]
    _delivered(play)


def _delivered(play: Play) -> None:
    """What was merged becomes a version, which production serves, and staging too."""
    version = play.promoted()
    play.tell.note(answers_after=round(play.release("release", version), 1))
    play.staged(version)


def better(play: Play) -> None:
    """The bad ones are proposed right after it: CI looks at them while this one goes its way."""
    play.ideas += [(idea, play.propose(idea)) for idea in ideas.bad(_broken(play), fast=play.fast)]
    idea, pull = play.ideas[0]
    play.tell.say(f"pull request {pull.number}: {idea.title}")
    play.verdict(pull.number, idea, good=True)
    play.merge(pull.number)
    _delivered(play)


def _broken(play: Play) -> Path:
    """A delivery whose last month is broken."""
    broken = play.folder / "deliveries/broken"
    whole = play.folder / "deliveries/sample"
    if not play.fast:
        whole = play.folder / "deliveries/whole"
        sample.write(whole, months=(Month(2013, 1), BROKEN), every=1)
    sample.spoil(whole, broken, BROKEN, BROKEN)
    return broken


def bad(play: Play) -> None:
    """Each is refused, and the comment says why."""
    for idea, pull in play.ideas[1:]:
        play.tell.say(f"pull request {pull.number}: {idea.title}")
        play.verdict(pull.number, idea, good=False)
        try:
            play.hub.merge(pull.number, "ada-token")
        except ValueError as error:
            play.tell.say(f"pull request {pull.number} cannot be merged: {error}")
        else:
            raise Stopped(f"pull request {pull.number} could be merged")
        play.hub.close_pull(pull.number, "ada")


def watch(play: Play) -> None:
    """Two months that the model has never seen, through the service; then the scheduled watch."""
    root = play.person("grace")
    url = f"http://127.0.0.1:{play.ports['production']}"
    play.tell.hand(f"python -m monitoring replay --months {' '.join(MONTHS)} --url {url}")
    with play.tell.waiting("the flights of two months ask for their prediction"):
        told = json.loads(play.command(root, "monitoring", "replay", "--months", *MONTHS, "--url", url))
    play.tell.result(f"{told['rows']:,} flights in {told['seconds']:.0f} s")
    play.runner.tick("monitor.yml")
    with play.tell.waiting("the scheduled watch: drift, performance, decision"):
        run = play.runner.ended("monitor.yml")
    if run.status != "success":
        raise Stopped("the watch failed", run)
    found = json.loads((run.artifact("watch") / "watch.json").read_text())
    play.tell.result(f"{found['verdict']}: {found['reason']}")
    play.tell.note(rows=told["rows"], replay=told["seconds"], verdict=found["verdict"])
    play.pages.shelves["site"] = run.artifact("site")


def retrain(play: Play) -> None:
    """The bot's pull request: where the watch asks for none, a person does. Of the sample it must ask."""
    watched = play.runner.of("monitor.yml")[-1]
    verdict = json.loads((watched.artifact("watch") / "watch.json").read_text())["verdict"]
    by_bot = verdict == "retrain"
    if not by_bot and not play.fast:
        _by_hand(play, watched)
    pulls = _bots(play)
    if len(pulls) != 1 or (play.fast and not by_bot):
        raise Stopped(
            f"the watch says {verdict}, and {len(pulls)} retraining pull requests are open", watched
        )
    pull = pulls[0]
    play.tell.note(opened_by=pull.content["user"]["login"])
    play.tell.say(f"pull request {pull.number}: {pull.content['title']}  {play.hub.home}/pull/{pull.number}")
    text, run = play.reviewed(pull.number)
    good = run.jobs.get("required") == "success"
    play.tell.result(text.splitlines()[0].lstrip("# "), good=good)
    if not good:  # the newest month may be unlike the others
        answer = refused(run)
        if play.fast or not answer:
            raise Stopped(f"pull request {pull.number}: {run.jobs}", run)
        if answer == "block":
            play.tell.say("a block is nobody's to accept: the model in production stays")
            return
        play.accept(pull.number)
    play.merge(pull.number)
    _delivered(play)


def _by_hand(play: Play, watched: Run) -> None:
    root = play.person("grace")
    for name in ("watch.json", "drift.json"):
        shutil.copy(watched.artifact("watch") / name, root / "reports" / name)
    play.tell.say("the watch asks for no retraining, and opens none; a person may")
    play.tell.hand("mainline retrain --force")
    play.command(root, "mainline.cli", "retrain", "--force", extra=_grace(play))


def refused(run: Run) -> str:
    """`hold` or `block` where that is why `required` failed; empty where something else failed, too."""
    place = run.artifact("reports-gate") / "gate.json"
    verdict = str(json.loads(place.read_text())["verdict"]) if place.exists() else ""
    failed = {name for name, result in run.jobs.items() if result == "failure"}
    return verdict if failed == {"gate", "required"} and verdict in ("hold", "block") else ""


def _bots(play: Play) -> list[Pull]:
    return [pull for pull in play.hub.pulls("open") if pull.branch.startswith("mainline/retrain-")]


def rollback(play: Play) -> None:
    """The version before, by its own bytes: `release` holds them beside those that it served."""
    before, built = play.serves("production"), _built(play)
    seconds = play.release("rollback", "--reason", "the demo")
    now = play.serves("production")
    if now != play.versions[-2] or _built(play) != built:
        raise Stopped(f"{before} was rolled back to {now}; built before and after: {built}, {_built(play)}")
    play.tell.say(f"{before} is gone, {now} is back; nothing was built")
    play.tell.note(answers_after=round(seconds, 1))


def _built(play: Play) -> tuple[int, dict[str, str]]:
    """How many runs of promote there were, and the versions' tags by the object that holds their record."""
    tags = {name: tag for name, tag in play.hub.repository.refs().items() if f"{play.model}@" in name}
    return len(play.runner.of("promote.yml")), tags


def tidy(play: Play) -> None:
    """main's own runs, and staging's last deployment; then all that there is to look at must answer."""
    began = time.monotonic()
    play.settled()
    draw(play)
    with play.tell.waiting("the last runs"):
        play.runner.quiet()
    failed = [
        run for run in play.runner.runs
        if run.status == "failure" and run.event.name != "pull_request"
    ]  # fmt: skip
    if failed:
        raise Stopped(f"{failed[0].name} failed: {failed[0].problem or failed[0].jobs}", failed[0])
    runs, jobs = len(play.runner.runs), sum(len(run.jobs) for run in play.runner.runs)
    play.tell.note(runs=runs, jobs=jobs, waited=round(time.monotonic() - began, 1))
    play.tell.result(f"{runs} runs of {jobs} jobs; staging serves {play.serves('staging')}")
    play.pages.links = _links(play)
    if broken := pages.broken(play.hub.home):
        raise Stopped(f"pages that do not answer: {', '.join(broken)}")


def draw(play: Play) -> None:
    """The site once more: the watch drew it before the last merge, release and rollback."""
    root, watched = play.person("grace"), play.runner.of("monitor.yml")[-1]
    for name in ("watch.json", "drift.json"):
        shutil.copy(watched.artifact("watch") / name, root / "reports" / name)
    old, new = watched.artifact("site"), root / "site"
    if (old / "drift.html").exists():
        shutil.copy(old / "drift.html", root / "reports")
    if (old / "data_docs").exists():
        shutil.copytree(old / "data_docs", root / "reports/data_docs", dirs_exist_ok=True)
    link = ["--mlflow-url", play.mlflow] if play.mlflow else []
    play.tell.hand("mainline site")
    play.command(root, "mainline.cli", "site", "--out", str(new), *link, extra=_grace(play))
    state = json.loads((new / "state.json").read_text())
    shown = state["now"]["production"]["version"]
    if shown != play.serves("production"):
        raise Stopped(f"the site shows {shown} in production, which serves {play.serves('production')}")
    play.pages.shelves["site"] = new
    play.tell.note(site_shows=shown)


def _grace(play: Play) -> dict[str, str]:
    """What her commands need to ask the forge."""
    address = {"GITHUB_API_URL": play.hub.url, "GITHUB_SERVER_URL": play.hub.url}
    return {"GITHUB_TOKEN": "grace-token", "GITHUB_REPOSITORY": REPOSITORY, **address}


def _links(play: Play) -> list[tuple[str, str]]:
    links = [
        ("pull requests, runs, tags", play.hub.home),
        ("the service, in production", f"http://127.0.0.1:{play.ports['production']}"),
        ("the site, drawn at the end", f"{play.hub.home}/files/site/"),
        ("MLflow", play.mlflow),
    ]
    return [(title, url) for title, url in links if url]


STEPS = (
    Step("A forge and a runner on this machine; main is pushed", push),
    Step("The first model becomes a version, and is released", first_release),
    Step("A better idea: pull request, verdict, merge, release", better),
    Step("Bad ideas: refused, and the comment says why", bad),
    Step("Two months of production; the scheduled watch", watch),
    Step("The retraining pull request", retrain),
    Step("Rollback by tag", rollback),
    Step("What is left to end", tidy),
)
