"""The words in which a use case declares its columns; everything that needs columns derives from them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mainline.errors import ConfigError

Task = Literal["binary", "multiclass", "regression"]
DType = Literal["string", "int64", "float64", "bool", "date", "datetime"]
NUMBERS: tuple[DType, ...] = ("int64", "float64")
TIMES: tuple[DType, ...] = ("date", "datetime")
TARGETS: dict[Task, tuple[DType, ...]] = {
    "binary": ("int64", "float64", "bool"),
    "multiclass": ("string",),
    "regression": NUMBERS,
}
# The name of the model's answer, which the ONNX graph has beside its features.
ANSWERS: dict[Task, str] = {"binary": "probability", "multiclass": "probability", "regression": "value"}
INSIDE = " -.%()"  # in a column's name after its first character; each is tried from raw data to the service
LONGEST = 100  # characters of a column's name
Rule = tuple[bool, str]  # broken, and the words for it


def _refuse(what: str, rules: Iterable[Rule]) -> None:
    """Raises ConfigError with every broken rule, so that one correction is enough."""
    broken = "; ".join(words for wrong, words in rules if wrong)
    if broken:
        raise ConfigError(
            f"{what} cannot be declared like this: {broken}",
            why="every stage, the service and the watch do what the schema says",
            remedy="correct src/usecase/schema.py; src/mainline/schema.py says what each word means",
        )


def _other(what: str, dtype: str, known: Sequence[str]) -> Rule:
    return dtype not in known, f"{what} is {dtype}, not {' or '.join(known)}"


def _not_tuple(what: str, given: object, kind: type) -> Rule:
    """The comma that is easily forgotten: ("a") is a text, and (COLUMN) a column."""
    good = isinstance(given, tuple) and all(isinstance(one, kind) for one in given)
    return not good, f"{what} is no tuple of {kind.__name__}: write (one,) with the comma"


def _twice(what: str, names: Sequence[str]) -> Rule:
    again = [name for name, times in Counter(names).items() if times > 1]
    return bool(again), f"{', '.join(again)} is a {what} twice"


PLAIN = (
    "its name is not plain: it stands in JSON, SQL, ONNX and tables, so it has letters and digits of any "
    f"script (composed: Unicode's NFC) and _, after the first one also spaces and {' '.join(INSIDE[1:])}, "
    f"and at most {LONGEST} characters"
)


def _plain(name: str) -> bool:
    """Nothing that quotes, breaks a line or a path, or cannot be seen; what looks the same is the same."""
    kinds = [unicodedata.category(character)[0] for character in name]
    known = all(c in f"_{INSIDE}" or kind in "LMN" for c, kind in zip(name, kinds, strict=True))
    begins = name[0] == "_" or kinds[0] in "LN"
    composed = unicodedata.is_normalized("NFC", name)
    return known and begins and composed and name == name.rstrip() and len(name) <= LONGEST


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, what it means, and which values are possible.

    `name` has letters and digits of any script and _, and after the first one also spaces and - . % ( ).
    `minimum` and `maximum` are inclusive and in `unit`. `values` closes the set of a categorical column;
    empty leaves it open. `example` is a plausible value, shown in the service's documentation.

    Raises ConfigError for what cannot be, as the tables do.
    """

    name: str
    dtype: DType
    description: str
    unit: str = ""
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    example: str | float | int | None = None

    def __post_init__(self) -> None:
        ends = [end for end in (self.minimum, self.maximum) if end is not None]
        named = isinstance(self.name, str) and self.name != ""
        _refuse(f"column {self.name!r}", (
            (not named, "its name is no text"),
            (named and not _plain(self.name), PLAIN),
            _other("it", self.dtype, get_args(DType)),
            (bool(ends) and self.dtype not in NUMBERS, f"a {self.dtype} has no minimum and no maximum"),
            (any(end != end for end in ends) or ends != sorted(ends), "its minimum is above its maximum"),
            (bool(self.values) and self.dtype != "string", f"a {self.dtype} has no closed set of values"),
            _not_tuple("values", self.values, str),
            _twice("value", self.values),
        ))  # fmt: skip

    @property
    def categorical(self) -> bool:
        """Strings are looked up in a vocabulary; every other feature is a number."""
        return self.dtype == "string"


