"""The faults that need no act, and what the README's table says of all of them."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError
from types import SimpleNamespace

import pytest
from rich.console import Console

from tests.e2e.faults import __main__ as faults
from tests.e2e.faults import forks, table
from tests.e2e.faults.asking import Asked, asking
from tests.e2e.faults.kinds import AGAIN_OF, ANSWERS, BRIEF, FAULTS, QUICK, SCENARIOS
from tests.e2e.faults.scene import Case, Scene
from tests.e2e.faults.stock import Stock, stocked
from tests.e2e.faults.table import Row, Scenario
from tests.e2e.faults.tracking import DISTURBED, MLFLOW, mlflow
from tests.e2e.faults.wire import AFTER, BEFORE, STEP, Cut, Moments, wire
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
    """And the table says what was seen here; of writes that meet several answers, two of them."""
    told = {row.fault: row for row in table.read()}
    for row in scenario.rows(stock):
        kept = told[row.fault]
        if answers := ANSWERS.get(scenario.name):
            assert row.times * answers == kept.times * len(BRIEF), (row, kept)
            assert row.held.partition(";")[0] == kept.held.partition(";")[0]
        else:
            assert row == kept


def test_the_table_names_the_faults_that_are_played() -> None:
    """`python -m tests.e2e.faults --write` writes it."""
    rows = table.read()
    assert [row.fault for row in rows] == list(FAULTS)
    assert not [row for row in rows if row.times < 1 or row.held.startswith(table.BROKEN)]
    quick = sum(len(scenario.faults) for scenario in QUICK)
    assert f'the first {quick}, to "{rows[quick - 1].fault}"' in table.README.read_text(encoding="utf-8")
    names = [scenario.name for scenario in SCENARIOS]
    assert len({*names}) == len(names) and len({*FAULTS}) == len(FAULTS)
    met = {fault: ANSWERS[one.name] for one in QUICK if one.name in ANSWERS for fault in one.faults}
    for row in rows:
        again = re.search(rf"; (\d+) of (\d+) {AGAIN_OF}$", row.held)
        assert bool(again) == (row.fault in met), row
        if again:
            assert int(again[1]) <= int(again[2]) == row.times and row.times % met[row.fault] == 0, row


class Little:
    """A play that did nothing, for the decision which rows there are."""

    def __init__(self) -> None:
        runs: list[SimpleNamespace] = []
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
    found = faults.play_all(tmp_path, names)
    assert [row.fault for row in found] == rows
    assert [row.held.startswith(table.BROKEN) for row in found] == [row == MLFLOW for row in rows]


@pytest.mark.parametrize(
    "error", [Stopped("no"), urllib.error.URLError("no"), CalledProcessError(1, ["git"]), ValueError("no")]
)
def test_after_one_that_did_not_hold_the_others_are_played(error: Exception) -> None:
    def fails(_: None) -> list[tuple[int, str]]:
        raise error

    wanted: list[Scenario[None]] = [
        Scenario("bad", ("a kill",), fails), Scenario("good", ("a cut",), lambda _: [(1, "held")]),
    ]  # fmt: skip
    bad, good = faults.played(wanted, None, Narrator(Console(quiet=True)))
    assert bad.held.startswith(table.BROKEN) and good == Row("a cut", 1, "held")


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


FAULTY: tuple[tuple[Fault, list[bytes]], ...] = (
    (Fault("", "", 500), []),
    (Fault("", "", 0), []),
    (Cut("", ""), [b"bo"]),
    (Fault("", "", 0, after=True), [b"body"]),
    (Fault("", "", 502, after=True), [b"body"]),
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
                assert moments.hit == f"{BEFORE}POST /a"
                assert [body for _, _, body in upstream.seen] == arrives
    finally:
        upstream.close()


def ended(**changes: object) -> SimpleNamespace:
    """A run, for the row of MLflow."""
    log = Path(str(changes.pop("log", "no log")))
    return SimpleNamespace(
        **({"file": "ci.yml", "status": "success", "jobs": {}, "problem": ""} | changes), log=log
    )


def test_mlflow_is_met_by_trainings_and_promotions_and_one_that_fails_is_seen(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("promote: ▸ view\n")
    trained = ended(jobs={"train": "success"})
    good = [trained, ended(), ended(file="promote.yml", log=log), ended(file="promote.yml")]
    killed = ended(file="promote.yml", status="failure", problem=DISTURBED)

    def row(*runs: SimpleNamespace) -> list[tuple[int, str]]:
        return mlflow(SimpleNamespace(runner=SimpleNamespace(runs=runs)))  # type: ignore[arg-type]

    assert row(*good, killed) == [(2, "1 trainings and 1 promotions ended well")]
    for runs, what in (
        ((trained,), "nothing met"),
        (good[1:], "nothing met"),
        ((*good, ended(jobs={"train": "failure"})), "training failed"),
        ((*good, ended(file="promote.yml", status="failure")), "promotion failed"),
    ):
        with pytest.raises(Stopped, match=what):
            row(*runs)


def test_a_service_that_is_away_for_a_moment_is_seen() -> None:
    upstream = Proxy()
    upstream.faults.append(Fault("GET", "", 200, body={"version": "v1"}, times=1000))
    with asking(upstream.server_port) as asked:
        seen(lambda: asked.versions)
        asked.check()
        upstream.faults.insert(0, Fault("GET", "", 503))
        seen(lambda: asked.failed)
        upstream.close()
    with pytest.raises(Stopped, match="questions failed"):
        asked.check()
    with pytest.raises(Stopped, match="nobody asked"):
        Asked().check()


def seen(ready: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < ends
        time.sleep(0.02)


FENCED = "> a warning\n\n```text\nwords\n{inside}\n```\n{after}\n<!-- mark -->"


def test_hostile_words_are_looked_for_outside_of_the_code_block() -> None:
    fine = FENCED.format(inside=forks.TITLE, after="")
    assert forks._inside(fine) == f"words\n{forks.TITLE}"
    for bad in (
        FENCED.format(inside="", after=forks.TITLE),
        FENCED.format(inside=forks.TEXT, after=""),  # its own fence ends ours
        f"{forks.TITLE}\n{fine}",
    ):
        with pytest.raises(Stopped, match="outside"):
            forks._inside(bad)
