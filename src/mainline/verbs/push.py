"""`mainline push`: the data to the remote, then the lock to the branch: no lock names data that is nowhere.

The commit is made beside HEAD and the index, and both move on only when the branch has it: a run that is
stopped anywhere leaves the work tree as it was, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys

from mainline import gathered, locks, trailers
from mainline.errors import ConfigError, GitError, SupersededError
from mainline.git import ORIGIN, Git, superseded
from mainline.review import LockState, Run
from mainline.storage import Dvc
from mainline.trailers import Told
from mainline.verbs import lock, parsing

PROTECTED = ("main", "master")
SUBJECT_LENGTH = 72


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline push`."""
    verb = parsing.add(
        names,
        "push",
        push,
        "push data and run cache, prove it, then commit dvc.lock to the branch",
        """\
  mainline push                    to the current branch
  mainline push --branch NAME      where HEAD is detached, as in CI
  mainline push --dry-run          what would be committed and pushed; change nothing
the commit is by whom Git is configured for; by mainline-bot where that is nobody, and in CI (CI=true)""",
    )
    verb.add_argument("--branch", metavar="NAME", help="on origin (default: the current branch)")
    verb.add_argument(
        "--allow-main", action="store_true", help="also to main, master or origin's default branch"
    )
    verb.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")


def push(options: argparse.Namespace) -> int:
    """Push data, prove, commit, push the commit. Returns the lock's answer when that is not current."""
    git = Git()
    git.check_origin()
    branch, tip = _branch(git, options.branch, allow_main=options.allow_main)
    found, seen = lock.check(ask_remote=False)
    if found.state != "current":
        return _refuse(found, as_json=options.json)
    files = _files(git, seen)
    if files:
        _check_tip(git, branch, tip, files, only_there=not options.dry_run)
    if not options.dry_run:
        Dvc().push(lambda line: print(line, file=sys.stderr))
    found, _ = lock.check()
    found.write(LockState.location)
    if options.dry_run:
        return _say_plan(options, found, branch, files)
    if found.state != "current":
        return _refuse(found, as_json=options.json)
    commit = _commit(git, branch, files) if files else None
    _say(options, found, branch, files, commit)
    return 0


def _refuse(found: LockState, *, as_json: bool) -> int:
    if as_json:
        print(found.model_dump_json())
    else:
        lock.show(found)
    return lock.ANSWERS[found.state]


def _branch(git: Git, wanted: str | None, *, allow_main: bool) -> tuple[str, str | None]:
    """The branch to push to, checked before anything is sent, and its tip on origin. Raises ConfigError."""
    branch = wanted if wanted is not None else git.branch()
    if branch is None:
        raise ConfigError("HEAD is on no branch", remedy="say which: mainline push --branch NAME")
    git.check_branch(branch)
    tip, default = git.remote_tip(branch)
    if branch in (*PROTECTED, default) and not allow_main:
        raise ConfigError(
            f"{branch} takes changes by pull request only",
            remedy="push to a branch of your own; or, if you must, --allow-main",
        )
    return branch, tip


def _check_tip(git: Git, branch: str, tip: str | None, files: list[str], *, only_there: bool) -> None:
    """Before anything is sent. Raises SupersededError when the commit would not get to the branch.

    `only_there`: data is sent for a branch that moved on, too, as its newer commit's run takes it from there.
    """
    if tip is None:
        raise SupersededError(
            f"{branch} is not on {ORIGIN}",
            why="it was never pushed, or is gone; nothing was sent",
            remedy=f"git push -u {ORIGIN} {branch}, then run this again; in CI nothing",
        )
    head = git("rev-parse", "HEAD")
    if not only_there and tip != head and not _made_before(git, tip, git.tree_with(files), head):
        raise superseded(branch, sent=False)


def _made_before(git: Git, tip: str, tree: str, head: str) -> bool:
    """An earlier run was stopped after its push."""
    return git.tree(tip) == tree and git("rev-parse", f"{tip}^") == head


def _files(git: Git, seen: locks.Survey) -> list[str]:
    """Of the lock and the outputs that Git keeps, those that changed. Raises GitError when others did."""
    tracked, untracked = git.changed_paths()
    if foreign := [path for path in tracked if not locks.of_a_run(path, seen)]:
        raise GitError(
            f"other files are changed too: {', '.join(map(repr, foreign[:10]))}",
            why="the commit holds dvc.lock and the outputs that Git keeps, nothing else",
            remedy="commit or restore them, then run this again",
        )
    return sorted(path for path in (*tracked, *untracked) if locks.of_a_run(path, seen))


def _commit(git: Git, branch: str, files: list[str]) -> str:
    """Commit the files after HEAD and move the branch there. Raises SupersededError or GitError."""
    tree = git.tree_with(files)
    head, (tip, _) = git("rev-parse", "HEAD"), git.remote_tip(branch)
    if tip == head:
        commit = git.commit_tree(tree, _message())
        git.push_commit(commit, branch, expected=tip)
    elif tip is not None and _made_before(git, tip, tree, head):
        commit = tip
    else:
        raise superseded(branch)
    if git.branch() in (branch, None):
        git.adopt(commit, files)
    return commit


def _message() -> str:
    """Subject and trailers, from what `mainline run` recorded of this very lock."""
    done = Run.read(Run.location) if Run.location.exists() else None
    done = done if done is not None and done.lock_sha256 == lock.digest() else None
    parts = []
    if done is not None:
        parts += [f"ran {', '.join(done.ran)}"] if done.ran else []
        parts += [f"took {', '.join(done.cached)} from the run cache"] if done.cached else []
    subject = f"{locks.LOCK}: {'; '.join(parts) or 'brought up to date'}"
    if len(subject) > SUBJECT_LENGTH:
        subject = f"{subject[: SUBJECT_LENGTH - 1]}…"
    lines = trailers.write(Told(done.seconds, tuple(done.cached), _server_run(done))) if done else ""
    return f"{subject}\n\n{lines}\n" if lines else f"{subject}\n"


def _server_run(done: Run) -> tuple[str, str] | None:
    """MLflow's experiment and run, where others can see them, and where it was this run that told MLflow."""
    found = gathered.last_run()
    began = [one for name in done.ran if (one := gathered.began(name)) is not None]
    if found is None or not began or found.told < min(began) or not found.server.startswith("http"):
        return None
    return found.experiment, found.run


def _say_plan(options: argparse.Namespace, found: LockState, branch: str, files: list[str]) -> int:
    plan = {"branch": branch, "files": files, "lock": found.model_dump(mode="json")}
    if options.json:
        print(json.dumps(plan))
        return 0
    if not found.unpushed:  # else it is what this is to mend
        lock.show(found)
    what = f"{len(found.missing):,} objects that it lacks" if found.unpushed else "data"
    print(f"would push {what} and the run cache to {found.remote or 'the remote'}")
    print(f"would commit to {branch}: {', '.join(files) or 'nothing'}")
    return 0


def _say(
    options: argparse.Namespace, found: LockState, branch: str, files: list[str], commit: str | None
) -> None:
    if options.json:
        told = {"branch": branch, "commit": commit, "files": files, "objects": found.objects}
        print(json.dumps(told))
        return
    print(f"{found.objects:,} objects are on {found.remote}")
    print(f"pushed {', '.join(files)} to {branch}: {commit}" if commit else "nothing to commit")
