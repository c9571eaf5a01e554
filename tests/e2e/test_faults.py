"""The faults that need no act, and what the README's table says of all of them."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from tests.e2e.faults import __main__ as faults
from tests.e2e.faults import table
from tests.e2e.faults.kinds import FAULTS, MLFLOW, QUICK, SCENARIOS
from tests.e2e.faults.scene import Case, Scene
from tests.e2e.faults.stock import Stock, stocked
from tests.e2e.faults.table import Row, Scenario
from tests.e2e.faults.wire import AFTER, BEFORE, STEP, Moments, wire
from tests.e2e.narration import Narrator
from tests.e2e.play import Stopped
from tests.servers import Fault, Proxy


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    with stocked(tmp_path_factory.mktemp("stock"), brief=True) as made:
        yield made


@pytest.mark.slow
@pytest.mark.xdist_group("faults")  # their worlds are made once
@pytest.mark.parametrize("scenario", QUICK, ids=lambda one: one.name)
def test_what_is_cut_off_or_refused_is_made_good_by_the_next_run(
    scenario: Scenario[Stock], stock: Stock
) -> None:
    for row in scenario.rows(stock):
        assert row.times >= 1 and row.held, row


def test_the_table_names_the_faults_that_are_played() -> None:
    """`python -m tests.e2e.faults --write` writes it."""
    rows = table.read()
    assert [row.fault for row in rows] == list(FAULTS)
    assert not [row for row in rows if row.times < 1 or row.held.startswith(table.BROKEN)]
    names = [scenario.name for scenario in SCENARIOS]
    assert len({*names}) == len(names) and len({*FAULTS}) == len(FAULTS)


class Little:
    """A play of two runs, for the decision which rows there are."""

    def __init__(self) -> None:
        runs = [SimpleNamespace(jobs={}, file="promote.yml", status="success")] * 2
        self.runner = SimpleNamespace(variables=dict.fromkeys(("DEPLOY_TARGET", "MONITOR")), runs=runs)
        self.tell = Narrator(Console(quiet=True))


@pytest.mark.parametrize(("names", "rows"), [([], ["a cut", MLFLOW]), (["cut"], ["a cut"])])
def test_one_that_is_named_leaves_the_row_of_them_all(
    names: list[str], rows: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario: Scenario[Little] = Scenario("cut", ("a cut",), lambda _: [(1, "held")])
    for name, instead in (("QUICK", ()), ("LOOP", (scenario,)), ("FORKS", ()), ("first", print)):
        monkeypatch.setattr(faults, name, instead)
    monkeypatch.setattr(faults, "stocked", lambda _: nullcontext())
    monkeypatch.setattr(faults, "opened", lambda *_, **__: nullcontext(Little()))
    assert [row.fault for row in faults.play_all(tmp_path, names)] == rows


def test_rows_that_were_played_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "README.md"
    place.write_text(f"before\n{table.BEGIN}\n{table.END}\nafter\n")
    cut, kill, gone = Row("a cut", 2, "one commit"), Row("a kill", 1, "one tag"), Row("gone", 1, "")
    scenario: Scenario[None] = Scenario("bad", ("a kill",), lambda _: [])
    (bad,) = table.broken(scenario, Stopped("two | tags\nand more"))
    for rows, expected in (([kill, gone], [kill]), ([cut], [cut, kill]), ([bad], [cut, bad])):
        table.write(rows, ("a cut", "a kill"), place)
        assert table.read(place) == expected
        assert place.read_text().startswith("before\n") and place.read_text().endswith("\nafter\n")
    assert bad.held == "did not hold: two tags"


# -- the machinery sees what it is there to see

MARKS = """
import pathlib, time
done = pathlib.Path("done")
done.write_text(done.read_text() + "x" if done.exists() else "x")
print("▸ one", flush=True)
time.sleep(1)  # its work
"""


def marking(most: int) -> Case:
    """A program that leaves one more mark with each run, where at most so many are right."""

    @contextmanager
    def made(place: Path) -> Iterator[Scene]:
        (place / "marks.py").write_text(MARKS)

        def check() -> None:
            table.must(len((place / "done").read_text()) <= most, "it was done twice")

        yield Scene(place, (), Moments(), check, program=("marks",), extra={"PYTHONPATH": str(place)})

    return Case("marks", made)


def test_what_a_rerun_doubles_is_seen() -> None:
    once = marking(most=1)
    assert once.moments == [f"{STEP}▸ one"]
    with pytest.raises(Stopped, match="done twice"):
        once.killed()
    assert marking(most=2).killed() == 1


def test_a_fault_that_nothing_meets_is_no_row() -> None:
    with pytest.raises(Stopped, match="writes nothing"):
        marking(most=2).met({"500": Fault("", "", 500)})
    with pytest.raises(Stopped, match="no moment"):
        marking(most=2).killed(lambda moment: "three" in moment)


FAULTY = (
    (Fault("", "", 500), False),
    (Fault("", "", 0), False),
    (Fault("", "", 0, after=True), True),
    (Fault("", "", 502, after=True), True),
)


def ask(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
        return bytes(answer.read())


def test_a_write_is_heard_before_and_after_and_a_read_is_not() -> None:
    upstream, moments = Proxy(), Moments()
    upstream.faults.append(Fault("GET", "", 200, body="read", times=9))
    upstream.faults.append(Fault("POST", "", 200, body="written", times=9))
    try:
        with wire(upstream.url, moments) as between:
            assert ask(f"{between.url}/a?b=c") == b"read" and moments.seen == []
            assert ask(f"{between.url}/a?b=c", b"body") == b"written"
            assert moments.seen == [f"{BEFORE}POST /a", f"{AFTER}POST /a"]
            for fault, arrives in FAULTY:
                upstream.seen.clear()
                moments.begin(0, partial(copy, fault))
                with pytest.raises((OSError, http.client.IncompleteRead)):
                    ask(f"{between.url}/a", b"body")
                assert moments.hit == f"{BEFORE}POST /a" and bool(upstream.seen) == arrives
    finally:
        upstream.close()
