"""Reading the log: what is malformed is counted by reason, everything else arrives, in batches."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mainline.errors import DataError
from mainline.schema import Task
from monitoring import blocks, joining, lines, staging, windows
from monitoring.joining import Joined
from monitoring.logs import Reader
from monitoring.reading import Found
from monitoring.reference import AT, FITS, SCORE, VERSION
from monitoring.staging import Stage
from tests.monitoring import toys
from tests.serving.toys import table

ROW = toys.rows("binary").head(1).to_dicts()[0]
TABLE = table("binary")


def read(place: Path | str, task: Task = "binary") -> tuple[pl.DataFrame, Reader]:
    reader = Reader(table(task), "toy")
    batches = list(reader.batches(str(place)))
    return (pl.concat(batches) if batches else pl.DataFrame()), reader


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_what_was_served_is_read(task: Task, tmp_path: Path) -> None:
    frame = toys.rows(task, days=3)
    found, reader = read(toys.log(frame, tmp_path / "log.jsonl", task), task)
    same = ["key", "time", "c", "x", "d", "y", SCORE]
    assert found.select(same).equals(frame.select(same))
    assert found[VERSION].unique().to_list() == ["v1.0.0"]
    assert found[AT][0] == datetime(2013, 12, 1)
    assert (reader.found.lines, reader.found.malformed.lines) == (120, 0)


def changed(**changes: Any) -> bytes:
    return toys.line(ROW, TABLE, **changes)


FEATURES = {"c": "red", "x": 0.1, "d": "on", "y": 3}
CASES = {
    "not UTF-8": [b'{"at": "\xff\xfe"}\n', b"\x80abc\n"],
    "not JSON": [b"{}}\n", b"null,\n", b"\x00\n", b"[" * 100_000 + b"\n", b'{"a":"\\ud800"}\n'],
    "not a prediction": [b"{}\n", b"[]\n", b'{"at": NaN}', changed(key=None), changed(score="1")],
    "another model": [changed(model="=cmd\n")],
    "another schema": [
        changed(features={"c": "red", "x": 0.1, "d": "on"}),
        changed(features={**FEATURES, "z\n@": 1}),
        changed(features={**FEATURES, "y": "3"}),
        changed(features={**FEATURES, "y": 3.5}),
        changed(features={**FEATURES, "y": 2**70}),
        changed(features={**FEATURES, "x": True}),
        changed(features=None),
    ],
    "no time": [changed(time="yesterday"), changed(time="2013-13-01T00:00:00"), changed(time="")],
    "from the future": [changed(time="2199-01-01T00:00:00")],
    "not a score": [changed(score=1.5), changed(score=-0.1)],
    "too long": [changed(key="k" * blocks.LONGEST), b"x" * (blocks.LONGEST * 20) + b"\n"],
}  # fmt: skip


@pytest.mark.parametrize("reason", CASES)
def test_a_line_that_cannot_be_used_is_counted(reason: str, tmp_path: Path) -> None:
    for number, bad in enumerate(CASES[reason]):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(changed() + bad + b"\n" + changed(key="2"))
        found, reader = read(path)
        assert found["key"].to_list() == [ROW["key"], "2"], bad[:100]
        malformed = reader.found.malformed
        assert (malformed.lines, malformed.reasons) == (1, {reason: 1}), bad[:100]
        assert len(malformed.samples) == 1 and malformed.samples[0].isprintable()
        assert len(malformed.samples[0]) < 1000 and "@" not in malformed.samples[0]
        assert malformed.samples[0].startswith(reason) and malformed.samples[0].endswith("line 2")
        assert reader.found.lines == 3


SCORES: list[Any] = [
    ["x", "y", "z"], [True, 0.0, 0.0], [None, 0.5, 0.5], [[0.5], 0.25, 0.25], [2**70, 0.5, 0.5], [0.5, 0.5],
    dict.fromkeys(table("multiclass").classes, "x"), {"first": 1.0}, "x", None, 0.5, [-0.5, 0.75, 0.75],
]  # fmt: skip


@pytest.mark.parametrize("score", SCORES, ids=str)
def test_scores_of_classes_that_are_none_are_counted(score: Any, tmp_path: Path) -> None:
    rows, declared = toys.rows("multiclass", days=1, a_day=2).to_dicts(), table("multiclass")
    good = [toys.line(row, declared) for row in rows]
    path = tmp_path / "log.jsonl"
    path.write_bytes(toys.line(rows[0], declared, key="bad", score=score).join(good))
    found, reader = read(path, "multiclass")
    assert found["key"].to_list() == [row["key"] for row in rows]
    assert reader.found.malformed.reasons == {"not a score": 1}


@pytest.mark.parametrize("score", [["x", "y", "z"], [True, False, False], [1, 0, None]], ids=str)
def test_scores_of_classes_that_are_none_are_counted_in_a_table_too(score: Any, tmp_path: Path) -> None:
    frame = toys.rows("multiclass", days=1).drop("target", SCORE)
    named = frame.with_columns(model=pl.lit("toy"), version=pl.lit("v1.0.0"), at=pl.lit("2013-12-01"))
    named.with_columns(score=pl.Series([score] * frame.height)).write_parquet(tmp_path / "log.parquet")
    _, reader = read(tmp_path, "multiclass")
    assert reader.found.malformed.reasons == {"not a score": frame.height}


SECRET = "passport-123"
LEAKS = [
    SECRET.encode(), b"\xff" + SECRET.encode(), changed(key=SECRET, score="1"),
    changed(key=SECRET, time=SECRET), changed(key=SECRET, score=7.0), changed(model=SECRET),
    changed(features={**FEATURES, "c": 5, "d": SECRET}),
    changed(key=SECRET, time="2199-01-01"), changed(key=SECRET * 100_000),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(LEAKS)))
def test_a_request_is_never_published(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record goes into artifacts and onto a page."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(LEAKS[number].rstrip() + b"\n" + changed())
    _, reader = read(path)
    assert reader.found.malformed.lines == 1
    assert SECRET not in reader.found.malformed.model_dump_json()
    told = capsys.readouterr().err
    assert SECRET not in told and "log.jsonl:1" in told


def test_a_table_that_cannot_be_typed_is_not_published_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = toys.rows("binary", days=1).with_columns(y=pl.lit(SECRET))
    _, reader = read(parquet(frame, tmp_path / "1.parquet", nested=True))
    assert reader.found.malformed.samples == ["another schema: y: line 1"]
    assert SECRET not in capsys.readouterr().err


def days(reader: Reader) -> dict[str, dict[str, int]]:
    return reader.found.malformed_days(toys.FIRST, toys.UNTIL)


def test_what_cannot_be_used_is_counted_by_its_own_day(tmp_path: Path) -> None:
    """One old spell must not be held against today."""
    frame = toys.rows("binary", days=4, a_day=10)
    lines = [toys.line(row, TABLE) for row in frame.to_dicts()]
    for place, row in enumerate(frame.head(10).to_dicts()):
        lines[place] = toys.line(row, TABLE, features={"c": "red", "d": "on", "y": 1})
    lines[21] = lines[21][:50] + b"\n"  # has no day: that of the line before
    lines[22] = toys.line(frame.row(22, named=True), TABLE, time="soon", at="2013-11-04T01:00:00+00:00")
    lines[23] = toys.line(frame.row(23, named=True), TABLE, score=7.0)
    (tmp_path / "log.jsonl").write_bytes(b"".join(lines))
    _, reader = read(tmp_path)
    assert days(reader) == {
        "2013-11-01": {"another schema": 10},
        "2013-11-03": {"not JSON": 1, "not a score": 1},
        "2013-11-04": {"no time": 1},
    }
    assert {str(day): lines for day, lines in sorted(reader.found.days.items())} == {
        "2013-11-01": 10, "2013-11-02": 10, "2013-11-03": 9, "2013-11-04": 11,
    }  # fmt: skip


def test_lines_before_the_first_with_a_day_have_that_one_and_else_the_last(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(b"{\n" + changed())
    _, reader = read(tmp_path / "1.jsonl")
    assert days(reader) == {"2013-11-01": {"not JSON": 1}}
    (tmp_path / "2.jsonl").write_bytes(b"{\n" * 3)
    _, reader = read(tmp_path / "2.jsonl")
    assert days(reader) == {"2013-11-30": {"not JSON": 3}}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_lines_of_another_version_need_not_have_the_schema_of_this_one(task: Task, tmp_path: Path) -> None:
    """A release that changes a feature leaves the lines of the one before, which are right."""
    frame = toys.rows(task, days=2, a_day=10)
    declared = table(task)
    others = [
        toys.line(
            row, declared, version="v0.9.0", features={"z": [1]}, **({} if number else {"score": "low"})
        )
        for number, row in enumerate(frame.to_dicts())
    ]
    mine = [toys.line(row, declared) for row in frame.to_dicts()]
    bad = toys.line(frame.row(0, named=True), declared, version="v0.9.0", time="soon")
    (tmp_path / "log.jsonl").write_bytes(b"".join([*others, bad, *mine]))
    reader = Reader(declared, "toy", "v1.0.0")
    found = pl.concat(list(reader.batches(str(tmp_path))))
    assert found[VERSION].value_counts(sort=True).sort(VERSION).rows() == [("v0.9.0", 20), ("v1.0.0", 20)]
    ours, old = (found.filter(pl.col(VERSION) == version) for version in ("v1.0.0", "v0.9.0"))
    assert ours.select("x", "y").equals(frame.select("x", "y")) and ours[FITS].all()
    assert not old[FITS].any() and old["x"].null_count() == 20
    assert old[SCORE][0] is None and old[SCORE][1:].equals(frame[SCORE][1:]), "its answers are answers"
    assert (reader.found.malformed.lines, reader.found.others, reader.found.lines) == (0, 21, 41)
    assert not reader.found.missing and not reader.found.extra


def test_parquet_of_another_version_need_not_have_the_schema_of_this_one(tmp_path: Path) -> None:
    frame = toys.rows("binary", days=2, a_day=10)
    path = parquet(frame, tmp_path / "1.parquet", nested=True)
    parquet(frame, tmp_path / "2.parquet", nested=False)
    old = pl.read_parquet(path).with_columns(pl.lit("v0.9.0").alias("version"))
    old.with_columns(pl.struct(pl.lit(1).alias("z")).alias("features")).write_parquet(path)
    old.with_columns(pl.col("key") + "'").write_parquet(tmp_path / "3.parquet")
    reader = Reader(TABLE, "toy", "v1.0.0")
    found = pl.concat(list(reader.batches(str(tmp_path))))
    assert found[VERSION].value_counts(sort=True).sort(VERSION).rows() == [("v0.9.0", 40), ("v1.0.0", 20)]
    assert (reader.found.malformed.lines, reader.found.others) == (0, 40)
    assert found[FITS].to_list() == [False] * 20 + [True] * 40, "the same schema, the same features"
    assert found[SCORE].equals(pl.concat([frame[SCORE]] * 3))
    old.with_columns(pl.lit("low").alias("score")).write_parquet(path)
    assert pl.concat(list(Reader(TABLE, "toy", "v1.0.0").batches(str(path))))[SCORE].null_count() == 20


def test_columns_that_are_missing_or_too_many_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(
        changed(features={"c": "red", "d": "on"}) * 3 + changed(features={**FEATURES, "z\n@": 1})
    )
    _, reader = read(path)
    assert reader.found.missing == {"x": 3, "y": 3}
    assert reader.found.extra == {"z\\n\\x40": 1}


def test_a_line_cut_by_a_kill_is_counted_and_the_next_one_read(tmp_path: Path) -> None:
    """The service ends an unfinished line before the next one; the last may still be unfinished."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(changed()[:100] + b"\n" + changed() + changed(key="2")[:-30])
    found, reader = read(path)
    assert found.height == 1
    assert reader.found.malformed.reasons == {"not JSON": 2}


