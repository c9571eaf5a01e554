"""The adapter that holds a version against the repository and the remote: from its tag to the bytes."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mainline import champion, images, ledger, objects, packaged, promotion, signing
from mainline.errors import IntegrityError, MainlineError, StorageError
from mainline.exported import LOCK, MODEL
from mainline.git import Git
from mainline.promotion import Book, Tag
from mainline.releases import Artifact, Release
from mainline.tags import Version

T = TypeVar("T")
NEEDED = "bento"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was held against another."""

    name: str
    ok: bool
    text: str


def record(book: Book, version: Version, tag: Tag) -> Release:
    """As `promotion.record`. Raises RecordError."""
    return promotion.record(book.model, version, tag)


def checks(git: Git, book: Book, version: Version, tag: Tag) -> tuple[Release | None, list[Check]]:
    """Every check of a version, the failed ones too. Raises StorageError when the remote cannot be asked."""
    done: list[Check] = []
    found = _try(done, "tag", lambda: record(book, version, tag), "annotated; the record is its own")
    _try(done, "tag's signature", lambda: ledger.check_signature(git, tag), _signing(git))
    if found is None:
        return None, done
    _try(done, "history", lambda: _on_main(git, book, found), "the commit is on main")
    _try(done, "stage tags", lambda: _unmoved(book, version, tag), _named(book, version))
    _try(done, "lock", lambda: _lock(git, found), f"{LOCK} of the commit has these digests")
    stored = objects.look(git.root, [found.model_md5, *(one.md5 for one in found.artifacts.values())])
    model = stored.get(found.model_md5)
    _try(done, "model", lambda: _model(model, found), "on the remote, with this sha256")
    _try(done, NEEDED, lambda: _has_bento(found), "the release has one")
    for name, one in found.artifacts.items():
        check = functools.partial(_artifact, one, stored.get(one.md5))
        _try(done, name, check, f"{one.bytes:,} bytes, sha256 {one.sha256[:12]}…")
    trust = signing.trusted()
    if trust is not None:
        _try(done, "signature", lambda: _signed(git.root, found, trust), "made by whom we trust")
    return found, done


def pushed(found: Release, own: str | None) -> list[Check]:
    """Whether the registry has the record's image, of this Bento; no part of `checks`, or of a rollback.

    Only of a record that holds. `own`: HOST/PATH of our registry. Raises StorageError where nobody answers.
    """
    done: list[Check] = []
    if found.image is not None:
        _try(done, "image", lambda: _image(found, own), "its registry has it, under this digest")
    return done


def data(root: Path, found: Release) -> list[Check]:
    """Each data output of the record, every byte of it read on the remote; no part of `checks` either.

    Raises StorageError when the remote cannot be asked.
    """
    seen = objects.read(root, list(found.data_md5.values()))
    done: list[Check] = []
    for path, md5 in found.data_md5.items():
        sound = seen[md5]
        good = f"on the remote, {sound.files:,} files and {sound.bytes:,} bytes with their md5"
        _try(done, path, functools.partial(_whole, sound), good)
    return done


def _whole(sound: objects.Sound) -> None:
    for names, what in ((sound.missing, "the remote does not have"), (sound.damaged, "other bytes under")):
        if names:
            others = f", and {len(names) - 1:,} more" if len(names) > 1 else ""
            raise IntegrityError(f"{what} {sorted(names)[0]}{others}")


def require(git: Git, book: Book, version: Version, tag: Tag) -> Release:
    """The record of a version of which every check holds. Raises IntegrityError, StorageError."""
    found, done = checks(git, book, version, tag)
    failed = [one for one in done if not one.ok]
    if found is None or failed:
        raise IntegrityError(
            f"{tag.name} does not hold: {failed[0].name}",
            why=failed[0].text,
            remedy=f"mainline verify {version}",
        )
    return found


