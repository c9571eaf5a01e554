"""An S3 store: its client, its refusals, and the Parquet files below a prefix. Keys are taken as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mainline.errors import DISK_FULL, DataError, MainlineError, SourceError
from pipeline.text import inert
from serving.batch.places import S3, hidden
from serving.batch.progress import say
from serving.batch.writing import full

CONFIG = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}
REMEDY = "check the address, the network, and AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"


def connect() -> Any:
    """A client that caches nothing: what another run did is seen."""
    import s3fs  # type: ignore[import-untyped]  # a second that only s3:// pays

    return s3fs.S3FileSystem(config_kwargs=CONFIG, use_listings_cache=False, skip_instance_cache=True)


def key(text: str) -> str:
    """`bucket/prefix` of an address, without a slash at its end."""
    return text.removeprefix(S3).rstrip("/")


@contextmanager
def refusals(text: str, kind: type[MainlineError], what: str) -> Iterator[None]:
    """What the store refuses, or the network, becomes an error of ours: WHERE cannot be WHAT."""
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (OSError, ValueError, BotoCoreError) as error:  # ValueError: an endpoint that is no address
        why = inert(str(error) or type(error).__name__, 300)
        raise kind(f"{inert(text, 200)} cannot be {what}", why=why, remedy=REMEDY) from None


def fetched(text: str, into: Path) -> dict[str, Path]:
    """The files of a prefix, copied here: their keys and digests are looked at before any is scored.

    Raises SourceError, DataError, StorageError (no room here).
    """
    root = key(text)
    with refusals(text, SourceError, "read"):
        store = connect()
        found = sorted(store.find(root))
        parent = root if found != [root] else root.rpartition("/")[0]
        names = {path.removeprefix(f"{parent}/"): path for path in found}
        wanted = {n: path for n, path in names.items() if n.endswith(".parquet") and not hidden(n)}
        if odd := [name for name in wanted if {"", ".."} & {*name.split("/")}]:
            what = f"{inert(text, 200)} holds a name that is a path: {inert(odd[0], 200)}"
            raise DataError(
                what, why="with // or .. in it, it could lie elsewhere", remedy="rename that object"
            )
        if not wanted:
            raise DataError(f"{inert(text, 200)} holds no Parquet file", remedy="files are found by .parquet")
        say(f"fetching {len(wanted):,} files from {text}")
        return _copied(store, wanted, into)


def _copied(store: Any, wanted: dict[str, str], into: Path) -> dict[str, Path]:
    """Raises StorageError where it is our disk that refuses."""
    local = {name: into / f"{number}.parquet" for number, name in enumerate(wanted)}
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name, path in wanted.items():
            store.get_file(path, str(local[name]))
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise full(into, error) from None
    return local
