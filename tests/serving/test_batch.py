"""Batch scoring into folders: what the service says, exactly once, whatever is cut off or given."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from mainline.errors import ConfigError, DataError, IntegrityError, MainlineError, SourceError, StorageError
from mainline.schema import Task
from pipeline import frames
from serving import run, schemas
from serving.batch import __main__ as command
from serving.batch import columns, files, opening, places, running
from serving.batch.scoring import Scorer
from serving.model import LARGEST, Model
from tests.serving import batching, toys
from tests.serving.batching import process, rows, score
from usecase.schema import FEATURES


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    toys.folder("binary", folder)
    return folder


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Three files, one of them in a folder of its own, and what is no data."""
    root = tmp_path / "in"
    (root / "month=2013-11").mkdir(parents=True)
    for number, name in enumerate(("a.parquet", "b.parquet", "month=2013-11/c.parquet")):
        rows(300, seed=number, first=1000 * number).write_parquet(root / name)
    (root / "_SUCCESS").write_text("")
    (root / "_metadata.parquet").write_text("")
    return root


def scored(out: Path) -> pl.DataFrame:
    return pl.read_parquet(out / "**/*.parquet", hive_partitioning=False).sort("key")


def asked(model: Path, frame: pl.DataFrame, task: Task = "binary") -> list[dict[str, Any]]:
    """What the service says to the same rows, nulls as a request has them."""
    limit = {math.inf: LARGEST, -math.inf: -LARGEST}  # JSON has no infinities; the model clips them itself
    told: list[dict[str, Any]] = []
    service = Model(model, toys.table(task))
    for part in frame.iter_slices(1000):
        given = [{**row, "x": limit.get(row["x"], row["x"])} for row in part.to_dicts()]
        told += service.predict(toys.asked(service.table, given))[0]
    return told


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_scores_are_those_of_the_service(task: Task, tmp_path: Path) -> None:
    toys.folder(task, tmp_path)
    frame = rows(1000)
    scorer = Scorer(tmp_path, toys.table(task))
    found = scorer.score(columns.typed("rows", frame, toys.table(task)))
    told = asked(tmp_path, frame, task)
    first = [next(iter(one.values())) for one in told]
    expected = [list(one.values()) if task == "multiclass" else one for one in first]
    assert found["score"].to_list() == expected
    if task != "regression":
        assert found["decision"].to_list() == [one["decision"] for one in told]
    else:
        assert "decision" not in found.columns
    assert set(found["version"]) == {"v1.0.0"} and found["key"].equals(frame["key"])
    table = toys.table(task)
    _, odd = Model(tmp_path, table).predict(toys.asked(table, frame.to_dicts()))
    assert scorer.oddities() == {"null": odd.null, "unknown": odd.unknown, "out_of_range": odd.out_of_range}


def test_a_request_of_one_row_differs_in_the_last_digit_at_most(model: Path) -> None:
    frame = rows(50)
    found = Scorer(model, toys.table("binary")).score(columns.typed("rows", frame, toys.table("binary")))
    alone = [asked(model, row)[0]["probability"] for row in frame.iter_slices(1)]
    np.testing.assert_allclose(found["score"].to_numpy(), alone, rtol=1e-6)


