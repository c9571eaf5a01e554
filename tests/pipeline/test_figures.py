"""Figures against scikit-learn, on random rows with ties; resamples against rows repeated in fact."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn import metrics as sk

from pipeline.evaluation import figures, ranks, reliability
from pipeline.evaluation.figures import Decision, Rows

seeds = st.integers(0, 2**32 - 1)
fewer = settings(max_examples=40, deadline=None)


def binary_rows(seed: int, rows: int = 60, blocks: int = 4, both: bool = True):
    """Coarse scores, so that ties are common."""
    random = np.random.default_rng(seed)
    score = random.integers(1, 10, rows) / 10
    y = (random.random(rows) < score).astype(float)
    if both:
        y[:2] = 0, 1
    return Rows("binary", y, random.integers(0, blocks, rows), Decision(0.45, 1.0, 3.0), 5), score


def plain(rows: Rows, prediction: np.ndarray) -> dict[str, float]:
    blocks = int(rows.block.max()) + 1
    return {k: v[0] for k, v in figures.compute(rows, prediction, np.ones((1, blocks))).items()}


@fewer
@given(seeds)
def test_binary_figures_are_scikit_learns(seed: int):
    rows, score = binary_rows(seed)
    y, call, found = rows.target, score >= 0.45, plain(rows, score)
    expected = {
        "roc_auc": sk.roc_auc_score(y, score),
        "pr_auc": sk.average_precision_score(y, score),
        "log_loss": sk.log_loss(y, score),
        "brier": sk.brier_score_loss(y, score),
        "accuracy": sk.accuracy_score(y, call),
        "balanced_accuracy": sk.balanced_accuracy_score(y, call),
        "recall": sk.recall_score(y, call),
        "specificity": sk.recall_score(y, call, pos_label=0),
        "gap": y.mean() - score.mean(),
        "skill": 1 - sk.log_loss(y, score) / sk.log_loss(y, np.full(len(y), y.mean())),
        "cost": (((call == 1) & (y == 0)).sum() + 3 * ((call == 0) & (y == 1)).sum()) / len(y),
    }
    if 0 < call.sum() < len(y):
        expected |= {
            "precision": sk.precision_score(y, call),
            "f1": sk.f1_score(y, call),
            "mcc": sk.matthews_corrcoef(y, call),
        }
    fpr, tpr, _ = sk.roc_curve(y, score, drop_intermediate=False)
    expected["ks"] = np.abs(tpr - fpr).max()
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


@fewer
@given(seeds, st.sampled_from([2**23, 0]))
def test_a_resample_is_the_rows_repeated(seed: int, table: int):
    rows, score = binary_rows(seed)
    counts = np.array([[1, 1, 1, 1], [2, 0, 1, 3]])
    before, ranks.TABLE = ranks.TABLE, table  # both ways of cumulating
    try:
        drawn = figures.compute(rows, score, counts.astype(float))
    finally:
        ranks.TABLE = before
    index = np.repeat(np.arange(len(score)), counts[1][rows.block])
    repeated = Rows("binary", rows.target[index], rows.block[index], rows.decision, rows.bins)
    expected = plain(repeated, score[index])
    for name in set(expected) - {"ece"}:  # the bins of `ece` are those of the rows as they are
        # Calibration is fitted on bins, but nine scores are their own bins.
        assert drawn[name][1] == pytest.approx(expected[name], abs=1e-7, nan_ok=True), name


def test_calibration_is_the_logistic_regression_on_the_logit():
    rows, score = binary_rows(7, rows=500)
    y, x = rows.target, np.log(score / (1 - score))

    def loss(w: np.ndarray) -> float:
        return float(np.logaddexp(0, w[0] + w[1] * x).sum() - (y * (w[0] + w[1] * x)).sum())

    fitted = minimize(loss, [0.0, 1.0], tol=1e-12).x
    alone = minimize(lambda w: loss(np.array([w[0], 1.0])), [0.0], tol=1e-12).x
    found = plain(rows, score)
    assert found["calibration_slope"] == pytest.approx(fitted[1], abs=1e-5)
    assert found["calibration_intercept"] == pytest.approx(alone[0], abs=1e-5)


def test_binned_resamples_of_the_calibration_are_close_to_exact_ones():
    random = np.random.default_rng(3)
    logit = random.normal(-1.5, 0.8, 4000)
    block = np.arange(4000) // 400
    y = (random.random(4000) < reliability.expit(logit + random.normal(0, 0.5, 10)[block])).astype(float)
    weights = np.vstack([np.ones(10), random.multinomial(10, [0.1] * 10, size=60)]).astype(float)
    found = reliability.calibration_figures(y, logit, block, weights)
    rows = weights[:, block]
    for index, name in enumerate(("calibration_intercept", "calibration_slope")):
        exact = reliability.fit_calibration(rows, rows * y, logit, slope=index == 1)[index]
        assert found[name][0] == pytest.approx(exact[0], abs=1e-9)
        assert np.abs(found[name] - exact).max() < 0.2 * exact.std()


@pytest.mark.parametrize("factor", [0.01, 1, 30])
def test_scores_far_from_calibrated_have_a_slope_too(factor: float):
    """Newton's plain steps run away from overconfident scores."""
    random = np.random.default_rng(0)
    x = random.normal(-1, 1, 500)
    y = (random.random(500) < reliability.expit(x)).astype(float)
    every = np.ones((1, 500))
    once = reliability.fit_calibration(every, y[None], x)[1]
    assert reliability.fit_calibration(every, y[None], x * factor)[1] * factor == pytest.approx(once)
    alone = reliability.fit_calibration(every, y[None], x * factor, slope=False)[0]
    assert reliability.expit(alone + x * factor).mean() == pytest.approx(y.mean())


