"""The rest of the report, and the order of all of it."""

from __future__ import annotations

from typing import TypeVar

from mainline.records import Batch, Check
from mainline.report import data, figures, headline, parameters
from mainline.report.blocks import (
    Block,
    Bullets,
    Chart,
    Code,
    Details,
    Document,
    Link,
    Paragraph,
    Section,
    Strong,
    Table,
    Text,
)
from mainline.report.facts import Facts
from mainline.report.headline import plural

T = TypeVar("T")
COLUMNS = 8  # of an offending row
POINTS = 40  # of a curve


def build(facts: Facts) -> Document:
    """The whole report, unshortened, the most important first."""
    order = (
        headline.top(facts),
        warnings(facts),
        figures.section(facts),
        parameters.section(facts),
        data.section(facts),
        figures.slices(facts),
        validation(facts),
        stages(facts),
        curves(facts),
        where(facts),
    )
    sections = tuple(section for section in order if section.blocks)
    return Document(headline.headline(facts), sections, facts.run_url)


def warnings(facts: Facts) -> Section:
    """What should not be overlooked."""
    found: list[Text] = []
    gate = facts.verdict
    found += [(text,) for text in (gate.warnings if gate else [])]
    if gate is not None and gate.commit != facts.commit:
        found.append(("The gate judged commit ", Code(gate.commit[:12]), ", which has the same dvc.lock."))
    for name, value in (facts.metrics.suspects if facts.metrics else {}).items():
        found.append((Code(name), f" alone ranks the target almost perfectly (ROC-AUC {value:.4f}): a leak?"))
    found += [(text,) for text in facts.problems]
    blocks: tuple[Block, ...] = (Bullets(tuple(found)),) if found else ()
    return Section("Warnings", 85, blocks)


def validation(facts: Facts) -> Section:
    """Which expectations do not hold, with a few offending rows each."""
    batches = [batch for record in facts.validations for batch in record.batches]
    if not batches:
        return Section("Validation", 60, (Paragraph(("There is no record of a validation.",)),))
    failed = [(batch, check) for batch in batches for check in batch.failures]
    critical = sum(check.severity == "critical" for _, check in failed)
    checks, rows = (sum(getattr(batch, name) for batch in batches) for name in ("checks", "rows"))
    files = f"{len(batches):,} batch{'es' if len(batches) > 1 else ''}"
    told = f"{plural(checks, 'check')} on {files}, {plural(rows, 'row')}"
    if not failed:
        return Section("Validation", 30, (Paragraph((f"All of {told} hold.",)),))
    counts = [f"{critical:,} critical"] if critical else []
    counts += [plural(len(failed) - critical, "warning")] if len(failed) > critical else []
    first = Paragraph((f"Of {told}, not holding: {' and '.join(counts)}.",))
    ordered = sorted(failed, key=lambda pair: pair[1].severity != "critical")
    table = _failures(ordered)
    samples = tuple(block for batch, check in ordered for block in _sample(batch, check))
    fold: tuple[Block, ...] = (Details("Offending rows", samples),) if samples else ()
    if critical:
        return Section("Validation", 90, (first, table, *fold))
    return Section("Validation", 60, (first, Details(plural(len(failed), "warning"), (table, *samples))))


def _failures(failed: list[tuple[Batch, Check]]) -> Table:
    rows = tuple(
        (
            (Strong("critical") if check.severity == "critical" else "warning",),
            _batch(batch),
            (Code(check.column),) if check.column else ("the table",),
            (
                Code(check.expectation.removeprefix("expect_")),
                *((" ", Code(check.expected)) if check.expected else ()),
            ),
            (check.observed,),
        )
        for batch, check in failed
    )
    return Table(
        "Expectations that do not hold", ("severity", "batch", "column", "expected", "seen"), rows, 5
    )


def _batch(batch: Batch) -> Text:
    month: Text = (" ", batch.month) if batch.month else ()
    return (Code(batch.table), *month, *((", set aside",) if batch.quarantine else ()))


def _sample(batch: Batch, check: Check) -> list[Block]:
    if not check.sample:
        return []
    names = list(dict.fromkeys(name for row in check.sample for name in row))[:COLUMNS]
    rows = tuple(tuple((Code(row[name]) if name in row else "",) for name in names) for row in check.sample)
    title: Text = (*_batch(batch), ", ", Code(check.column or check.expectation), ":")
    return [Paragraph(title), Table("Offending rows", tuple(names), rows, len(names))]


