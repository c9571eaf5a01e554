"""Pure: may the candidate take the champion's place? Values in, rules and a verdict out.

Every rule is judged on its own; the verdict is the worst outcome, and its reason the rule that decided.
What a rule needs and does not find blocks: missing, null or not finite is never "fine".

Margins (non-inferiority, CONSORT 2012): with the interval of the difference, candidate minus champion, on the
same resamples of whole blocks, turned so that positive is worse,

- its upper end within the margin: promote. The candidate may be certainly worse by less than the margin: the
  margin says what is as good as equal.
- its lower end above 0 and its upper end beyond the margin: block. It is worse, and perhaps by too much.
- anything else: hold. The rows cannot tell; more of them or a person must.

Rates with the template's policy (two-sided confidence 0.95; margins 0.003 of log loss, 0.006 of ROC-AUC), by
simulation of 31 days as noisy as those between trainings of the example from other seeds, for a typical and
for the worst pair (tests/mainline/test_gate_power.py):

    the candidate is        promoted       held          blocked
    equal                   0.98, 0.87     0.01, 0.09    0.01, 0.04
    worse by the margin     0.02, 0.02     0.01, 0.05    0.98, 0.93
    worse by twice that     0, 0           0, 0          1, 1

With k margins an equal model is blocked at a rate of at most k (1 - confidence) / 2, as far as the intervals
cover: percentile intervals of few blocks are too narrow. At the noisy level equal models would be blocked at
a rate of 0.115 on 5 days, 0.089 on 7, 0.074 on 10, 0.052 on 21. So fewer than `rules.MINIMUM_BLOCKS` hold, as
without an interval: there the rate is near twice the promised 0.05, and floors and ceilings still block.

Slices: blocked only when the favourable end of the interval is worse than the slice margin, at a confidence
corrected for the number of slices (Bonferroni), which `compare` puts into each slice's difference. They are
no part of the rates above: 300 rows of equal models differ by about 0.004, an eighth of the slice margin.

There is no rule on the difference in calibration: the log loss, a proper score, counts it (Brier 1950;
Gneiting and Raftery 2007), and a ceiling on `ece` holds the absolute error. One more three-way rule on the
noisiest of figures would mostly hold good models.

Latency: the median blocks, the 95th percentile is only shown. Of two dozen timings of one model on a shared
machine, idle and busy, the medians lay within 4 %, the percentiles a factor of 2 apart. Where the champion,
timed in turn with the candidate, is over the limit too, the machine is too slow to tell: hold.

A champion that cannot read the rows: recorded figures are all there is. On other windows they say nothing, so
hold. On the same window they are compared as if independent, with the root of the sum of the squared half
intervals. That is wider than the truth (both saw the same days), so it promotes less and blocks less. Where
either side's intervals are at less than the policy's confidence: hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mainline import manifests, rules
from mainline.policy import GatePolicy
from mainline.records import Manifest, Metrics
from mainline.review import Comparison, Rule
from mainline.rules import Outcome

Basis = Literal["same rows", "recorded figures", "same model", "baselines"]
SEVERITY: dict[Outcome, int] = {"promote": 0, "hold": 1, "block": 2}
MAIN_RULE = "main's gate"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of both models.

    `metrics`, `manifest`: what the candidate recorded; `model_bytes`: of the ONNX file, None when unknown.
    `recorded`: what the champion recorded, for where it could not be scored (`unreadable` says why), and
    `same_window`: on the same rows. `alike`: the comparison measures as `evaluate` did.
    """

    champion: str
    basis: Basis
    metrics: Metrics
    model_bytes: int | None
    comparison: Comparison | None = None
    recorded: Metrics | None = None
    same_window: bool = False
    unreadable: str = ""
    manifest: Manifest | None = None
    alike: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """The worst outcome, the text of the rule that decided, and all rules in the order of the table."""

    verdict: Outcome
    reason: str
    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> Decision:
        verdict = max((rule.outcome for rule in rules), key=lambda outcome: SEVERITY[outcome])
        reason = next(rule.text for rule in rules if rule.outcome == verdict)
        return cls(verdict, reason, tuple(rules))


def decide(evidence: Evidence, policy: GatePolicy) -> Decision:
    """Every rule of `policy` on the evidence."""
    seen = evidence.comparison.candidate if evidence.comparison else evidence.metrics.figures
    found = [
        *_against(evidence, policy),
        *[rules.bound(name, seen.get(name), limit, floor=True) for name, limit in policy.floors.items()],
        *[rules.bound(name, seen.get(name), limit, floor=False) for name, limit in policy.ceilings.items()],
        rules.windows(manifests.windows(evidence.manifest)),
        rules.leak(evidence.metrics.suspects),
        rules.size(evidence.model_bytes, policy.model_bytes),
    ]
    if evidence.comparison:
        found.append(rules.rows(evidence.comparison, evidence.metrics))
        if evidence.alike:
            found.append(rules.faithful(evidence.comparison, evidence.metrics, policy.names))
    if evidence.basis != "same model":
        found.append(rules.latency(evidence.comparison, policy.latency_ms))
    return Decision.of(found)


def under_main(own: Decision, mains: Decision | None, why: str = "") -> Decision:
    """`own`, held when the gate on main would not promote: a pull request may not loosen its own gate.

    None: main's gate cannot be asked. `why`: in a sentence; empty where it names figures that this model does
    not have.
    """
    outcome: Outcome = "promote" if mains and mains.verdict == "promote" else "hold"
    if mains is None:
        text = why or "the gate on main cannot be applied to this model"
    elif outcome == "promote":
        text = "the gate on main promotes too"
    else:
        text = f"the gate on main: {mains.verdict}, {mains.reason}"
    rule = Rule(name=MAIN_RULE, outcome=outcome, observed=None, limit=None, text=text)
    return Decision.of([*own.rules, rule])


def _against(evidence: Evidence, policy: GatePolicy) -> list[Rule]:
    match evidence.basis:
        case "same model":
            text = f"to the byte the model of {evidence.champion}, on the same test rows"
            return [Rule(name="same model", outcome="promote", observed=None, limit=None, text=text)]
        case "same rows":
            differences = evidence.comparison.differences if evidence.comparison else {}
            blocks = evidence.comparison.blocks if evidence.comparison else 0
            found = [
                rules.margin(name, differences.get(name), limit, f"against {evidence.champion}", blocks)
                for name, limit in policy.margins.items()
            ]
            parts = evidence.comparison.slices if evidence.comparison else []
            return [*found, rules.slices(parts, policy)]
        case "baselines":
            return [rules.baseline(evidence.metrics, policy)]
        case _:
            why = evidence.unreadable
            because = f"recorded figures of {evidence.champion}, which cannot be scored here ({why})"
            theirs = evidence.recorded.figures if evidence.recorded else {}
            return [
                rules.recorded(
                    name,
                    evidence.metrics.figures.get(name),
                    theirs.get(name),
                    limit,
                    because,
                    _incomparable(evidence, policy),
                    evidence.metrics.blocks,
                )
                for name, limit in policy.margins.items()
            ]


def _incomparable(evidence: Evidence, policy: GatePolicy) -> str:
    """Why recorded figures say nothing of the difference; empty when they do."""
    if not evidence.same_window or evidence.recorded is None:
        return "and there it was measured on other rows"
    if min(evidence.metrics.confidence, evidence.recorded.confidence) < policy.confidence:
        return f"and an interval is at less than {policy.confidence:.0%}"
    return ""
