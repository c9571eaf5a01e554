"""`mainline deploy`: one version to one target. Workflows call it; people call `mainline release`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

from mainline import deploying, ledger, policy, verification
from mainline.errors import ConfigError
from mainline.git import Git
from mainline.releases import Release
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
  mainline deploy v1.3.0 --target kubernetes --stage staging   to the branch deploy/staging
  mainline deploy v1.3.0 --stage production --dry-run          the steps; change nothing
  mainline deploy --stage staging --status                     what is served there
  mainline deploy --stage staging --stop                       stop it (local)""",
    )
    verb.add_argument("version", nargs="?", help="as in its tag: v1.3.0")
    verb.add_argument("--target", choices=deploying.NAMES, default="local")
    verb.add_argument("--stage", choices=deploying.STAGES, required=True)
    verb.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
    verb.add_argument("--status", action="store_true", help="what is served; change nothing")
    verb.add_argument("--stop", action="store_true", help="stop what is served (local)")
    verb.add_argument("--port", type=int, help="local: where to serve (staging 3001, production 3000)")
    verb.add_argument("--host", default="127.0.0.1", help="local: the address to serve on (%(default)s)")
    verb.add_argument(
        "--bake", type=float, default=10.0, metavar="SECONDS", help="local: how long to watch (%(default)s)"
    )


def deploy(options: argparse.Namespace) -> int:
    """Deploy, or answer what is deployed."""
    asked = [bool(options.version), options.status, options.stop]
    if sum(asked) != 1:
        raise ConfigError("give a version, or --status, or --stop", remedy="mainline deploy --help")
    if options.stop:
        return _stop(options)
    if options.status:
        return _status(options)
    record = _record(options.version)
    target = _target(options)
    if options.dry_run:
        _say(options, {"plan": target.plan(record)}, "\n".join(target.plan(record)))
        return 0
    with tempfile.TemporaryDirectory(prefix="mainline-deploy-") as folder:
        local = options.target == "local"
        files = verification.fetch(Path(), record, Path(folder)) if local else {}
        done = target.deploy(record, files)
    word = "is served" if done.changed else "was served already"
    _say(options, dataclasses.asdict(done), f"{record.model} {done.release} {word}: {done.place}")
    return 0


def _target(options: argparse.Namespace) -> deploying.Target:
    if options.target == "kubernetes":
        return deploying.target("kubernetes", options.stage)
    return _local(options)


def _local(options: argparse.Namespace) -> deploying.Local:
    if options.port is not None and not 0 < options.port < 65536:
        raise ConfigError(f"{options.port} is no port", remedy="one of 1 to 65535")
    limits = deploying.Limits(bake=max(options.bake, 0.0))
    return deploying.local(options.stage, port=options.port, host=options.host, limits=limits)


def _record(version: str) -> Release:
    """The record in the version's tag on origin; a tag that is only here counts for nothing.

    Raises GitError, RecordError.
    """
    git = Git()
    book = ledger.refresh(git, policy.release().model)
    found, tag = book.find(version)
    record = verification.record(book, found, tag)
    ledger.check_signature(git, tag)
    return record


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
