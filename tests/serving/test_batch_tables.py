"""Batch scoring from and into tables: real DuckDB files, a real PostgreSQL; exactly once, as for files."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import polars as pl
import psycopg
import pytest

from mainline.errors import ConfigError, DataError, ServiceError, SourceError
from serving.batch import connections
from serving.batch.duck_table import DuckTable
from tests.deploy.test_compose import POSTGRES, postgres
from tests.imports import ROOT
from tests.ports import free_port
from tests.serving import batching, toys
from tests.serving.batching import process, rows, score

pytestmark = pytest.mark.slow
PASSWORD = "of p%w'"
HOSTILE = 'sc"ores; drop table "rows" -- %s $1 é'


@dataclass
class Base:
    """A database: `place` of a table, and `ask`, which runs SQL and gives all rows."""

    place: Callable[..., str]
    ask: Callable[..., list[tuple[Any, ...]]]
    kind: str

    def fill(self, frame: pl.DataFrame, name: str = "rows", **types: str) -> None:
        kinds = {"key": "text", "time": "timestamp", "c": "text", "x": "double precision", "d": "text",
                 "y": "bigint", **types}  # fmt: skip
        self.ask(f"drop table if exists {name}")
        self.ask(f"create table {name} ({', '.join(f'{n} {t}' for n, t in kinds.items())})")
        for row in frame.select(list(kinds)).rows():
            self.ask(f"insert into {name} values ({', '.join(f'${i + 1}' for i in range(len(kinds)))})", row)  # noqa: S608

    def scores(self, name: str = "scores") -> list[tuple[Any, ...]]:
        quoted = name.replace('"', '""')
        return self.ask(f'select key, time, score, decision, model, version from "{quoted}" order by key')  # noqa: S608


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    if not POSTGRES:
        pytest.skip("PostgreSQL (Debian: postgresql) is not here")
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    port = free_port()
    before = os.environ.get("PGPASSWORD")
    os.environ["PGPASSWORD"] = PASSWORD
    try:
        with postgres(folder, port, PASSWORD):
            yield port
    finally:
        os.environ.pop("PGPASSWORD") if before is None else os.environ.update(PGPASSWORD=before)
        shutil.rmtree(folder, ignore_errors=True)


def _duckdb(path: Path) -> Base:
    def ask(sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(path)) as database:
            return list(database.execute(sql, values).fetchall())

    def place(table: str = "", **more: str) -> str:
        given = {"table": table, **more}
        return f"duckdb:{path}?" + "&".join(f"{n}={quote(v)}" for n, v in given.items() if v)

    return Base(place, ask, "duckdb")


def _postgres(port: int) -> Base:
    address = f"postgresql://mlflow@127.0.0.1:{port}/mlflow"

    def ask(sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(address, cursor_factory=psycopg.RawCursor, autocommit=True) as connection:
            cursor = connection.execute(sql, values)
            return list(cursor.fetchall()) if cursor.description else []

    def place(table: str = "", **more: str) -> str:
        given = {"table": table, **more}
        return f"{address}?" + "&".join(f"{n}={quote(v)}" for n, v in given.items() if v)

    for (name,) in ask("select tablename from pg_tables where schemaname = 'public'"):
        ask(f'drop table "{name.replace(chr(34), chr(34) * 2)}" cascade')
    return Base(place, ask, "postgresql")


@pytest.fixture(params=["duckdb", "postgresql"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Base:
    if request.param == "duckdb":
        return _duckdb(tmp_path / "base.duckdb")
    return _postgres(request.getfixturevalue("server"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    toys.folder("binary", folder)
    return folder


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    root.mkdir()
    for number in range(3):
        rows(100, seed=number, first=1000 * number).write_parquet(root / f"{number}.parquet")
    return root


def expected(model: Path, frame: pl.DataFrame, folder: Path) -> list[tuple[Any, ...]]:
    """By the way over files, which its own test holds against the service."""
    frame.sort("key").write_parquet(folder / "expected.parquet")
    score(model, str(folder / "expected.parquet"), str(folder / "expected"))
    found = pl.read_parquet(folder / "expected/**/*.parquet", hive_partitioning=False).sort("key")
    return [tuple(row) for row in found.rows()]


def same(found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> None:
    assert [(*row[:2], *row[3:]) for row in found] == [(*row[:2], *row[3:]) for row in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one[2] == pytest.approx(other[2], rel=1e-6)


def test_a_table_to_a_table(base: Base, model: Path, tmp_path: Path) -> None:
    frame = rows(200)
    base.fill(frame)
    first = score(model, base.place("rows"), base.place("scores"))
    assert (first.rows, len(first.states)) == (200, 3)
    assert first.states.keys() == {"2013-10-28", "2013-10-29", "2013-10-30"}
    same(base.scores(), expected(model, frame, tmp_path))
    again = score(model, base.place("rows"), base.place("scores"))
    assert (again.rows, again.skipped) == (0, 200)
    base.ask("update rows set x = 0.25 where key = 'k000007'")
    third = score(model, base.place("rows"), base.place("scores"))
    assert list(third.states.values()) == ["input changed", "finished", "finished"]
    assert len(base.scores()) == 200


def test_files_to_a_table_with_a_hostile_name(base: Base, model: Path, parquet: Path) -> None:
    base.fill(rows(1))
    score(model, str(parquet), base.place(HOSTILE))
    assert len(base.scores(HOSTILE)) == 300
    assert len(base.ask("select * from rows")) == 1


def test_a_table_with_a_hostile_name_to_files(base: Base, model: Path, tmp_path: Path) -> None:
    base.fill(rows(50), '"' + HOSTILE.replace('"', '""') + '"')
    assert score(model, base.place(HOSTILE), str(tmp_path / "out")).rows == 50


def test_a_query_and_days_of_it(base: Base, model: Path, tmp_path: Path) -> None:
    base.fill(rows(300))
    query = "select * from rows where key like 'k0000%';"
    assert score(model, base.place(query=query), str(tmp_path / "a")).rows == 100
    bounds = (date(2013, 10, 29), date(2013, 10, 30))
    found = score(model, base.place("rows"), str(tmp_path / "b"), bounds=bounds)
    assert list(found.states) == ["2013-10-29", "2013-10-30"]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks(base: Base, task: Any, tmp_path: Path) -> None:
    toys.folder(task, tmp_path / "model")
    rows(20).write_parquet(tmp_path / "a.parquet")
    table = toys.table(task)
    score(tmp_path / "model", str(tmp_path / "a.parquet"), base.place("scores"), table=table)
    score(tmp_path / "model", str(tmp_path / "a.parquet"), str(tmp_path / "out"), table=table)
    found = base.ask("select score from scores order by key")
    wanted = pl.read_parquet(tmp_path / "out/**/*.parquet").sort("key")["score"].to_list()
    assert [row[0] for row in found] == pytest.approx(wanted) if task == "regression" else True
    if task == "multiclass":
        assert [pytest.approx(row[0]) for row in found] == wanted


def test_keys_that_repeat(base: Base, model: Path, tmp_path: Path) -> None:
    base.fill(rows(100).vstack(rows(7, seed=2)))
    with pytest.raises(DataError, match=r"7 keys are there more than once: k000000, .* and 2 more"):
        score(model, base.place("rows"), base.place("scores"))
    assert score(model, base.place("rows"), base.place("scores"), keep="first").rows == 100
    assert len(base.scores()) == 100


def test_a_row_that_moved_to_another_day_is_there_once(base: Base, model: Path) -> None:
    base.fill(rows(200))
    score(model, base.place("rows"), base.place("scores"))
    base.ask("update rows set time = '2013-10-28 06:00:00' where key = 'k000199'")  # later to earlier
    base.ask("update rows set time = '2013-10-30 06:00:00' where key = 'k000000'")
    score(model, base.place("rows"), base.place("scores"))
    assert [row[0] for row in base.scores()] == [f"k{i:06}" for i in range(200)]
    assert score(model, base.place("rows"), base.place("scores")).rows == 0


def test_rows_of_another_source_are_not_doubled(base: Base, model: Path, parquet: Path) -> None:
    score(model, str(parquet), base.place("scores"))
    with pytest.raises(DataError, match="already, with this version, from another source"):
        score(model, str(parquet), base.place("scores"), source="another name")
    assert len(base.scores()) == 300


def test_versions_stand_beside_each_other(base: Base, model: Path, parquet: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(model, newer)
    text = (newer / "bundle.json").read_text()
    (newer / "bundle.json").write_text(text.replace("v1.0.0", "v1.1.0"))
    score(model, str(parquet), base.place("scores"))
    score(newer, str(parquet), base.place("scores"))
    assert base.ask("select version, count(*) from scores group by 1 order by 1") == [
        ("v1.0.0", 300),
        ("v1.1.0", 300),
    ]


def test_partitions_that_are_gone(base: Base, model: Path, parquet: Path) -> None:
    score(model, str(parquet), base.place("scores"))
    (parquet / "0.parquet").unlink()
    with pytest.raises(DataError, match="no longer has"):
        score(model, str(parquet), base.place("scores"))
    score(model, str(parquet), base.place("scores"), prune=True)
    assert len(base.scores()) == 200


KILLS = [
    ("Tables._stage", 2, "after"),
    ("Tables._delete", 2, "after"),
    ("Tables._run", 9, "before"),
    ("Tables._run", 12, "after"),
    ("Tables.write", 2, "before"),
    ("Tables.write", 2, "after"),
]


@pytest.mark.parametrize(("method", "number", "when"), KILLS)
def test_a_kill_loses_and_doubles_nothing(
    method: str, number: int, when: str, base: Base, model: Path, parquet: Path
) -> None:
    kind = {"duckdb": "serving.batch.duck:DuckTables", "postgresql": "serving.batch.postgres:PostgresTables"}
    point = f"{kind[base.kind]}.{method.partition('.')[2]}:{number}:{when}"
    killed = process(model, str(parquet), base.place("scores"), point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(base.scores()) in (0, 100, 200)  # whole partitions
    score(model, str(parquet), base.place("scores"))
    assert len({row[0] for row in base.scores()}) == len(base.scores()) == 300
    assert base.ask("select count(*), sum(rows) from scores_partitions") == [(3, 300)]


@pytest.mark.parametrize("base", ["postgresql"], indirect=True)
def test_two_at_once_take_turns(base: Base, model: Path, parquet: Path) -> None:
    line = batching.command(model, str(parquet), base.place("scores"))
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    said = [one.communicate(timeout=120)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted("'rows': 300" in text for text in said) == [False, True]
    assert len(base.scores()) == 300


@pytest.mark.parametrize("base", ["duckdb"], indirect=True)
def test_a_duckdb_file_in_use_is_told(base: Base, model: Path, parquet: Path, tmp_path: Path) -> None:
    base.fill(rows(10))
    with duckdb.connect(str(tmp_path / "base.duckdb")):
        for given, out in ((str(parquet), base.place("scores")), (base.place("rows"), str(tmp_path / "out"))):
            done = process(model, given, out)
            assert done.returncode in (ServiceError.exit_code, SourceError.exit_code), done.stderr
            assert re.search("in use by another process|lock", done.stderr)


def test_what_a_source_lacks_is_named(base: Base, model: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(SourceError):
        score(model, base.place("absent"), out)
    base.fill(rows(5).with_columns(pl.col("x").cast(pl.String)), x="text")
    with pytest.raises(DataError, match=r"x is .*, should be"):
        score(model, base.place("rows"), out)
    base.fill(rows(5))
    base.ask("alter table rows drop column x")
    with pytest.raises(DataError, match="without x"):
        score(model, base.place("rows"), out)
    base.fill(rows(5).with_columns(key=pl.lit(None, pl.String)))
    with pytest.raises(DataError, match=r"5 rows .* have no key"):
        score(model, base.place("rows"), out)
    base.fill(rows(5).clear())
    with pytest.raises(DataError, match="has no rows"):
        score(model, base.place("rows"), out)
    assert not (tmp_path / "out").exists()


def test_a_table_that_is_not_ours_is_left_alone(base: Base, model: Path, parquet: Path) -> None:
    base.ask("create table scores (name text)")
    base.ask("insert into scores values ('theirs')")
    with pytest.raises(ConfigError, match="other columns"):
        score(model, str(parquet), base.place("scores"))
    assert base.ask("select * from scores") == [("theirs",)]


OURS = "time timestamp, score real, decision boolean, model text, version text, partition bigint"


@pytest.mark.parametrize(
    ("table", "columns", "words"),
    [
        ("scores", f"key bigint, {OURS}, unique (key, version)", "key (bigint|int8)"),
        ("scores", f"key text, {OURS.replace('real', 'decimal(3,2)')}, unique (key, version)", "score"),
        ("scores", f"key text, {OURS}", r"UNIQUE \(key, version\) is not there"),
        ("scores", f"key text, {OURS}, unique (key)", r"UNIQUE \(key, version\) is not there"),
        ("scores", f"key text, {OURS}, unique (key, version, time)", "is not there"),
        ("scores_partitions", "source text", "it has source"),
    ],
)
def test_a_table_with_other_columns_is_refused_before_any_is_scored(
    table: str, columns: str, words: str, base: Base, model: Path, parquet: Path
) -> None:
    """An integer key failed in the middle, a decimal rounded scores, and without UNIQUE rows came twice."""
    base.ask(f"create table {table} ({columns})")
    for dry_run in (True, False):
        with pytest.raises(ConfigError, match="other columns than scores have") as raised:
            score(model, str(parquet), base.place("scores"), dry_run=dry_run)
        assert re.search(words, raised.value.why)
    assert base.ask(f"select count(*) from {table}") == [(0,)]  # noqa: S608


@pytest.mark.parametrize("when", ["infinity", "0001-01-01 00:00:00 BC"])
def test_a_time_that_is_no_date_is_refused(when: str, base: Base, model: Path, tmp_path: Path) -> None:
    base.fill(rows(20))
    if base.kind == "duckdb":
        when = when.replace(" 00:00:00 BC", " (BC) 00:00:00")
    base.ask(f"update rows set time = '{when}' where key = 'k000003'")  # noqa: S608
    with pytest.raises(DataError, match=r"1 rows .* before the year 1, after 9998, or infinite"):
        score(model, base.place("rows"), str(tmp_path / "out"))
    query = "select * from rows where key <> 'k000003' -- it is infinite"
    assert score(model, base.place(query=query), str(tmp_path / "out")).rows == 19


@pytest.mark.parametrize("base", ["duckdb"], indirect=True)
def test_duckdb_is_given_a_limit_of_memory(
    base: Base, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More rows than fit are sorted by way of the disk; a bench has the figures."""
    base.fill(rows(1))
    base.ask("insert into rows select 'more' || i, time, c, x, d, y from rows, range(200000) r(i)")
    seen: list[str] = []
    spooled = DuckTable._spooled

    def watched(self: DuckTable, sql: str, path: Path) -> None:
        spooled(self, sql, path)
        seen.extend(row[0] for row in self._query("select memory_limit from pragma_database_size()"))

    monkeypatch.setattr(connections, "MEMORY", "24MB")
    monkeypatch.setattr(DuckTable, "_spooled", watched)
    assert score(model, base.place("rows"), str(tmp_path / "out")).rows == 200_001
    assert set(seen) == {"22.8 MiB"}


