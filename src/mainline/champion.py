"""The adapter that finds the champion in Git, reads what its commit says of it, and fetches its files.

Everything small comes out of Git; files of DVC are fetched one by one and checked before anything opens them.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mainline import ledger, mainbranch, manifests, objects
from mainline.errors import ConfigError, GitError, IntegrityError, RecordError, StorageError
from mainline.exported import LOCK, MODEL, TEST, Exported, file_md5, read_exported, verify
from mainline.git import ORIGIN, Git
from mainline.mainbranch import Base
from mainline.promotion import PRODUCTION, Book, Turn
from mainline.records import write_atomically
from mainline.review import Champion

FOLDER = Path(".mainline/champion")  # model.onnx, manifest.json, metrics.json; `compare` reads them
# The candidate's test rows, where the work tree has none: a part of the output they belong to would be taken
# for a change of it.
ROWS = Path(".mainline/candidate/test.parquet")
BASELINES = "baselines"  # said instead of a ref: compare with nothing that was ever merged


@dataclass(frozen=True, slots=True)
class Found:
    """The champion, and the model of its commit; none when the baselines are all there is."""

    champion: Champion
    exported: Exported | None
    warnings: tuple[str, ...] = ()


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
        return _named(git, "chosen", chosen, mainbranch.commit_of(git, chosen))
    book, warnings = _book(git, model)
    turn, passed = in_production(git, book)
    if turn and turn.tag.commit:
        found = _named(git, "production", turn.tag.name, turn.tag.commit)
    elif base and (exported := at(git, base.tip)):
        found = Found(_champion("main", base.name, base.tip, exported), exported)
    else:
        found = Found(_champion("baselines", "the baselines", None, None), None)
    return replace(found, warnings=(*warnings, *passed))


def in_production(git: Git, book: Book) -> tuple[Turn | None, list[str]]:
    """The newest production tag that may be relied on, and a word for each newer one that is passed over.

    Those are lightweight ones, without a version of ours at their commit, or signed by nobody who may: else
    whoever can push a tag chooses what every candidate is held against.
    """
    turns = {turn.tag.name: turn for turn in book.history(PRODUCTION)}
    passed: list[str] = []
    for tag in book.assigned(PRODUCTION):
        why = tag.problem or _unproven(git, book, turns[tag.name])
        if not why:
            return turns[tag.name], passed
        passed.append(f"{tag.name} is passed over: {why}")
    return None, passed


def unchanged(git: Git, base: Base | None, candidate: Exported) -> Found | None:
    """Main's model, for a branch that does not touch it: it was judged when it was merged.

    Also that of main where the branch left it: a newer one on main is not this branch's doing, nor undone by
    it. None on main itself, and where model, test rows or what a service does with the model differ.
    Raises as `at` does.
    """
    head = git("rev-parse", "HEAD")
    if base is None or head in (base.tip, base.fork):
        return None
    for commit in dict.fromkeys((base.tip, base.fork)):
        exported = at(git, commit)
        if exported is not None and same_model(candidate, exported):
            return Found(_champion("main", base.name, commit, exported), exported)
    return None


def same_model(one: Exported, other: Exported) -> bool:
    """The same model on the same test rows, with which a service would do the same: nothing to compare.

    Figures that differ all the same are scored again: one of the records may be wrong.
    """
    if one.metrics is None or other.metrics is None or one.metrics.figures != other.metrics.figures:
        return False
    if not one.test_md5 or (one.model_md5, one.test_md5) != (other.model_md5, other.test_md5):
        return False
    if one.manifest is None or other.manifest is None:
        return False
    return not manifests.differing(one.manifest, other.manifest)


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
    """The candidate's model where it belongs; its test rows there, or in ROWS.

    Raises StorageError, IntegrityError.
    """
    wanted = {MODEL: candidate.model_md5, TEST: candidate.test_md5 or ""}
    for path, md5 in wanted.items():
        content = _file(root / path)
        if content is not None and md5 and file_md5(content) != md5:
            raise IntegrityError(
                f"{path} is not the file that {LOCK} names",
                remedy=f"`mainline run` makes it anew; `dvc pull --force {path}` brings it back",
            )
    absent = {path: md5 for path, md5 in wanted.items() if not (root / path).exists()}
    (root / ROWS).unlink(missing_ok=True)
    if TEST in absent:
        absent[ROWS.as_posix()] = absent.pop(TEST)
    if absent:
        objects.fetch(root, absent)
    verify(root / MODEL, candidate.manifest)


def fetch_champion(root: Path, champion: Exported, of: str = "the champion") -> None:
    """The champion's model and records in FOLDER; `of` names it. Raises StorageError, IntegrityError."""
    clear(root)
    for name, content in champion.files.items():
        write_atomically(root / FOLDER / name, content)
    target = FOLDER / Path(MODEL).name
    try:
        objects.fetch(root, {target.as_posix(): champion.model_md5})
    except StorageError as error:
        why = ": ".join(filter(None, (error.what, error.why))).replace(target.as_posix(), MODEL)
        raise StorageError(
            f"{MODEL} of {of} cannot be fetched",
            why=why,
            remedy="if the remote answers and lacks it: `dvc push` from a checkout of that commit",
        ) from None
    try:
        verify(root / target, champion.manifest)
    except IntegrityError:
        clear(root)  # nothing that was refused stays where something could load it
        raise


def clear(root: Path) -> None:
    shutil.rmtree(root / FOLDER, ignore_errors=True)


def _unproven(git: Git, book: Book, turn: Turn) -> str:
    """Why a stage tag does not say which version the stage has; empty when it does."""
    if turn.version is None:
        return "no version with a record of its own stands at its commit, or it names another object"
    try:
        for tag in (turn.tag, book.versions()[turn.version]):
            ledger.check_signature(git, tag)
    except IntegrityError as error:
        return error.what
    return ""


def _book(git: Git, model: str) -> tuple[Book, list[str]]:
    """Origin's tags: a clone may lack some, and keeps what was withdrawn or never arrived.

    This clone's, where there is no origin; with a warning where it cannot be asked.
    """
    if not mainbranch.has_origin(git):
        return ledger.here(git, model), []
    try:
        return ledger.tags_of(git, model), []
    except GitError as error:
        why = (error.why or error.what).partition("\n")[0]
        said = f"{ORIGIN} cannot be asked for production tags ({why}): this clone's are used"
        return ledger.here(git, model), [said]


def _named(git: Git, kind: Any, name: str, commit: str) -> Found:
    exported = at(git, commit)
    if exported is None:
        raise StorageError(
            f"{name} has no exported model in its {LOCK}", remedy="name another with --champion"
        )
    return Found(_champion(kind, name, commit, exported), exported)


def _champion(kind: Any, name: str, commit: str | None, exported: Exported | None) -> Champion:
    return Champion(kind=kind, name=name, commit=commit, model_md5=exported.model_md5 if exported else None)


def _file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
