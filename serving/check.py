"""Try a Bento as a running service: python -m serving.check --bento PATH

Smoke, contract, parity with the recorded predictions, latency. Prints a JSON record; needs the working tree's
reports/predictions.parquet and data/features/test.parquet.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mainline.errors import DeployError, MainlineError, ParityError, StorageError
from mainline.schema import Column, FeatureTable
from serving import schemas
from serving.process import Running, running
from usecase.schema import FEATURES

SAMPLE = 2000  # recorded predictions that are asked for again
BATCH = 500
PARITY = 1e-5  # as export.parity: absolute up to 1, relative beyond
REQUESTS = 300  # of one row, one after the other, for the latency
PREDICTIONS = Path("reports/predictions.parquet")
TEST = Path("data/features/test.parquet")
FETCHED = Path(".mainline/candidate/test.parquet")  # where a promotion puts it in a clone without data


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        print(json.dumps(check(options.bento, options.sha256, options.latency_ms)))
    except MainlineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m serving.check", description=__doc__.splitlines()[0])
    made.add_argument("--bento", type=Path, required=True)
    made.add_argument("--sha256", help="refuse an archive with another digest")
    made.add_argument("--latency-ms", type=float, default=5, help="most for the median request of one row")
    return made


def check(bento: Path, sha256: str | None, latency_ms: float) -> dict[str, Any]:
    """Raises DeployError, ParityError, StorageError (nothing recorded)."""
    digest = ("--sha256", sha256) if sha256 else ()
    recorded = list(_recorded(FEATURES))
    with (
        tempfile.TemporaryDirectory() as folder,
        running("--bento", str(bento.absolute()), *digest, extra={"SERVING_LOG_PATH": folder}) as service,
    ):
        return {
            "ready_seconds": round(service.ready_seconds, 2),
            **_smoke(service),
            "contract": _contract(service, FEATURES),
            "parity": _parity(service, FEATURES, recorded),
            "latency": _latency(service, recorded[0][0], latency_ms),
        }


def _smoke(service: Running) -> dict[str, Any]:
    for path in ("/healthz", "/livez", "/readyz", "/metrics", "/docs.json", "/provenance"):
        status, body = service.ask("GET", path)
        if status != 200:
            raise DeployError(f"{path} answers {status}", why=body.decode(errors="replace")[:500])
    about = json.loads(body)
    return {"model": about["model"], "version": about["version"]}


def _contract(service: Running, table: FeatureTable) -> dict[str, int]:
    """Each column in turn: missing or mistyped is refused by name; null, odd and huge are answered."""
    row = schemas.example(table)
    answer = schemas.answer_model(table)
    identity = {table.key.name, table.time.name}
    asked = refused = 0
    for column in {one.name: one for one in (table.key, table.time, *table.features)}.values():
        without = {name: value for name, value in row.items() if name != column.name}
        for wrong in (without, {**row, column.name: ["wrong"]}):
            status, body = service.predict([wrong])
            if status != 400 or column.name not in json.dumps(body, ensure_ascii=False):
                raise DeployError(f"a wrong {column.name} is not refused by name", why=f"{status}: {body}")
            refused += 1
        if column.name not in identity:
            for odd in _odd(column):
                status, body = service.predict([{**row, column.name: odd}])
                if status != 200:
                    raise DeployError(f"{column.name}: {odd!r} is not answered", why=f"{status}: {body}")
                answer.model_validate(body)
                asked += 1
    status, body = service.predict([{**row, "surplus": 1}])
    if status != 400 or "surplus" not in json.dumps(body):
        raise DeployError("an unknown field is not refused by its name", why=f"{status}: {body}")
    return {"answered": asked, "refused": refused + 1}


def _odd(column: Column) -> tuple[Any, ...]:
    match column.dtype:
        case "string":
            return (None, "", "unheard of")
        case "bool":
            return (None, True, False)
        case "int64":
            return (None, -(2**63), 2**63 - 1)
        case _:
            return (None, -1e308, 1e308)


def _recorded(table: FeatureTable) -> Iterator[tuple[dict[str, Any], list[float]]]:
    """Evenly over the test rows: a row as JSON, and the numbers recorded for it. Raises StorageError."""
    import polars as pl  # the check's, not the service's

    try:
        said = pl.read_parquet(PREDICTIONS)
        test = pl.read_parquet(TEST if TEST.exists() or not FETCHED.exists() else FETCHED)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StorageError(
            "the recorded predictions cannot be read", why=str(error), remedy="dvc pull reports data/features"
        ) from None
    figures = [name for name in said.columns if name.startswith(("probability", "prediction"))]
    names = list(schemas.example(table))
    key = table.key.name
    rows = test.select(names).join(said.select(key, *figures), on=key, how="inner", maintain_order="left")
    if rows.is_empty():
        raise StorageError("no recorded prediction belongs to a test row", remedy="make run")
    for row in rows.gather_every(max(1, rows.height // SAMPLE)).to_dicts():
        yield {name: _json(row[name]) for name in names}, [row[name] for name in figures]


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _parity(service: Running, table: FeatureTable, recorded: list[tuple[dict[str, Any], list[float]]]) -> Any:
    worst = 0.0
    for start in range(0, len(recorded), BATCH):
        part = recorded[start : start + BATCH]
        status, body = service.predict([row for row, _ in part])
        if status != 200:
            raise DeployError("recorded rows are not answered", why=f"{status}: {str(body)[:500]}")
        for (row, expected), one in zip(part, body["predictions"], strict=True):
            for said, wanted in zip(_numbers(one, table), expected, strict=True):
                difference = abs(said - wanted) / max(1, abs(wanted))
                worst = max(worst, difference)
                if not difference <= PARITY:
                    raise ParityError(
                        f"the service says {said} of {row[table.key.name]}, the record says {wanted}",
                        remedy="are reports/ and models/ of the same run? make run",
                    )
    return {"rows": len(recorded), "worst": worst}


def _numbers(one: dict[str, Any], table: FeatureTable) -> list[float]:
    match table.task:
        case "binary":
            return [one["probability"]]
        case "multiclass":
            return list(one["probabilities"].values())
        case _:
            return [one["value"]]


def _latency(service: Running, row: dict[str, Any], budget_ms: float) -> dict[str, float]:
    """Over one connection each, so with its handshake. Raises DeployError when it is over the budget."""
    spent = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        service.predict([row])
        spent.append((time.perf_counter() - started) * 1000)
    cuts = statistics.quantiles(spent, n=100)
    found = {"median_ms": round(cuts[49], 3), "p99_ms": round(cuts[98], 3), "budget_ms": budget_ms}
    if found["median_ms"] > budget_ms:
        raise DeployError(f"a prediction takes {found['median_ms']} ms", why=f"its budget is {budget_ms:g}")
    return found


if __name__ == "__main__":
    sys.exit(main())