def test_a_folder_is_scored_once(model: Path, given: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = score(model, str(given), str(out))
    assert (first.rows, list(first.states.values())) == (900, ["new"] * 3)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = score(model, str(given), str(out))
    assert (again.rows, again.skipped) == (0, 900)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert (out / "version=v1.0.0/month=2013-11/c.parquet").is_file()
    whole = scored(out)
    assert whole["key"].n_unique() == whole.height == 900
    assert whole.columns == ["key", "time", "score", "decision", "model", "version"]


def test_what_changed_is_scored_again_and_nothing_else(model: Path, given: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    score(model, str(given), str(out))
    rows(10, first=1000).write_parquet(given / "b.parquet")
    assert list(score(model, str(given), str(out)).states.values()) == [
        "finished",
        "input changed",
        "finished",
    ]
    assert scored(out).height == 610
    (out / "version=v1.0.0/a.parquet").unlink()
    assert list(score(model, str(given), str(out)).states.values()) == ["new", "finished", "finished"]
    assert set(score(model, str(given), str(out), force=True).states.values()) == {"forced"}
    planned = score(model, str(given), str(out), force=True, dry_run=True)
    assert planned.rows == 610 and planned.told()["rows_per_second"] is None


def test_another_threshold_is_another_model(model: Path, given: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    toys.folder("binary", other)
    record = json.loads((other / "models/manifest.json").read_text())
    (other / "models/manifest.json").write_text(json.dumps({**record, "threshold": 2.0}))
    score(model, str(given), str(tmp_path / "out"))
    again = score(other, str(given), str(tmp_path / "out"))
    assert set(again.states.values()) == {"model changed"}
    assert not scored(tmp_path / "out")["decision"].any()


def test_a_renamed_file_does_not_double_its_rows(model: Path, given: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    score(model, str(given), str(out))
    (given / "a.parquet").rename(given / "z.parquet")
    with pytest.raises(DataError, match=r"no longer has: a\.parquet"):
        score(model, str(given), str(out))
    assert score(model, str(given), str(out), prune=True).gone == ["a.parquet"]
    assert scored(out)["key"].n_unique() == scored(out).height == 900


def test_two_sources_do_not_overwrite_each_other(model: Path, given: Path, tmp_path: Path) -> None:
    score(model, str(given), str(tmp_path / "out"))
    with pytest.raises(ConfigError, match="here already"):
        score(model, str(given), str(tmp_path / "out"), source="another")


def days(given: Path, folder: Path) -> tuple[str, Path]:
    """The same rows as a table, whose partitions are days, and as a file that is named as one of them."""
    table = folder / "days.duckdb"
    with duckdb.connect(str(table)) as database:
        database.execute("CREATE TABLE rows AS SELECT * FROM read_parquet($1)", [str(given / "a.parquet")])
    (folder / "days").mkdir()
    shutil.copy(given / "a.parquet", folder / "days/2013-10-28.parquet")
    return f"duckdb:{table}?table=rows", folder / "days"


@pytest.mark.parametrize("sources", [("one", "two"), ("one", "one")])
@pytest.mark.parametrize("turn", [1, -1])
def test_two_partitions_do_not_share_a_file(
    sources: tuple[str, str], turn: int, model: Path, given: Path, tmp_path: Path
) -> None:
    """The day 2013-10-28 of a table and the file 2013-10-28.parquet of a folder are both written to that."""
    table, folder = days(given, tmp_path)
    first, second = [table, str(folder)][::turn]
    score(model, first, str(tmp_path / "out"), source=sources[0])
    before = scored(tmp_path / "out")
    with pytest.raises(ConfigError, match="here already"):
        score(model, second, str(tmp_path / "out"), source=sources[1], prune=True)
    assert scored(tmp_path / "out").equals(before)


def test_a_note_whose_name_is_a_path_takes_nothing_away(model: Path, given: Path, tmp_path: Path) -> None:
    out, theirs = tmp_path / "out", tmp_path / "theirs.parquet"
    score(model, str(given), str(out))
    theirs.write_text("theirs")
    note = json.loads((out / "version=v1.0.0/_manifest.jsonl").read_text().splitlines()[-1])
    for name in (str(theirs), "../../theirs.parquet"):
        with (out / "version=v1.0.0/_manifest.jsonl").open("a") as file:
            file.write(json.dumps(note | {"partition": name, "bytes": 6}) + "\n")
        with pytest.raises(DataError, match="is no name of a partition"):
            score(model, str(given), str(out), prune=True)
    assert theirs.read_text() == "theirs"


@pytest.mark.slow
@pytest.mark.parametrize("again", [True, False])
def test_what_a_kill_left_is_seen_when_the_input_has_it_no_longer(
    again: bool, model: Path, given: Path, tmp_path: Path
) -> None:
    """Replaced, or there for the first time, and not noted as finished."""
    out = tmp_path / "out"
    if again:
        score(model, str(given), str(out))
        rows(10, first=5000).write_parquet(given / "a.parquet")
    killed = process(model, str(given), str(out), "serving.batch.folder:stream:1:after")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (given / "a.parquet").rename(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"no longer has: a\.parquet"):
        score(model, str(given), str(out))
    assert score(model, str(given), str(out), prune=True).gone == ["a.parquet"]
    assert scored(out).height == 600
    assert score(model, str(given), str(out)).rows == 0


@pytest.mark.slow
def test_what_was_begun_and_is_not_there_belongs_to_nobody(model: Path, given: Path, tmp_path: Path) -> None:
    killed = process(model, str(given), str(tmp_path / "out"), "serving.batch.folder:stream:1:before")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert score(model, str(given), str(tmp_path / "out"), source="another").rows == 900


POINTS = [
    "serving.batch.scoring:Scorer.score:2:before",
    "serving.batch.folder:stream:2:before",
    "serving.batch.folder:stream:2:after",  # the file is there, its note is not
    "serving.batch.folder:Folder._note:3:after",  # the second is begun
    "serving.batch.folder:Folder._note:4:after",
    "serving.batch.folder:Folder._note:6:before",
    "polars:DataFrame.write_parquet:2:after",  # in memory, not on the disk
    "pathlib:Path.replace:2:before",  # a temporary file is left
]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_loses_and_doubles_nothing(point: str, model: Path, given: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    killed = process(model, str(given), str(out), point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list(out.rglob("*.parquet"))) < 3 or point.endswith("_note:6:before")
    assert 0 < score(model, str(given), str(out)).rows <= 900
    score(model, str(given), str(whole))
    assert scored(out).equals(scored(whole))
    assert not list(out.rglob(".*"))


def test_a_line_that_was_cut_off_counts_for_nothing(model: Path, given: Path, tmp_path: Path) -> None:
    score(model, str(given), str(tmp_path))
    path = tmp_path / "version=v1.0.0/_manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert list(score(model, str(given), str(tmp_path / "")).states.values()).count("new") == 1
    assert score(model, str(given), str(tmp_path)).rows == 0


@pytest.mark.slow
def test_two_at_once_take_turns(model: Path, given: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = batching.command(model, str(given), str(out))
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=batching.ROOT) for _ in range(2)]
    said = [one.communicate(timeout=120)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted("'rows': 900" in text for text in said) == [False, True]
    assert scored(out).height == 900


def test_many_rows_go_through_parts(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows(500).write_parquet(tmp_path / "a.parquet", row_group_size=100)
    score(model, str(tmp_path / "a.parquet"), str(tmp_path / "one"))
    monkeypatch.setattr("serving.batch.files.CHUNK", 64)
    monkeypatch.setattr("serving.batch.writing.MOST", 128)
    score(model, str(tmp_path / "a.parquet"), str(tmp_path / "two"))
    one, two = scored(tmp_path / "one"), scored(tmp_path / "two")
    assert one.drop("score").equals(two.drop("score"))
    np.testing.assert_allclose(one["score"].to_numpy(), two["score"].to_numpy(), rtol=1e-6)
    assert not list((tmp_path / "two").rglob(".*"))


def test_keys_that_repeat_are_refused_or_the_first_is_kept(model: Path, tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    rows(300).write_parquet(root / "a.parquet")
    rows(300, seed=9, first=200).vstack(rows(5, first=499)).write_parquet(root / "b.parquet")
    with pytest.raises(DataError, match=r"101 keys are there more than once: k000200, .* and 96 more"):
        score(model, str(root), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    kept = score(model, str(root), str(tmp_path / "out"), keep="first")
    assert kept.rows == scored(tmp_path / "out")["key"].n_unique() == 504
    files_ = {path.name: pl.read_parquet(path) for path in (tmp_path / "out").rglob("*.parquet")}
    assert (files_["a.parquet"].height, files_["b.parquet"].height) == (300, 204)


HOSTILE = "x\n::error::\x1b[31m`@team`"


CHANGES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "no rows": lambda frame: frame.clear(),
    "missing": lambda frame: frame.drop("c", "y"),
    "re-typed": lambda frame: frame.with_columns(pl.col("x").cast(pl.String), pl.col("y").cast(pl.Float64)),
    "zone": lambda frame: frame.with_columns(pl.col("time").dt.replace_time_zone("UTC")),
    "keyless": lambda frame: frame.with_columns(key=pl.when(pl.col("key") != "k000003").then("key")),
    "timeless": lambda frame: frame.with_columns(time=pl.lit(None, pl.Datetime("us"))),
}


def broken(tmp_path: Path, kind: str) -> str:
    path = tmp_path / "in.parquet"
    if kind == "nothing":
        path.mkdir()
    elif kind == "absent":
        return str(tmp_path / HOSTILE)
    elif kind == "text":
        path.write_text("no Parquet")
    elif kind == "damaged":
        rows(5000).write_parquet(path)
        content = path.read_bytes()
        path.write_bytes(content[:100] + bytes(byte ^ 0x5A for byte in content[100:3000]) + content[3000:])
    else:
        CHANGES.get(kind, lambda frame: frame)(rows(10)).write_parquet(path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-30])
    return str(path)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("text", SourceError, "cannot be read as Parquet"),
        ("truncated", SourceError, "cannot be read as Parquet"),
        ("damaged", SourceError, "cannot be read as Parquet"),
        ("no rows", DataError, "has no rows"),
        ("nothing", DataError, "holds no Parquet file"),
        ("absent", ConfigError, "neither a file nor a folder"),
        ("missing", DataError, "c is missing; y is missing"),
        ("re-typed", DataError, "x is String, should be Float64; y is Float64, should be Int64"),
        ("zone", DataError, "time has the time zone UTC"),
        ("keyless", DataError, "1 rows of .* have no key"),
        ("timeless", DataError, "10 rows of .* have no time"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    kind: str, error: type[MainlineError], words: str, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(error) as raised:
        score(model, broken(tmp_path, kind), str(tmp_path / "out"))
    said = str(raised.value)
    assert re.search(words, said), said
    assert "\x1b" not in said and "\n::" not in said
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_types_that_hold_no_other_values_are_taken(model: Path, tmp_path: Path) -> None:
    frame = rows(100).filter(pl.col("x").is_finite() | pl.col("x").is_null())
    frame.write_parquet(tmp_path / "a.parquet")
    other = frame.with_columns(
        pl.col("y").cast(pl.Int8), pl.col("c").cast(pl.Categorical), pl.col("time").cast(pl.Datetime("ms"))
    )
    other.select(reversed(other.columns)).write_parquet(tmp_path / "b.parquet")
    for name in "ab":
        score(model, str(tmp_path / f"{name}.parquet"), str(tmp_path / name))
    assert scored(tmp_path / "a").equals(scored(tmp_path / "b"))


def test_a_column_of_nothing_but_nulls_is_scored(model: Path, tmp_path: Path) -> None:
    rows(10).with_columns(x=pl.lit(None), c=pl.lit(None)).write_parquet(tmp_path / "a.parquet")
    assert score(model, str(tmp_path / "a.parquet"), str(tmp_path / "out")).rows == 10


def test_a_tampered_model_scores_nothing(given: Path, tmp_path: Path) -> None:
    toys.folder("binary", tmp_path / "model")
    with (tmp_path / "model/models/model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(IntegrityError):
        score(tmp_path / "model", str(given), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_told_and_the_next_run_goes_on(
    model: Path, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(28, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(full))
        with pytest.raises(StorageError, match="cannot be written"):
            score(model, str(given), str(tmp_path / "out"))
    assert score(model, str(given), str(tmp_path / "out")).rows == 900


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # what is longer the system refuses, as a full disk
from serving.batch import writing
writing.MOST = int(sys.argv.pop())
from tests.serving import batching
sys.exit(batching.main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("most", [10, 100_000])  # in parts, and in memory
def test_a_disk_that_takes_no_more_is_told(most: int, model: Path, tmp_path: Path) -> None:
    rows(3000).write_parquet(tmp_path / "a.parquet")
    out = tmp_path / "out"
    line = [sys.executable, "-c", FULL, str(model), str(tmp_path / "a.parquet"), str(out), "", str(most)]
    done = subprocess.run(line, cwd=batching.ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == StorageError.exit_code, done.stderr
    assert "cannot be written" in done.stderr and "same command goes on" in done.stderr
    assert not list(out.rglob("*.parquet")) and not list(out.rglob("*.part"))
    assert score(model, str(tmp_path / "a.parquet"), str(out)).rows == 3000


def test_a_spool_that_takes_no_more_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".mainline").write_text("no folder")
    assert command.main(["--working-tree", "--month=2013-11", "--output=out"]) == StorageError.exit_code
    assert ".mainline/score cannot be written" in capsys.readouterr().err


def test_names_that_are_patterns(model: Path, tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    names = ["a*[1]?.parquet", "a1.parquet", "it's $1 {x}.parquet"]
    for number, name in enumerate(names):
        rows(10, first=100 * number).write_parquet(tmp_path / "one")
        (tmp_path / "one").rename(root / name)
    assert score(model, str(root), str(tmp_path / "out")).rows == 30
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.parquet")) == names
    (root / "a1.parquet").rename(root / os.fsdecode(b"\xff.parquet"))
    with pytest.raises(DataError, match="not UTF-8"):
        score(model, str(root), str(tmp_path / "out"))


def test_the_same_rows_have_the_same_digest_whatever_lies_below_their_nulls() -> None:
    table = toys.table("binary")
    frame = columns.typed("rows", rows(200), table)
    halves = columns.digest([frame])
    rebuilt = pl.DataFrame(frame.to_dict(as_series=False), schema=frame.schema)
    assert columns.digest([rebuilt]) == halves
    for name in ("key", "time", "c", "x", "y"):
        changed = frame.with_columns(pl.col(name).shift(1))
        assert columns.digest([changed])[0] != halves[0], name


def test_progress_on_a_pipe_is_rare() -> None:
    stream = io.StringIO()
    progress = running.Progress(stream)
    for _ in range(1000):
        progress.add(10, HOSTILE)
    assert stream.getvalue().count("\n") == 1 and "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    ["", "s3://", "s3:///rows", "http://example.org/x", "duckdb:x.db", "duckdb:?table=t",
     "duckdb:x.db?table=t&query=q", "duckdb:x.db?table=t&mode=ro", "postgresql://h/d", "postgresql://[h/d?table=t",
     "duckdb:x.db?table=a\0b"],
)  # fmt: skip
def test_an_address_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        place = places.parse(text)
        assert isinstance(place, places.Database)
        place.relation  # noqa: B018 - raises for a name that cannot be one


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://writer:hunter2@db/flights?table=t", "postgresql+psycopg://db"),
        ("mysql://writer:hunter2@db:3306/flights", "mysql://db"),
        ("MySQL://writer:hunter2@db/flights", "mysql://db"),
        ("mssql+py.odbc://writer:hunter2@db", "mssql+py.odbc://db"),
        ("mysql://hunter2/or-a-half@db/flights", "mysql://"),
        ("mysql://writer:#hunter2@db/flights", "mysql://"),
        ("mysql://[hunter2", "mysql://"),
        ("https://token:hunter2@host/rows.parquet", "https://host"),
        ("duckdb:///rows.duckdb?table=t&motherduck_token=hunter2", "duckdb://"),
        ("postgresql://writer:hunter2@db/flights", "a database's address"),
    ],
)
def test_a_refused_address_shows_no_password(text: str, shown: str) -> None:
    with pytest.raises(ConfigError) as raised:
        places.parse(text)
    told = str(raised.value)
    assert shown in told and "hunter2" not in told and "half" not in told


@pytest.mark.parametrize(
    ("text", "folder", "inside"),
    [
        ("s3://b/in/out", "s3://b/in/", True),
        ("s3://b/in", "s3://b/in", True),
        ("s3://b/in-out", "s3://b/in", False),
        ("s3://b/in", "b/in", False),
        ("b/in", "b", False),  # which is not there
        (".", ".", True),
        ("./x", ".", True),
        ("..", ".", False),
    ],
)
def test_output_in_input(text: str, folder: str, inside: bool) -> None:
    assert places.inside(text, folder) is inside


def test_a_query_may_end_with_a_comment() -> None:
    place = places.parse("duckdb:x.db?query=SELECT 1 -- all;")
    assert isinstance(place, places.Database) and place.relation.endswith("\n) AS source")


def test_an_address_keeps_its_secrets_and_its_servers_options() -> None:
    place = places.parse("postgres://me:secret@db:5/flights?sslmode=require&schema=a.b&table=t%22%3B--")
    assert isinstance(place, places.Database)
    assert place.address == "postgresql://me:secret@db:5/flights?sslmode=require"
    assert place.relation == '"a.b"."t"";--"'
    assert "secret" not in place.label and "me" not in place.label


def test_hidden_files_are_no_data(given: Path) -> None:
    assert list(files.listed(str(given))) == ["a.parquet", "b.parquet", "month=2013-11/c.parquet"]


def example(path: Path) -> None:
    """A row with the columns of the use case."""
    given = frames.polars_schema([FEATURES.key, FEATURES.time, *FEATURES.features])
    said = schemas.example(FEATURES)
    row = {n: [datetime.fromisoformat(v)] if given[n].is_temporal() else [v] for n, v in said.items()}
    pl.DataFrame(row).cast(given).write_parquet(path)  # type: ignore[arg-type]


def test_the_command_scores_with_a_bento(
    bento: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way, with the columns of the use case: a folder is left as it was found."""
    example(tmp_path / "one.parquet")
    monkeypatch.chdir(tmp_path)
    digest = hashlib.sha256(bento.read_bytes()).hexdigest()
    line = [f"--bento={bento}", f"--sha256={digest}", "--input=one.parquet", "--output=out", "--json"]
    assert command.main(line) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 1
    assert scored(tmp_path / "out")["version"].to_list() == ["v0.0.1"]
    assert not list(Path(".mainline/score").iterdir()) and run.UNPACKED not in os.environ
    assert command.main([*line[:-1], "--force", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "1 rows would be scored; partitions: 1 forced" in told and "/s" not in told
    assert command.main([*line[:1], f"--sha256={'0' * 64}", *line[2:]]) == IntegrityError.exit_code
    assert command.main([*line[:3], "--output=one.parquet"]) == ConfigError.exit_code


def unheard(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The command with nobody at the other end of its output, as after `2>&1 | head -1`."""
    read, write = os.pipe()
    os.close(read)
    path = {"PYTHONPATH": os.pathsep.join(map(str, (batching.ROOT / "src", batching.ROOT)))}
    line = [sys.executable, "-m", "serving.batch", *arguments]
    try:
        return subprocess.Popen(line, cwd=folder, env=os.environ | path, stdout=write, stderr=write)
    finally:
        os.close(write)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["--json", "--threads=1"])
def test_who_stops_reading_does_not_stop_the_scoring(form: str, bento: Path, tmp_path: Path) -> None:
    example(tmp_path / "one.parquet")
    line = [f"--bento={bento}", "--input=one.parquet", "--output=out", form]
    assert unheard(tmp_path, *line).wait(120) == 0
    assert scored(tmp_path / "out").height == 1


def test_a_month_that_the_source_has_not_is_told_as_it_was_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--month 9998-01 is outside the data") as caught:
        opening.month("9998-01", tmp_path)
    assert "--input" in caught.value.remedy


def test_an_error_that_nobody_reads_is_one(tmp_path: Path) -> None:
    line = ["--working-tree", "--month=2013-13", "--output=out"]
    assert unheard(tmp_path, *line).wait(120) == ConfigError.exit_code


def test_a_stop_ends_with_75_and_leaves_nothing_by_half(model: Path, given: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            score(model, str(given), str(out))
        patch.setattr(command, "score", stop)
        assert command.main(["--working-tree", "--month=2013-11", f"--output={out}"]) == 75
    assert not list(out.rglob("*.part")) and not list(out.rglob("*.parquet"))
    assert score(model, str(given), str(out)).rows == 900


def test_a_second_signal_does_not_end_the_rollback() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, command.stop)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