def test_a_dry_run_writes_nothing(base: Base, model: Path, parquet: Path, tmp_path: Path) -> None:
    found = score(model, str(parquet), base.place("scores"), dry_run=True)
    assert set(found.states.values()) == {"new"} and found.rows == 300
    with pytest.raises((duckdb.Error, psycopg.Error)):
        base.scores()


def test_a_dry_run_of_what_is_scored(base: Base, model: Path, parquet: Path) -> None:
    score(model, str(parquet), base.place("scores"))
    found = score(model, str(parquet), base.place("scores"), dry_run=True)
    assert set(found.states.values()) == {"finished"} and found.skipped == 300


@pytest.mark.parametrize("base", ["postgresql"], indirect=True)
def test_who_may_only_read_may_do_a_dry_run(base: Base, model: Path, parquet: Path) -> None:
    score(model, str(parquet), base.place("scores"))
    secret = PASSWORD.replace("'", "''")
    base.ask(f"create role reader login password '{secret}'")
    try:
        base.ask("grant select on scores, scores_partitions to reader")
        place = base.place("scores").replace("mlflow@", "reader@")
        assert score(model, str(parquet), place, dry_run=True).skipped == 300
        with pytest.raises(ServiceError, match="refuses"):
            score(model, str(parquet), place, force=True)
    finally:
        base.ask("drop owned by reader")
        base.ask("drop role reader")


