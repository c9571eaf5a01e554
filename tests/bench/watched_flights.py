"""Models of the flights trained to each month, and what the watch would have measured of them later.

What the benchmark of the watch and a look into its records share. Trained models' answers lie in a folder, so
that a second run trains nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import torch
from numpy.typing import NDArray

from mainline import drift, policy
from mainline.drift import Drift
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from mainline.settings import Month
from monitoring import windows
from monitoring.labels import normal
from monitoring.reference import SCORE, Reference
from pipeline import featurize, params, walkforward
from pipeline.evaluation import bootstrap, figures
from pipeline.exporting import onnx_graph
from pipeline.targets import targets
from pipeline.train import fit
from pipeline.training import predictor
from pipeline.training.predictor import Spec
from pipeline.training.tensors import prepare
from usecase.schema import FEATURES

Array = NDArray[np.float64]
RELEASED = range(5, 12)  # months of 2013 to which models are trained: the first has three to train on
KEY, TIME, EXCLUDED = FEATURES.key.name, FEATURES.time.name, FEATURES.excluded.name


@dataclass
class Flights:
    """`table`: the modelling table of 2013. `folder`: the cache."""

    folder: Path
    table: pl.DataFrame
    settings: params.Params
    policy: MonitorPolicy

    @classmethod
    def load(cls, folder: Path) -> Flights:
        settings = params.load()
        cached = folder / "table.parquet"
        if not cached.exists():
            table, _ = walkforward.everything(settings)
            folder.mkdir(parents=True, exist_ok=True)
            table.write_parquet(cached)
        return cls(folder, pl.read_parquet(cached), settings, policy.monitor())

    @cached_property
    def references(self) -> dict[int, Reference]:
        return {}

    @cached_property
    def labels(self) -> pl.DataFrame:
        return normal(self.table.select(KEY, FEATURES.target.name, EXCLUDED))

    def parts(self, month: int) -> dict[str, pl.DataFrame]:
        """The windows that end with that month; the first months have less to train on."""
        change = {
            "as_of": f"2013-{month:02}",
            "train_months": min(self.settings.data.train_months, month - 2),
        }
        return featurize.split(self.table, self.settings.data.model_copy(update=change))

    def model(self, month: int) -> tuple[Path, Spec]:
        """The ONNX file of the model trained to that month."""
        path, weights = (self.folder / f"model-{month:02}.{kind}" for kind in ("onnx", "safetensors"))
        if not weights.exists() or not path.exists():
            started = time.perf_counter()
            torch.set_num_threads(self.settings.train.threads)
            torch.use_deterministic_algorithms(True)
            parts = self.parts(month)
            made, train, validation = prepare(
                parts["train"], parts["validation"], FEATURES, self.settings.train
            )
            fit(made, train, validation, self.settings.train)
            path.write_bytes(onnx_graph.convert(made).SerializeToString(deterministic=True))
            predictor.save(made, weights)
            print(f"trained to 2013-{month:02}: {time.perf_counter() - started:.0f} s", flush=True)
        return path, predictor.load(weights).spec

    def scored(self, month: int, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` with what that model's ONNX file answers."""
        path, spec = self.model(month)
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
        parts = [session.run(None, onnx_graph.feeds(part, spec))[0] for part in rows.iter_slices(8192)]
        answers = np.concatenate(parts) if parts else np.zeros(0)
        return rows.with_columns(pl.Series(SCORE, answers.astype(np.float64), dtype=pl.Float64))

    def answers(self, month: int) -> pl.DataFrame:
        """That model's answers on the whole year, cached."""
        cached = self.folder / f"answers-{month:02}.parquet"
        if not cached.exists():
            self.scored(month, self.table).select(KEY, SCORE).write_parquet(cached)
        return self.table.join(pl.read_parquet(cached), on=KEY, how="left", maintain_order="left")

    def between(self, rows: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
        return rows.filter(pl.col(TIME).cast(pl.Date).is_between(first, last))

    def reference(self, month: int) -> Reference:
        """What the release of that model would have recorded."""
        if month not in self.references:
            self.references[month] = self._reference(month)
        return self.references[month]

    def _reference(self, month: int) -> Reference:
        parts = self.parts(month)
        tested = parts["test"].join(self.answers(month).select(KEY, SCORE), on=KEY, maintain_order="left")
        found = figures_of(tested, self.policy)
        spans = {name: part[TIME].dt.strftime("%Y-%m") for name, part in parts.items()}
        record = drift.Reference(
            model="flight-delay",
            version=f"flight-delay@v1.{month}.0",
            commit="0" * 40,
            promoted=released(month).isoformat(),
            windows={name: [str(months.min()), str(months.max())] for name, months in spans.items()},
            rows=tested.height,
            figures=found,
        )
        return Reference.of(record, parts["train"], tested)

    def measured(self, month: int, until: date, rows: pl.DataFrame | None = None, **more: Any) -> Drift:
        """The record of the watch on `until`: of `rows`, else of the model's answers since its release."""
        live = self.between(self.answers(month) if rows is None else rows, released(month), until)
        return windows.measure(
            live.drop(FEATURES.target.name, EXCLUDED),
            more.pop("labels", self.labels),
            self.reference(month),
            self.policy,
            until,
            **more,
        )

    def hindsight(self, old: int, month: int) -> tuple[Drift, dict[str, Figure]]:
        """The record at the end of `month` with its backtest, and a retraining's gain in the next one."""
        cached = self.folder / f"drift-{old:02}-{month:02}.json"
        if not cached.exists():
            found = self.measured(old, days(month)[1])
            found.model_copy(update={"backtest": self.gain(old, month, month)}).write(cached)
        return Drift.read(cached), self.gain(old, month, month + 1)

    def gain(self, old: int, new: int, month: int) -> dict[str, Figure]:
        """Figures of the model trained to `new` minus those of the one trained to `old`, on that month."""
        first, last = days(month)
        one, two = (
            self.between(self.answers(which), first, last).filter(pl.col(EXCLUDED).is_null())
            for which in (new, old)
        )
        block, _ = bootstrap.block_codes(one[FEATURES.block.name])
        rows = figures.Rows(FEATURES.task, targets(one, FEATURES), block)
        return bootstrap.paired(
            rows, one[SCORE].to_numpy(), two[SCORE].to_numpy(),
            resamples=self.policy.resamples, confidence=self.policy.confidence,
        )  # fmt: skip


def figures_of(rows: pl.DataFrame, measure: MonitorPolicy) -> dict[str, Figure]:
    block, blocks = bootstrap.block_codes(rows[FEATURES.block.name])
    weights = bootstrap.draw(blocks, measure.resamples)
    found = figures.compute(
        figures.Rows(FEATURES.task, targets(rows, FEATURES), block), rows[SCORE].to_numpy(), weights
    )
    return bootstrap.summaries(found, measure.confidence)


def days(month: int) -> tuple[date, date]:
    first = Month(2013, month)
    return first.first_day, first.plus(1).first_day - timedelta(days=1)


def released(month: int) -> date:
    """A model trained to a month answers from the next month on."""
    return days(month)[1] + timedelta(days=1)
