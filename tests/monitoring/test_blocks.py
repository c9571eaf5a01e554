"""Blocks of lines at once: whatever the lines are, the rows and the counts are those of line by line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainline.schema import Task
from monitoring import lines
from monitoring.blocks import Blocks
from monitoring.lines import Lines
from monitoring.reading import Found
from monitoring.reference import SCORE
from monitoring.rows import Rows
from tests.monitoring import toys
from tests.serving.toys import table

TASKS: list[Task] = ["binary", "multiclass", "regression"]
ROWS: dict[Task, list[dict[str, Any]]] = {
    task: toys.rows(task, days=3, a_day=4).to_dicts() for task in ("binary", "multiclass", "regression")
}


def good(task: Task = "binary", number: int = 0, **changes: Any) -> bytes:
    return toys.line(ROWS[task][number], table(task), **changes)


def read(content: bytes, folder: Path, task: Task, *, strictly: bool) -> tuple[pl.DataFrame, Found]:
    path = folder / "log.jsonl"
    path.write_bytes(content)
    rows = Rows(table(task), "toy", "v1.0.0", file=path.name)
    reader = Lines(rows)
    if strictly:
        reader._blocks.frame = lambda _: None  # type: ignore[method-assign]
    frames = [*reader.batches(path), pl.DataFrame()]
    return pl.concat([frame for frame in frames if frame.width], how="vertical"), rows.found


def alike(content: bytes, folder: Path, task: Task = "binary") -> None:
    fast, found = read(content, folder, task, strictly=False)
    slow, expected = read(content, folder, task, strictly=True)
    assert fast.equals(slow) and fast.schema == slow.schema
    assert found == expected


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "PIECE_BYTES", 700)  # some lines


@pytest.mark.parametrize("task", TASKS)
def test_faultless_lines_are_parsed_at_once(task: Task) -> None:
    block = b"".join(good(task, number) for number in range(12))
    frame = Blocks(table(task)).frame(block)
    assert frame is not None
    assert frame[SCORE].to_list() == [row[SCORE] for row in ROWS[task]]
    assert frame["y"].to_list() == [row["y"] for row in ROWS[task]]
    assert Blocks(table(task)).frame(block.replace(b": ", b":")) is not None  # as the service writes them
    assert Blocks(table(task)).frame(block.replace(b"red", "\u00e9\u4e2d".encode())) is not None


def test_scores_by_class_may_have_the_classes_names() -> None:
    by_class = {"three": 0.5, "one": 0, "two": 0.5}
    frame = Blocks(table("multiclass")).frame(good("multiclass", score=by_class))
    assert frame is not None and frame[SCORE].to_list() == [[0, 0.5, 0.5]]


FEATURES: dict[str, Any] = {"c": "red", "x": 0.1, "d": "on", "y": 3}
X = b'"x": 0.1'
ONE: dict[str, bytes] = {
    "a feature less": good(features={"c": "red", "x": 0.1, "d": "on"}),
    "a feature more": good(features={**FEATURES, "z": 1}),
    "a feature of another name": good(features={"c": "red", "x": 0.1, "d": "on", "z": 3}),
    "a feature elsewhere": good(features={"c": "red", "x": 0.1, "d": "on"}, y=3),
    "a feature in a list elsewhere": good(features={"c": "red", "x": 0.1, "d": "on"}, more=[{"y": 3}]),
    "a colon in a text": good(features={"c": ':"y":', "x": 0.1, "d": ":"}),
    "a text that begins with one": good(features={"c": ":", "x": 0.1, "d": "on"}),
    "a feature less, a text like its name": good(features={"c": 'q":', "x": 0.1, "d": "on"}),
    "a key of a quote": good(features={"c": "red", "x": 0.1, "d": "on"}, **{'a"y': 3}),
    "the same twice": good(features=FEATURES).replace(X, b'"x": 1, "x": 0.1'),
    "the same twice, another not": good(features=FEATURES).replace(b'"d": "on"', X),
    "two on a line": good().rstrip() + good(),
    "two on a line and a blank": b"\n" + good().rstrip() + good(),
    "one on two lines": good().replace(b', "x"', b',\n"x"'),
    "text for a number": good(features={**FEATURES, "x": "0.1"}),
    "number for a text": good(features={**FEATURES, "c": 5}),
    "bool for a number": good(features={**FEATURES, "x": True}),
    "fraction for a whole number": good(features={**FEATURES, "y": 3.0}),
    "whole number for a fraction": good(features={**FEATURES, "x": 1}),
    "too large a whole number": good(features={**FEATURES, "y": 2**63}),
    "the largest whole number": good(features={**FEATURES, "y": 2**63 - 1}),
    "not a number": good(features={**FEATURES, "x": float("nan")}),
    "infinity": good(features={**FEATURES, "x": float("-inf")}),
    "beyond the largest number": good(features=FEATURES).replace(X, b'"x": 1e999'),
    "nothing": good(features=dict.fromkeys(FEATURES)),
    "no features": good(features=None),
    "no key": good(key=None),
    "no score": good(score=None),
    "a score of text": good(score="0.1"),
    "a score that is none": good(score=float("nan")),
    "a number for a time": good(time=5),
    "not UTF-8": good(key="k").replace(b'"k"', b'"\xff"'),
    "a NUL": good(key="a\0b"),
    "a surrogate": good(key="k").replace(b'"k"', rb'"\ud800"'),
    "a pair of them": good(key="\U0001f600"),
    "an escape": good(key="a\tb\n"),
    "an escaped quote": good(key='a"b'),
    "an escaped name": good(features=FEATURES).replace(b'"x"', rb'"\u0078"'),
    "a tab": good(key="k").replace(b'"k"', b'"\t"'),
    "other ends of lines": good().replace(b"\n", b"\r\n"),
    "spaces": good().replace(b":", b" : "),
    "blank": b" \n\n",
    "not JSON": b"{}}\n",
    "cut": good()[:70] + b"\n",
    "another version": good(version="v0.9.0", features={"z": 1}),
    "another model": good(model="other"),
    "from the future": good(time="2199-01-01T00:00:00"),
    "no time": good(time="soon", at="then"),
    "other columns that differ": good(more=1) + good(more="1") + good(more=None),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE)
@pytest.mark.parametrize("before", [0, 1, 5])
def test_one_line_that_is_not_as_the_others(case: str, before: int, tmp_path: Path) -> None:
    lot = [good(number=number) for number in range(12)]
    alike(b"".join([*lot[:before], ONE[case], *lot[before:]]), tmp_path)
    alike(b"".join([*lot[:before], ONE[case], b"{\n", *lot[before:]]).rstrip(b"\n"), tmp_path)
    alike(ONE[case] * (before + 1), tmp_path)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), st.text(max_size=3),
    st.sampled_from([':"y":', '"', "\\", "\\\\", "2013-11-02", "one", [], {}, [0.5], {"y": 1}]),
)  # fmt: skip
TOP = st.sampled_from(["at", "model", "version", "key", "time", "score", "features", "y", "more"])
INSIDE = st.sampled_from(["c", "x", "d", "y", "z"])


@st.composite
def contents(draw: st.DrawFn) -> tuple[Task, bytes]:
    """Lines of a task; of some, a value is another, or a key is missing, and bytes of one may be."""
    task: Task = draw(st.sampled_from(TASKS))
    told = []
    for number in range(draw(st.integers(1, 12))):
        line = json.loads(good(task, number))
        if draw(st.integers(0, 5)) == 0:
            inside = draw(st.booleans())
            where, name = (line["features"], draw(INSIDE)) if inside else (line, draw(TOP))
            if draw(st.booleans()):
                where[name] = draw(VALUES)
            else:
                where.pop(name, None)
        told.append(json.dumps(line, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass"))
    content = b"\n".join(told) + draw(st.sampled_from([b"", b"\n"]))
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(content)))
        content = (
            content[:at] + draw(st.sampled_from([b"", b"\n", b'"', b":", b"}{", b"\xff"])) + content[at + 1 :]
        )
    return task, content


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents())
def test_any_lines(tmp_path: Path, lot: tuple[Task, bytes]) -> None:
    task, content = lot
    alike(content, tmp_path, task)


def test_a_line_that_is_too_long_is_none_of_a_block() -> None:
    long = good(key="k" * 1_000_000)
    assert Blocks(table("binary")).frame(good() + long) is None


def test_what_is_said_of_a_faulty_line_in_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its number is that in the file, wherever the pieces are cut."""
    lot = [good(number=number % 12) for number in range(500)]
    lot[300] = b"{\n"
    _, found = read(b"".join(lot), tmp_path, "binary", strictly=False)
    assert re.findall(r"log\.jsonl:(\d+)", capsys.readouterr().err) == ["301"]
    assert (found.lines, found.malformed.lines) == (500, 1)
