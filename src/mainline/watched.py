"""The adapter that finds what the watch compares with: the model in production, and what its commit recorded.

What decides lies in Git but for the recorded predictions; the model's file is fetched only for a backtest.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mainline import champion, ledger, objects, packaged, policy, promotion, verification
from mainline.drift import Reference
from mainline.errors import MainlineError, RecordError
from mainline.exported import MANIFEST, METRICS, MODEL, TEST, verify
from mainline.git import Git
from mainline.profile import Profile
from mainline.promotion import Book, Tag, Turn
from mainline.records import Manifest, Metrics, write_atomically
from mainline.releases import Release

FOLDER = Path(".mainline/watch/reference")
RECORD = "reference.json"
RECORDS = (MANIFEST, METRICS, Profile.location.as_posix())
ROWS = Path(TEST).name


@dataclass(frozen=True, slots=True)
class Watched:
    """The release in production. `warnings`: what could not be had."""

    release: Release
    reference: Reference
    warnings: tuple[str, ...] = ()


def prepare(git: Git, stage: str = promotion.PRODUCTION, folder: Path = FOLDER) -> Watched:
    """Write the records of the model that the stage has into `folder`, anew.

    Raises RecordError while no version was released or when its tag is not its own, GitError.
    """
    book = ledger.refresh(git, policy.release().model)
    turn, tag, passed = current(git, book, stage)
    release = verification.record(book, turn.version, tag) if turn.version else None
    if release is None:
        raise RecordError(f"no version stands at {turn.assignment}", remedy="mainline status")
    shutil.rmtree(folder, ignore_errors=True)
    for path in RECORDS:
        content = champion.blob(git, release.commit, path)
        if content is None:
            raise RecordError(
                f"commit {release.commit[:9]} of {release.release} has no {path}",
                remedy="release a version that this pipeline made",
            )
        write_atomically(folder / Path(path).name, content)
    reference = _reference(release, folder, turn.tag.when[:10] or None)
    write_atomically(folder / RECORD, reference.model_dump_json().encode())
    return Watched(release, reference, (*passed, *_fetch(git, release, folder)))


def fetch_model(git: Git, watched: Watched, folder: Path = FOLDER) -> Path:
    """The model's file, checked against its manifest. Raises StorageError, IntegrityError."""
    path = folder / Path(MODEL).name
    objects.fetch(git.root, {str(path.resolve()): watched.release.model_md5})
    try:
        verify(path, Manifest.read(folder / Path(MANIFEST).name))
    except MainlineError:
        path.unlink()  # nothing that was refused stays where something could load it
        raise
    return path


def current(git: Git, book: Book, stage: str) -> tuple[Turn, Tag, list[str]]:
    """The stage's turn, its version's tag, and a word for each newer production tag that proves nothing."""
    turn, passed = (
        champion.in_production(git, book) if stage == promotion.PRODUCTION else (book.current(stage), [])
    )
    if turn is None or turn.version is None:
        raise RecordError(
            f"no version of {book.model} is in {stage}, so there is nothing to watch",
            remedy="mainline release; or --stage staging",
        )
    return turn, book.versions()[turn.version], passed


def _reference(release: Release, folder: Path, promoted: str | None) -> Reference:
    manifest = Manifest.read(folder / Path(MANIFEST).name)
    metrics = Metrics.read(folder / Path(METRICS).name)
    return Reference(
        model=release.model,
        version=release.release,
        commit=release.commit,
        promoted=promoted,
        windows=manifest.windows,
        rows=metrics.rows,
        figures=metrics.figures,
    )


def _fetch(git: Git, release: Release, folder: Path) -> tuple[str, ...]:
    """What the model answered on its test rows, and those rows; a warning for what cannot be had."""
    warnings = []
    outs = packaged.outputs(git, release.commit)
    for path, lost in ((packaged.PREDICTIONS, "no drift of scores"), (TEST, "no report by Evidently")):
        place = folder / Path(path).name
        try:
            objects.fetch(git.root, {str(place.resolve()): outs[path]})
        except (MainlineError, KeyError) as error:
            why = error.what if isinstance(error, MainlineError) else "its lock does not name it"
            warnings.append(f"{path} of {release.release} is missing ({why}): {lost}")
    return tuple(warnings)
