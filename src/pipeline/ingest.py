"""Stage `ingest`: raw months up to data.as_of, from the use case's source, a folder or an s3:// prefix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from mainline.errors import ConfigError, DataError, SourceError
from mainline.schema import Table
from mainline.settings import Month
from pipeline import frames, paths
from pipeline.params import load
from usecase import source as usecase_source
from usecase.schema import RAW

# An object store answers within seconds or not at all: the defaults retry for minutes.
S3_READ = {"timeout": "30s", "connect_timeout": "5s", "max_retries": 2}
S3_LIST = {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 1}}
S3_REMEDY = "check ingest.source, the network, and AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
SHOWN = 3  # names of what a folder holds instead


@dataclass(frozen=True, slots=True)
class Source:
    """What can be read: `months` in order, and `read`, all raw tables of one month.

    Rows of another month are not left out: `validate` shall see them, and stop.
    """

    name: str
    months: list[Month]
    read: Callable[[Month, frames.Reader], dict[str, pl.DataFrame]]


def main(_arguments: list[str]) -> int:
    """Write data/raw/<table>/month=YYYY-MM.parquet. Raises ConfigError and SourceError."""
    params = load()
    last = params.data.last_month
    source = connect(params.ingest.source)
    rows = ingest(source, last, paths.RAW)
    counts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    print(f"ingest: {source.name}: {counts} up to {last}", flush=True)
    return 0


def connect(name: str) -> Source:
    """The source by that name. Raises ConfigError for an unknown one, SourceError when it does not answer."""
    if name in usecase_source.SOURCES:
        return Source(name, usecase_source.months(name), lambda month, _: usecase_source.read(name, month))
    if name.startswith("s3://") or (name and Path(name).is_dir()):  # Path("") is the folder we are in
        root = name.rstrip("/")
        return Source(name, _listed(root), lambda month, reader: _read_month(root, month, reader))
    raise ConfigError(
        f"ingest.source {name!r} is neither a source of the use case, nor a folder, nor an s3:// prefix",
        why="it is a file" if Path(name).is_file() else "there is no such folder, seen from params.yaml",
        remedy=" or ".join(
            [*(f"choose {one}" for one in usecase_source.SOURCES), "give a folder that exists"]
        ),
    )


def ingest(source: Source, last: Month, target: Path) -> dict[str, int]:
    """Write every month up to `last`, remove the files of all others; return rows by table."""
    check(source, last, "data.as_of", "set data.as_of in params.yaml to one of these months")
    wanted = [month for month in source.months if month <= last]
    rows = {table.name: 0 for table in RAW}
    with frames.Reader() as reader:
        for number, month in enumerate(wanted, start=1):
            tables = source.read(month, reader)
            for table in RAW:
                frames.write(tables[table.name], raw_path(target, table, month))
                rows[table.name] += tables[table.name].height
            if number % 12 == 0 or number == len(wanted):
                print(f"ingest: {month}, {number} of {len(wanted)} months", flush=True)
    _sweep(target, {raw_path(target, table, month) for table in RAW for month in wanted})
    return rows


def check(source: Source, month: Month, asked: str, remedy: str) -> None:
    """Raises ConfigError, which names what `asked` for it, unless the source has the month."""
    if month not in source.months:
        have = f"{source.months[0]} to {source.months[-1]}" if source.months else "no month"
        raise ConfigError(
            f"{asked} {month} is outside the data", why=f"{source.name} has {have}", remedy=remedy
        )


def raw_path(root: Path, table: Table, month: Month) -> Path:
    """The file of one month of one raw table."""
    return root / table.name / f"month={month}.parquet"


def _sweep(target: Path, keep: set[Path]) -> None:
    for path in target.glob("*/month=*.parquet"):
        if path not in keep:
            path.unlink()


def _listed(root: str) -> list[Month]:
    """The months of which a Parquet prefix holds any table; one that lacks a table fails when it is read.

    Raises SourceError, also for another Parquet file beside them: its rows would be left out in silence.
    """
    names = _names_s3(root) if root.startswith("s3://") else _names(root)
    if not any(name.startswith("month=") for name in names):
        raise _nothing(root)
    try:
        return sorted({_month_of(name) for name in names})
    except ConfigError as error:
        raise SourceError(
            f"{root} holds a file that is no month",
            why=error.what,
            remedy="name it month=YYYY-MM.parquet, or put it elsewhere",
        ) from None


def _month_of(name: str) -> Month:
    month = Month.parse(name.removeprefix("month=").removesuffix(".parquet"), name=repr(name))
    if name != f"month={month}.parquet":
        raise ConfigError(f"{name!r} is not month={month}.parquet")
    return month


def _names(root: str) -> list[str]:
    return [path.name for table in RAW for path in Path(root, table.name).glob("*.parquet")]


def _nothing(root: str) -> SourceError:
    """Most often files of another format, or elsewhere: say what is there, and what is read."""
    wanted = ", ".join(f"{root}/{table.name}/month=YYYY-MM.parquet" for table in RAW)
    return SourceError(
        f"ingest.source: {root} holds no month of any raw table",
        why="" if root.startswith("s3://") else _held(Path(root)),
        remedy=f"put there, in the raw schema: {wanted}",
    )


def _held(folder: Path) -> str:
    paths = (path for depth in ("*", "*/*") for path in folder.glob(depth))
    names = sorted(repr(str(path.relative_to(folder))) for path in islice(paths, 1000))
    more = " and more" if len(names) > SHOWN else ""
    return f"it holds {', '.join(names[:SHOWN])}{more}" if names else "it is empty"


def _names_s3(root: str) -> list[str]:
    import s3fs  # type: ignore[import-untyped]  # a second that only an s3:// source pays
    from botocore.exceptions import BotoCoreError

    store = s3fs.S3FileSystem(config_kwargs=S3_LIST, use_listings_cache=False, skip_instance_cache=True)
    store.retries = 1
    try:
        paths = [path for table in RAW for path in store.glob(f"{root}/{table.name}/*.parquet")]
    except (OSError, BotoCoreError) as error:
        raise _unreadable(root, frames.why(error)) from None
    return [path.rsplit("/", 1)[-1] for path in paths]


def _read_month(root: str, month: Month, reader: frames.Reader) -> dict[str, pl.DataFrame]:
    return {table.name: _read(f"{root}/{table.name}/month={month}.parquet", reader) for table in RAW}


def _read(path: str, reader: frames.Reader) -> pl.DataFrame:
    try:
        return reader.read(path, S3_READ if path.startswith("s3://") else None)
    except DataError as error:
        raise _unreadable(path, error.why or error.what) from None


def _unreadable(path: str, why: str) -> SourceError:
    remedy = S3_REMEDY if path.startswith("s3://") else "restore the file, or choose another ingest.source"
    return SourceError(f"{path} cannot be read", why=why, remedy=remedy)
