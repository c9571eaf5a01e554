"""Prometheus metrics. Labels are names of the schema and fixed words, never what a client sent."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from mainline.schema import FeatureTable
from serving.model import Oddities

# A second series for each counter, that nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)
SCORES = tuple(k / 20 for k in range(1, 21))
STATUSES = (200, 400, 404, 405, 408, 413, 415, 422, 499, 500, 503)  # 499: the client has gone


def trained_until(windows: Mapping[str, Sequence[str]]) -> float | None:
    """End of the manifest's training window, its last month, in seconds since 1970; None without one."""
    last = (windows.get("train") or [""])[-1]
    if not re.fullmatch(r"[12][0-9]{3}-(0[1-9]|1[0-2])", last):
        return None
    year, month = divmod(int(last[:4]) * 12 + int(last[5:]), 12)
    return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()


class Scores(Collector):
    """A histogram that takes a request's scores at once: an eighth of the time of `observe` for each."""

    def __init__(self, name: str, words: str) -> None:
        self._name, self._words = name, words
        self._counts = [0] * (len(SCORES) + 1)  # by bucket, not yet cumulative; the last is beyond all
        self._sum = 0.0

    def add(self, scores: Sequence[float]) -> None:
        for score in scores:
            self._counts[bisect_left(SCORES, score)] += 1
        self._sum += sum(scores)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        names = [*map(floatToGoString, SCORES), "+Inf"]
        buckets = list(zip(names, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._words, buckets=buckets, sum_value=self._sum)


class Metrics:
    """All of one service. Children are made in advance: `labels()` costs more than `inc()`."""

    def __init__(
        self, table: FeatureTable, model: str, version: str, windows: Mapping[str, Sequence[str]]
    ) -> None:
        self.registry = CollectorRegistry()
        Info("serving_model", "What is served", registry=self.registry).info(
            {"model": model, "version": version}
        )
        if (end := trained_until(windows)) is not None:
            name = "serving_model_trained_until_timestamp_seconds"
            gauge = Gauge(name, "End of the model's training window", ["model"], registry=self.registry)
            gauge.labels(model).set(end)
        self.rows = Counter("serving_rows", "Rows predicted", registry=self.registry)
        self.unlogged = Counter("serving_unlogged", "Requests whose log failed", registry=self.registry)
        self.lost = Counter(
            "serving_log_lost", "Predictions answered and then lost to the log", registry=self.registry
        )
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
            self.scores = Scores("serving_probability", "Probabilities answered")
            self.registry.register(self.scores)

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
