"""Prometheus metrics. Labels are names of the schema and fixed words, never what a client sent."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)

from mainline.schema import FeatureTable
from serving.model import Oddities

# A second series for each counter, that nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)
SCORES = tuple(k / 20 for k in range(1, 21))
STATUSES = (200, 400, 404, 405, 408, 413, 415, 422, 500, 503)


class Metrics:
    """All of one service. Children are made in advance: `labels()` costs more than `inc()`."""

    def __init__(self, table: FeatureTable, model: str, version: str) -> None:
        self.registry = CollectorRegistry()
        Info("serving_model", "What is served", registry=self.registry).info(
            {"model": model, "version": version}
        )
        self.rows = Counter("serving_rows", "Rows predicted", registry=self.registry)
        self.unlogged = Counter("serving_unlogged", "Requests whose log failed", registry=self.registry)
        self.seconds = Histogram(
            "serving_request_seconds", "Of /predict, whole", buckets=SECONDS, registry=self.registry
        )
        statuses = self._counter("serving_requests", "Requests of /predict by status", "status")
        self._statuses = {status: statuses.labels(str(status)) for status in STATUSES}
        self._other = statuses.labels("other")
        names = [column.name for column in table.features]
        self._null = self._children("serving_null_values", "Nulls", names)
        self._unknown = self._children(
            "serving_unknown_values", "Categories that the model does not know", names
        )
        self._beyond = self._children("serving_out_of_range_values", "Numbers out of range", names)
        self.scores = None
        if table.task == "binary":
            self.scores = Histogram(
                "serving_probability", "Probabilities answered", buckets=SCORES, registry=self.registry
            )

    def count(self, rows: int, odd: Oddities) -> None:
        self.rows.inc(rows)
        for counters, found in (
            (self._null, odd.null),
            (self._unknown, odd.unknown),
            (self._beyond, odd.out_of_range),
        ):
            for name, number in found.items():
                counters[name].inc(number)

    def request(self, status: int, seconds: float) -> None:
        self._statuses.get(status, self._other).inc()
        self.seconds.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, words: str, label: str) -> Counter:
        return Counter(name, words, [label], registry=self.registry)

    def _children(self, name: str, words: str, columns: list[str]) -> dict[str, Counter]:
        counter = self._counter(name, words, "column")
        return {column: counter.labels(column) for column in columns}
