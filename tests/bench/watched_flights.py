"""The flights of 2013 as production would have had them: models trained to a month answer those after it.

What is made lies in a folder, each model, month of answers and record for itself: a run that was cut goes on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from mainline import policy
from mainline.drift import Drift
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from mainline.settings import Month
from monitoring import backtest, replay
from monitoring.reference import SCORE, predicted
from pipeline import frames, params, paths
from pipeline.comparing.scorer import Scorer
from pipeline.evaluation import bootstrap, figures
from pipeline.targets import targets
from tests.bench.watched_release import YEAR, Release, days
from tests.imports import ROOT
from usecase.schema import FEATURES

RELEASED = range(5, 12)  # months of 2013 to which models are trained: the first has three to train on
KEY, TIME, EXCLUDED = FEATURES.key.name, FEATURES.time.name, FEATURES.excluded.name


@dataclass
class Flights:
    """`table`: the modelling table of 2013. `folder`: the cache; `records`: within it, those of this code."""

    folder: Path
    records: Path
    table: pl.DataFrame
    policy: MonitorPolicy
    _scores: dict[tuple[int, int], pl.DataFrame] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Flights:
        cached = folder / "table.parquet"
        if not cached.exists():
            frames.write(replay.months([Month(YEAR, month) for month in range(1, 13)]), cached)
        code = [*(ROOT / "monitoring").glob("*.py"), *(ROOT / "src/mainline").glob("*.py")]
        watch = policy.monitor()
        records = folder / f"records-{digest(code, watch.model_dump_json())}"
        return cls(folder, records, pl.read_parquet(cached), watch)

    def release(self, month: int) -> Release:
        return Release.made(self.folder / f"model-{month:02}", month)

    def rows(self, first: date, last: date) -> pl.DataFrame:
        """The table's rows of these days, both included."""
        return self.table.filter(pl.col(TIME).cast(pl.Date).is_between(first, last))

    def answered(self, model: int, month: int) -> pl.DataFrame:
        """Rows of a month that have a target, with what that model's service answered."""
        if (model, month) not in self._scores:
            release, rows = self.release(model), self.rows(*days(month))
            log = release.answer(rows, release.log / f"{YEAR}-{month:02}")
            answers = release.answers(log).select(KEY, SCORE)
            joined = rows.join(answers, on=KEY, how="left", maintain_order="left", validate="1:1")
            assert joined[SCORE].null_count() == 0
            self._scores[model, month] = joined.filter(pl.col(EXCLUDED).is_null())
        return self._scores[model, month]

    def hindsight(self, old: int, month: int) -> tuple[Drift, dict[str, Figure]]:
        """The record at the end of `month` with its backtest, and a retraining's gain in the next one.

        Asked for one month after the other: then the log ends with `month` when it is checked.
        """
        cached = self.records / f"drift-{old:02}-{month:02}.json"
        self.answered(old, month)
        if not cached.exists():
            release, out = self.release(old), cached.with_suffix(".part")
            found = release.check(release.log, days(month)[1], out, "--labels", "source")
            found.model_copy(update={"backtest": self.backtest(old, month)}).write(cached)
            out.unlink()
        return Drift.read(cached), self.gain(old, month, month + 1)

    def backtest(self, old: int, month: int) -> dict[str, Figure]:
        """As `monitoring backtest` compares a model trained up to that month with the one in production."""
        old_tree, new_tree = self.release(old).root, self.release(month).root
        test = pl.read_parquet(new_tree / paths.FEATURES / "test.parquet")
        answers = predicted(pl.read_parquet(new_tree / paths.PREDICTIONS), FEATURES)
        ours = test.join(answers.select(KEY, SCORE), on=KEY, how="left", maintain_order="left")
        champion = Scorer.load(old_tree / paths.ONNX, old_tree / paths.MANIFEST)
        return backtest.compare(test, ours[SCORE].to_numpy(), champion, self.policy)

    def gain(self, old: int, new: int, month: int) -> dict[str, Figure]:
        """Figures of what the service answered with the model trained to `new` minus `old`'s, that month."""
        one, two = self.answered(new, month), self.answered(old, month)
        block, _ = bootstrap.block_codes(one[FEATURES.block.name])
        rows = figures.Rows(FEATURES.task, targets(one, FEATURES), block)
        return bootstrap.paired(
            rows, one[SCORE].to_numpy(), two[SCORE].to_numpy(),
            resamples=self.policy.resamples, confidence=self.policy.confidence,
        )  # fmt: skip

    def loss(self, model: int, month: int, name: str) -> float:
        """The figure `name` of what the service answered that month."""
        rows = self.answered(model, month)
        block, blocks = bootstrap.block_codes(rows[FEATURES.block.name])
        known = figures.Rows(FEATURES.task, targets(rows, FEATURES), block)
        weights = bootstrap.draw(blocks, self.policy.resamples)
        found = figures.compute(known, rows[SCORE].to_numpy(), weights)
        return bootstrap.summaries(found, self.policy.confidence)[name].value or 0.0


def cache() -> Path:
    """For the code and parameters that models and answers depend on, so that nothing is made twice."""
    code = [*(ROOT / "src/usecase").glob("*.py"), *(ROOT / "src/pipeline").rglob("*.py")]
    code += (ROOT / "serving").glob("*.py")
    return ROOT / ".mainline" / "bench" / f"watch-{digest(code, params.load().model_dump_json())}"


def digest(files: list[Path], text: str) -> str:
    found = hashlib.sha256(text.encode())
    for file in sorted(files):
        found.update(file.read_bytes())
    return found.hexdigest()[:12]
