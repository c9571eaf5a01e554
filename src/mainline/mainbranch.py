"""The adapter to the main branch: what origin says that it is, whatever it is called."""

from __future__ import annotations

from dataclasses import dataclass

from mainline.errors import GitError
from mainline.git import ORIGIN, Git

MAIN = "main"


@dataclass(frozen=True, slots=True)
class Base:
    """The main branch, as it is called, and its tip. `fork`: where HEAD left it, if known, else the tip."""

    name: str
    tip: str
    fork: str


def main_branch(git: Git) -> Base | None:
    """origin's default branch, brought here where this clone lacks it; without origin the local main.

    None where there is none. Raises GitError.
    """
    if not has_origin(git):
        tip = _known(git, f"refs/heads/{MAIN}")
        return _base(git, MAIN, tip) if tip else None
    name = _default(git)
    if name is None:
        return None
    tip = _known(git, f"refs/remotes/{ORIGIN}/{name}") or _fetched(git, f"refs/heads/{name}")
    return _base(git, f"{ORIGIN}/{name}", tip) if tip else None


def main_name(git: Git) -> str:
    """What the main branch is called: by origin, where there is one. Raises GitError."""
    return (_default(git) if has_origin(git) else None) or MAIN


def has_origin(git: Git) -> bool:
    """Whether there is anybody to ask for the main branch and for the tags of production."""
    return ORIGIN in git("remote").split()


def commit_of(git: Git, ref: str) -> str:
    """Raises GitError when there is no such tag, branch or commit here."""
    if found := _known(git, ref):
        return found
    raise GitError(
        f"{ref!r} is no commit here", remedy="git fetch --tags origin; then name a tag or a commit"
    )


def _default(git: Git) -> str | None:
    """The name of origin's default branch; as this clone remembers it where origin cannot be asked."""
    try:
        tip, name = git.remote_tip(MAIN)
        return name or (MAIN if tip else None)
    except GitError:
        for remembered in ("HEAD", MAIN):
            if _known(git, f"refs/remotes/{ORIGIN}/{remembered}"):
                full = git("rev-parse", "--symbolic-full-name", f"refs/remotes/{ORIGIN}/{remembered}")
                return full.removeprefix(f"refs/remotes/{ORIGIN}/")
        raise


def _base(git: Git, name: str, tip: str) -> Base:
    try:
        return Base(name, tip, git("merge-base", "HEAD", tip))
    except GitError:  # a shallow clone
        return Base(name, tip, tip)


def _known(git: Git, ref: str) -> str | None:
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except GitError:
        return None


def _fetched(git: Git, ref: str) -> str | None:
    """The commit of a ref of origin, brought here; None when origin has no such ref. Raises GitError."""
    if not git("ls-remote", ORIGIN, ref):
        return None
    git("fetch", "--quiet", "--no-tags", ORIGIN, ref)
    return git("rev-parse", "--verify", "FETCH_HEAD^{commit}")