def test_an_empty_log_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").write_bytes(b"\n\n")
    found, reader = read(tmp_path)
    assert found.height == 0 and reader.found.lines == 0


def test_a_place_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none\n")


def test_files_that_were_set_aside_come_first(tmp_path: Path) -> None:
    for name in (
        "predictions.jsonl",
        "predictions.00000000000000000002.jsonl",
        "predictions.00000000000000000001.jsonl",
    ):
        (tmp_path / name).write_bytes(changed(key=name))
    found, _ = read(tmp_path)
    assert [key[12:32] for key in found["key"]] == ["0" * 19 + "1", "0" * 19 + "2", "jsonl"]


def parquet(frame: pl.DataFrame, path: Path, *, nested: bool) -> Path:
    features = [one.name for one in TABLE.features]
    own = frame.select(
        "key", "time", pl.lit("toy").alias("model"), pl.lit("v1.0.0").alias("version"),
        pl.lit("2013-12-01T00:00:00+00:00").alias("at"), pl.col(SCORE).alias("score"),
        *([pl.struct(features).alias("features")] if nested else features),
    )  # fmt: skip
    own.write_parquet(path)
    return path


@pytest.mark.parametrize("nested", [True, False])
def test_parquet_with_features_as_a_struct_or_columns(nested: bool, tmp_path: Path) -> None:
    frame = toys.rows("binary", days=3)
    (tmp_path / "log").mkdir()
    found, reader = read(parquet(frame, tmp_path / "log/part-0.parquet", nested=nested).parent)
    same = ["key", "time", "c", "x", "d", "y", SCORE]
    assert found.select(same).equals(frame.select(same))
    assert reader.found.malformed.lines == 0


