"""The words in which a use case declares its columns; everything that needs columns derives from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]
DType = Literal["string", "int64", "float64", "bool", "date", "datetime"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, what it means, and which values are possible.

    `minimum` and `maximum` are inclusive and in `unit`. `values` closes the set of a categorical column;
    empty leaves it open. `example` is a plausible value, shown in the service's documentation.
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
