"""`mainline release` and `mainline rollback`: a verified version goes to production; nothing is built."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mainline import deploying, ledger, policy, promotion, publishing, tags, verification
from mainline.deploy import probes
from mainline.errors import (
    DeployError,
    GitError,
    Interrupted,
    MainlineError,
    RecordError,
    SupersededError,
)
from mainline.forge_releases import Shelf
from mainline.git import Git
from mainline.promotion import PRODUCTION, STAGING, Book
from mainline.verbs import parsing, planning, tagging
from mainline.verbs.planning import Outcome, Plan

TRIES = 5
NONE = "none"  # a target: the tag alone, which a workflow or Argo CD acts on


@dataclass(frozen=True, slots=True)
class Tools:
    """What release calls; `before` hears the name of each step."""

    target: Callable[[deploying.Name], deploying.Target] = lambda name: deploying.target(name, PRODUCTION)
    view: Callable[[], None] = tagging.view
    shelf: Callable[[Git], Shelf] = publishing.shelf
    before: Callable[[str], None] = lambda step: print(f"▸ {step}", file=sys.stderr, flush=True)


TOOLS = Tools()


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline release` and `mainline rollback`."""
    verb = parsing.add(
        names,
        "release",
        release,
        "bring a version that was verified in staging to production",
        """\
  mainline release v1.3.0 --dry-run             the plan; change nothing
  mainline release v1.3.0 --reason "sprint 12"  tag and deploy; again: changes nothing
  mainline release v1.3.0 --target none         the tag alone: its workflow deploys
  mainline release v1.3.0 --publish             and its page on GitHub: notes, model card, SBOM, provenance
  mainline release --tag 'NAME#production#7'    for that workflow: check a tag that is there, then deploy
the tag is by whom Git is configured for; by mainline-bot where that is nobody""",
    )
    verb.add_argument("version", nargs="?", help="as `mainline status` shows it: v1.3.0")
    verb.add_argument("--tag", metavar="REF", help="an assignment that was pushed, instead of making one")
    _shared(verb)
    verb = parsing.add(
        names,
        "rollback",
        rollback,
        "bring production back to the version before, or to another that was there",
        """\
  mainline rollback --dry-run         the plan; change nothing
  mainline rollback                   to the version before; once more: to the one before that
  mainline rollback v1.1.0            to this one, which was in production before
the tag is by whom Git is configured for; by mainline-bot where that is nobody""",
    )
    verb.add_argument("version", nargs="?", help="default: the version before the current one")
    _shared(verb)


