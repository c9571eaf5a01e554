"""A clone of the bot's own: origin's default branch and the bot's branches, and nobody's work tree.

It borrows the objects and copies the configuration (credentials among it) of the repository that we are in,
and leaves nothing there.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mainline import champion, ledger, locks, policy, trailers
from mainline.errors import ConfigError, GitError, SupersededError
from mainline.git import BOT, BOT_ADDRESS, NETWORK_SECONDS, ORIGIN, SECRETS, Git
from mainline.mainbranch import MAIN
from mainline.retraining import parameters
from mainline.retraining.parameters import Data
from mainline.retraining.state import PREFIX, Branch, Push

BASE, BRANCHES = "refs/mainline/base", "refs/mainline/bot"
PARAMS = "params.yaml"
TRAILER = "Mainline-Retrain"  # in the message of the bot's own commit
DEPTH = 200  # commits of the branch that are looked through for it
ZONE = "%H%x00%ae%x00%ce%x00%cI%x00%B%x1e"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the bot's branch."""

    sha: str
    by_bot: bool
    at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class Clone:
    """`base`: the name of origin's default branch. The bot's is one for each model."""

    git: Git
    base: str
    model: str

    @property
    def name(self) -> str:
        """Of the bot's branch."""
        return f"{PREFIX}{self.model}"

    def refresh(self) -> None:
        """Get both branches from origin. Raises GitError."""
        specs = (f"+refs/heads/{self.base}:{BASE}", f"+refs/heads/{PREFIX}*:{BRANCHES}/*")
        done = _git(self.git, "fetch", "--quiet", "--prune", "--no-tags", ORIGIN, *specs)
        if done.returncode:
            raise GitError(
                f"{self.base} cannot be fetched from {ORIGIN}",
                why=_said(done),
                remedy=f"is {ORIGIN} there, and may you read it?",
            )

    def tip(self) -> str:
        """The commit of origin's default branch."""
        return self.git("rev-parse", f"{BASE}^{{commit}}")

    def parameters(self, commit: str) -> str:
        """params.yaml of a commit, to the byte. Raises ConfigError."""
        content = champion.blob(self.git, commit, PARAMS)
        try:
            if content is None:
                raise ConfigError(f"{self.base} has no {PARAMS}", remedy="see the one of the template")
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{PARAMS} of {self.base} is not UTF-8") from None

    def branch(self) -> Branch | None:
        """The bot's branch as origin has it; None where it has none."""
        reference = f"{BRANCHES}/{self.name.removeprefix(PREFIX)}"
        tip = _git(self.git, "rev-parse", "--quiet", "--verify", f"{reference}^{{commit}}").stdout.strip()
        if not tip:
            return None
        above = self._above(tip)
        own = next((one for one in above if one.by_bot and f"\n{TRAILER}: " in one.message), None)
        later = above[: above.index(own)] if own else above
        return Branch(
            tip=tip,
            base=self.git("rev-parse", f"{own.sha}^") if own else None,
            made=own.sha[:12] if own else None,
            at=own.at.astimezone(UTC).isoformat(timespec="seconds") if own else None,
            data=self._data(tip),
            others=tuple(one.sha[:9] for one in later if not one.by_bot),
            trained=own is not None and self._lock(tip) != self._lock(own.sha),
            hours=_hours(later),
            newest=max((one.at for one in above), default=None),
        )

    def _above(self, tip: str) -> list[Commit]:
        """The branch's commits that its base does not have, the newest first, along the first parents."""
        listed = self.git(
            "log", "--first-parent", f"--max-count={DEPTH}", f"--format={ZONE}", tip, "--not", BASE
        )
        found = []
        for entry in listed.split("\x1e"):
            if entry.strip():
                sha, author, committer, at, message = entry.strip("\n").split("\0", 4)
                ours = author == committer == BOT_ADDRESS
                found.append(Commit(sha, ours, datetime.fromisoformat(at), message))
        return found

    def _data(self, commit: str) -> Data | None:
        try:
            return parameters.read(self.parameters(commit))
        except ConfigError:
            return None

    def _lock(self, commit: str) -> str:
        return _git(self.git, "rev-parse", "--quiet", "--verify", f"{commit}:{locks.LOCK}").stdout.strip()

    def production(self) -> str | None:
        """The version that origin's tags put in production, signed ones where they must be; or None.

        Raises GitError.
        """
        turn, _ = champion.in_production(self.git, ledger.refresh(self.git, self.model, self.base))
        return str(turn.version) if turn and turn.version else None

    def last_training(self) -> float | None:
        """Hours of the newest training that the base's history tells of."""
        arguments = ("log", "--max-count=50", "--format=%B%x1e", f"--grep=^{trailers.SECONDS}:", BASE)
        for message in self.git(*arguments).split("\x1e"):
            seconds = trailers.read(message).seconds
            if seconds:
                return sum(seconds.values()) / 3600
        return None

    def commit(self, push: Push) -> str:
        """The base with other data to train with, as a commit that is on no branch yet; checked out here.

        Its message has a word of chance, so that of two bots at once only one can be the one that pushed.
        """
        self.git("checkout", "--quiet", "--force", "--detach", push.base_tip)
        path = self.git.root / PARAMS
        changed = parameters.written(self.parameters(push.base_tip), push.data)
        path.write_bytes(changed.encode())
        self.git("-c", "core.autocrlf=false", "add", "--", PARAMS)
        message = f"{push.subject}\n\n{push.text}\n\n{TRAILER}: 1 {secrets.token_hex(8)}\n"
        own = {"name": BOT, "email": BOT_ADDRESS}
        identity = [item for key, value in own.items() for item in ("-c", f"user.{key}={value}")]
        done = _git(
            self.git, *identity, "commit", "--quiet", "--no-verify", "--no-gpg-sign", "--file=-", text=message
        )
        if done.returncode:
            raise GitError("the bot's commit could not be made", why=_said(done))
        return self.git("rev-parse", "HEAD")

    def push(self, commit: str | None, expected: str | None) -> None:
        """Move the bot's branch on origin from `expected` to `commit`; None: there is no such branch.

        Raises SupersededError when it is elsewhere by then, and GitError.
        """
        reference = f"refs/heads/{self.name}"
        lease = f"--force-with-lease={reference}:{expected or ''}"
        done = _git(self.git, "push", "--quiet", lease, ORIGIN, f"{commit or ''}:{reference}")
        if done.returncode == 0:
            return
        tip, _ = self.git.remote_tip(self.name)
        if tip == commit:
            return  # it arrived; only the answer was lost
        if tip != expected:
            raise SupersededError(
                f"{self.name} on {ORIGIN} was moved by somebody else meanwhile",
                why="another bot or a person was faster; nothing of this run was pushed",
                remedy="nothing, if it was a bot; the next run looks again",
            )
        raise GitError(
            f"{ORIGIN} did not take {self.name}",
            why=_said(done),
            remedy="with the right to push, run the same command again",
        )


