"""`compare`: the candidate and the champion on the candidate's test rows. What `mainline gate` asks for.

Everything but the latency is a function of the files: the same rows and models give the same record.
Models come as ONNX only and are checked against their manifests before anything opens them.
"""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl

from mainline import policy
from mainline.errors import IntegrityError
from mainline.policy import GatePolicy
from mainline.records import Figure
from mainline.review import Comparison
from mainline.schema import FeatureTable
from mainline.settings import Section, parse, read
from pipeline import frames, params, paths
from pipeline.comparing.paired import SHOWN, UNDEFINED, Pairing, Prediction
from pipeline.comparing.scorer import Scorer, UnreadableError, latencies
from pipeline.params import Evaluate
from usecase.schema import FEATURES

CHAMPION = paths.LOCAL / "champion"  # model.onnx, manifest.json; no folder: no champion
ROWS = paths.LOCAL / "candidate" / "test.parquet"  # where the work tree has none; see mainline.champion
POLICY = CHAMPION / "params.yaml"  # the gate to measure by, where it is not the work tree's


def main(_arguments: list[str]) -> int:
    """Write the comparison. Raises IntegrityError, RecordError, DataError, ConfigError."""
    started = time.perf_counter()
    measure, settings = _measures()
    candidate = Scorer.load(paths.ONNX, paths.MANIFEST)
    champion = _champion(CHAMPION)
    own = paths.FEATURES / "test.parquet"
    frame = frames.read(own if own.exists() or not ROWS.exists() else ROWS)
    record = compare(FEATURES, frame, measure, settings, candidate, champion)
    record.write(Comparison.location)
    print(
        f"compared on {record.rows:,} rows in {record.blocks} blocks: {time.perf_counter() - started:.1f} s"
    )
    return 0


class _Measured(Section):
    evaluate: Evaluate


def _measures() -> tuple[GatePolicy, Evaluate]:
    """The gate and how it measures: what the other file says of them, else the work tree's."""
    content = read(POLICY) if POLICY.exists() else {}
    measure = policy.gate(content or None)
    if "evaluate" not in content:
        return measure, params.load().evaluate
    return measure, parse({"evaluate": content["evaluate"]}, _Measured).evaluate


def _champion(folder: Path) -> Scorer | None:
    """None when there is no champion; half of one is an error."""
    model, manifest = folder / paths.ONNX.name, folder / paths.MANIFEST.name
    return Scorer.load(model, manifest) if model.exists() or manifest.exists() else None


def compare(
    table: FeatureTable,
    frame: pl.DataFrame,
    measure: GatePolicy,
    settings: Evaluate,
    candidate: Scorer,
    champion: Scorer | None,
) -> Comparison:
    """The record. A champion that cannot read the rows is told; a candidate that cannot is an error."""
    _check(table, frame, candidate)
    _check_months(table, frame, candidate)
    pairing = Pairing.of(table, frame, measure, settings)
    first, unusable = _predict(candidate, frame)
    second, unreadable = _reached(champion, frame, table)
    scorers = {"candidate": candidate, **({"champion": champion} if champion and second else {})}
    base = {
        "task": table.task,
        "rows": frame.height,
        "blocks": pairing.weights.shape[1],
        "resamples": len(pairing.weights) - 1,
        "confidence": measure.confidence,
        "unreadable": unreadable,
    }
    if first is None:  # figures that are null block the gate, in a report that can be read
        print(f"the candidate: {unusable}")
        return Comparison(**base, candidate=_undefined(table, measure))
    ours = pairing.draws(first)
    base |= {"candidate": pairing.told(ours), "latency": latencies(scorers, frame)}
    if second is None:
        return Comparison(**base)
    theirs = pairing.draws(second)
    slices, slice_confidence = pairing.slices(first, second)
    return Comparison(
        **base,
        champion=pairing.told(theirs),
        differences=pairing.told({name: ours[name] - theirs[name] for name in ours if name in theirs}),
        slices=slices,
        slice_confidence=slice_confidence,
    )


def _check(table: FeatureTable, frame: pl.DataFrame, candidate: Scorer) -> None:
    needed = [one.name for one in (table.block, table.time, table.target, *table.slices)]
    if absent := sorted({name for name in needed if name not in frame.columns}):
        raise IntegrityError(f"the test rows have no {', '.join(absent)}", remedy="run featurize anew")
    if problem := candidate.mismatch(frame, table):
        raise IntegrityError(
            "the candidate cannot read its own test rows", why=problem, remedy="run export anew"
        )


def _check_months(table: FeatureTable, frame: pl.DataFrame, candidate: Scorer) -> None:
    """Rows of other months than the manifest's test window are none; `gates` wants the window to be there."""
    window = candidate.manifest.windows.get("test", [])
    if len(window) != 2:
        return
    months = frame[table.time.name].dt.strftime("%Y-%m")
    outside = months.filter(months.is_between(window[0], window[1]).not_() | months.is_null())
    if len(outside):
        raise IntegrityError(
            f"{len(outside):,} test rows are of other months than {window[0]} to {window[1]}",
            why=f"the first is of {outside[0]}",
            remedy="run the pipeline anew: make run",
        )


def _reached(
    champion: Scorer | None, frame: pl.DataFrame, table: FeatureTable
) -> tuple[Prediction | None, str]:
    if champion is None:
        return None, ""
    problem = champion.mismatch(frame, table)
    return (None, problem) if problem else _predict(champion, frame)


def _predict(scorer: Scorer, frame: pl.DataFrame) -> tuple[Prediction | None, str]:
    """What the model says, or why it says nothing that counts."""
    try:
        return Prediction(scorer.predict(frame), scorer.manifest.threshold), ""
    except UnreadableError as error:
        return None, str(error)


def _undefined(table: FeatureTable, measure: GatePolicy) -> dict[str, Figure]:
    return dict.fromkeys((*SHOWN[table.task], *measure.names), UNDEFINED)
