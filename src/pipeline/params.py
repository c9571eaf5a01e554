"""`params.yaml`, one class a section. A stage reads the whole file strictly, and uses its own section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mainline.settings import CONTROL, PARAMS, Month, Section, parse, read
from usecase.params import Featurize, Model

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class Data(Section):
    """Which months: the test window ends with `as_of`, validation lies before it, training before that."""

    as_of: str
    train_months: Count
    validation_months: Count
    test_months: Count

    @property
    def last_month(self) -> Month:
        return Month.parse(self.as_of, name="data.as_of")


class Ingest(Section):
    """`source`: a name the use case knows, a folder, or an s3:// prefix of Parquet in the raw schema."""

    source: str


class Validate(Section):
    """`sample_rows`: offending rows shown with each failed expectation."""

    sample_rows: Count


class Train(Section):
    """`threads` is part of the result (sums depend on it) and is therefore not the machine's core count."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Count
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    epochs: Count
    patience: Count
    batch_size: Count
    lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    keep_checkpoints: Count
    model: Model


class Costs(Section):
    """What a wrong decision costs, in any one unit; only their ratio matters."""

    false_positive: Positive
    false_negative: Positive


class Evaluate(Section):
    """`costs` is null unless the task is binary."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Share
    calibration_bins: Count
    min_slice_rows: Count
    importance_rows: Count
    costs: Costs | None


class Export(Section):
    """`parity`: the largest difference allowed between the ONNX model's scores and torch's."""

    parity: Positive


class Params(Section):
    """The whole file, but for the sections of the control plane."""

    data: Data
    ingest: Ingest
    validate_: Validate = Field(alias="validate")
    featurize: Featurize
    train: Train
    evaluate: Evaluate
    export: Export


def load() -> Params:
    """Read and check `params.yaml`. Raises ConfigError naming every wrong key."""
    return parse({name: value for name, value in read(PARAMS).items() if name not in CONTROL}, Params)
