"""The adapter to git: a subprocess."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from mainline.errors import GitError


@dataclass(frozen=True, slots=True)
class Git:
    """git in the repository at `root`."""

    root: Path = Path()

    def __call__(self, *arguments: str) -> str:
        """Standard output of one git command, stripped. Raises GitError."""
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True)
        if done.returncode:
            raise GitError(
                f"git {' '.join(arguments)} failed",
                why=done.stderr.strip(),
                remedy="is this a Git repository?",
            )
        return done.stdout.strip()

    def clone(self, into: Path) -> Git:
        """A full clone of HEAD, sharing nothing that either side could change."""
        self("clone", "--quiet", "--no-hardlinks", str(self.root.resolve()), str(into))
        return Git(into)

    def changes(self) -> list[str]:
        """Lines of `git status --porcelain`; empty when the work tree is clean."""
        return self("status", "--porcelain").splitlines()