def test_a_server_that_does_not_answer(model: Path, parquet: Path, tmp_path: Path) -> None:
    nowhere = f"postgresql://me:secret@127.0.0.1:{free_port()}/x?table=t"
    for given, out in ((nowhere, str(tmp_path / "out")), (str(parquet), nowhere)):
        with pytest.raises(SourceError, match="does not answer") as raised:
            score(model, given, out)
        assert "secret" not in str(raised.value)


def test_a_second_large_partition_takes_no_longer(server: int, model: Path, tmp_path: Path) -> None:
    """Without statistics of the new table, PostgreSQL compared every row with every row, for minutes."""
    base = _postgres(server)
    for number in range(2):
        rows(40_000, first=50_000 * number).write_parquet(tmp_path / f"{number}.parquet")
    line = batching.command(model, str(tmp_path), base.place("scores"))
    assert subprocess.run(line, cwd=ROOT, timeout=60).returncode == 0
    assert base.ask("select count(*) from scores") == [(80_000,)]


def test_what_postgresql_cannot_hold_is_told(server: int, model: Path, tmp_path: Path) -> None:
    base = _postgres(server)
    rows(3).with_columns(key=pl.col("key") + "\0").write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="cannot hold"):
        score(model, str(tmp_path / "a.parquet"), base.place("scores"))
    assert base.scores() == []
    hostile = pl.Series(['a,"b"\n', "", "\\N", "\\.", "'; drop table scores; --"])
    rows(5).with_columns(key=hostile).write_parquet(tmp_path / "b.parquet")
    score(model, str(tmp_path / "b.parquet"), base.place("scores"))
    assert {row[0] for row in base.scores()} == set(hostile)
    base.fill(rows(5).with_columns(key=hostile, c=hostile))
    again = score(model, base.place("rows"), str(tmp_path / "out"))
    assert again.rows == 5
    assert set(pl.read_parquet(tmp_path / "out/**/*.parquet")["key"]) == set(hostile)
