"""Every fault of the table. QUICK needs no act: single verbs, each in worlds of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.faults import bot, pages, releases, verbs
from tests.e2e.faults.forks import FORKS
from tests.e2e.faults.loop import LOOP, Seen
from tests.e2e.faults.scene import Case
from tests.e2e.faults.stock import Stock
from tests.e2e.faults.table import Scenario
from tests.e2e.faults.tracking import MLFLOW
from tests.e2e.faults.wire import Cut
from tests.servers import Fault

SOON = {"Retry-After": "1"}
API: Mapping[str, Fault] = {
    "403 with Retry-After": Fault("", "", 403, SOON, {"message": "secondary rate limit"}),
    "429": Fault("", "", 429, SOON),
    "500": Fault("", "", 500),
    "502 after it was done": Fault("", "", 502, after=True),
    "no answer": Fault("", "", hang=True),
}
GIT: Mapping[str, Fault] = {
    "403": Fault("", "", 403),
    "429": Fault("", "", 429, SOON),
    "500": Fault("", "", 500),
    "502 after it was done": Fault("", "", 502, after=True),
    "a cut in the middle": Cut("", ""),
    "a cut after it was done": Fault("", "", 0, after=True),
}
BRIEF = ("500", "502 after it was done")
AGAIN_OF = "needed the same command again"


def _met(stock: Stock, faults: Mapping[str, Fault], path: str, held: str, *cases: Case) -> tuple[int, str]:
    """How many writes met a fault, and how many of them needed the command once more."""
    if stock.brief:
        faults = {name: fault for name, fault in faults.items() if name in BRIEF}
    seen = [one for case in cases for one in case.met(faults, lambda moment: path in moment)]
    times, again = sum(writes for writes, _ in seen), sum(reruns for _, reruns in seen)
    return times, f"{held}; {again} of {times} {AGAIN_OF}"


def _runs(stock: Stock) -> Seen:
    return [
        (verbs.run(stock).killed(), "the lock of an undisturbed run, to the byte"),
        (verbs.push(stock).killed(), "one lock commit, whose data is on the remote; HEAD followed"),
    ]


def _releases(stock: Stock) -> Seen:
    return [
        (
            releases.promote(stock).killed(releases.at_writes),
            "one version, one staging tag, no tag here alone",
        ),
        (releases.release(stock).killed(), "one production tag, served by one process"),
        (releases.rollback(stock).killed(), "one production tag, no tag here alone"),
        (
            releases.deploy(stock).killed(),
            "every question of a client was answered; then one process, of the new version",
        ),
    ]


def _others(stock: Stock) -> Seen:
    create, update = (verbs.comment(stock, update=update) for update in (False, True))
    return [
        (create.killed() + update.killed(), "one comment"),
        (bot.retrain(stock).killed(), "one branch, commit, pull request, label and dashboard"),
        (verbs.monitor(stock).killed(), "the last answer whole, then that of an undisturbed run"),
    ]


def _api(stock: Stock) -> Seen:
    comments = (verbs.comment(stock, update=update) for update in (False, True))
    return [
        _met(stock, API, "/comments", "one comment, the report", *comments),
        _met(stock, API, "/repos/", "one pull request, one dashboard", bot.retrain(stock)),
        _met(stock, API, "/repos/", "one page with all of its files", pages.publish(stock)),
    ]


def _git(stock: Stock) -> Seen:
    pack = "git-receive-pack"
    return [
        _met(stock, GIT, pack, "one lock commit, whose data is on the remote", verbs.push(stock)),
        _met(stock, GIT, pack, "both tags or none, none here alone", releases.promote(stock)),
        _met(stock, GIT, pack, "one production tag, none here alone", releases.rollback(stock)),
        _met(stock, GIT, pack, "one commit, one pull request", bot.retrain(stock)),
    ]


def _bots(stock: Stock) -> Seen:
    with tempfile.TemporaryDirectory(dir=stock.folder) as folder:
        bot.two(stock, Path(folder))
    return [(1, "one made the pull request, the other ended with 23; a third changes nothing")]


AGAIN = "then run again"
API_USERS = {
    "comment": "where it writes a new one and where it changes an old one",
    "the bot": "at each write of its first run",
    "release --publish": "at each write of a new page",
}
ANSWERS = {"answers": len(API), "pushes": len(GIT)}  # how many each write of these scenarios meets
QUICK: tuple[Scenario[Stock], ...] = (
    Scenario(
        "runs",
        (
            f"run (the training) killed in each of its stages, {AGAIN}",
            f"push (the lock) killed before and after its push, {AGAIN}",
        ),
        _runs,
    ),
    Scenario(
        "releases",
        (
            f"promote killed before and after its push, {AGAIN}",
            f"release killed at each of its steps, its push and the swap, {AGAIN}",
            "rollback killed at each of its steps and its push, then `release` of that version",
            f"deploy killed while the new service starts and while it is watched, {AGAIN}",
        ),
        _releases,
    ),
    Scenario(
        "others",
        (
            f"comment killed before and after it wrote a new one or an old one, {AGAIN}",
            f"retrain (the bot) killed at each of its steps and writes, {AGAIN}",
            f"monitor killed at each of its steps, {AGAIN}",
        ),
        _others,
    ),
    Scenario(
        "answers",
        tuple(f"the API answers {who} with {', '.join(API)}, {at}" for who, at in API_USERS.items()),
        _api,
    ),
    Scenario(
        "pushes",
        tuple(
            f"the push of {what} meets {', '.join(GIT)}"
            for what in ("the lock", "promote's tags", "rollback's tag", "the bot's branch")
        ),
        _git,
    ),
    Scenario("bots", ("two bots at once",), _bots),
)  # fmt: skip
SCENARIOS: tuple[Scenario[Any], ...] = (*QUICK, *LOOP, *FORKS)
FAULTS = (*(fault for scenario in SCENARIOS for fault in scenario.faults), MLFLOW)
