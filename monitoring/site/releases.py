"""The sections out of Git and the forge: what is where, how it came there, retraining pull requests."""

from __future__ import annotations

from collections.abc import Sequence

from mainline.releases import Release
from mainline.state import Change, State, Version
from monitoring.site import markup
from monitoring.site.markup import Cell, Html

SHOWN = 10  # rows of the history at once
STAGES = ("production", "staging")


def stages(state: State, unit: str = "") -> str:
    """One card for each stage, production and staging always. `unit`: of the target."""
    names = [*STAGES, *sorted(state.now.keys() - set(STAGES))]
    cards = "\n".join(_card(state, name, state.now.get(name), unit) for name in names)
    return markup.section("stages", "Now", f'<div class="cards">\n{cards}\n</div>')


def history(state: State, unit: str = "") -> str:
    """Stage changes and versions, the newest first. `unit`: of the target."""
    if not state.versions and not state.history:
        return markup.section("history", "History", markup.paragraph("No version has been made yet."))
    changes: list[list[Cell]] = [
        [f"{one.stage} #{one.number}", one.version or "no version", markup.moment(one.when), one.who, one.why]
        for one in state.history
    ]
    versions = [_version(state, one) for one in state.versions]
    header = ("stage", "version", "when", "who", "why")
    wide = (
        "version", "when, who", "gate", markup.head(state.deciding, unit), "data", "model, commit", "what",
    )  # fmt: skip
    return markup.section(
        "history", "History",
        _folding("Stage changes, the newest first", header, changes),
        _folding("Versions, the newest first", wide, versions),
    )  # fmt: skip


def pulls(state: State) -> str:
    """Open and past retraining pull requests, or why nobody was asked for them."""
    title = "Retraining pull requests"
    if state.pulls is None:
        return markup.section(
            "pulls", title, markup.paragraph(state.pulls_note or "The forge was not asked.")
        )
    if not state.pulls:
        return markup.section("pulls", title, markup.paragraph("There has been none."))
    order = sorted(state.pulls, key=lambda one: (one.state != "open", -one.number))
    rows: list[list[Cell]] = [
        [
            markup.link(f"#{one.number}", one.url),
            Html(f'<span class="state {one.state}">{one.state}</span>'),
            one.title, markup.moment(one.opened), markup.moment(one.closed) if one.closed else "–",
        ]
        for one in order
    ]  # fmt: skip
    header = ("number", "state", "title", "opened", "closed")
    return markup.section("pulls", title, _folding("Open ones first", header, rows))


def commit(state: State, sha: str | None) -> Html:
    """A commit, with a link where the repository has an address."""
    if not sha:
        return Html("none")
    short = Html(f'<code class="short">{markup.text(sha[:9])}</code>')
    address = f"{state.repository}/commit/{sha}" if state.repository and sha.isalnum() else ""
    return markup.link(short, address) if address else short


def _folding(caption: str, header: Sequence[str], rows: list[list[Cell]]) -> str:
    first = markup.table(caption, header, rows[:SHOWN])
    rest = rows[SHOWN:]
    if not rest:
        return first
    return first + markup.details(f"{len(rest)} more", markup.table(f"{caption}: the rest", header, rest))


def _card(state: State, stage: str, now: Change | None, unit: str) -> str:
    title = f"<h3>{markup.text(stage)}</h3>"
    if now is None:
        return f'<article class="card empty">{title}{markup.paragraph("Nothing yet.")}</article>'
    version = state.find(now.version)
    shown = markup.text(now.version or "no version", 20)
    pairs: list[tuple[str, Cell]] = [
        ("since", Html(f"{markup.moment(now.when).code} by {markup.text(now.who, 60)}")),
        ("why", now.why),
        ("commit", commit(state, now.commit)),
        *(_record(state, version, unit) if version else []),
    ]
    return (
        f'<article class="card">{title}<p class="version">{shown}</p>'
        f"{markup.pairs((key, value) for key, value in pairs if value)}</article>"
    )


def _record(state: State, version: Version, unit: str) -> list[tuple[str, Cell]]:
    record = version.record
    if record is None:
        return [("record", version.problem or "it has none")]
    evaluation = version.evaluation
    found: list[tuple[str, Cell]] = [
        ("gate", _verdict(record)),
        ("data", _data(record)),
        ("model", Html(f"<code>{record.model_sha256[:12]}</code> (sha256)")),
    ]
    if evaluation:
        figure = markup.figure(evaluation.figures.get(state.deciding))
        rows = f"on {evaluation.rows:,} test rows of {evaluation.blocks:,} blocks"
        found.append((markup.head(state.deciding, unit), f"{figure}, {rows}"))
        train = evaluation.windows.get("train")
        if train:
            found.append(("trained on", " to ".join(dict.fromkeys(train[:2]))))
    if record.mlflow_run:
        found.append(("MLflow run", markup.name(record.mlflow_run)))
    return found


def _verdict(record: Release) -> str:
    accepted = ", accepted by the merge" if record.gate.accepted else ""
    return f"{record.gate.verdict}{accepted}: {record.gate.reason}"


def _data(record: Release) -> Html:
    parts = sorted(record.data_md5.items())[:6]
    return _lines(*(Html(f"{markup.text(path, 40)} <code>{md5[:7]}</code>") for path, md5 in parts))


def _lines(*parts: Html) -> Html:
    """One below the other."""
    return Html(" ".join(f'<span class="line">{part.code}</span>' for part in parts))


def _version(state: State, one: Version) -> list[Cell]:
    record, evaluation = one.record, one.evaluation
    figure = evaluation.figures.get(state.deciding) if evaluation else None
    model = Html(f'<code class="short">{record.model_sha256[:9]}</code>' if record else "–")
    return [
        one.version, _lines(markup.moment(one.when), Html(markup.text(one.who, 60))),
        record.gate.verdict if record else "–", markup.figure(figure),
        _data(record) if record else "–",
        _lines(model, commit(state, one.commit)), one.problem or one.why,
    ]  # fmt: skip