def fetch(root: Path, release: Release, folder: Path, *only: str) -> dict[str, Path]:
    """The artifacts (or `only` these), each checked, in `folder`. Raises StorageError, IntegrityError."""
    wanted = {name: one for name, one in release.artifacts.items() if not only or name in only}
    files = {name: folder / one.name for name, one in wanted.items()}
    if len(set(files.values())) < len(files):
        raise IntegrityError(f"two artifacts of {release.release} have one name")
    objects.fetch(root, {str(files[name].resolve()): one.md5 for name, one in wanted.items()})
    for name, one in wanted.items():
        _artifact(one, objects.digests(files[name]))
    return files


def _try(done: list[Check], name: str, check: Callable[[], T], good: str) -> T | None:
    try:
        result = check()
    except StorageError:
        raise
    except MainlineError as error:
        done.append(Check(name, False, f"{error.what}{f' ({error.why})' if error.why else ''}"))
        return None
    done.append(Check(name, True, good))
    return result


def _signing(git: Git) -> str:
    return "by an allowed signer" if ledger.signers(git) else f"not asked for: {ledger.SIGNERS} is not set"


def _named(book: Book, version: Version) -> str:
    return "they name this tag's object" if book.naming(version) else "no stage tag names its object"


def _unmoved(book: Book, version: Version, tag: Tag) -> None:
    """Whoever can move a tag could give the same commit other artifacts."""
    wrong = [one for one in book.naming(version) if promotion.names(one) != (tag.name, tag.target)]
    if wrong:
        raise IntegrityError(
            f"{wrong[0].name} was made for another tag object", why=f"{tag.name} was moved or made anew"
        )


def _on_main(git: Git, book: Book, release: Release) -> None:
    if book.main is None or not ledger.is_ancestor(git, release.commit, book.main):
        raise IntegrityError(f"commit {release.commit[:9]} is not on main", remedy="merge it by pull request")


def _lock(git: Git, release: Release) -> None:
    content = champion.blob(git, release.commit, LOCK)
    if content is None or hashlib.sha256(content).hexdigest() != release.lock_sha256:
        raise IntegrityError(f"{LOCK} of commit {release.commit[:9]} is not the one of the record")
    exported = champion.at(git, release.commit)
    data = packaged.data(packaged.outputs(git, release.commit))
    if exported is None or exported.model_md5 != release.model_md5 or data != release.data_md5:
        raise IntegrityError(f"{LOCK} names another model or other data than the record")
    named = exported.manifest.files.get(Path(MODEL).name) if exported.manifest else None
    if named != release.model_sha256:
        raise IntegrityError("the manifest names another model than the record")


def _model(seen: objects.Digests | None, release: Release) -> None:
    if seen is None:
        raise IntegrityError("the remote does not have it")
    if (seen.md5, seen.sha256) != (release.model_md5, release.model_sha256):
        raise IntegrityError("the remote has other bytes under its name")


def _has_bento(release: Release) -> None:
    if NEEDED not in release.artifacts:
        raise IntegrityError("the record names no Bento: there is nothing to deploy")


def _image(release: Release, own: str | None) -> None:
    label = images.look(str(release.image), own).bento  # none in one that was made elsewhere
    bento = release.artifacts.get(NEEDED)
    if label is not None and bento is not None and label != bento.sha256:
        raise IntegrityError("it was made of another Bento", why=f"its label names {ascii(label)[:80]}")


def _artifact(wanted: Artifact, seen: objects.Digests | None) -> None:
    if seen is None:
        raise IntegrityError(f"the remote does not have {wanted.name}")
    if seen != objects.Digests(wanted.md5, wanted.sha256, wanted.bytes):
        raise IntegrityError(f"the remote has other bytes under the name of {wanted.name}")


def _signed(root: Path, release: Release, trust: signing.Key | signing.Keyless) -> None:
    if "signature" not in release.artifacts:
        raise IntegrityError("the artifacts are not signed, but we are told whom to trust")
    with tempfile.TemporaryDirectory(prefix="mainline-verify-") as folder:
        files = fetch(root, release, Path(folder))
        bundle = files.pop("signature")
        signing.verify_files(files.values(), bundle, trust)
