"""Pure: the words of a version's page on the forge, out of its record, metrics and turns in production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mainline.promotion import PRODUCTION
from mainline.records import Figure, Metrics
from mainline.releases import Release
from mainline.report.escape import code, prose, visible
from mainline.tags import Version

TURNS = 20  # the newest, that are shown


@dataclass(frozen=True, slots=True)
class Turn:
    """A time that the version got production. `before`: the one it replaced; `back`: it was a rollback."""

    tag: str
    when: str
    who: str
    before: Version | None
    back: bool
    reason: str


def notes(record: Release, metrics: Metrics | None, turns: Sequence[Turn], digests: Mapping[str, str]) -> str:
    """Markdown. `metrics`: of the version's commit, where they can be read; `digests`: sha256 by asset."""
    parts = [_production(turns), _figures(record, metrics), _gate(record), _contents(record)]
    return "\n\n".join([*parts, _verify(record, digests)]) + "\n"


def _production(turns: Sequence[Turn]) -> str:
    rows = [
        (
            code(one.tag),
            one.when[:16].replace("T", " "),
            code(one.who),
            _instead(one),
            prose(one.reason) or "–",
        )
        for one in turns[-TURNS:]
    ]
    return f"### In {PRODUCTION}\n\n{_table(('tag', 'when (UTC)', 'who', 'instead of', 'why'), rows)}"


def _instead(turn: Turn) -> str:
    before = str(turn.before) if turn.before else "nothing"
    return f"{before}, a rollback" if turn.back else before


def _figures(record: Release, metrics: Metrics | None) -> str:
    known = metrics.figures if metrics else {}
    baselines = list(metrics.baselines) if metrics else []
    level = f"{metrics.confidence:.0%} interval" if metrics else "no interval is known"
    rows = [
        (
            prose(name.replace("_", " ")), _figure(value, known.get(name)),
            *(_value(metrics.baselines[one].get(name)) for one in baselines if metrics),
        )
        for name, value in record.figures.items()
    ]  # fmt: skip
    header = ("figure", f"model [{level}]", *(prose(one.replace("_", " ")) for one in baselines))
    rested = (
        f"\n\nOn {metrics.rows:,} rows in {metrics.blocks:,} blocks that no training saw." if metrics else ""
    )
    return f"### Figures\n\n{_table(header, rows)}{rested}"


def _figure(value: float | None, figure: Figure | None) -> str:
    """The record's value; the interval of the metrics only beside the very same value."""
    if value is None:
        return "undefined"
    if figure is None or figure.value != value or figure.low is None or figure.high is None:
        return f"{value:.4f}"
    return f"{value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def _value(figure: Figure | None) -> str:
    return "undefined" if figure is None or figure.value is None else f"{figure.value:.4f}"


def _gate(record: Release) -> str:
    gate = record.gate
    accepted = ", accepted by the merge" if gate.accepted else ""
    return f"### Gate\n\n**{gate.verdict}**{accepted}, against {code(gate.champion)}: {prose(gate.reason)}"


def _contents(record: Release) -> str:
    bento = record.artifacts.get("bento")
    rows = [("commit", code(record.commit))]
    rows += [(code(path), f"md5 {code(md5)}") for path, md5 in record.data_md5.items()]
    rows += [("model", f"sha256 {code(record.model_sha256)}")]
    rows += [("Bento", f"sha256 {code(bento.sha256)}, {bento.bytes:,} bytes")] if bento else []
    rows += [("image", code(record.image, 500))] if record.image else []
    rows += [("MLflow run", code(record.mlflow_run))] if record.mlflow_run else []
    return f"### What it is\n\n{_table(('part', 'digest'), rows)}"


def _verify(record: Release, digests: Mapping[str, str]) -> str:
    lines = "\n".join(f"{sha256}  {visible(name, 120)}" for name, sha256 in digests.items())
    verify = f"mainline verify {record.release}    # from the tag to the bytes, every digest and signature"
    return (
        "### How to verify\n\nIn a clone, with the right to read the DVC remote:\n\n"
        f"```sh\n{verify}\n```\n\n"
        f"The files of this page, by `sha256sum --check`:\n\n```text\n{lines}\n```"
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
