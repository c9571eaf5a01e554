"""The adapter to the registry's tags: reads what origin has, and makes new ones, all or none.

Origin's tags are fetched into a name space of their own (`refs/mainline/`), so that a local tag that never
arrived is not taken for the truth, and nobody's is touched. New tag objects are made beside the repository's
references: when the push fails, no local tag is left behind.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mainline import mainbranch
from mainline.errors import GitError, IntegrityError
from mainline.git import BOT, BOT_ADDRESS, NETWORK_SECONDS, ORIGIN, SECRETS, Git
from mainline.promotion import Book, Tag
from mainline.releases import LONGEST
from mainline.tags import assignment, version_of

SEEN = "refs/mainline"
LOCAL = "refs/tags"
SIGNERS = "gpg.ssh.allowedSignersFile"
# What is in such a file, and in that of an SSH key, for a job of CI; else git's configuration counts.
ALLOWED, KEY = "MAINLINE_ALLOWED_SIGNERS", "MAINLINE_TAG_KEY"
UNSIGNED = "it is not signed by an allowed signer"
TAGGER = re.compile(r"(.*?) ?<([^<>]*)> (\d{1,12}) ([+-]\d{4})")


def refresh(git: Git, model: str, branch: str | None = None) -> Book:
    """The tags of the model and the tip of the branch (the main one), as origin has them. Raises GitError."""
    branch = branch or mainbranch.main_name(git)
    _fetch(git, model, branch)
    main = git("rev-parse", "--verify", f"{SEEN}/heads/{branch}^{{commit}}")
    return Book(model, _read(git, model, f"{SEEN}/tags"), main)


def tags_of(git: Git, model: str) -> Book:
    """The tags of the model as origin has them, and nothing of its branches. Raises GitError."""
    _fetch(git, model)
    return Book(model, _read(git, model, f"{SEEN}/tags"))


def _fetch(git: Git, model: str, *branches: str) -> None:
    refspecs = [f"+refs/heads/{branch}:{SEEN}/heads/{branch}" for branch in branches]
    refspecs += [f"+{LOCAL}/{model}{sign}*:{SEEN}/tags/{model}{sign}*" for sign in "@#"]
    done = _git(git, "fetch", "--quiet", "--prune", "--no-tags", ORIGIN, *refspecs, seconds=NETWORK_SECONDS)
    if done.returncode:
        raise GitError(
            f"{' and '.join([f'the tags of {model}', *branches])} cannot be fetched from {ORIGIN}",
            why=_said(done),
            remedy=" ".join(["is", ORIGIN, "there,", *(f"with a branch {one}," for one in branches),
                             "and may you read it?"]),
        )  # fmt: skip


def here(git: Git, model: str) -> Book:
    """The tags that this clone has, for when origin cannot be asked."""
    return Book(model, _read(git, model, LOCAL))


def strays(git: Git, book: Book) -> list[str]:
    """Local tags of the model that are not the ones of origin: its tools would read them as if they were."""
    theirs = {tag.name: tag.target for tag in book.tags}
    mine = {tag.name: tag.target for tag in here(git, book.model).tags}
    return sorted(name for name, target in mine.items() if theirs.get(name) != target)


def make(git: Git, name: str, commit: str, message: str) -> str:
    """An annotated tag's object, to which no name points yet; signed where signing is on. Raises GitError.

    By whom git says that we are (`user.name`), else the bot.
    """
    with tempfile.TemporaryDirectory(prefix="mainline-tag-") as folder:
        aside = Path(folder) / "git"
        kind = git("rev-parse", "--show-object-format")
        git("init", "--quiet", "--bare", f"--object-format={kind}", str(aside))
        # Who signs how stands in the repository's configuration; its objects are the ones that we add to.
        common = Path(git.root, git("rev-parse", "--git-common-dir")).resolve()
        git("config", "--file", str(aside / "config"), "include.path", str(common / "config"))
        environment = {
            **_identity(git),
            "GIT_DIR": str(aside),
            "GIT_OBJECT_DIRECTORY": str(common / "objects"),
        }
        sign = ["--sign"] if signers(git) else []
        done = _git(
            git, *_keys(Path(folder)), "tag", "--annotate", *sign, "--cleanup=verbatim", "--file=-", "--",
            name, commit, text=message, environment=environment,
        )  # fmt: skip
        if done.returncode:
            raise GitError(
                f"the tag {name} could not be made",
                why=_said(done),
                remedy=f"signing is on: git config user.signingkey, gpg.format; or {KEY}" if sign else "",
            )
        made = _git(git, "rev-parse", "--verify", f"{LOCAL}/{name}", environment=environment).stdout.strip()
    # git 2.39 makes an unsigned tag, and says all is well, when the SSH key cannot be read.
    check_signature(git, Tag(name, made, commit))
    return made


def push(git: Git, made: Mapping[str, str]) -> bool:
    """Give these names to these objects on origin, all or none; then here too.

    False when another was faster with any of the names. Raises GitError when origin refused otherwise.
    """
    names = [f"{sha}:{LOCAL}/{name}" for name, sha in made.items()]
    done = _git(git, "push", "--quiet", "--atomic", ORIGIN, *names, seconds=NETWORK_SECONDS)
    if done.returncode:
        asked = git("ls-remote", ORIGIN, *(f"{LOCAL}/{name}" for name in made)).splitlines()
        there = {
            ref.removeprefix(f"{LOCAL}/"): sha for sha, _, ref in (line.partition("\t") for line in asked)
        }
        if not there:
            raise GitError(
                f"{ORIGIN} did not take {', '.join(made)}",
                why=_said(done),
                remedy="with the right to push tags, run the same command again",
            )
        if there != dict(made):  # equal: it arrived, only the answer was lost
            return False
    for name, sha in made.items():
        git("update-ref", f"{LOCAL}/{name}", sha)
    return True


def signers(git: Git) -> str:
    """Where the allowed signers are named; empty when signing is off."""
    if os.environ.get(ALLOWED, "").strip():
        return ALLOWED
    return _git(git, "config", "--get", SIGNERS).stdout.strip()


def check_signature(git: Git, tag: Tag) -> None:
    """Raises IntegrityError unless an allowed signer signed the tag; without a list of them all pass."""
    if not signers(git):
        return
    with tempfile.TemporaryDirectory(prefix="mainline-tag-") as folder:
        done = _git(git, *_keys(Path(folder)), "verify-tag", "--", tag.target)
    if done.returncode:
        raise IntegrityError(
            f"{tag.name} {UNSIGNED.removeprefix('it ')}",
            why=_said(done).splitlines()[-1] if done.stderr.strip() else "",
            remedy=f"{SIGNERS}, or {ALLOWED}, names who may; nothing was deployed",
        )


def _keys(folder: Path) -> list[str]:
    """Options of git for the signers and the key that the environment holds, written into the folder."""
    found: list[str] = []
    for variable, setting in ((ALLOWED, SIGNERS), (KEY, "user.signingkey")):
        if text := os.environ.get(variable, "").strip():
            path = folder / setting
            path.touch(mode=0o600)
            path.write_text(f"{text}\n")
            found += ["-c", f"{setting}={path}", "-c", "gpg.format=ssh"]
    return found


def is_ancestor(git: Git, commit: str, tip: str) -> bool:
    """Is the commit part of the tip's history? Raises GitError in a shallow clone, where nobody can know."""
    done = _git(git, "merge-base", "--is-ancestor", commit, tip)
    if done.returncode and git("rev-parse", "--is-shallow-repository") == "true":
        raise GitError("this clone is shallow: its history cannot be known", remedy="git fetch --unshallow")
    return done.returncode == 0


