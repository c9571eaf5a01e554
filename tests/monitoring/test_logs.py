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
from monitoring import logs, staging
from monitoring.logs import Reader
from monitoring.reference import AT, SCORE, VERSION
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
    "too long": [changed(key="k" * logs.LONGEST), b"x" * (logs.LONGEST * 20) + b"\n"],
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
        assert reader.found.lines == 3


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


def test_a_log_in_pieces_gives_the_record_of_the_log_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "BATCH_ROWS", 70)
    monkeypatch.setattr(staging, "HELD_ROWS", 150)
    frame = toys.rows("binary").sample(fraction=1, shuffle=True, seed=1)
    labels = toys.labelled(frame)
    reader, stage = Reader(TABLE, "toy"), Stage(tmp_path / "stage")
    stage.fill(reader.batches(str(toys.log(frame, tmp_path / "log.jsonl"))), "time", print)
    reference = toys.reference()
    found = staging.observe(stage, labels, reference, toys.FIRST, toys.UNTIL)
    from monitoring import windows

    record = windows.record(found, reference, toys.POLICY, toys.UNTIL, lines=reader.found.lines)
    assert len(list((tmp_path / "stage/outcomes").iterdir())) > 5
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
