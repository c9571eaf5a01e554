"""`mainline retrain`: keeps the one pull request by which the model learns the newest month."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from mainline import champion
from mainline import policy as policies
from mainline.bot import clone, keeper, known
from mainline.bot.keeper import Done, Keeper
from mainline.bot.training import Trainer
from mainline.drift import Drift
from mainline.errors import ConfigError, ForgeError, Interrupted, RecordError
from mainline.forge import repository_of
from mainline.forge_pulls import Desk
from mainline.git import Git
from mainline.retraining import evidence
from mainline.retraining.evidence import Wish
from mainline.retraining.parameters import Data
from mainline.retraining.state import PREFIX, Plan, Pull, State
from mainline.settings import Month
from mainline.untrusted import inert
from mainline.verbs import parsing
from mainline.watching import Watch


@dataclass(frozen=True, slots=True)
class Settings:
    """Of the forge's client, for tests: seconds of a request, of the first pause."""

    timeout: int = 20
    pause: float = 1.0


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline retrain`."""
    verb = parsing.add(
        names,
        "retrain",
        retrain,
        "open, update or close the one retraining pull request",
        """\
  mainline retrain                      as the last `mainline monitor` asks; again: changes nothing
  mainline retrain --dry-run            what would be done; writes nothing anywhere, and without a token
                                        says what Git alone knows
  mainline retrain --force              whatever the watch, cooldown, weekday or a rejection say; limits hold
  mainline retrain --as-of 2013-11      to that month, not the newest whose labels are complete

environment: GITHUB_TOKEN (an App's: with Actions' own no checks would start), GITHUB_REPOSITORY,
GITHUB_API_URL. What it may do stands in params.yaml of the default branch, monitor.retrain.
Where there was nothing to do the exit code is 0; 23 also for a release after the watch.""",
    )
    verb.add_argument(
        "--watch", type=Path, default=Watch.location, metavar="FILE", help="of mainline monitor"
    )
    verb.add_argument(
        "--drift", type=Path, default=Drift.location, metavar="FILE", help="of mainline monitor"
    )
    verb.add_argument("--as-of", metavar="YYYY-MM", help="the last month to train with")
    verb.add_argument("--force", action="store_true", help="as if a person had ticked the dashboard")
    verb.add_argument("--dry-run", action="store_true", help="say what would be done; write nothing")
    verb.add_argument(
        "--accept-github-token", action="store_true", help="checks will not start; close and reopen by hand"
    )
    verb.add_argument("--api-url", metavar="URL", help="root of the REST API (default: GITHUB_API_URL)")
    verb.add_argument("--repository", metavar="OWNER/NAME", help="default: GITHUB_REPOSITORY, else origin")


def retrain(options: argparse.Namespace, settings: Settings = Settings()) -> int:
    """Do what the plan says. Raises MainlineError."""
    _not_for_our_own()
    wish = _wish(options)
    git = Git()
    git.check_origin()
    try:
        desk, unasked = _desk(git, options, settings), ""
    except ForgeError as error:
        if not options.dry_run:
            raise
        desk, unasked = None, error.what
    try:
        with clone.opened(git) as mine:
            policy = _policy(mine, wish)
            if desk is None:
                return _show_plan(options, *known.foreseen(mine, policy, wish), unasked)
            found = _keeper(mine, desk, policy, wish, git)
            found.check_token(accept=options.accept_github_token)
            if options.dry_run:
                return _show_plan(options, *found.plan())
            return _show(options, found.keep(), mine.name)
    except KeyboardInterrupt:
        raise Interrupted("stopped", remedy="run the same command again") from None


def _desk(git: Git, options: argparse.Namespace, settings: Settings) -> Desk:
    """The forge, which was not asked anything yet. Raises ForgeError, ConfigError."""
    found = Desk.from_environment(
        options.api_url, options.repository, origin=git("remote", "get-url", "origin"),
        timeout=settings.timeout, pause=settings.pause,
    )  # fmt: skip
    _check_repository(git, found.repository)
    return found


def _policy(mine: clone.Clone, wish: Wish) -> policies.MonitorPolicy:
    """That of the default branch: a branch does not give itself other limits. Raises RecordError."""
    content = champion.parameters(mine.git, mine.tip())
    if mine.model != wish.watch.model:
        raise RecordError(
            f"reports/watch.json is about {wish.watch.model!r}, and the model of {mine.base} is {mine.model}",
            remedy="mainline monitor",
        )
    return policies.monitor(content)


def _keeper(mine: clone.Clone, desk: Desk, policy: policies.MonitorPolicy, wish: Wish, git: Git) -> Keeper:
    found = Keeper(desk, mine, policy, wish, Trainer(git))
    found.say = lambda words: print(f"▸ {inert(words)}", file=sys.stderr, flush=True)
    return found


def _not_for_our_own() -> None:
    """A run for a pull request of the bot may not make the next one."""
    branch = os.environ.get("GITHUB_HEAD_REF", "")
    if branch.startswith(PREFIX):
        raise ConfigError(
            "this run is for the bot's own pull request", remedy="run it on a schedule, or by hand"
        )


def _check_repository(git: Git, name: str) -> None:
    """The branch goes to origin and the pull request to `name`. Raises ConfigError unless they are one."""
    for flags in ((), ("--push",)):
        found = repository_of(git("remote", "get-url", *flags, "origin"))
        if found and found.casefold() != name.casefold():
            raise ConfigError(
                f"origin is {found[:200]!r}, and the pull request would be one of {name[:200]!r}",
                remedy="set --repository or GITHUB_REPOSITORY to origin's, or neither",
            )


def _wish(options: argparse.Namespace) -> Wish:
    try:
        watch, drift = Watch.read(options.watch), Drift.read(options.drift)
    except RecordError as error:
        raise RecordError(error.what, why=error.why, remedy="mainline monitor writes it") from None
    evidence.check(watch, drift)
    month = Month.parse(options.as_of, name="--as-of") if options.as_of else None
    return Wish(watch, drift, force=options.force, as_of=month)


def _show_plan(options: argparse.Namespace, plan: Plan, state: State, unasked: str = "") -> int:
    """`unasked`: why the forge was not asked; empty where it was."""
    steps = [inert(keeper.words(step, state)) for step in plan.steps]
    pull = next(iter(state.open), None)
    if options.json:
        before = state.base_data
        said = {"from": str(before.as_of), "from_train_months": before.train_months, "steps": steps}
        told = {**_told(plan, pull, state.name), **said}
        print(json.dumps({**told, "unasked": unasked, "dry_run": True}))
        return 0
    print(f"{plan.outcome}: {inert(plan.reason)}")
    for step in steps or ["do nothing"]:
        print(f"  would {step}")
    if plan.data:
        _show_data(state.base_data, plan.data)
    if unasked:
        print(f"The forge was not asked: {inert(unasked)}. So this is as if there were no pull request yet;")
        print("one that is open or was rejected, the cooldown and the limits may say otherwise.")
    return 0


def _show_data(before: Data, after: Data) -> None:
    print(f"  data.as_of: {before.as_of} → {after.as_of}")
    if after.train_months != before.train_months:
        print(f"  data.train_months: {before.train_months} → {after.train_months}")


def _show(options: argparse.Namespace, done: Done, branch: str) -> int:
    if options.json:
        steps = [type(step).__name__.lower() for step in done.steps]
        print(json.dumps({**_told(done.plan, done.pull, branch), "steps": steps, "dry_run": False}))
        return 0
    print(f"{done.plan.outcome}: {inert(done.plan.reason)}")
    if done.pull:
        print(f"  pull request {done.pull.number}  {inert(done.pull.url)}")
    return 0


def _told(plan: Plan, pull: Pull | None, branch: str) -> dict[str, object]:
    return {
        "outcome": plan.outcome,
        "reason": plan.reason,
        "as_of": str(plan.data.as_of) if plan.data else None,
        "train_months": plan.data.train_months if plan.data else None,
        "branch": branch,
        "pull_request": pull.number if pull else None,
        "url": pull.url if pull else "",
    }
