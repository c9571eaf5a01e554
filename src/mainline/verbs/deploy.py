"""`mainline deploy`: one version to one target. Workflows call it; people call `mainline release`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from mainline import deploying, ledger, policy, promotion, verification
from mainline.deploy import probes
from mainline.errors import ConfigError, RecordError, SupersededError
from mainline.git import Git
from mainline.promotion import Book
from mainline.releases import Release
from mainline.tags import Version
from mainline.verbs import parsing


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline deploy`."""
    verb = parsing.add(
        names,
        "deploy",
        deploy,
        "serve a version that was promoted, on this machine or through a branch for Argo CD or Flux",
        """\
  mainline deploy v1.3.0 --stage staging                       on this machine, behind port 3001
  mainline deploy --stage production                           what Git says it has, e.g. after a reboot
  mainline deploy v1.3.0 --target kubernetes --stage staging   to the branch deploy/staging
  mainline deploy v1.3.0 --stage production --dry-run          the steps; change nothing
  mainline deploy --stage staging --status                     what is served there
  mainline deploy --stage staging --stop                       stop it (local)""",
    )
    verb.add_argument("version", nargs="?", help="as in its tag: v1.3.0 (the one that the stage has)")
    verb.add_argument("--target", choices=deploying.NAMES, default="local")
    verb.add_argument("--stage", choices=deploying.STAGES, required=True)
    verb.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
    verb.add_argument("--force", action="store_true", help="also a version that the stage does not have")
    verb.add_argument("--status", action="store_true", help="what is served; change nothing")
    verb.add_argument("--stop", action="store_true", help="stop what is served (local)")
    verb.add_argument(
        "--port", type=int, help="local: where to serve (as before; staging 3001, production 3000)"
    )
    verb.add_argument("--host", help="local: the address to serve on (as before; 127.0.0.1)")
    verb.add_argument(
        "--bake",
        type=float,
        metavar="SECONDS",
        help="local: how long to watch (MAINLINE_BAKE_SECONDS, else 10)",
    )


def deploy(options: argparse.Namespace) -> int:
    """Deploy, or answer what is deployed."""
    if sum([bool(options.version), options.status, options.stop]) > 1:
        raise ConfigError("give a version, or --status, or --stop", remedy="mainline deploy --help")
    if options.stop:
        return _stop(options)
    if options.status:
        return _status(options)
    record = _record(options)
    target = _target(options)
    if options.dry_run:
        _say(options, {"plan": target.plan(record)}, "\n".join(target.plan(record)))
        return 0
    local = options.target == "local"
    with tempfile.TemporaryDirectory(prefix="mainline-deploy-") as folder:
        files = verification.fetch(Path(), record, Path(folder)) if local else {}
        done = target.deploy(record, files)
    word = "is served" if done.changed else "was served already"
    lines = [f"{record.model} {done.release} {word}: {done.place}"]
    if local and not options.json and (curl := probes.curl(done.place)):
        lines.append(curl)
    _say(options, dataclasses.asdict(done), "\n".join(lines))
    return 0


def _target(options: argparse.Namespace) -> deploying.Target:
    if options.target == "kubernetes":
        return deploying.target("kubernetes", options.stage)
    return _local(options)


def _local(options: argparse.Namespace) -> deploying.Local:
    if options.port is not None and not 0 < options.port < 65536:
        raise ConfigError(f"{options.port} is no port", remedy="one of 1 to 65535")
    limits = None if options.bake is None else deploying.Limits(bake=max(options.bake, 0.0))
    return deploying.local(options.stage, port=options.port, host=options.host, limits=limits)


def _record(options: argparse.Namespace) -> Release:
    """The record in the version's tag on origin, all of it checked; one that is only here counts for nothing.

    Raises GitError, RecordError, IntegrityError, StorageError, SupersededError.
    """
    git = Git()
    book = ledger.refresh(git, policy.release().model)
    version, tag = book.find(options.version or _assigned(book, options.stage))
    record = verification.require(git, book, version, tag)
    try:
        _given(book, version, options.stage)
    except (RecordError, SupersededError) as error:
        if not options.force:
            raise
        print(f"warning: {error.what}; --force", file=sys.stderr)
    return record


def _assigned(book: Book, stage: str) -> str:
    """What Git says that the stage has. Raises RecordError when that is no version."""
    now = book.current(stage)
    if now is None or now.version is None:
        has = f"a commit without a version ({now.assignment})" if now else "no version yet"
        verb = {"staging": "mainline promote", "production": "mainline release VERSION"}[stage]
        raise RecordError(f"{stage} has {has}", remedy=f"{verb}; mainline status shows all versions")
    return str(now.version)


def _given(book: Book, version: Version, stage: str) -> None:
    """Raises unless the stage has this version: SupersededError when it had it, RecordError otherwise."""
    now = book.current(stage)
    if now is not None and now.version == version:
        return
    has = f"it has {now.version or 'a commit without a version'} ({now.assignment})" if now else "it has none"
    if promotion.was_in(book, stage, version):
        raise SupersededError(
            f"{version} is no longer what {stage} has: {has}", remedy="that one's run deploys; else --force"
        )
    verb = "mainline promote" if stage == promotion.STAGING else f"mainline release {version}"
    raise RecordError(f"{version} is not what {stage} has: {has}", remedy=f"{verb}; or --force, to try it")


def _status(options: argparse.Namespace) -> int:
    if options.target == "local":
        seen = _local(options).status()
        _say(options, seen, "\n".join(f"{key:11} {_word(value)}" for key, value in seen.items()))
        return 0
    now = deploying.target(options.target, options.stage).current()
    told = f"{now.place} asks for {now.release} ({now.digest})" if now else "nothing was deployed there"
    _say(options, dataclasses.asdict(now) if now else {"release": None}, told)
    return 0


def _stop(options: argparse.Namespace) -> int:
    if options.target != "local":
        raise ConfigError("only the local target can be stopped from here", remedy="use Argo CD or Flux")
    was = _local(options).stop()
    _say(options, {"stopped": was}, "stopped" if was else "nothing was running")
    return 0


def _word(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value or "none"


def _say(options: argparse.Namespace, values: object, text: str) -> None:
    print(json.dumps(values) if options.json else text)
