"""`mainline promote`: what was merged becomes a version in staging, packaged once and tested as it will run.

Nothing counts before the last step, one push of two tags: a run that is stopped anywhere leaves objects on
the remote that nobody names, and the same command goes on. Two at once: the tags' names let one of them win.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import (
    attachments,
    champion,
    ledger,
    mainbranch,
    objects,
    packaged,
    policy,
    promotion,
    releases,
    trailers,
    verification,
)
from mainline import versions as semantic
from mainline.attachments import Built
from mainline.errors import GitError, Interrupted, SupersededError
from mainline.exported import LOCK, Exported
from mainline.git import ORIGIN, Git
from mainline.promotion import STAGING, Book
from mainline.releases import Artifact, Release
from mainline.upcoming import following
from mainline.verbs import gate, imaging, judging, lock, parsing, tagging

FOLDER = Path(".mainline/release")
TRIES = 5
SHOWN = 5  # files that are in the way


@dataclass(frozen=True, slots=True)
class Tools:
    """What promote calls. `before` hears the name of each step before it is done."""

    build: Sequence[str] = (sys.executable, "-m", "serving.build")
    check: Sequence[str] = (sys.executable, "-m", "serving.check")
    image: Sequence[str] = (sys.executable, "-m", "serving.image")
    judge: judging.Judge = gate.gate
    attach: Callable[[Built, Path], dict[str, Path]] = attachments.make
    view: Callable[[], None] = tagging.view
    run: Callable[[], str | None] = tagging.run
    before: Callable[[str], None] = lambda step: print(f"▸ {step}", file=sys.stderr, flush=True)


TOOLS = Tools()


@dataclass(frozen=True, slots=True)
class Place:
    """Where we are: HEAD of a clean work tree. HEAD must be the tip of `branch` on origin."""

    git: Git
    model: str
    branch: str
    head: str


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline promote`."""
    verb = parsing.add(
        names,
        "promote",
        promote,
        "package what was merged, test it as a running service, tag it as a version in staging",
        """\
  mainline promote                       on main, after a merge; again: changes nothing
  mainline promote --dry-run             the next version, and what would be done
  mainline promote --allow-branch NAME   to try; HEAD must be its tip on origin
the tags are by whom Git is configured for; by mainline-bot where that is nobody""",
    )
    verb.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
    verb.add_argument("--allow-branch", metavar="NAME", help="instead of main, for trying")
    verb.add_argument("--mlflow-run", metavar="ID", help="of the training, for the record")
    verb.add_argument(
        "--image",
        metavar="NAME@sha256:…",
        help="one made elsewhere of this commit; without it one is made where a registry is set",
    )


def promote(options: argparse.Namespace, tools: Tools = TOOLS) -> int:
    """Promote HEAD. Returns the lock's or the gate's answer when that is no. Raises MainlineError."""
    imaging.check(options)
    place = _place(options)
    tools.before("lock")
    found, _ = lock.check()
    if found.state != "current":
        lock.show(found, stream=sys.stderr)
        return lock.ANSWERS[found.state]
    try:
        return _promote(options, place, tools)
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was tagged", remedy="run the same command again") from None


def _promote(options: argparse.Namespace, place: Place, tools: Tools) -> int:
    for _ in range(TRIES):
        tools.before("tags")
        book = ledger.refresh(place.git, place.model, place.branch)
        if book.main != place.head:
            raise _superseded(place)
        step = following(place.git, book, place.head)
        if step.kind == "same":
            imaging.made(options, book, step)
        if options.dry_run:
            return _say(options, book, step, new=False, words=f"would be made: {step.reason}")
        if step.kind == "same":
            new, done = False, _stage(place, book, step, tools)
        else:
            record = _record(options, place, book, step, tools)
            if isinstance(record, int):
                return record
            new, done = True, _tag(place, book, step, record, tools)
        if done is not None:
            tools.before("view")
            tools.view()
            return _say(options, done, step, new=new, words=step.reason)
    raise GitError(f"others were faster {TRIES} times in a row", remedy="run the same command again")


def _place(options: argparse.Namespace) -> Place:
    git = Git()
    tracked, untracked = git.changed_paths()
    if changed := [*tracked, *untracked]:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        todo = ["commit them by pull request, or restore them"] if tracked else []
        todo += ["delete what is not tracked, or name it in .gitignore"] if untracked else []
        raise GitError(
            f"the work tree has changes: {', '.join(map(repr, changed[:SHOWN]))}{more}",
            why="what is promoted must be what was merged",
            remedy="; ".join(todo),
        )
    if options.allow_branch is not None:
        git.check_branch(options.allow_branch)
    branch = options.allow_branch or mainbranch.main_name(git)
    return Place(git, policy.release().model, branch, git("rev-parse", "HEAD"))


def _superseded(place: Place) -> SupersededError:
    return SupersededError(
        f"HEAD is not what {place.branch} is on {ORIGIN}",
        why="it was never merged, or another merge came after it, whose own run does this",
        remedy=f"nothing in CI; elsewhere: git pull {ORIGIN} {place.branch}",
    )