def _shared(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--dry-run", action="store_true", help="show the plan; change nothing")
    verb.add_argument("--reason", default="", help="why, for the tag; `mainline status` shows it")
    verb.add_argument("--target", choices=(*deploying.NAMES, NONE), default="local", help="(%(default)s)")
    verb.add_argument(
        "--publish",
        action="store_true",
        help="keep the version's page on the forge, at the end (GITHUB_TOKEN: contents: write)",
    )


def release(options: argparse.Namespace, tools: Tools = TOOLS) -> int:
    """Raises RecordError, IntegrityError, GitError where it refuses, DeployError when it does not take."""
    if bool(options.version) == bool(options.tag):
        raise RecordError("give a version, or --tag", remedy="mainline release --help")
    if options.tag:
        return _go(options, tools, lambda git, book: _given(git, book, options.tag))
    return _go(options, tools, lambda git, book: _plan(git, book, options.version))


def rollback(options: argparse.Namespace, tools: Tools = TOOLS) -> int:
    """The same path, to a version that was in production. Raises as `release` does."""
    chosen: list[str] = []  # once: a rollback that lost a race must not go back twice

    def plan(git: Git, book: Book) -> Plan:
        chosen[:] = chosen or [str(promotion.back_to(book, options.version))]
        return _plan(git, book, chosen[0])

    return _go(options, tools, plan)


def _go(options: argparse.Namespace, tools: Tools, make: Callable[[Git, Book], Plan]) -> int:
    git, model = Git(), policy.release().model
    target = None if options.target == NONE else tools.target(options.target)
    shelf = _shelf(options, git, tools) if options.publish else None
    plan: Plan | None = None
    try:
        for _ in range(TRIES):
            tools.before("verify")
            book = ledger.refresh(git, model)
            plan = make(git, book)
            steps = tuple(target.plan(plan.record)) if target else ()  # refuses before anything is tagged
            plan = dataclasses.replace(plan, steps=steps)
            if options.dry_run:
                plan = dataclasses.replace(plan, pages=_pages(git, book, plan, shelf))
                print(planning.planned(plan, as_json=options.json))
                return 0
            if plan.tag is None or _tagged(git, book, plan, options.reason, tools):
                return _finish(options, git, plan, target, shelf, tools)
    except DeployError:
        if plan and plan.tag:
            print(f"{plan.tag} stands; `mainline release {plan.version}` deploys it again", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        # Not "the same command": after its tag is pushed, a rollback would go back once more.
        again = f"mainline release {plan.version}" if plan else "run the same command again"
        raise Interrupted("stopped", remedy=f"{again}; mainline status says what production is") from None
    raise GitError(f"others were faster {TRIES} times in a row", remedy="mainline status, then again")


def _shelf(options: argparse.Namespace, git: Git, tools: Tools) -> Shelf | MainlineError:
    """Where pages are kept; for a tag that stands, why they cannot be is told after its deployment."""
    try:
        return tools.shelf(git)
    except MainlineError as error:
        if not options.tag or options.dry_run:
            raise
        return error


def _plan(git: Git, book: Book, text: str) -> Plan:
    version, tag = book.find(text)
    record = verification.require(git, book, version, tag)
    if promotion.was_in(book, STAGING, version) is None:
        raise RecordError(
            f"{version} never was in staging, so nothing verified it",
            remedy="mainline promote, on the commit where it is main's newest",
        )
    if not book.naming(version):
        print(f"warning: no stage tag names the object of {tag.name}: was it moved?", file=sys.stderr)
    now = book.current(PRODUCTION)
    current = now.version if now else None
    if now and current == version:
        return Plan(version, record, current, None, standing=now.assignment)
    return Plan(version, record, current, book.following(PRODUCTION))


def _given(git: Git, book: Book, ref: str) -> Plan:
    """The plan of an assignment that is on origin. Raises RecordError, IntegrityError."""
    name = ref.removeprefix("refs/tags/")
    wanted = tags.assignment(name, book.model)
    tag = next((one for one in book.tags if one.name == name), None)
    if wanted is None or wanted.stage != PRODUCTION or tag is None:
        raise RecordError(f"{name[:80]!r} is no tag of {book.model} for {PRODUCTION} on origin")
    if tag.problem:
        raise RecordError(
            f"{name} is refused", why=tag.problem, remedy=f"mainline release makes {PRODUCTION} tags"
        )
    ledger.check_signature(git, tag)
    turn = next(one for one in book.history(PRODUCTION) if one.assignment == wanted)
    if turn.version is None:
        raise RecordError(
            f"{name} is refused", why="no version stands at its commit", remedy="mainline status"
        )
    newest = book.history(PRODUCTION)[-1]
    if newest.assignment != wanted:
        raise RecordError(
            f"{name} is not the newest: {newest.assignment} came after it", remedy="that one's run deploys"
        )
    plan = _plan(git, book, str(turn.version))
    return dataclasses.replace(plan, tag=None, given=wanted)


def _tagged(git: Git, book: Book, plan: Plan, reason: str, tools: Tools) -> bool:
    tools.before("tag")
    target = book.versions()[plan.version].target
    message = promotion.words(book, plan.version, PRODUCTION, target, reason)
    made = {str(plan.tag): ledger.make(git, str(plan.tag), plan.record.commit, message)}
    tools.before("push")
    return ledger.push(git, made)


def _finish(
    options: argparse.Namespace,
    git: Git,
    plan: Plan,
    target: deploying.Target | None,
    shelf: Shelf | MainlineError | None,
    tools: Tools,
) -> int:
    """Deploy, publish, tell. What production serves is told also when its page could not be kept."""
    tools.before("deploy")
    outcome = Outcome()
    if target is not None:
        _still(git, plan)
        with tempfile.TemporaryDirectory(prefix="mainline-release-") as folder:
            served = target.deploy(plan.record, verification.fetch(git.root, plan.record, Path(folder)))
        outcome = Outcome(served, curl=probes.curl(served.place) if options.target == "local" else "")
    tools.before("view")
    tools.view()
    try:
        if isinstance(shelf, MainlineError):
            raise shelf
        if shelf is not None:
            tools.before("publish")
            book = ledger.refresh(git, plan.record.model)
            published = publishing.publish(shelf, publishing.prepare(git, book, plan.record))
            outcome = dataclasses.replace(outcome, published=published)
    except MainlineError:
        # By its tag, which is refused once another came after it: a version would be released again.
        held = plan.tag or plan.given or plan.standing
        again = f"mainline release --tag '{held}' --target none --publish"
        print(f"{plan.version} is in {PRODUCTION}; only its page is not: {again}", file=sys.stderr)
        raise
    finally:
        print(planning.done(plan, outcome, as_json=options.json))
    return 0


def _pages(git: Git, book: Book, plan: Plan, shelf: Shelf | MainlineError | None) -> tuple[str, ...]:
    """What would become of the version's page."""
    if shelf is None or isinstance(shelf, MainlineError):
        return ()
    page = publishing.prepare(git, book, plan.record).page
    return tuple(shelf.plan(dataclasses.replace(page, latest=True)))


def _still(git: Git, plan: Plan) -> None:
    """Raises SupersededError when another version got production since: the slower must not deploy last."""
    newest = ledger.refresh(git, policy.release().model).current(PRODUCTION)
    if newest is not None and newest.version != plan.version:
        raise SupersededError(
            f"{plan.version} was not deployed: {newest.assignment} came after it",
            remedy="that one's run deploys",
        )
