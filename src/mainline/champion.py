"""The adapter that finds the champion in Git, reads what its commit says of it, and fetches its files.

Everything small comes out of Git; files of DVC are fetched one by one and checked before anything opens them.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mainline import objects, tags
from mainline.errors import ConfigError, GitError, IntegrityError, RecordError, StorageError
from mainline.exported import LOCK, MODEL, TEST, Exported, file_md5, read_exported, verify
from mainline.git import ORIGIN, Git
from mainline.records import write_atomically
from mainline.review import Champion

FOLDER = Path(".mainline/champion")  # model.onnx, manifest.json, metrics.json; `compare` reads them
MAIN = "main"
BASELINES = "baselines"  # said instead of a ref: compare with nothing that was ever merged


@dataclass(frozen=True, slots=True)
class Found:
    """The champion, and the model of its commit; none when the baselines are all there is."""

    champion: Champion
    exported: Exported | None


@dataclass(frozen=True, slots=True)
class Base:
    """The main branch: its name and tip. `fork`: where HEAD left it; the tip where that is unknown."""

    name: str
    tip: str
    fork: str


def here(root: Path = Path()) -> Exported:
    """The candidate: the work tree's. Raises StorageError, RecordError, IntegrityError."""
    found = read_exported(lambda path: _file(root / path), "the work tree")
    if found is None:
        raise StorageError(f"{LOCK} has no {MODEL}", remedy="there is no candidate yet: make run")
    if found.problem:
        raise RecordError(f"the candidate cannot be judged: {found.problem}", remedy="make run")
    return found


def at(git: Git, commit: str) -> Exported | None:
    """The model of a commit; None when its lock has none. Raises StorageError, IntegrityError."""
    return read_exported(lambda path: blob(git, commit, path), f"commit {commit[:9]}")


def find(git: Git, model: str, base: Base | None, chosen: str | None = None) -> Found:
    """`chosen`, else the newest production tag, else main, else nothing: the baselines.

    Raises GitError for a ref that does not exist, StorageError for one without a model.
    """
    if chosen == BASELINES:
        return Found(_champion("baselines", "the baselines", None, None), None)
    if chosen is not None:
        return _named(git, "chosen", chosen, _commit(git, chosen))
    if tag := _production(git, model):
        return _named(git, "production", *tag)
    if base and (exported := at(git, base.tip)):
        return Found(_champion("main", base.name, base.tip, exported), exported)
    return Found(_champion("baselines", "the baselines", None, None), None)


def unchanged(git: Git, base: Base | None, candidate: Exported) -> Found | None:
    """Main's model, for a branch that does not touch it: it was judged when it was merged.

    None on main itself, and where model or test rows differ. Raises as `at` does.
    """
    if base is None or git("rev-parse", "HEAD") == base.tip:
        return None
    exported = at(git, base.tip)
    if exported is None or not candidate.test_md5:
        return None
    if (exported.model_md5, exported.test_md5) != (candidate.model_md5, candidate.test_md5):
        return None
    return Found(_champion("main", base.name, base.tip, exported), exported)


def main_branch(git: Git) -> Base | None:
    """origin's main, else the local one; asked of origin where the clone has neither. Raises GitError."""
    for name in (f"refs/remotes/origin/{MAIN}", f"refs/heads/{MAIN}"):
        if tip := _known(git, name):
            return _base(git, name.split("/", 2)[2], tip)
    if _origin(git) and (tip := _fetched(git, f"refs/heads/{MAIN}")):
        return _base(git, f"origin/{MAIN}", tip)
    return None


def parameters(git: Git, commit: str) -> dict[str, Any]:
    """params.yaml of a commit. Raises ConfigError when it is missing or cannot be read."""
    content = blob(git, commit, "params.yaml")
    try:
        found = yaml.safe_load(content or b"")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"params.yaml of {commit[:9]} is not YAML", why=str(error).splitlines()[0]
        ) from None
    if not isinstance(found, dict):
        raise ConfigError(f"params.yaml of {commit[:9]} holds no sections")
    return found


