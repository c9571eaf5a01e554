"""How often the gate is wrong, by simulation with its own policy: the rates that `gates` states.

Days are drawn as they are in the example: four trainings of its network from other seeds differ, pair by
pair, by a daily mean log loss with a standard deviation of 0.0033 to 0.0052 (the ROC-AUC of the month by
0.0010 to 0.0017, correlated at -0.9), with heavy tails (kurtosis up to 8), on 31 days of 923 +- 97 rows. The
ROC-AUC is drawn as a mean over days, which it nearly is for models this close.
"""

from __future__ import annotations

import numpy as np
import pytest

from mainline import gates, policy
from mainline.gates import Evidence
from mainline.rules import MINIMUM_BLOCKS
from mainline.settings import read
from pipeline.evaluation import bootstrap
from tests.imports import ROOT
from tests.mainline.test_gates import APART, comparison, metrics
from tests.mainline.test_gates import POLICY as OTHER

POLICY = OTHER.model_copy(
    update={"margins": {"log_loss": 0.003, "roc_auc": 0.006}, "floors": {}, "ceilings": {}}
)
DAYS, ROWS, SPREAD = 31, 923, 97
TYPICAL, NOISY = 0.0038, 0.0052  # standard deviation of a day's paired difference of the mean log loss
AUC_SCALE, CORRELATION = 1.9, -0.9  # of the ROC-AUC to the log loss, day by day
TRIALS = 1000


def verdicts(worse: float, day_sd: float, *, days: int = DAYS, trials: int = TRIALS) -> dict[str, float]:
    """Shares of verdicts on candidates whose true log loss is higher by `worse`, ROC-AUC in proportion."""
    random = np.random.default_rng(20131001)
    n = np.maximum(random.normal(ROWS, SPREAD, (trials, days)), 1)
    first, other = random.standard_t(5, (2, trials, days)) / np.sqrt(5 / 3)  # kurtosis 9, variance 1
    second = CORRELATION * first + np.sqrt(1 - CORRELATION**2) * other
    ratio = POLICY.margins["roc_auc"] / POLICY.margins["log_loss"]
    loss, auc = worse + day_sd * first, -ratio * worse + AUC_SCALE * day_sd * second
    weights = bootstrap.draw(days, POLICY.resamples)
    found = {"promote": 0, "hold": 0, "block": 0}
    for trial in range(trials):
        total = weights @ n[trial]
        draws = {
            name: weights @ (n[trial] * values[trial]) / total
            for name, values in (("log_loss", loss), ("roc_auc", auc))
        }
        found[decide(bootstrap.summaries(draws, POLICY.confidence), days)] += 1
    return {verdict: count / trials for verdict, count in found.items()}


def decide(differences: dict, days: int) -> str:
    seen = comparison(differences=differences, blocks=days)
    case = Evidence("main", "same rows", metrics(blocks=days), 900, seen, manifest=APART)
    return gates.decide(case, POLICY).verdict


def test_the_examples_policy_is_the_one_simulated() -> None:
    own = read(ROOT / "params.yaml")
    if policy.release(own).model != "flight-delay":
        pytest.skip("a fork has its own use case, and its own margins")
    found = policy.gate(own)
    assert (found.margins, found.resamples, found.confidence) == (
        POLICY.margins, POLICY.resamples, POLICY.confidence,
    )  # fmt: skip


@pytest.mark.parametrize("day_sd", [TYPICAL, NOISY])
def test_an_equal_model_is_blocked_at_most_at_the_stated_rate(day_sd: float) -> None:
    rates = verdicts(0, day_sd)
    assert rates["block"] <= 1 - POLICY.confidence
    assert rates["promote"] >= (0.95 if day_sd == TYPICAL else 0.8)


@pytest.mark.parametrize(("day_sd", "power"), [(TYPICAL, 0.95), (NOISY, 0.85)])
def test_a_model_worse_by_the_margin_is_blocked_with_the_stated_power(day_sd: float, power: float) -> None:
    rates = verdicts(POLICY.margins["log_loss"], day_sd)
    assert rates["block"] >= power
    assert rates["promote"] <= 1 - POLICY.confidence


@pytest.mark.parametrize("day_sd", [TYPICAL, NOISY])
def test_a_model_worse_by_twice_the_margin_is_never_promoted(day_sd: float) -> None:
    rates = verdicts(2 * POLICY.margins["log_loss"], day_sd)
    assert rates["promote"] == 0
    assert rates["block"] >= 0.99


def test_a_better_model_is_promoted() -> None:
    assert verdicts(-POLICY.margins["log_loss"], TYPICAL)["promote"] >= 0.99


@pytest.mark.parametrize("days", [4, 7, MINIMUM_BLOCKS - 1])
def test_few_days_hold_rather_than_decide(days: int) -> None:
    """Four have no interval at all; that of a week would block one of eleven equal models."""
    assert verdicts(0, NOISY, days=days, trials=50)["hold"] == 1
    assert verdicts(9, NOISY, days=days, trials=50)["hold"] == 1


@pytest.mark.parametrize(("days", "rate"), [(MINIMUM_BLOCKS, 0.074), (21, 0.052), (31, 0.044)])
def test_the_stated_rates_at_which_an_equal_model_is_blocked(days: int, rate: float) -> None:
    """Within four standard errors of 1,000 trials."""
    assert verdicts(0, NOISY, days=days)["block"] == pytest.approx(rate, abs=0.03)
