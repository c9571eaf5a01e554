"""The adapter to git: a subprocess."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mainline.errors import ConfigError, GitError, SupersededError

ORIGIN = "origin"
NETWORK_SECONDS = 120
SECRETS = re.compile(r"//[^/@\s]*@")
BOT = "mainline-bot"
BOT_ADDRESS = f"{BOT}@users.noreply.github.com"


@dataclass(frozen=True, slots=True)
class Git:
    """git in the repository at `root`."""

    root: Path = Path()

    def __call__(self, *arguments: str) -> str:
        """Standard output of one git command, stripped. Raises GitError."""
        return self._checked(arguments)

    def clone(self, into: Path) -> Git:
        """A full clone of HEAD, sharing nothing that either side could change."""
        self("clone", "--quiet", "--no-hardlinks", str(self.root.resolve()), str(into))
        return Git(into)

    def changes(self) -> list[str]:
        """Lines of `git status --porcelain`; empty when the work tree is clean."""
        return self("status", "--porcelain").splitlines()

    def changed_paths(self) -> tuple[list[str], list[str]]:
        """Tracked paths that differ from HEAD, and untracked ones that Git does not ignore."""
        arguments = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
        listed = self._checked(arguments, strip=False)
        entries = [(entry[:2], entry[3:]) for entry in listed.split("\0") if entry]
        return [p for code, p in entries if code != "??"], [p for code, p in entries if code == "??"]

    def branch(self) -> str | None:
        """The branch that HEAD is on; None when it is detached."""
        done = self._run(("symbolic-ref", "--quiet", "--short", "HEAD"))
        return done.stdout.strip() or None

    def check_branch(self, name: str) -> None:
        """Raises ConfigError unless `name` can be a branch's."""
        well_formed = self._run(("check-ref-format", f"refs/heads/{name}")).returncode == 0
        if not well_formed or name.startswith("-") or name == "HEAD":
            raise ConfigError(
                f"{name!r} cannot be the name of a branch", remedy="give it without refs/heads/"
            )

    def check_origin(self) -> None:
        """Raises GitError outside of a repository, and in one without origin."""
        if self._run(("rev-parse", "--git-dir")).returncode:
            raise GitError("this is no Git repository", remedy="run from the root of the repository")
        if ORIGIN not in self._checked(("remote",)).split():
            raise GitError(f"there is no remote called {ORIGIN}", remedy=f"git remote add {ORIGIN} URL")

    def remote_tip(self, branch: str, *, seconds: float = NETWORK_SECONDS) -> tuple[str | None, str | None]:
        """Commit of the branch on origin, and the name of origin's default branch; None without.

        Raises GitError, also when there is no answer within `seconds`.
        """
        reference = f"refs/heads/{branch}"
        arguments = ("ls-remote", "--symref", "--", ORIGIN, "HEAD", reference)
        tip, default = None, None
        for line in self._checked(arguments, seconds=seconds).splitlines():
            value, _, name = line.partition("\t")
            if name == reference:
                tip = value
            elif name == "HEAD" and value.startswith("ref: refs/heads/"):
                default = value.removeprefix("ref: refs/heads/")
        return tip, default

    def tree(self, commit: str) -> str | None:
        """The tree of a commit; None when the commit is not here."""
        done = self._run(("rev-parse", "--quiet", "--verify", f"{commit}^{{tree}}"))
        return done.stdout.strip() or None

    def tree_with(self, paths: Sequence[str]) -> str:
        """HEAD's tree with these paths as they are in the work tree; the index and HEAD stay as they are."""
        with tempfile.TemporaryDirectory(prefix="mainline-index-") as folder:
            own = {"GIT_INDEX_FILE": str(Path(folder) / "index"), "GIT_LITERAL_PATHSPECS": "1"}
            self._checked(("read-tree", "HEAD"), own)
            self._checked(("add", "--all", "--", *paths), own)
            return self._checked(("write-tree",), own)

    def commit_tree(self, tree: str, message: str) -> str:
        """A commit of the tree after HEAD, on no branch yet.

        By whom the environment names (GIT_AUTHOR_NAME and its like), else by whom Git is configured for, else
        by the bot; in CI, where the variable CI is set, never by the configured.
        """
        if not os.environ.get("CI") and self._has_identity():
            return self._checked(("commit-tree", tree, "-p", "HEAD"), text=message)
        author = {
            "GIT_AUTHOR_NAME": os.environ.get("GIT_AUTHOR_NAME", BOT),
            "GIT_AUTHOR_EMAIL": os.environ.get("GIT_AUTHOR_EMAIL", BOT_ADDRESS),
        }
        committer = {
            key.replace("AUTHOR", "COMMITTER"): os.environ.get(key.replace("AUTHOR", "COMMITTER"), value)
            for key, value in author.items()
        }
        return self._checked(("commit-tree", tree, "-p", "HEAD"), {**author, **committer}, text=message)

    def _has_identity(self) -> bool:
        return all(self._run(("config", "--get", key)).stdout.strip() for key in ("user.name", "user.email"))

    def push_commit(self, commit: str, branch: str, expected: str) -> None:
        """Move origin's branch from `expected` to `commit`, a child of it.

        Raises SupersededError when the branch is elsewhere by then, and GitError.
        """
        reference = f"refs/heads/{branch}"
        lease = f"--force-with-lease={reference}:{expected}"
        done = self._run(
            ("push", "--quiet", lease, "--", ORIGIN, f"{commit}:{reference}"), seconds=NETWORK_SECONDS
        )
        if done.returncode == 0:
            return
        tip, _ = self.remote_tip(branch)
        if tip == commit:
            return  # it arrived; only the answer was lost
        if tip != expected:
            raise superseded(branch)
        raise GitError(
            f"{ORIGIN} did not take the commit for {branch}",
            why=_said(done),
            remedy="the data is pushed; with the right to push, run the same command again",
        )

    def adopt(self, commit: str, paths: Sequence[str]) -> None:
        """Move HEAD, and its index for these paths, on to a commit that holds the work tree's version."""
        self("update-ref", "-m", "mainline push", "HEAD", commit)
        self._checked(("reset", "--quiet", "--", *paths), {"GIT_LITERAL_PATHSPECS": "1"})

    def _checked(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        text: str | None = None,
        seconds: float | None = None,
        strip: bool = True,
    ) -> str:
        done = self._run(arguments, environment, text=text, seconds=seconds)
        if done.returncode:
            raise GitError(
                SECRETS.sub("//", f"git {' '.join(arguments)} failed"),
                why=_said(done),
                remedy="is this a Git repository?",
            )
        return done.stdout.strip() if strip else done.stdout

    def _run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        text: str | None = None,
        seconds: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        # Nobody is there to type a password in CI, and on a laptop nobody would see the question.
        own = {"GIT_TERMINAL_PROMPT": "0", **(environment or {})}
        try:
            return subprocess.run(
                ["git", *arguments],
                cwd=self.root,
                env={**os.environ, **own},
                input=text,
                capture_output=True,
                text=True,
                errors="surrogateescape",  # a file's name may be of any bytes
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise GitError(
                f"git {arguments[0]} did not end within {seconds:g} s", remedy=f"is {ORIGIN} reachable?"
            ) from None


def superseded(branch: str, *, sent: bool = True) -> SupersededError:
    """The error for a branch that is not where HEAD is, or is gone. `sent`: the data is on the remote."""
    return SupersededError(
        f"{branch} on {ORIGIN} is not at the commit that this run started from",
        why=f"it moved on; {'the data and the run cache are on the remote' if sent else 'nothing was sent'}",
        remedy="in CI nothing: the newer commit's run takes over. Elsewhere: git push, or git pull --rebase",
    )


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return SECRETS.sub("//", done.stderr.strip())[-2000:]
