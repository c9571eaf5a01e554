"""The JSON files by which rooms talk: one owner for each format, written and read side by side.

Every record carries a `version`. Figures are finite or null (undefined, e.g. the ROC-AUC of a single class):
NaN and infinity are refused at writing, so a gate can only meet what it knows how to refuse.
Nothing in a record depends on the clock, the machine's name or a run id: the same inputs give the same bytes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mainline.errors import RecordError
from mainline.schema import Task

Status = Literal["passed", "warning", "failed"]


class Part(BaseModel):
    """Base of everything inside a record: frozen, strict, finite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Record(Part):
    """A whole file. Subclasses set `version`; a reader refuses every other one.

    `location` is where the pipeline keeps it, relative to the root of the repository.
    """

    location: ClassVar[Path]
    version: int

    def write(self, path: Path) -> None:
        """Write atomically: readers see the old file or the new one, whole."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False, ensure_ascii=False)
        write_atomically(path, f"{text}\n".encode())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises RecordError when the file is missing, malformed, or of another version."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise RecordError(
                f"{path} does not exist", remedy="run the stage that writes it: make run"
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise RecordError(
                f"{path} is not a valid {cls.__name__} record",
                why=f"{where}: {first['msg']}",
                remedy="run the stage that writes it: make run",
            ) from None


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` in one step; a crash or a full disk leaves the old content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class Check(Part):
    """One expectation on one batch. `expected`: its arguments; `sample`: a few offending rows, as text.

    All text is safe to print: data may hold newlines, markup, formulas and mentions.
    """

    expectation: str
    column: str | None
    expected: str
    severity: Literal["critical", "warning"]
    success: bool
    observed: str
    unexpected: int
    sample: list[dict[str, str]]


class Batch(Part):
    """One validated batch: a month of a raw table, or the feature table (`month` is null)."""

    table: str
    month: str | None
    rows: int
    status: Status
    checks: int
    failures: list[Check]
    quarantine: str | None


class Validation(Record):
    """`reports/validation.json`, and `reports/validation_features.json` for the feature table."""

    location = Path("reports/validation.json")
    version: Literal[1] = 1
    status: Status
    batches: list[Batch]


class Rejection(Record):
    """Beside a batch in quarantine: why it is there."""

    version: Literal[1] = 1
    sha256: str
    batch: Batch


class Split(Part):
    """One window of the modelling table. `target` is the mean target, or the share of each class."""

    first_month: str
    last_month: str
    rows: int
    blocks: int
    excluded: dict[str, int]
    target: dict[str, float]


class Features(Record):
    """`reports/features.json`: which rows the model was fitted, calibrated and tested on."""

    location = Path("reports/features.json")
    version: Literal[1] = 1
    train: Split
    validation: Split
    test: Split


class Epoch(Part):
    """Mean loss a row after one pass; the loss is the task's (log loss, or squared error)."""

    epoch: int
    train_loss: float
    validation_loss: float
    lr: float


class Training(Record):
    """`reports/training.json`: how the model came to be, without the clock."""

    location = Path("reports/training.json")
    version: Literal[1] = 1
    device_class: str
    precision: str
    parameters: int
    best_epoch: int
    calibration: dict[str, float]
    history: list[Epoch]


class Figure(Part):
    """A metric with its bootstrap interval; null where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


class Slice(Part):
    """The figures of the rows for which `column` is `value`."""

    column: str
    value: str
    rows: int
    target: float | None
    figures: dict[str, Figure]


class Metrics(Record):
    """`reports/metrics.json`: the candidate on its test window, beside the baselines on the same rows.

    `differences`: figure of the model minus the baseline's, on the same resamples. `threshold` is chosen on
    the validation window. `importance`: growth of the mean loss when the feature is shuffled. `suspects`:
    features that alone rank the target almost perfectly, and their ROC-AUC: most likely they contain it.
    """

    location = Path("reports/metrics.json")
    version: Literal[1] = 1
    task: Task
    rows: int
    blocks: int
    resamples: int
    confidence: float
    parameters: int
    model_bytes: int
    threshold: float | None
    figures: dict[str, Figure]
    baselines: dict[str, dict[str, Figure]]
    differences: dict[str, dict[str, Figure]] = {}
    slices: list[Slice]
    worst_slice: Slice | None
    importance: dict[str, float]
    suspects: dict[str, float] = {}


class WalkforwardMonth(Part):
    """One test month, or the mean over them: figures by model, differences model minus boosted trees."""

    month: str
    rows: int
    figures: dict[str, dict[str, float | None]]
    differences: dict[str, Figure]


class Walkforward(Record):
    """`reports/walkforward.json`: the model beside boosted trees on one test month after the other."""

    version: Literal[1] = 1
    task: Task
    resamples: int
    confidence: float
    months: list[WalkforwardMonth]
    mean: WalkforwardMonth


class Vocabulary(Part):
    """A categorical feature's known values, by count and digest; the values are inside the model."""

    size: int
    sha256: str


class Manifest(Record):
    """`models/manifest.json`: what the model is, so that a service can check the file before loading it.

    `files`: sha256 by file name. `code`: sha256 by module, free of the commit.
    `inputs`: the schema's columns.
    """

    location = Path("models/manifest.json")
    version: Literal[1] = 1
    task: Task
    inputs: list[dict[str, Any]]
    outputs: list[str]
    classes: list[str]
    threshold: float | None
    vocabularies: dict[str, Vocabulary]
    windows: dict[str, list[str]]
    device_class: str
    files: dict[str, str]
    code: dict[str, str]
