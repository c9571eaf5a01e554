"""The watch's policy that the tests reckon with: a fork's own limits in params.yaml move no test of ours."""

from __future__ import annotations

from typing import Any

from mainline import policy

SECTION: dict[str, Any] = {
    "window_days": 28, "windows": 3, "fault_days": 2, "months": 12, "confidence": 0.95, "resamples": 1000,
    "minimum_rows": 500, "minimum_blocks": 10, "label_lag_days": 1, "labelled_share": 0.8,
    "cooldown_days": 21,
    "limits": {
        "gain": 0.003, "persistence": 2, "drift_distance": 0.2, "rows": 100, "nulls": 0.6, "share": 0.01,
        "constant_distance": 0.5, "negative_skill": 0.5, "malformed": 0.01, "volume_drop": 0.5,
    },
    "retrain": {
        "where": "ci", "train_months": 1, "schedule": [], "open_limit": 1, "daily_limit": 2,
        "gpu_hours": 24,
    },
}  # fmt: skip
POLICY = policy.monitor({"monitor": SECTION})
