"""Before stages run: the work tree's data becomes that of dvc.lock, or the stage that makes it runs again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mainline import objects, worktree
from mainline.errors import RecordError, StorageError
from mainline.locks import LOCK, Survey
from mainline.review import Run
from mainline.storage import Dvc
from mainline.verbs import lock

QUICKLY = 5  # seconds that the remote has for what a run can do without
Say = Callable[[str], None]


def prepare(dvc: Dvc, targets: list[str], say: Say, *, pull: bool) -> None:
    """Bring what need not be made again: from DVC's cache, with `pull` from the remote.

    Without `pull` only when dvc.lock is not as the last run here left it: a run of nothing stays quick.
    Raises StorageError when the remote was to be asked and fails.
    """
    if not pull and _left_by_us():
        return
    seen = dvc.survey(ask_remote=False)
    if seen.problem:
        return  # DVC fails at the same, and says more
    if pull:
        _fetch(dvc, _proven(dvc, seen, targets), targets, say)
    else:
        _restore(dvc, seen, targets, say)


def plan(dvc: Dvc, targets: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Of a run with `pull`: which stages would run, and why; which outputs would be fetched first.

    Raises StorageError for a lock that cannot be read.
    """
    seen = dvc.survey(ask_remote=False)
    if seen.problem:
        raise StorageError(f"{LOCK} cannot be checked", why=seen.problem)
    return worktree.reasons(seen), worktree.other(seen, targets)


def _left_by_us() -> bool:
    with suppress(RecordError):
        return Run.read(Run.location).lock_sha256 == lock.digest()
    return False


def _fetch(dvc: Dvc, seen: Survey, targets: list[str], say: Say) -> None:
    again = worktree.unseen(seen, targets)
    if wanted := worktree.other(seen, targets):
        say(f"  fetching what {LOCK} names, as other data is here: {', '.join(wanted)}")
        found = objects.bring(dvc.root, wanted, fetch=True)
        _tell(found, say)
        if found.lacking:
            again += _nowhere(dvc, seen, found)
            say(f"  neither the cache nor the remote has {', '.join(found.lacking)}: made again")
    if again and Path(dvc.root, LOCK).exists():
        dvc.invalidate(again)


def _proven(dvc: Dvc, seen: Survey, targets: list[str]) -> Survey:
    """With the remote's listings of folders, where the cache lacks them and a stage reads a part of one."""
    if not worktree.unproven(seen, targets):
        return seen
    asked = dvc.survey(seconds=QUICKLY)
    return seen if asked.problem else asked


def _nowhere(dvc: Dvc, seen: Survey, found: objects.Brought) -> list[str]:
    """The stages that make again what the remote lacks. Raises StorageError where it cannot tell that."""
    asked = dvc.survey()
    names = ", ".join(found.lacking)
    if asked.problem or not {item.path for item in asked.missing}.issuperset(found.lacking):
        raise StorageError(
            f"{names} could not be fetched, and other data is in its place",
            why=asked.problem or found.problem,
            remedy="`mainline run` needs no remote, and makes it again",
        )
    if lost := worktree.sources(seen).intersection(found.lacking):
        raise StorageError(
            f"{', '.join(sorted(lost))} is not what Git names",
            why="and that is neither in DVC's cache nor on the remote",
            remedy="push it from where it is; or keep what is here, with `dvc add` or `dvc commit`",
        )
    return worktree.makers(seen, found.lacking)


def _restore(dvc: Dvc, seen: Survey, targets: list[str], say: Say) -> None:
    added = worktree.sources(seen)  # other data there is new data, until somebody asks for the lock's
    wanted = [path for path in worktree.other(seen, targets) if path not in added]
    wanted += worktree.absent(seen, targets)
    if not wanted:
        return
    found = objects.bring(dvc.root, wanted, fetch=False)
    if found.brought:
        say(f"  from DVC's cache, as {LOCK} has them: {', '.join(found.brought)}")
    _tell(found, say)
    if found.lacking:
        _hint(dvc, found.lacking, say)


def _hint(dvc: Dvc, lacking: list[str], say: Say) -> None:
    """One line where the remote has what is about to be made again. A slow or broken one is no matter."""
    with suppress(StorageError):
        asked = dvc.survey(seconds=QUICKLY)
        gone = {item.path for item in asked.missing}
        there = worktree.makers(asked, [path for path in lacking if path not in gone])
        if there and not asked.problem:
            say(
                f"  {asked.remote or 'the remote'} has what {LOCK} names of {', '.join(there)}. To bring it "
                "instead of making it again: `dvc pull`; `mainline run --pull` brings no more than is needed"
            )


def _tell(found: objects.Brought, say: Say) -> None:
    for path, place in found.kept.items():
        say(f"  {path} was changed by hand: that is now {place}")
