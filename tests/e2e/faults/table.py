"""What the faults are called, what held, and the table of README.md that is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tests.e2e.play import Stopped
from tests.e2e.runs import Run

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- faults: written by python -m tests.e2e.faults --write -->", "<!-- /faults -->"
HEAD = ("| fault | times | what then held |", "|---|---:|---|")

BROKEN = "did not hold"

World = TypeVar("World")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was done, how often, and what was then seen to hold."""

    fault: str
    times: int
    held: str


@dataclass(frozen=True, slots=True)
class Scenario(Generic[World]):
    """`play` answers one row for each of `faults`, in order; Stopped where something does not hold."""

    name: str
    faults: tuple[str, ...]
    play: Callable[[World], Sequence[tuple[int, str]]]

    def rows(self, world: World) -> list[Row]:
        found = self.play(world)
        return [Row(fault, *seen) for fault, seen in zip(self.faults, found, strict=True)]


def must(holds: object, what: str, run: Run | None = None) -> None:
    """Raises Stopped with these words unless it holds."""
    if not holds:
        raise Stopped(what, run)


def broken(scenario: Scenario[World], error: Exception) -> list[Row]:
    """What the table says of a scenario that did not hold."""
    why = " ".join(str(error).split("\n")[0].replace("|", " ").split())[:200]
    return [Row(fault, 0, f"{BROKEN}: {why}") for fault in scenario.faults]


def table(rows: Iterable[Row]) -> str:
    return "\n".join([*HEAD, *(f"| {row.fault} | {row.times} | {row.held} |" for row in rows)])


def write(rows: list[Row], order: Sequence[str], place: Path = README) -> None:
    """Replace these rows of the table; those of other faults stay, and what `order` does not name goes."""
    known = {row.fault: row for row in (*read(place), *rows)}
    text = place.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    made = table(known[fault] for fault in order if fault in known)
    place.write_text(f"{head}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def read(place: Path = README) -> list[Row]:
    """The README's table."""
    lines = place.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].split("\n")
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ") and line not in HEAD]
    return [Row(fault, int(times), held) for fault, times, held in cells]
