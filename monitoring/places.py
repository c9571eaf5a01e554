"""Where logs and labels lie: a file, a folder, or a prefix in an S3 bucket, of which copies are read.

Copied one at a time, so that neither memory nor the disk needs room for all of them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from mainline.errors import DataError, SourceError
from monitoring import disk
from pipeline.ingest import S3_LIST
from pipeline.text import inert

S3 = "s3://"
KINDS = (".jsonl", ".parquet")
CURRENT = "predictions.jsonl"  # the file that the service still writes to
REMEDY = "check the network, AWS_ENDPOINT_URL (http://host:port), AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"


def files(place: str) -> list[str]:
    """The files of a log in the order of their names, which is that of time; the one still written last.

    Raises DataError for a place that does not exist, SourceError for a store that does not answer or refuses.
    """
    if place.startswith(S3):
        return _ordered(_objects(place))
    path = Path(place)
    if path.is_file():
        return [place]
    if not path.is_dir():
        raise _nowhere(place)
    return _ordered([str(one) for kind in KINDS for one in path.glob(f"**/*{kind}")])


def twice(place: str) -> Iterator[str]:
    """The files, and then, after those were read, those that there are now: the service may rename one."""
    yield from files(place)
    if not place.startswith(S3):
        yield from files(place)


@contextmanager
def local(name: str) -> Iterator[Path]:
    """The file on this machine; a copy of an object goes again.

    Raises FileNotFoundError where it has gone since it was listed, SourceError as `files` does.
    """
    if not name.startswith(S3):
        yield Path(name)
        return
    folder = tempfile.mkdtemp(prefix="watch-")
    try:
        copy = Path(folder, "object").with_suffix(PurePath(name).suffix)
        with _answering(name):
            _store().get_file(name, str(copy))
        yield copy
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ordered(names: list[str]) -> list[str]:
    return sorted(
        names, key=lambda one: (str(PurePath(one).parent), PurePath(one).name == CURRENT, PurePath(one).name)
    )


def _objects(place: str) -> list[str]:
    bucket, _, prefix = place.removeprefix(S3).partition("/")
    store, root = _store(), f"{bucket}/{prefix}".rstrip("/")
    if not bucket:
        raise _nowhere(place)
    with _answering(place):
        try:
            listed: list[str] = store.find(root)
        except FileNotFoundError:  # the bucket; a prefix of which there is nothing is an empty log
            raise _nowhere(place) from None
    if not listed and root.endswith(KINDS):
        raise _nowhere(place)
    return [f"{S3}{one}" for one in listed if one == root or one.endswith(KINDS)]


def _nowhere(place: str) -> DataError:
    return DataError(
        f"{inert(place)} does not exist", remedy="give the file or folder, or s3://bucket/prefix"
    )


def _store() -> Any:
    import s3fs  # type: ignore[import-untyped]  # a second that only an s3:// place pays

    store = s3fs.S3FileSystem(config_kwargs=S3_LIST, use_listings_cache=False, skip_instance_cache=True)
    store.retries = 1
    return store


@contextmanager
def _answering(place: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, BotoCoreError, ValueError) as error:  # ValueError: of an address that is none
        if disk.full(error):  # here, where the copy goes
            raise
        why = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{inert(place)} cannot be read", why=inert(why, 300), remedy=REMEDY) from None