def test_scores_without_error_have_no_slope():
    y = np.array([0.0, 0, 1, 1])
    assert np.isnan(
        reliability.fit_calibration(np.ones((1, 4)), y[None], np.array([-2.0, -1, 1, 2]))[1]
    ).all()


def test_perfect_calibration_has_no_error_and_a_shift_is_seen():
    p = np.repeat([0.1, 0.5, 0.9], 1000)
    y = np.concatenate([np.arange(1000) < 1000 * value for value in (0.1, 0.5, 0.9)]).astype(float)
    rows = Rows("binary", y, np.zeros(3000, dtype=int), None, 15)
    assert plain(rows, p)["ece"] == pytest.approx(0, abs=1e-12)
    assert plain(rows, p)["calibration_slope"] == pytest.approx(1)
    assert plain(rows, p + 0.05)["ece"] == pytest.approx(0.05)
    assert plain(rows, p + 0.05)["gap"] == pytest.approx(-0.05)


def test_lift_shares_a_tie_at_the_border():
    y = np.array([1.0, 0] * 50)
    rows = Rows("binary", y, np.zeros(100, dtype=int))
    assert plain(rows, np.full(100, 0.5))["lift_10"] == pytest.approx(1)
    assert plain(rows, y)["lift_10"] == pytest.approx(2)
    assert plain(rows, 1 - y)["lift_10"] == 0


@pytest.mark.parametrize("only", [0.0, 1.0])
def test_one_class_leaves_comparisons_undefined_and_losses_defined(only: float):
    rows = Rows("binary", np.full(20, only), np.zeros(20, dtype=int), Decision(0.5, 1, 1), 5)
    found = plain(rows, np.linspace(0, 1, 20))
    undefined = {"roc_auc", "ks", "balanced_accuracy", "calibration_slope", "calibration_intercept", "skill"}
    assert all(np.isnan(found[name]) for name in undefined)
    assert all(np.isfinite(found[name]) for name in ("log_loss", "brier", "accuracy", "cost", "ece"))


