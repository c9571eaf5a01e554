"""`mainline release` and `mainline rollback`: a verified version goes to production; nothing is built."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mainline import deploying, ledger, policy, promotion, tags, verification
from mainline.errors import DeployError, GitError, Interrupted, RecordError, SupersededError
from mainline.git import Git
from mainline.promotion import PRODUCTION, STAGING, Book
from mainline.releases import Release
from mainline.tags import Assignment, Version
from mainline.verbs import parsing, tagging

TRIES = 5
NONE = "none"  # a target: the tag alone, which a workflow or Argo CD acts on


@dataclass(frozen=True, slots=True)
class Tools:
    """What release calls; `before` hears the name of each step."""

    target: Callable[[deploying.Name], deploying.Target] = lambda name: deploying.target(name, PRODUCTION)
    view: Callable[[], None] = tagging.view
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
  mainline release --tag 'NAME#production#7'    for that workflow: check a tag that is there, then deploy""",
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
  mainline rollback v1.1.0            to this one, which was in production before""",
    )
    verb.add_argument("version", nargs="?", help="default: the version before the current one")
    _shared(verb)


def _shared(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--dry-run", action="store_true", help="show the plan; change nothing")
    verb.add_argument("--reason", default="", help="why, for the tag; `mainline status` shows it")
    verb.add_argument("--target", choices=(*deploying.NAMES, NONE), default="local", help="(%(default)s)")


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done. `tag` is None when production has this version already."""

    version: Version
    record: Release
    now: Version | None
    tag: Assignment | None
    given: Assignment | None = None
    steps: tuple[str, ...] = ()


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
    plan: Plan | None = None
    try:
        for _ in range(TRIES):
            tools.before("verify")
            book = ledger.refresh(git, model)
            plan = make(git, book)
            steps = tuple(target.plan(plan.record)) if target else ()  # refuses before anything is tagged
            plan = dataclasses.replace(plan, steps=steps)
            if options.dry_run:
                return _show_plan(options, plan)
            if plan.tag is None or _tagged(git, book, plan, options.reason, tools):
                return _deploy(options, git, plan, target, tools)
    except DeployError:
        if plan and plan.tag:
            print(f"{plan.tag} stands; `mainline release {plan.version}` deploys it again", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        # Not "the same command": after its tag is pushed, a rollback would go back once more.
        again = f"mainline release {plan.version}" if plan else "run the same command again"
        raise Interrupted("stopped", remedy=f"{again}; mainline status says what production is") from None
    raise GitError(f"others were faster {TRIES} times in a row", remedy="mainline status, then again")


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
    return Plan(version, record, current, None if current == version else book.following(PRODUCTION))


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


def _deploy(
    options: argparse.Namespace, git: Git, plan: Plan, target: deploying.Target | None, tools: Tools
) -> int:
    tools.before("deploy")
    done = None
    if target is not None:
        _still(git, plan)
        with tempfile.TemporaryDirectory(prefix="mainline-release-") as folder:
            done = target.deploy(plan.record, verification.fetch(git.root, plan.record, Path(folder)))
    tools.before("view")
    tools.view()
    tag = plan.tag or plan.given
    if options.json:
        told = {**_told(plan), "deployed": dataclasses.asdict(done) if done else None, "dry_run": False}
        print(json.dumps(told))
        return 0
    print(f"{plan.record.model} {plan.version} is in {PRODUCTION}{f': {tag}' if tag else ' already'}")
    if done:
        print(f"  {'served' if done.changed else 'was served already'} at {done.place}")
    return 0


def _still(git: Git, plan: Plan) -> None:
    """Raises SupersededError when another version got production since: the slower must not deploy last."""
    newest = ledger.refresh(git, policy.release().model).current(PRODUCTION)
    if newest is not None and newest.version != plan.version:
        raise SupersededError(
            f"{plan.version} was not deployed: {newest.assignment} came after it",
            remedy="that one's run deploys",
        )


def _show_plan(options: argparse.Namespace, plan: Plan) -> int:
    if options.json:
        print(json.dumps({**_told(plan), "steps": plan.steps, "dry_run": True}))
        return 0
    print(f"{plan.record.model}: {plan.now or 'nothing'} → {plan.version} in {PRODUCTION}")
    print(f"  tag      {plan.tag or 'none: it is there already'}")
    print(
        f"  bento    sha256 {plan.record.artifacts['bento'].sha256}, as tested in staging; nothing is built"
    )
    for step in plan.steps:
        print(f"  deploy   {step}")
    return 0


def _told(plan: Plan) -> dict[str, object]:
    tag = plan.tag or plan.given
    return {
        "model": plan.record.model,
        "version": str(plan.version),
        "before": str(plan.now) if plan.now else None,
        "tag": str(tag) if tag else None,
        "bento_sha256": plan.record.artifacts["bento"].sha256,
    }