def _read(git: Git, model: str, prefix: str) -> tuple[Tag, ...]:
    form = "%(objectname)%00%(objecttype)%00%(objectsize)%00%(refname)"
    listed = _git(git, "for-each-ref", f"--format={form}", f"{prefix}/{model}@*", f"{prefix}/{model}#*")
    found = []
    for line in listed.stdout.splitlines():
        target, kind, size, ref = line.split("\0")
        name = ref.removeprefix(f"{prefix}/")
        if version_of(name, model) or assignment(name, model):
            found.append(_tag(git, name, target, kind, int(size)))
    return tuple(_doubted(git, found, model))


def _doubted(git: Git, found: list[Tag], model: str) -> list[Tag]:
    """The tags; where they must be signed, with a doubt of each stage tag that is not, by one who may.

    A version's tag is checked when it is relied on, with its record; who has a stage, at every look.
    """
    asked = [tag for tag in found if tag.annotated and assignment(tag.name, model)]
    if not asked or not signers(git):
        return found
    with tempfile.TemporaryDirectory(prefix="mainline-tag-") as folder:
        keys = _keys(Path(folder))

        def signed(*tags: Tag) -> bool:
            return not _git(git, *keys, "verify-tag", "--", *(tag.target for tag in tags)).returncode

        bad = set() if signed(*asked) else {tag.name for tag in asked if not signed(tag)}
    return [replace(tag, doubt=UNSIGNED) if tag.name in bad else tag for tag in found]


def _tag(git: Git, name: str, target: str, kind: str, size: int) -> Tag:
    if kind != "tag" or size > 2 * LONGEST:
        commit = _git(git, "rev-parse", "--verify", "--quiet", f"{target}^{{commit}}").stdout.strip()
        return Tag(name, target, commit or None)
    head, _, message = git("cat-file", "tag", target).partition("\n\n")
    fields = dict(line.partition(" ")[::2] for line in head.split("\n"))
    target_commit = fields.get("object") if fields.get("type") == "commit" else None
    who, when = _tagger(fields.get("tagger", ""))
    return Tag(name, target, target_commit, True, fields.get("tag", ""), who, when, message)


def _tagger(text: str) -> tuple[str, str]:
    """Name and time (ISO, UTC)."""
    match = TAGGER.fullmatch(text)
    if match is None:
        return "", ""
    moment = datetime.fromtimestamp(min(int(match[3]), 253402300799), UTC)
    return match[1] or match[2], moment.isoformat(timespec="seconds")


def _identity(git: Git) -> dict[str, str]:
    if _git(git, "config", "--get", "user.name").stdout and _git(git, "config", "--get", "user.email").stdout:
        return {}
    return {
        "GIT_COMMITTER_NAME": os.environ.get("GIT_COMMITTER_NAME", BOT),
        "GIT_COMMITTER_EMAIL": os.environ.get("GIT_COMMITTER_EMAIL", BOT_ADDRESS),
    }


def _git(
    git: Git,
    *arguments: str,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=git.root,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
            input=text,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise GitError(
            f"git {arguments[0]} did not end within {seconds:g} s", remedy=f"is {ORIGIN} reachable?"
        ) from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return SECRETS.sub("//", done.stderr.strip())[-2000:]
