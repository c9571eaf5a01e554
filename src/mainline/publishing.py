"""The adapter that gathers a version's page for the forge: its notes, and its files, each by its digest.

Model card from Git, as the lock of the version's commit names it; SBOM, provenance and signature from the
remote, as the release record names them. They are read when they are missed, and not before.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mainline import champion, mainbranch, notes, packaged, promotion, verification
from mainline.errors import ConfigError, IntegrityError, MainlineError
from mainline.exported import file_md5
from mainline.forge import PUBLIC, repository_of
from mainline.forge_releases import Asset, Page, Published, Shelf
from mainline.git import ORIGIN, Git
from mainline.promotion import PRODUCTION, Book
from mainline.records import Metrics
from mainline.releases import Release
from mainline.tags import Version, version

KINDS = {
    ".md": "text/markdown", ".cdx.json": "application/vnd.cyclonedx+json", ".json": "application/json",
}  # fmt: skip
OTHER = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The page, and how to read one of its assets."""

    page: Page
    read: Callable[[Asset], bytes]


def shelf(git: Git) -> Shelf:
    """By GITHUB_API_URL, GITHUB_REPOSITORY (or origin), GITHUB_TOKEN. Raises ForgeError, ConfigError."""
    address = git("remote", "get-url", ORIGIN) if mainbranch.has_origin(git) else ""
    made = Shelf.from_environment(origin=address)
    found = repository_of(address)
    if found and found.casefold() != made.repository.casefold():
        # GitHub makes a tag that it lacks, where its default branch is.
        raise ConfigError(
            f"origin is {found[:200]!r}, and the page would be one of {made.repository[:200]!r}",
            remedy="set GITHUB_REPOSITORY to origin's, or not at all",
        )
    if address and found is None and made.url == PUBLIC:
        raise ConfigError(
            "origin is not on github.com, and the page would be", remedy="set GITHUB_API_URL to origin's own"
        )
    return made


def prepare(git: Git, book: Book, record: Release) -> Prepared:
    """The page of a verified version, with what `book` knows of production. Raises IntegrityError."""
    card = _card(git, record)
    name = Path(packaged.CARD).name
    files = {one.name: key for key, one in record.artifacts.items() if key != verification.NEEDED}
    if name in files:
        raise IntegrityError(f"an artifact of {record.release} is called {name}")
    assets = [Asset(name, hashlib.sha256(card).hexdigest(), len(card), _kind(name))]
    stored = [record.artifacts[key] for key in files.values()]
    assets += [Asset(one.name, one.sha256, one.bytes, _kind(one.name)) for one in stored]

    def read(asset: Asset) -> bytes:
        if asset.name == name:
            return card
        with tempfile.TemporaryDirectory(prefix="mainline-publish-") as folder:
            key = files[asset.name]
            return verification.fetch(git.root, record, Path(folder), key)[key].read_bytes()

    mine = version(record.release)
    now = champion.in_production(git, book)[0]
    text = notes.notes(
        record, _metrics(git, record), _turns(book, mine), {one.name: one.sha256 for one in assets}
    )
    tag = f"{record.model}@{record.release}"
    latest = now is not None and now.version == mine
    return Prepared(Page(tag, f"{record.model} {record.release}", text, tuple(assets), latest), read)


def publish(shelf: Shelf, prepared: Prepared) -> Published:
    """Raises ForgeError, IntegrityError, StorageError."""
    return shelf.publish(prepared.page, prepared.read)


def _card(git: Git, record: Release) -> bytes:
    content = champion.blob(git, record.commit, packaged.CARD)
    named = packaged.outputs(git, record.commit).get(packaged.CARD)
    if content is None or file_md5(content) != named:
        raise IntegrityError(f"{packaged.CARD} of commit {record.commit[:9]} is not the one of its lock")
    return content


def _metrics(git: Git, record: Release) -> Metrics | None:
    """None where they are of a form that this code does not read: then the page has no intervals."""
    try:
        found = champion.at(git, record.commit)
    except MainlineError:
        return None
    return found.metrics if found else None


def _turns(book: Book, mine: Version | None) -> list[notes.Turn]:
    history = book.history(PRODUCTION)
    left = promotion.rollbacks(history)
    found, before = [], None
    for turn in history:
        if turn.version == mine:
            one, tag = turn.assignment, turn.tag
            why = promotion.reason(tag)
            found.append(notes.Turn(str(one), tag.when, tag.who, left.get(one, before), one in left, why))
        before = turn.version or before
    return found


def _kind(name: str) -> str:
    return next((kind for end, kind in KINDS.items() if name.endswith(end)), OTHER)
