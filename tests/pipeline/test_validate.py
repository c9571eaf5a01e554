"""The stage: what it remembers, what it rejects, and what it leaves behind."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import great_expectations.expectations as gxe
import polars as pl
import pytest

from mainline.errors import ConfigError, DataError
from mainline.records import Rejection, Validation
from mainline.schema import Column, FeatureTable, Table
from mainline.settings import Month
from pipeline import frames, paths, validate
from pipeline.params import Data
from pipeline.validation import batches, datadocs, expect, suites
from pipeline.validation.batches import Subject
from tests.pipeline.damaged import ABORTS, PANICS
from usecase import expectations

SALES = Table(
    "sales",
    (Column("id", "string", "key"), Column("day", "date", ""), Column("euros", "float64", "", minimum=0)),
    key=("id",),
    time="day",
)
MONTHS = (Month(2020, 1), Month(2020, 2), Month(2020, 3))
DATA = Data(as_of="2020-03", train_months=1, validation_months=1, test_months=1)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sales(month: Month, euros: float = 5.0, rows: int = 20) -> pl.DataFrame:
    days = [month.first_day + timedelta(days=number) for number in range(rows)]
    ids = [f"{month} {number}" for number in range(rows)]
    return pl.DataFrame({"id": ids, "day": days, "euros": [euros] * rows})


def path(month: Month) -> Path:
    return paths.RAW / "sales" / f"month={month}.parquet"


def subjects() -> list[Subject]:
    """Three months, as the stage would make them, with a use case's suite of one line."""

    def suite(month: Month, good: Sequence[Path]) -> list[Any]:
        rows = sum(frames.read(file).height for file in good)
        warn = gxe.ExpectTableRowCountToBeBetween(max_value=rows or 1000, severity="warning")
        return [*suites.raw(SALES, month), warn]

    return [
        Subject(
            "sales",
            str(month),
            path(month),
            SALES.columns,
            SALES.key,
            (str(month),),
            tuple(path(earlier) for earlier in MONTHS[:index]),
            lambda good, month=month: suite(month, good),
        )
        for index, month in enumerate(MONTHS)
    ]


def write(**euros: float) -> None:
    for month in MONTHS:
        frames.write(sales(month, euros.get(f"m{month.month}", 5.0)), path(month))


def run() -> Validation:
    return validate.run(subjects(), paths.VALIDATION, paths.DATA_DOCS, 3)


def test_what_is_remembered_gives_the_same_record_and_pages(capsys: pytest.CaptureFixture[str]) -> None:
    write()
    assert run().status == "passed"
    assert "3 of 3 batches new" in capsys.readouterr().out
    first = paths.VALIDATION.read_bytes()
    pages = {file: file.read_bytes() for file in paths.DATA_DOCS.rglob("*.html")}
    assert len(pages) == 4
    for file in pages:
        file.unlink()
    run()
    assert "0 of 3 batches new" in capsys.readouterr().out
    for file in paths.VALIDATED.iterdir():
        file.write_text("{}")  # damaged: as if there were none
    for _ in range(2):
        assert paths.VALIDATION.read_bytes() == first
        assert {file: file.read_bytes() for file in pages} == pages
        run()
    assert "3 of 3 batches new" in capsys.readouterr().out


def test_a_changed_month_is_validated_again_and_so_are_those_it_is_history_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write()
    run()
    capsys.readouterr()
    frames.write(sales(MONTHS[1], 6.0), path(MONTHS[1]))
    run()
    assert "2 of 3 batches new" in capsys.readouterr().out


def test_a_warning_is_told_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write()
    frames.write(sales(MONTHS[0], rows=10), path(MONTHS[0]))
    assert run().status == "warning"
    assert run().status == "warning"  # remembered
    told = "warning: sales 2020-02: expect_table_row_count_to_be_between (max_value=10): 20"
    assert capsys.readouterr().out.count(told) == 2
    assert not paths.QUARANTINE.exists()


