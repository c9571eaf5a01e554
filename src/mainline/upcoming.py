"""The adapter that says which version a commit gets, or has: for promote, and for a pull request's report."""

from __future__ import annotations

import contextlib

from mainline import champion, ledger, packaged, verification, versions
from mainline.errors import GitError, RecordError
from mainline.git import Git
from mainline.promotion import Book
from mainline.releases import Release
from mainline.tags import Version
from mainline.versions import Next


def following(git: Git, book: Book, commit: str) -> Next:
    """The version that a commit gets, or has. Versions that nobody may rely on only keep their names."""
    trusted: dict[Version, Release] = {}
    for version, tag in book.versions().items():
        with contextlib.suppress(RecordError, GitError):
            record = verification.record(book, version, tag)
            if book.main is not None and ledger.is_ancestor(git, record.commit, book.main):
                trusted[version] = record
    now = packaged.contents(git, commit)
    model = champion.at(git, commit)
    newest = max(trusted, default=None)
    made = {
        version: packaged.contents(git, record.commit)
        for version, record in trusted.items()
        if version == newest or (model and record.model_md5 == model.model_md5)
    }
    return versions.decide(now, made, frozenset(book.versions()))