def test_one_row_and_certain_predictions_stay_finite():
    found = plain(Rows("binary", np.array([0.0]), np.zeros(1, dtype=int), None, 15), np.array([1.0]))
    assert 15 < found["log_loss"] < 17
    assert not any(np.isinf(value) for value in found.values())


@fewer
@given(seeds)
def test_multiclass_figures_are_scikit_learns(seed: int):
    random = np.random.default_rng(seed)
    p = random.dirichlet([1, 1, 1], 80).round(2) + 0.01
    p /= p.sum(axis=1, keepdims=True)
    y = random.integers(0, 3, 80)
    y[:3] = 0, 1, 2
    found, call = plain(Rows("multiclass", y.astype(float), np.zeros(80, dtype=int)), p), p.argmax(axis=1)
    shares = np.bincount(y, minlength=3) / 80
    expected = {
        "log_loss": sk.log_loss(y, p),
        "accuracy": sk.accuracy_score(y, call),
        "balanced_accuracy": sk.balanced_accuracy_score(y, call),
        "macro_f1": sk.f1_score(y, call, average="macro"),
        "macro_auc": sk.roc_auc_score(y, p, multi_class="ovr"),
        "brier": ((p - np.eye(3)[y]) ** 2).sum(axis=1).mean(),
        "skill": 1 - sk.log_loss(y, p) / sk.log_loss(y, np.tile(shares, (80, 1))),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_a_class_that_does_not_occur_is_left_out():
    y = np.array([0.0, 0, 1, 1])
    p = np.array([[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1]])
    found = plain(Rows("multiclass", y, np.zeros(4, dtype=int)), p)
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert found["macro_auc"] == pytest.approx(1)


@fewer
@given(seeds, st.integers(2, 40))
def test_regression_figures_are_scikit_learns(seed: int, rows: int):
    random = np.random.default_rng(seed)
    y, p = 1000 + random.integers(0, 9, rows).astype(float), 1000 + random.integers(0, 9, rows).astype(float)
    block = random.integers(0, 4, rows)
    counts = np.array([[1, 1, 1, 1], [3, 2, 0, 1]])
    drawn = figures.compute(Rows("regression", y, block), p, counts.astype(float))
    for line, index in enumerate([np.arange(rows), np.repeat(np.arange(rows), counts[1][block])]):
        if len(index) == 0:
            continue
        a, b = y[index], p[index]
        expected = {
            "rmse": sk.root_mean_squared_error(a, b),
            "mae": sk.mean_absolute_error(a, b),
            "median_ae": sk.median_absolute_error(a, b),
            "bias": (b - a).mean(),
        }
        if len(set(a)) > 1:
            expected["r2"] = sk.r2_score(a, b)
        else:
            assert np.isnan(drawn["r2"][line])
        assert {k: drawn[k][line] for k in expected} == pytest.approx(expected, abs=1e-9, rel=1e-9)


@fewer
@given(seeds, st.floats(0.2, 5))
def test_no_threshold_costs_less_than_the_best(seed: int, ratio: float):
    rows, score = binary_rows(seed, both=False)
    best = ranks.best_threshold(rows.target, score, 1.0, ratio)

    def cost(threshold: float) -> float:
        call = score >= threshold
        return float((call * (1 - rows.target)).sum() + ratio * (~call * rows.target).sum())

    assert cost(best) <= min(cost(t) for t in np.linspace(0, 1.1, 111)) + 1e-9


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.7]), min_size=1, max_size=50), st.integers(1, 20))
def test_calibration_bins_keep_equal_scores_together(scores: list[float], bins: int):
    where = reliability.calibration_bins(np.array(scores), bins)
    assert set(where) == set(range(where.max() + 1))
    assert where.max() < bins
    pairs = sorted(zip(scores, where, strict=True))
    assert all(a[1] <= b[1] and (a[0] < b[0] or a[1] == b[1]) for a, b in pairwise(pairs))
