"""What the metrics say of the model, and which statuses they tell apart."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from serving.metrics import SCORES, Metrics, Scores, trained_until
from tests.serving import toys


@pytest.mark.parametrize(
    ("window", "end"),
    [
        (["2013-01", "2013-08"], datetime(2013, 9, 1, tzinfo=UTC)),
        (["2013-12", "2013-12"], datetime(2014, 1, 1, tzinfo=UTC)),
        (["2023-03", "2024-02"], datetime(2024, 3, 1, tzinfo=UTC)),
    ],
)
def test_training_ends_with_its_last_month(window: list[str], end: datetime) -> None:
    assert trained_until({"train": window, "test": ["2030-01", "2030-01"]}) == end.timestamp()


@pytest.mark.parametrize("windows", [{}, {"train": []}, {"train": ["all"]}, {"train": ["2013-13"]}])
def test_a_manifest_without_a_window_gives_no_gauge(windows: dict[str, list[str]]) -> None:
    assert trained_until(windows) is None
    assert b"trained_until" not in Metrics(toys.table("binary"), "toy", "v1.0.0", windows).text()


def test_a_client_that_went_away_is_no_error_of_ours() -> None:
    metrics = Metrics(toys.table("binary"), "toy", "v1.0.0", {"train": ["2013-01", "2013-08"]})
    metrics.request(499, 0.1)
    metrics.request(599, 0.1)
    text = metrics.text().decode()
    assert 'serving_requests_total{status="499"} 1.0' in text
    assert 'serving_requests_total{status="other"} 1.0' in text
    assert 'serving_model_trained_until_timestamp_seconds{model="toy"} 1.3779936e+09' in text


def test_scores_taken_at_once_are_the_histogram_of_each() -> None:
    one_by_one, at_once = CollectorRegistry(), CollectorRegistry()
    histogram = Histogram("scores", "words", buckets=SCORES, registry=one_by_one)
    scores = Scores("scores", "words")
    at_once.register(scores)
    for request in ([0.0, 0.05, 0.0501, 1.0], [], [0.5], [0.999999]):
        scores.add(request)
        for score in request:
            histogram.observe(score)
        assert generate_latest(at_once) == generate_latest(one_by_one)
