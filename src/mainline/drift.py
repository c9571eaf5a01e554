"""`reports/drift.json`: what the watch measured on the predictions of production. Written by `monitoring`.

It decides nothing (`mainline.watching` does) and holds every number that the decision uses. The same log,
labels and reference give the same bytes: a window ends with `until`, never with the clock.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from mainline.records import Figure, Part, Record
from mainline.schema import Task

NOT_PARQUET = "not Parquet"  # a reason of Malformed: a damaged file, one "line" whatever it held


class Reference(Part):
    """The model in production: which rows it was made from, and what it promised on its test rows.

    `windows`: first and last month of train, validation and test. `promoted`: the day of its newest
    production tag (ISO), null when there is none.
    """

    model: str
    version: str
    commit: str
    promoted: str | None
    windows: dict[str, list[str]]
    rows: int
    figures: dict[str, Figure]


class Labels(Part):
    """Rows of a window: `joined` have a label, `excluded` never will (by reason), `pending` may.

    `late`: those pending for longer than the policy's lag. `share`: joined of those that can have one; null
    when no row can. `blocks`: those with a joined row.
    """

    joined: int
    pending: int
    late: int
    excluded: dict[str, int]
    share: float | None
    blocks: int = 0


class ColumnDrift(Part):
    """One column of the live rows against the rows that the model was trained on.

    Shares are of the window's rows. `distance`: effect size, Jensen-Shannon distance in [0, 1] over the
    bins of the reference's sketch, null without values or reference; `noise`: what it is between blocks of
    the reference's size and the window's by chance alone. `before`: distance from the windows right before
    it, as many as the policy's `windows`, as far as there are; `season`: from the same days 52 weeks before,
    null where the log has not half of them. Both are from all versions' rows, but those of `score`.
    `constant`: all values are the same, where the reference's are not. `skew`: share of rows whose served
    value is not the one computed from the raw data; null when that was not computed.

    `unknown`: values that the reference has not. Where its sketch names only the most frequent ones, those
    that the model does not know, and `unknown_reference` is their share of the rows that it was tested on;
    both are 0 where nobody can tell. Infinite numbers are out of range.
    """

    name: str
    dtype: str
    rows: int
    distance: float | None
    noise: float | None
    before: float | None
    nulls: float
    nulls_reference: float
    unknown: float
    unknown_reference: float
    out_of_range: float
    out_of_range_reference: float
    constant: bool
    skew: float | None
    season: float | None = None


class Window(Part):
    """Some whole days of production, `first` to `last` (ISO, both included), by the rows' own time.

    All but `versions` is of the rows that the version in production answered, its first answer to each key;
    a month's of the rows that any version answered, the first answer to each key. `versions`: rows by the
    version that answered. `duplicates`: further answers to the same key, not counted in `rows`. `figures`: of
    the labelled rows. `excess`: mean loss beyond what the answered probabilities expect of themselves (0 for
    a calibrated model, however hard the days are; null for values); `against`: figure minus the recorded one,
    empty for a month with answers of other versions, which has no figure that needs a threshold either;
    `recoverable`: of the deciding figure, in its unit, what a recalibration fitted on other blocks takes
    away. `estimated`: the expected loss by the answered probabilities alone, an estimate. `score` and
    `target`: their drift. `sampled`: of how many rows these figures are, where there are too many for all to
    be held; null: of all.
    """

    name: str
    first: str
    last: str
    rows: int
    blocks: int
    versions: dict[str, int]
    duplicates: int
    labels: Labels
    figures: dict[str, Figure]
    against: dict[str, Figure]
    excess: Figure | None
    recoverable: Figure | None
    estimated: Figure | None
    columns: list[ColumnDrift]
    score: ColumnDrift | None
    target: ColumnDrift | None
    sampled: int | None = None


class Malformed(Part):
    """What of the log could not be used: `lines` in all, by `reasons` (printable).

    `samples`: a few of them by reason, field and line number; never what a line holds, which a request may
    have brought. `days`: by day (ISO) and reason, from the first recent window to `until`. A line's day is
    that of its time, else of its answer, else that of the line before it.
    """

    lines: int
    reasons: dict[str, int]
    samples: list[str]
    days: dict[str, dict[str, int]] = Field(default_factory=dict)


class Quality(Part):
    """The stream itself. `lines`: read in all, malformed ones included. `volume`: rows by day (ISO) from
    the first recent window on, of all versions, a day without any as 0. `newest`: time of the newest row up
    to `until` (ISO), and `age_days` from it to the end of that day. `missing`, `extra`: malformed lines by
    the feature that they lack, or that the schema has not (printable). `unknown_labels`: for keys that no
    row has. `read`: lines by day as `Malformed.days` counts them, all of them. `others`: lines of other
    versions, which need not have the schema of the one in production; what they lack is not malformed.
    `after`: rows of days after `until`, not looked at. `contradicting_labels`: keys with labels that differ
    and are not known one after the other; those have none. `unchecked`: why served features are not held
    against those of the raw data, or not all of them (printable).
    """

    lines: int
    volume: dict[str, int]
    newest: str | None
    age_days: float | None
    missing: dict[str, int]
    extra: dict[str, int]
    unknown_labels: int
    read: dict[str, int] = Field(default_factory=dict)
    others: int = 0
    after: int = 0
    contradicting_labels: int = 0
    unchecked: list[str] = Field(default_factory=list)


class Drift(Record):
    """`recent`: trailing windows that end with `until`, the oldest first, the decision's. `newest`: the
    last few whole days, where faults of columns show. `months`: calendar months, the oldest first, for the
    page, whichever version answered; the last may be unfinished. `labelled_share`: the policy's, below which
    a window's figures are not judged. `backtest`: figures of a model trained with the newest labelled month
    minus the one in production, on the same rows; null when it was not run.
    """

    location = Path("reports/drift.json")
    version: Literal[1] = 1
    task: Task
    reference: Reference
    until: str
    malformed: Malformed
    recent: list[Window]
    newest: Window | None
    months: list[Window]
    backtest: dict[str, Figure] | None
    quality: Quality | None = None
    labelled_share: float = 0.0