def blob(git: Git, commit: str, path: str) -> bytes | None:
    """A file of a commit, byte for byte; None when the commit has no such file."""
    command = ["git", "cat-file", "blob", f"{commit}:{path}"]
    done = subprocess.run(command, cwd=git.root, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def fetch_candidate(root: Path, candidate: Exported) -> None:
    """The candidate's model and test rows where they belong. Raises StorageError, IntegrityError."""
    wanted = {MODEL: candidate.model_md5, TEST: candidate.test_md5 or ""}
    for path, md5 in wanted.items():
        content = _file(root / path)
        if content is not None and md5 and file_md5(content) != md5:
            raise IntegrityError(
                f"{path} is not the file that {LOCK} names",
                remedy=f"`mainline run` makes it anew; `dvc checkout --force {path}` brings it back",
            )
    if absent := {path: md5 for path, md5 in wanted.items() if not (root / path).exists()}:
        objects.fetch(root, absent)
    verify(root / MODEL, candidate.manifest)


def fetch_champion(root: Path, champion: Exported) -> None:
    """The champion's model and records in FOLDER. Raises StorageError, IntegrityError."""
    clear(root)
    for name, content in champion.files.items():
        write_atomically(root / FOLDER / name, content)
    target = FOLDER / Path(MODEL).name
    objects.fetch(root, {target.as_posix(): champion.model_md5})
    try:
        verify(root / target, champion.manifest)
    except IntegrityError:
        clear(root)  # nothing that was refused stays where something could load it
        raise


def clear(root: Path) -> None:
    shutil.rmtree(root / FOLDER, ignore_errors=True)


def _production(git: Git, model: str) -> tuple[str, str] | None:
    """Name and commit of the newest production tag; asked of origin where the clone may lack tags."""
    pattern = f"refs/tags/{model}#production#*"
    local = git("for-each-ref", "--format=%(refname:strip=2)", pattern).splitlines()
    if newest := tags.newest(local, model, "production"):
        return str(newest), _commit(git, f"refs/tags/{newest}")
    if _known(git, f"refs/remotes/origin/{MAIN}") or not _origin(git):
        return None
    remote = [
        line.split("\t")[1] for line in git("ls-remote", "--tags", "--refs", ORIGIN, pattern).splitlines()
    ]
    newest = tags.newest((name.removeprefix("refs/tags/") for name in remote), model, "production")
    if newest is None:
        return None
    commit = _fetched(git, f"refs/tags/{newest}")
    if commit is None:
        raise GitError(f"{newest} is gone from origin", remedy="run this again")
    return str(newest), commit


def _named(git: Git, kind: Any, name: str, commit: str) -> Found:
    exported = at(git, commit)
    if exported is None:
        raise StorageError(
            f"{name} has no exported model in its {LOCK}", remedy="name another with --champion"
        )
    return Found(_champion(kind, name, commit, exported), exported)


def _champion(kind: Any, name: str, commit: str | None, exported: Exported | None) -> Champion:
    return Champion(kind=kind, name=name, commit=commit, model_md5=exported.model_md5 if exported else None)


def _base(git: Git, name: str, tip: str) -> Base:
    try:
        return Base(name, tip, git("merge-base", "HEAD", tip))
    except GitError:  # a shallow clone
        return Base(name, tip, tip)


def _commit(git: Git, ref: str) -> str:
    if found := _known(git, ref):
        return found
    raise GitError(
        f"{ref!r} is no commit here", remedy="git fetch --tags origin; then name a tag or a commit"
    )


def _known(git: Git, ref: str) -> str | None:
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except GitError:
        return None


def _origin(git: Git) -> bool:
    return ORIGIN in git("remote").split()


def _fetched(git: Git, ref: str) -> str | None:
    """The commit of a ref of origin, brought here; None when origin has no such ref. Raises GitError."""
    if not git("ls-remote", ORIGIN, ref):
        return None
    git("fetch", "--quiet", "--no-tags", ORIGIN, ref)
    return git("rev-parse", "--verify", "FETCH_HEAD^{commit}")


def _file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
