"""Where the time of a request with 1,000 rows goes: the CPU of each part in ms, median of 100, one process.

HTTP is not in it; pydantic is there to compare with.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from serving import prediction_log, schemas, staging
from serving.model import Model
from serving.rows import request_model
from tests.imports import ROOT
from usecase.schema import FEATURES

ROWS = 1000
BODY = json.dumps({"rows": [schemas.example(FEATURES)] * ROWS}).encode()
HEAD = ("2026-01-02T03:04:05.678901+00:00", "0123456789abcdef", "flight-delay", "v0.0.1")
ENCODE = msgspec.json.Encoder().encode


class Timed:
    """An ONNX session that knows how long its runs took."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session, self.spent = session, [0.0]

    def run(self, *given: object) -> object:
        started = time.process_time()
        told = self._session.run(*given)
        self.spent.append((time.process_time() - started) * 1000)
        return told


def main() -> None:
    pydantic, request = schemas.request_model(FEATURES, ROWS), request_model(FEATURES, ROWS)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "served"
        staging.stage(ROOT, root, *HEAD[2:], {})
        model, log = Model(root, FEATURES), prediction_log.FileMonitor("p", name, 64_000_000, 3)
        model._session = session = Timed(model._session)
        rows = request.model_validate_json(BODY).rows
        told, _ = model.predict(rows)
        gc.freeze()
        _show("pydantic alone", lambda: pydantic.model_validate_json(BODY))
        _show("parsing", lambda: request.model_validate_json(BODY))
        _show("columns, model, counts", lambda: model.predict(rows))
        print(f"{statistics.median(session.spent):6.2f} of that the model")
        _show("answer", lambda: ENCODE([{"key": r.key, **one} for r, one in zip(rows, told, strict=True)]))
        _show("lines of the log", lambda: prediction_log.lines(HEAD, rows, told))
        lines = prediction_log.lines(HEAD, rows, told)
        _show("their write", lambda: log.log_table([lines], {}))
        log.close()


def _show(name: str, part: Callable[[], object]) -> None:
    spent = []
    for _ in range(100):
        started = time.process_time()
        part()
        spent.append((time.process_time() - started) * 1000)
    print(f"{statistics.median(spent):6.2f} {name}")


if __name__ == "__main__":
    main()
