"""What the developers of the demo change: one improvement, which the gate promotes, and three that fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SCHEMA, FEATURES, PARAMS = Path("src/usecase/schema.py"), Path("src/usecase/features.py"), Path("params.yaml")


@dataclass(frozen=True, slots=True)
class Idea:
    """`change` edits the clone. `says` must be in the comment; `trained` says whether CI trains it."""

    branch: str
    title: str
    words: str
    change: Callable[[Path], None]
    says: str
    trained: bool = True


def swap(path: Path, before: str, after: str) -> None:
    """Replace one piece of a file; an AssertionError where it is not there once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path} holds {before!r} {text.count(before)} times"
    path.write_text(text.replace(before, after), encoding="utf-8")


def param(root: Path, key: str, value: object) -> None:
    """Set one key of params.yaml; the comments stay."""
    path = root / PARAMS
    text, count = re.subn(rf"(?m)^(\s+{key}:) +[^#\n]*?( *(?:#.*)?)$", rf"\1 {value}\2", path.read_text())
    assert count == 1, f"params.yaml holds {key} {count} times"
    path.write_text(text)


def better(root: Path) -> None:
    """Measured on October 2013: log loss -0.0009 [-0.0013, -0.0005] beside the committed model."""
    param(root, "weight_decay", 0.02)


def worse(root: Path) -> None:
    param(root, "epochs", 1)
    param(root, "lr", "0.00003")  # a number in full: YAML reads 3e-05 as text


def leak(root: Path) -> None:
    """How late a flight arrived is not known when it leaves; it is the answer itself."""
    swap(
        root / SCHEMA, '        *_waiting("origin", "of this airport"),\n',
        '        _number("turnaround", "minutes", "min"),\n        *_waiting("origin", "of this airport"),\n',
    )  # fmt: skip
    swap(
        root / FEATURES, '        age.cast(nw.Float64).alias("age"),\n',
        '        age.cast(nw.Float64).alias("age"),\n'
        '        nw.col("arr_delay").cast(nw.Float64).alias("turnaround"),\n',
    )  # fmt: skip


def delivery(folder: Path) -> Callable[[Path], None]:
    """The source becomes a delivery whose last month tells delays in seconds."""
    return lambda root: param(root, "source", folder)


BETTER = Idea(
    "weights", "Stronger weight decay", "The last epochs overfit a little.", better,
    "against `flight-delay#production#1`",
)  # fmt: skip


def bad(broken: Path, *, fast: bool) -> tuple[Idea, ...]:
    """A leak, a worse model, broken data; `fast`: the last alone, which CI refuses without training it."""
    data = Idea(
        "delivery", "Read the supplier's delivery", "Same flights, from a folder.", delivery(broken),
        "validation failed", trained=False,
    )  # fmt: skip
    if fast:
        return (data,)
    return (
        Idea("turnaround", "A feature that helps a lot", "The model gets almost perfect.", leak, "holds it"),
        Idea("quick", "Train for one epoch", "Saves a minute.", worse, "certainly worse"),
        data,
    )