def test_a_critical_failure_stops_with_everything_named_and_kept() -> None:
    write(m2=-1.5)
    with pytest.raises(DataError) as caught:
        run()
    text = str(caught.value)
    for part in (
        "sales 2020-02",
        "euros",
        "20 of 20 rows",
        'id "2020-02 0"',
        "euros -1.5",
        "data/quarantine/",
    ):
        assert part in text
    assert caught.value.exit_code == 13
    record = Validation.read(paths.VALIDATION)
    assert record.status == "failed"
    assert [batch.status for batch in record.batches] == ["passed", "failed", "passed"]
    kept = Path(record.batches[1].quarantine or "")
    assert kept.parent == paths.QUARANTINE / "sales/month=2020-02"
    assert kept.read_bytes() == path(MONTHS[1]).read_bytes()
    assert Rejection.read(kept.with_suffix(".json")).batch == record.batches[1]
    assert "euros -1.5" in kept.with_suffix(".txt").read_text()
    assert path(MONTHS[1]).exists(), "the batch itself stays where it is"


def test_quarantine_keeps_its_evidence_and_doubles_nothing() -> None:
    write(m2=-1.5)
    for _ in range(2):
        with pytest.raises(DataError):
            run()
    kept = sorted(paths.QUARANTINE.rglob("*.*"))
    assert len(kept) == 3
    write()
    assert run().status == "passed"
    assert sorted(paths.QUARANTINE.rglob("*.*")) == kept
    write(m2=-2.5)
    with pytest.raises(DataError):
        run()
    assert len(sorted(paths.QUARANTINE.rglob("*.*"))) == 6