@dataclass(frozen=True, slots=True)
class Table:
    """One raw table, stored as a Parquet file a month.

    `key` identifies a row; `time` (date or datetime) says to which month a row belongs.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str

    def __post_init__(self) -> None:
        what = f"table {self.name!r}"
        _refuse(what, (
            (not re.fullmatch(r"\w[\w.-]*", self.name), "its name is no name of a folder"),
            _not_tuple("columns", self.columns, Column),
            _not_tuple("key", self.key, str),
            (not self.key, "its key names no column"),
        ))  # fmt: skip
        types = {column.name: column.dtype for column in self.columns}
        _refuse(what, (
            _twice("column", [column.name for column in self.columns]),
            *((name not in types, f"{name!r} of its key is no column") for name in self.key),
            _other(f"its time {self.time!r}", types.get(self.time, "no column"), TIMES),
        ))  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """The modelling table: one row a prediction, features known at the time of prediction.

    `key`, `time` and `block` are columns beside the features: the row's name, when it was predicted
    (orders rows, decides its month), and the group whose rows share one fate (resampled as a whole).
    `excluded` names the column that says why a row is left out of modelling (null: it is not).
    `slices` are extra string columns, or string features, by which figures are broken down.
    `classes` is empty unless the task is multiclass; then `target` holds one of them.
    """

    task: Task
    key: Column
    time: Column
    block: Column
    target: Column
    excluded: Column
    features: tuple[Column, ...]
    slices: tuple[Column, ...] = ()
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        what = "the feature table"
        roles = ("key", "time", "block", "target", "excluded")
        _refuse(what, (
            *((not isinstance(getattr(self, role), Column), f"its {role} is no Column") for role in roles),
            (self.task not in TARGETS, f"{self.task!r} is no task: choose of {', '.join(TARGETS)}"),
            _not_tuple("features", self.features, Column),
            _not_tuple("slices", self.slices, Column),
            _not_tuple("classes", self.classes, str),
            (not self.features, "it has no features"),
        ))  # fmt: skip
        _refuse(what, (*self._types(), *self._roles()))

    def _types(self) -> Iterator[Rule]:
        yield _other(f"key {self.key.name}", self.key.dtype, ("string", "int64"))
        yield _other(f"time {self.time.name}", self.time.dtype, TIMES)
        yield _other(f"block {self.block.name}", self.block.dtype, ("string", "int64", "bool", *TIMES))
        yield _other(f"target {self.target.name}", self.target.dtype, TARGETS[self.task])
        yield _other(f"excluded {self.excluded.name}", self.excluded.dtype, ("string",))
        for column in self.slices:
            yield _other(f"slice {column.name}", column.dtype, ("string",))
        for column in (self.key, self.time, self.block):
            yield column.nullable, f"{column.name} is nullable: each row needs a key, a time and a block"
        yield (
            not self.excluded.nullable,
            f"excluded {self.excluded.name} is not nullable: most rows have none",
        )
        yield self.task == "multiclass" and len(self.classes) < 2, "a multiclass task needs its classes"
        yield self.task != "multiclass" and len(self.classes) > 0, f"a {self.task} task has no classes"
        yield _twice("class", self.classes)

    def _roles(self) -> Iterator[Rule]:
        """A feature may be a slice or the block, the time may be the block; what says the answer is alone."""
        own = {"key": self.key, "time": self.time, "target": self.target, "excluded": self.excluded}
        features = [column.name for column in self.features]
        for role, column in own.items():
            yield column.name in features, f"{role} {column.name} is a feature, too"
        answer = ANSWERS[self.task]
        yield answer in features, f"feature {answer} has the name of the model's answer"
        yield _twice("feature", features)
        yield _twice("slice", [column.name for column in self.slices])
        yield _twice("key, time, target or excluded", [column.name for column in own.values()])
        for role in ("target", "excluded"):
            yield own[role].name == self.block.name, f"{role} {own[role].name} is the block, too"
        types = {column.name: column.dtype for column in self.columns}
        for one in (*own.values(), self.block, *self.features):
            yield types[one.name] != one.dtype, f"{one.name} is declared {one.dtype} and {types[one.name]}"

    @property
    def categorical(self) -> tuple[Column, ...]:
        return tuple(column for column in self.features if column.categorical)

    @property
    def numeric(self) -> tuple[Column, ...]:
        return tuple(column for column in self.features if not column.categorical)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column in file order, once: a slice may be a feature, and the block may be the time."""
        every = (self.key, self.time, self.block, *self.features, *self.slices, self.target, self.excluded)
        return tuple({column.name: column for column in every}.values())
