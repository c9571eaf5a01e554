"""`python -m pipeline params`: what `mainline run` asks before it runs anything.

params.yaml and the use case: what the last stage reads would else be missed after the training.
Names are read from the source, so that neither torch nor Great Expectations is imported.
"""

from __future__ import annotations

import symtable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mainline import policy
from mainline.errors import ConfigError
from mainline.schema import TIMES, FeatureTable, Table, Task

# What the stages read of each file of the use case; src/usecase/README.md says what for.
NAMES = {
    "schema": ("RAW", "FEATURES"),
    "source": ("SOURCES", "months", "read"),
    "features": ("build",),
    "expectations": ("raw", "features"),
    "model": ("build",),
    "params": ("Featurize", "Model"),
    "card": ("NAME", "SUMMARY", "USES", "NOT_FOR", "LIMITS"),
}
LISTS = ("USES", "NOT_FOR", "LIMITS")
REMEDY = "src/usecase/README.md lists what each file must have"


def main(arguments: list[str]) -> None:  # noqa: ARG001 - as every stage has it
    """Raises ConfigError for params.yaml or a use case with which a stage would fail."""
    check_names(_folder())
    from pipeline.params import load  # it imports names of the use case
    from usecase import schema

    params = load()
    check_schema(schema.RAW, schema.FEATURES)
    check_card()
    check_gate(schema.FEATURES.task, decides=params.evaluate.costs is not None)


def _folder() -> Path:
    """Where the package is that the stages would import."""
    spec = find_spec("usecase")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places or ()), "src/usecase"))


def check_names(folder: Path) -> None:
    """Every file of the use case has the names that the stages read. Raises ConfigError with all it lacks."""
    lacks = {file: absent for file, names in NAMES.items() if (absent := set(names) - bound(folder, file))}
    if lacks:
        told = "; ".join(
            f"src/usecase/{file}.py has no {', '.join(name for name in NAMES[file] if name in absent)}"
            for file, absent in lacks.items()
        )
        raise ConfigError(told, why="a stage of the pipeline reads it", remedy=REMEDY)


def bound(folder: Path, file: str) -> set[str]:
    """The names that a module has once it is imported. Raises ConfigError for a file that is none."""
    try:
        text = (folder / f"{file}.py").read_text(encoding="utf-8")
        found = symtable.symtable(text, f"src/usecase/{file}.py", "exec").get_symbols()
    except FileNotFoundError:
        raise ConfigError(f"src/usecase/{file}.py does not exist", remedy=REMEDY) from None
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"src/usecase/{file}.py is not valid Python", why=str(error)) from None
    return {one.get_name() for one in found if one.is_assigned() or one.is_imported()}


def check_schema(raw: Any, table: Any) -> None:
    """Tables of names of their own, and features that the model takes. Raises ConfigError."""
    good = isinstance(raw, tuple) and raw and all(isinstance(one, Table) for one in raw)
    if not good or len({one.name for one in raw}) < len(raw):
        raise ConfigError(
            "src/usecase/schema.py: RAW is no tuple of tables, each of another name", remedy=REMEDY
        )
    if not isinstance(table, FeatureTable):
        raise ConfigError("src/usecase/schema.py: FEATURES is no FeatureTable", remedy=REMEDY)
    if dated := [one.name for one in table.features if one.dtype in TIMES]:
        raise ConfigError(
            f"src/usecase/schema.py: the features {', '.join(dated)} are dates",
            why="the model takes numbers and text",
            remedy="say it as a number, as the days since something that is known at prediction",
        )


def check_card() -> None:
    """Words of the kinds that the model card wants, and the name of the tags. Raises ConfigError."""
    from usecase import card

    for name in NAMES["card"]:
        words = getattr(card, name)
        lines = words if name in LISTS and isinstance(words, tuple | list) else [words]
        if (name in LISTS and lines is not words) or not all(isinstance(line, str) for line in lines):
            kind = "a tuple of texts: mind the comma" if name in LISTS else "a text"
            raise ConfigError(f"src/usecase/card.py: {name} is not {kind}", remedy=REMEDY)
    release = policy.release().model
    if release != card.NAME:
        raise ConfigError(
            f"src/usecase/card.py: NAME is {card.NAME!r}, and release.model in params.yaml is {release!r}",
            why="one model has one name: in the tags, on its card and in MLflow",
            remedy="give both the same name",
        )


def check_gate(task: Task, *, decides: bool) -> None:
    """The gate names figures that this task has. Raises ConfigError."""
    known = figure_names(task, decides=decides)
    unknown = [name for name in policy.gate().names if name not in known]
    if unknown:
        raise ConfigError(
            f"params.yaml: gate: {', '.join(unknown)} is no figure of a {task} model",
            why="src/usecase/schema.py says the task, and the gate could not judge any candidate",
            remedy=f"name others in gate.margins, gate.floors and gate.ceilings: {', '.join(known)}",
        )


def figure_names(task: Task, *, decides: bool) -> list[str]:
    """Every figure of the task, by computing them of two rows; `decides`: a binary one has costs."""
    import numpy as np

    from pipeline.evaluation import figures

    decision = figures.Decision(0.5, 1, 1) if decides and task == "binary" else None
    said = np.array([[0.7, 0.3], [0.4, 0.6]])
    rows = figures.Rows(task, np.array([0.0, 1.0]), np.array([0, 1]), decision, bins=2)
    return list(figures.compute(rows, said if task == "multiclass" else said[:, 1], np.ones((1, 2))))
