"""The page of a run, to which `make run` leads: MLflow's own, with the libraries of our lock."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.pipeline.test_tracking_processes import server
from tests.ports import free_port
from tests.slow.test_report_page import CHROMIUM

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here")]


def test_the_page_of_a_run_opens(tmp_path: Path) -> None:
    """With graphene 2.0, which MLflow takes too, it said "Can't load run details"."""
    from mlflow import MlflowClient

    with server(tmp_path, free_port()) as url:
        client = MlflowClient(url)
        run = client.create_run("0", run_name="a training").info
        client.log_metric(run.run_id, "val_log_loss", 0.25)
        page = f"{url}/#/experiments/0/runs/{run.run_id}"
        shown = subprocess.run(
            [
                str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                "--virtual-time-budget=30000", page,
            ],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip
    assert "a training" in shown and "val_log_loss" in shown
    assert "load run details" not in shown