def stages(facts: Facts) -> Section:
    """What ran, what came from cache, and how long it would have taken."""
    if facts.stale:
        return Section("What ran", 30, ())
    run = facts.run_here
    if run is None or not run.ran + run.cached:
        if not facts.seconds:
            return Section("What ran", 30, ())
        total = sum(facts.seconds.values())
        words = f"Nothing was run for this report: the lock's stages took {total:,.1f} s when they last ran."
        return Section("What ran", 30, (Paragraph((words,)),))
    reused = [*run.cached, *run.unchanged]
    spent, saved = sum(run.seconds.values()), sum(facts.seconds.get(stage, 0) for stage in reused)
    every = len(run.ran) + len(reused)
    were = "was" if len(reused) == 1 else "were"
    told = f"{len(run.ran)} of {every} stages ran, in {spent:,.1f} s; {len(reused)} {were} reused"
    known = sum(stage in facts.seconds for stage in reused)
    gain = f", which saved {saved:,.1f} s" if known else ""
    partly = f" (the seconds of {len(reused) - known} are not known)" if 0 < known < len(reused) else ""
    rows = [
        *(((Code(name),), ("ran",), (_seconds(run.seconds.get(name)),), ("",)) for name in run.ran),
        *(
            ((Code(n),), ("from the run cache",), ("",), (_seconds(facts.seconds.get(n)),))
            for n in run.cached
        ),
        *(((Code(n),), ("unchanged",), ("",), (_seconds(facts.seconds.get(n)),)) for n in run.unchanged),
    ]
    table = Table("Stages", ("stage", "what happened", "seconds", "saved"), tuple(rows), 2)
    return Section(
        "What ran", 30, (Paragraph((f"{told}{gain}{partly}.",)), Details("Stage by stage", (table,)))
    )


def _seconds(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.1f}"


def curves(facts: Facts) -> Section:
    """Learning curve and calibration; complete without any picture."""
    if facts.stale:
        return Section("Curves", 10, ())
    charts: list[Block] = []
    history = _thinned(facts.training.history if facts.training else [])
    if len(history) > 1:
        lines = (
            ("training", tuple(epoch.train_loss for epoch in history)),
            ("validation", tuple(epoch.validation_loss for epoch in history)),
        )
        charts.append(Chart("Learning curve", "epoch", "loss", tuple(float(e.epoch) for e in history), lines))
    bins = _thinned(list(facts.calibration))
    if len(bins) > 1:
        numbers = tuple(float(i + 1) for i in range(len(bins)))
        lines = (("predicted", tuple(p for p, _ in bins)), ("observed", tuple(o for _, o in bins)))
        charts.append(Chart("Calibration", "bin of equally many rows", "share", numbers, lines))
    if not charts:
        return Section("Curves", 10, ())
    return Section("Curves", 10, (Details("Learning curve and calibration", tuple(charts)),))


def _thinned(points: list[T]) -> list[T]:
    step = -(-len(points) // POINTS)
    return points[::step] if step > 1 else points


def where(facts: Facts) -> Section:
    """What the report speaks of, and where to see more."""
    made = not facts.stale
    items: list[Text] = [_candidate(facts)]
    if facts.lock_sha256:
        items.append((Strong("Lock"), ": sha256 ", Code(facts.lock_sha256[:16])))
    if made and facts.manifest is not None and (model := facts.manifest.files.get("model.onnx")):
        items.append((Strong("Model"), ": sha256 ", Code(model[:16])))
    items.append(_champion(facts))
    if facts.following:
        items.append((Strong("Merged, it becomes"), ": ", facts.following))
    if made and facts.mlflow_url:
        items.append((Strong("MLflow run"), ": ", Link("open in MLflow", facts.mlflow_url)))
    elif made and facts.mlflow_run:
        items.append((Strong("MLflow run"), ": ", Code(facts.mlflow_run)))
    if facts.run_url:
        items.append(
            (Strong("Full report, plots and records"), ": ", Link("artifacts of the run", facts.run_url))
        )
    else:
        items.append((Strong("Full report"), ": ", Code("reports/report.html")))
    if made and facts.plots:
        names: Text = tuple(p for n in facts.plots[:20] for p in (", ", Code(f"reports/plots/{n}.svg")))[1:]
        items.append((Strong("Plots"), ": ", *names))
    return Section("What this speaks of", 95, (Bullets(tuple(items)),))


def _candidate(facts: Facts) -> Text:
    branch: Text = (" on ", Code(facts.branch)) if facts.branch else ()
    title: Text = (" for ", Code(facts.title)) if facts.title else ()
    model: Text = ()
    if facts.training is not None and not facts.stale:
        model = (f", {facts.training.parameters:,} parameters, trained on {facts.training.device_class}",)
    return (Strong("Candidate"), ": commit ", Code(facts.commit[:12]), *branch, *title, *model)


def _champion(facts: Facts) -> Text:
    base = facts.base
    gate = facts.verdict
    if gate is not None and gate.champion.kind == "baselines":
        against: Text = (" Changes are shown against ", Code(base.name), ".") if base.commit else ()
        return (Strong("Champion"), ": none yet.", *against)
    name = gate.champion.name if gate is not None else base.name
    commit: Text = (", commit ", Code(base.commit[:12])) if base.commit else ()
    return (Strong("Champion"), ": ", Code(name), *commit)