def _record(
    options: argparse.Namespace, place: Place, book: Book, step: semantic.Next, tools: Tools
) -> Release | int:
    """Verify, judge, build, check, store; the record of it, or the gate's no."""
    tools.before("pull")
    candidate = champion.here()
    outs = packaged.outputs(place.git, place.head)
    packaged.pull(Path(), candidate, outs)
    tools.before("gate")
    judged = judging.judged(place.git, place.head, book, candidate, tools.judge)
    if judged.verdict == "block":
        print(f"the gate blocks: {judged.reason}", file=sys.stderr)
        return gate.ANSWERS["block"]
    data = packaged.data(outs)
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{step.version}-", dir=FOLDER))
    try:
        artifacts, image = _artifacts(options, place, step, candidate, data, folder, tools)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert candidate.manifest is not None and candidate.metrics is not None  # noqa: S101  # `here` refuses it
    figures = {name: candidate.metrics.figures.get(name) for name in policy.gate().names}
    return Release(
        model=place.model,
        release=str(step.version),
        commit=place.head,
        lock_sha256=judging.lock_sha256(),
        data_md5=data,
        model_md5=candidate.model_md5,
        model_sha256=candidate.manifest.files["model.onnx"],
        artifacts=artifacts,
        image=image,
        figures={name: figure.value for name, figure in figures.items() if figure},
        gate=judging.verdict(judged),
        mlflow_run=options.mlflow_run or _mlflow_run(place) or tools.run(),
    )


def _mlflow_run(place: Place) -> str | None:
    """As the commit of the merged lock tells it."""
    told = trailers.read(place.git("log", "--max-count=1", "--format=%B", place.head, "--", LOCK)).mlflow
    return told[1] if told else None


def _artifacts(
    options: argparse.Namespace,
    place: Place,
    step: semantic.Next,
    model: Exported,
    data: dict[str, str],
    folder: Path,
    tools: Tools,
) -> tuple[dict[str, Artifact], str | None]:
    """Build once, test, describe, sign, store on the remote, proven; and the image, if there is one."""
    assert model.manifest is not None and model.metrics is not None  # noqa: S101
    tools.before("build")
    with attachments.signing_environment(os.environ) as environ:
        bento = packaged.build(tools.build, str(step.version), folder / "bento", environ)
    tools.before("check")
    packaged.check(tools.check, bento, policy.gate().latency_ms)
    version = str(step.version)
    image = options.image
    if image is None and (registry := policy.registry()):
        tools.before("image")
        image = packaged.image(tools.image, bento, f"{registry}/{place.model}", version)
    tools.before("attach")
    built = Built(place.model, version, place.head, bento, model.manifest, model.metrics, data)
    files = {"bento": bento, **tools.attach(built, folder)}
    tools.before("put")
    stored = objects.put(Path(), files)
    return {
        name: Artifact(name=files[name].name, md5=one.md5, sha256=one.sha256, bytes=one.bytes)
        for name, one in stored.items()
    }, image


def _tag(place: Place, book: Book, step: semantic.Next, record: Release, tools: Tools) -> Book | None:
    """The version and its staging, together; None when another was faster."""
    tools.before("tag")
    version, assignment = step.version.tag(place.model), book.following(STAGING)
    message = releases.write(record, f"{place.model} {step.version}: {step.reason}")
    releases.parse(message, name=version)  # what cannot be read back is never published
    target = ledger.make(place.git, version, place.head, message)
    words = promotion.words(book, step.version, STAGING, target)
    staged = ledger.make(place.git, str(assignment), place.head, words)
    tools.before("push")
    return tagging.pushed(place.git, book, place.branch, {version: target, str(assignment): staged})


def _stage(place: Place, book: Book, step: semantic.Next, tools: Tools) -> Book | None:
    """An earlier version again: staging goes back to it, nothing is built. None when another was faster."""
    now = book.current(STAGING)
    if now is not None and now.version == step.version:
        return book
    tag = book.versions()[step.version]
    tools.before("verify")
    record = verification.require(place.git, book, step.version, tag)
    assignment = str(book.following(STAGING))
    tools.before("push")
    reason = f"{place.branch} is at {place.head[:9]}, {step.reason}"
    message = promotion.words(book, step.version, STAGING, tag.target, reason)
    return tagging.pushed(
        place.git,
        book,
        place.branch,
        {assignment: ledger.make(place.git, assignment, record.commit, message)},
    )


def _say(options: argparse.Namespace, book: Book, step: semantic.Next, *, new: bool, words: str) -> int:
    now = book.current(STAGING)
    told: dict[str, Any] = {
        "model": book.model, "version": str(step.version), "new": new, "change": step.kind,
        "reason": step.reason,
        "staging": str(now.assignment) if now else None, "dry_run": options.dry_run,
    }  # fmt: skip
    if options.json:
        print(json.dumps(told))
    else:
        place = f", {now.assignment}" if now and not options.dry_run else ""
        print(f"{book.model} {step.version}{' (new)' if new else ''}{place}: {words}")
    return 0