@pytest.mark.parametrize("content", ["truncated", "not UTF-8", "empty", "panics", "aborts"])
def test_a_file_that_cannot_be_read_is_a_rejected_batch(
    content: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write()
    damaged = path(MONTHS[0])
    data = damaged.read_bytes()
    if content == "not UTF-8":
        frame = sales(MONTHS[0]).with_columns(id=pl.lit("a" * 12) + pl.int_range(20).cast(pl.String))
        frame.write_parquet(damaged, compression="uncompressed", use_pyarrow=False)
        data = damaged.read_bytes().replace(b"a" * 12, b"\xff" * 12)
    others = {"truncated": data[: len(data) // 2], "empty": b"", "panics": PANICS, "aborts": ABORTS}
    damaged.write_bytes(others.get(content, data))
    with pytest.raises(DataError, match="sales 2020-01") as caught:
        run()
    assert str(damaged) in str(caught.value)
    record = Validation.read(paths.VALIDATION)
    assert [batch.status for batch in record.batches] == ["failed", "passed", "passed"]
    assert record.batches[0].failures[0].expectation == "expect_file_to_be_readable_parquet"
    assert Path(record.batches[0].quarantine or "").read_bytes() == damaged.read_bytes()
    assert "2020-01.html" not in (paths.DATA_DOCS / "index.html").read_text()
    assert "panicked" not in capfd.readouterr().err
    with pytest.raises(DataError):
        run()
    assert len(sorted(paths.QUARANTINE.rglob("*.*"))) == 3, "the same reason in the same words"


def test_rows_of_another_month_are_seen_and_stop_the_run() -> None:
    """Half of a month moved by ten years; ingest leaves them in, so that they are judged here."""
    write()
    frame = sales(MONTHS[1])
    moved = frame.with_columns(
        day=pl.when(pl.int_range(20) % 2 == 0).then(pl.col("day").dt.offset_by("10y")).otherwise("day")
    )
    frames.write(moved, path(MONTHS[1]))
    with pytest.raises(DataError, match="10 of 20 rows"):
        run()
    batch = Validation.read(paths.VALIDATION).batches[1]
    assert (batch.rows, batch.status) == (20, "failed")
    assert [(check.column, check.severity) for check in batch.failures] == [("day", "critical")]
    assert frames.read(Path(batch.quarantine or "")).equals(moved)


def test_evidence_for_another_reason_does_not_replace_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    write(m2=-1.5)
    limit = replace(SALES.columns[2], minimum=-1)
    for table in (SALES, replace(SALES, columns=(*SALES.columns[:2], limit)), SALES):
        monkeypatch.setattr(sys.modules[__name__], "SALES", table)
        with pytest.raises(DataError):
            run()
    kept = Validation.read(paths.VALIDATION).batches[1].quarantine or ""
    names = sorted(file.name.removeprefix(Path(kept).stem) for file in Path(kept).parent.iterdir())
    assert names == ["-2.json", "-2.txt", ".json", ".parquet", ".txt"]
    first, second = (Rejection.read(Path(kept).parent / f"{Path(kept).stem}{end}.json") for end in ("", "-2"))
    assert "min_value=0" in first.batch.failures[0].expected
    assert "min_value=-1" in second.batch.failures[0].expected
    assert first.sha256 == second.sha256
    texts = [Path(kept).with_name(f"{Path(kept).stem}{end}.txt").read_text() for end in ("", "-2")]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("raw", [True, False])
def test_a_use_case_that_expects_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch, raw: bool) -> None:
    """What follows from the schema does not hide that src/usecase/expectations.py returned nothing."""
    write()
    if raw:
        monkeypatch.setattr(expectations, "raw", lambda _table, _month, _earlier: [])
        subject = batches.raw([SALES], MONTHS[2])[0]
    else:
        monkeypatch.setattr(expectations, "features", lambda _window: [])
        subject = batches.features(DATA)[0]
    with pytest.raises(ConfigError, match="expectations") as caught:
        subject.suite([])
    assert ("sales 2020-01" if raw else "features/train") in caught.value.what


def test_a_table_without_the_last_month_is_an_error() -> None:
    write()
    assert [subject.month for subject in batches.raw([SALES], MONTHS[2])] == ["2020-01", "2020-02", "2020-03"]
    with pytest.raises(DataError, match="sales has no month 2020-04"):
        batches.raw([SALES], Month(2020, 4))


def test_an_unknown_argument_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(ConfigError, match="--nonsense"):
        validate.main(["--nonsense"])


def test_pages_of_batches_that_are_gone_are_swept() -> None:
    write()
    run()
    validate.run(subjects()[:2], paths.VALIDATION, paths.DATA_DOCS, 3)
    pages = {file.relative_to(paths.DATA_DOCS).as_posix() for file in paths.DATA_DOCS.rglob("*.html")}
    assert pages == {"index.html", "sales/2020-01.html", "sales/2020-02.html"}
    index = (paths.DATA_DOCS / "index.html").read_text()
    assert datadocs.location("sales", "2020-01").as_posix() in index and "2020-03" not in index


class Links(HTMLParser):
    """Where the links of a page lead, and its text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(page.read_text())

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src", "data-target") and value]

    def handle_data(self, data: str) -> None:
        self.text += f" {data.strip()}"


def test_every_link_leads_somewhere_and_each_page_says_what_the_index_says() -> None:
    """Of a batch that passed, one with a warning, and one that failed."""
    frames.write(sales(MONTHS[0], rows=10), path(MONTHS[0]))
    frames.write(sales(MONTHS[1]), path(MONTHS[1]))
    frames.write(sales(MONTHS[2], -1.5), path(MONTHS[2]))
    with pytest.raises(DataError):
        run()
    pages = {file: Links(file) for file in paths.DATA_DOCS.rglob("*.html")}
    assert len(pages) == 4
    for file, page in pages.items():
        for link in page.found:
            ids = re.findall(r'id="([^"]+)"', file.read_text())
            reached = link[1:] in ids if link.startswith("#") else (file.parent / link).is_file()
            assert reached, f"{file} links to {link}"
        assert "None" not in page.text, file
    index = pages.pop(paths.DATA_DOCS / "index.html")
    assert index.found == [f"sales/{month}.html" for month in MONTHS]
    for month, status in zip(MONTHS, ("passed", "warning", "failed"), strict=True):
        text = pages[paths.DATA_DOCS / f"sales/{month}.html"].text
        assert re.search(rf"Result: +{status}\b", text) and re.search(rf"{month}.*? {status}\b", index.text)
        assert "Status:" not in text, "Great Expectations knows passed and failed alone"


def windowed(target: Column, task: Any, classes: tuple[str, ...] = ()) -> FeatureTable:
    key, time, block = Column("id", "string", ""), Column("day", "date", ""), Column("day", "date", "")
    excluded = Column("why", "string", "", nullable=True)
    return FeatureTable(task, key, time, block, target, excluded, (Column("x", "float64", ""),), (), classes)


BINARY = windowed(Column("y", "int64", ""), "binary")
MULTI = windowed(Column("y", "string", ""), "multiclass", ("a", "b"))
REAL = windowed(Column("y", "float64", ""), "regression")


@pytest.mark.parametrize(
    ("table", "target", "fitted", "expected"),
    [
        (BINARY, [0, 1, 1], True, []),
        (BINARY, [0, 1, 2], True, ["critical"]),
        (BINARY, [1, 1, 1], True, ["critical"]),
        (BINARY, [1, 1, 1], False, ["warning"]),
        (MULTI, ["a", "b", "b"], True, []),
        (MULTI, ["a", "b", "c"], True, ["critical"]),
        (MULTI, ["a", "a", "a"], True, ["critical"]),
        (REAL, [1.0, 1.0, 1.0], True, []),
        (REAL, [1.0, 2.0, float("inf")], True, ["critical"]),
    ],
)
def test_the_target_is_held_against_its_task(
    table: FeatureTable, target: list[Any], fitted: bool, expected: list[str]
) -> None:
    days = [date(2020, 1, 1), date(2020, 1, 2), date(2020, 1, 31)]
    frame = pl.DataFrame({"id": ["a", "b", "c"], "day": days, "x": [1.0, 2.0, 3.0], "y": target})
    declared = (table.key, table.time, *table.features, table.target)
    suite = suites.features(table, declared, date(2020, 1, 1), date(2020, 1, 31), fitted=fitted)
    outcome = expect.run("train", frame, declared, suite, key=("id",), sample_rows=1)
    assert [failure.severity for failure in outcome.failures] == expected
    assert all(failure.column == "y" for failure in outcome.failures)


def test_a_row_of_another_window_is_critical() -> None:
    """Train and test cannot overlap: each row lies in its own window, and windows do not overlap."""
    days = [date(2020, 1, 1), date(2020, 2, 1)]
    frame = pl.DataFrame({"id": ["a", "b"], "day": days, "x": [1.0, 2.0], "y": [0, 1]})
    declared = (BINARY.key, BINARY.time, *BINARY.features, BINARY.target)
    suite = suites.features(BINARY, declared, date(2020, 1, 1), date(2020, 1, 31), fitted=True)
    failures = expect.run("train", frame, declared, suite, key=("id",), sample_rows=1).failures
    assert [(failure.column, failure.severity) for failure in failures] == [("day", "critical")]


@pytest.mark.slow
def test_nothing_is_sent_anywhere() -> None:
    """An audit hook sees every connection and every look-up of a name, made by whatever library."""
    script = (
        "import sys\n"
        "def hook(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'): sys.exit(event)\n"
        "sys.addaudithook(hook)\n"
        "from tests.pipeline import test_validate_guards as guards\n"
        "assert guards.validate(guards.orders()) == []\n"
        "import time; time.sleep(2)\n"  # analytics are sent by a thread
        "print('quiet')\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert done.stdout.endswith("quiet\n"), done.stderr