def test_parquet_of_another_schema_is_counted(tmp_path: Path) -> None:
    frame = toys.rows("binary", days=1)
    parquet(frame, tmp_path / "1.parquet", nested=False)
    pl.read_parquet(tmp_path / "1.parquet").drop("x").write_parquet(tmp_path / "2.parquet")
    retyped = frame.with_columns(y=pl.lit("many"))
    parquet(retyped, tmp_path / "3.parquet", nested=True)
    (tmp_path / "4.parquet").write_bytes((tmp_path / "1.parquet").read_bytes()[:500])
    parquet(frame.with_columns(pl.lit(float("nan")).alias(SCORE)), tmp_path / "5.parquet", nested=True)
    found, reader = read(tmp_path)
    assert found.height == 40
    assert reader.found.malformed.reasons == {"another schema": 80, "not Parquet": 1, "not a score": 40}
    assert reader.found.missing == {"x": 40}


@pytest.mark.parametrize("held", [150, 25])  # some days of 40 rows, or less than one
def test_a_log_in_pieces_gives_the_record_of_the_log_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(staging, "HELD_ROWS", held)
    rows = toys.rows("binary")
    again = rows.tail(500).with_columns(pl.lit(0.999).alias(SCORE))  # to the same keys, and last
    frame = pl.concat([rows.sample(fraction=1, shuffle=True, seed=1), again])
    labels = toys.labelled(rows)
    reader, stage = Reader(TABLE, "toy"), Stage(tmp_path / "stage", "key")
    stage.fill(reader.batches(str(toys.log(frame, tmp_path / "log.jsonl"))), "time", print)
    reference = toys.reference()
    told = list(labels.iter_slices(100))
    joined = Joined.of(told, stage, TABLE, toys.FIRST, toys.UNTIL)
    found = joining.observe(stage, joined, reference, toys.FIRST, toys.UNTIL)

    record = windows.record(found, reference, toys.POLICY, toys.UNTIL, log=Found(lines=reader.found.lines))
    assert len(list((tmp_path / "stage/outcomes").iterdir())) >= frame.height // held, "some at a time"
    assert record == toys.measured(frame, labels)
    assert json.loads(record.model_dump_json())["recent"][-1]["rows"] == 400


def test_a_file_that_is_set_aside_while_we_read_is_read_once(tmp_path: Path) -> None:
    now = tmp_path / "predictions.jsonl"
    (tmp_path / "predictions.00000000000000000001.jsonl").write_bytes(changed(key="1"))
    now.write_bytes(changed(key="2"))
    batches = Reader(TABLE, "toy").batches(str(tmp_path))
    keys = next(batches)["key"].to_list()
    now.rename(tmp_path / "predictions.00000000000000000002.jsonl")
    now.write_bytes(changed(key="3"))
    assert sorted(keys + [key for rows in batches for key in rows["key"]]) == ["1", "2", "3"]