@contextmanager
def opened(git: Git) -> Iterator[Clone]:
    """A clone for the time of a run. Raises ConfigError, GitError."""
    base = _base(git)
    with tempfile.TemporaryDirectory(prefix="mainline-retrain-", ignore_cleanup_errors=True) as folder:
        clone = Clone(_borrow(git, Path(folder) / "clone"), base, "")
        clone.refresh()
        model = policy.release(champion.parameters(clone.git, clone.tip())).model
        yield dataclasses.replace(clone, model=model)


def _base(git: Git) -> str:
    """Of origin the default branch; main where that is one which nobody made, as after `git init --bare`."""
    tip, base = git.remote_tip(MAIN)
    if base is None and tip and not git("ls-remote", ORIGIN, "HEAD"):
        return MAIN
    if base is None:
        raise GitError(
            f"{ORIGIN} has no default branch: its HEAD is detached, or the branch is missing",
            remedy="set the default branch in the settings of the repository",
        )
    if base.startswith(PREFIX):
        raise ConfigError(
            f"{ORIGIN}'s default branch is {base}, one of the bot's own",
            remedy="set the default branch in the settings of the repository",
        )
    return base


def _borrow(git: Git, into: Path) -> Git:
    common = Path(git.root, git("rev-parse", "--git-common-dir")).resolve()
    kind = git("rev-parse", "--show-object-format")
    git("init", "--quiet", f"--object-format={kind}", str(into))
    shutil.copyfile(common / "config", into / ".git/config")  # credentials, proxies, addresses
    mine = Git(into)
    _git(mine, "config", "--unset-all", "core.worktree")
    mine("config", "core.bare", "false")
    mine("config", "core.hooksPath", os.devnull)  # they are a developer's
    url = git("remote", "get-url", ORIGIN)
    if ":" not in url:
        url = str((git.root / url).resolve())  # a folder, relative to the repository
    mine("config", "--replace-all", f"remote.{ORIGIN}.url", url)
    # Relative to the work tree, or in a file included by such a path, it would be another one here, or none.
    if signers := _git(git, "config", "--type=path", "--get", ledger.SIGNERS).stdout.strip():
        mine("config", "--replace-all", ledger.SIGNERS, str((git.root / signers).resolve()))
    # A shallow repository's objects have no parents here to say so.
    if git("rev-parse", "--is-shallow-repository") == "false":
        (into / ".git/objects/info/alternates").write_text(f"{common / 'objects'}\n")
    return mine


def _hours(later: list[Commit]) -> float | None:
    """Hours of the trainings of which the lock's commits tell; None while none does."""
    found = [trailers.read(one.message).seconds for one in later if one.by_bot]
    told = [sum(seconds.values()) / 3600 for seconds in found if seconds]
    return sum(told) if told else None


def _git(git: Git, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return git._run(arguments, text=text, seconds=NETWORK_SECONDS)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return SECRETS.sub("//", done.stderr.strip())[-2000:]
