"""MLflow is down while the whole loop is played: what of it could meet that, and how it ended."""

from __future__ import annotations

from tests.e2e.faults.table import Scenario, must
from tests.e2e.play import Play
from tests.e2e.runs import Run

CLOSED = "http://127.0.0.1:9"  # nobody listens on this port
MLFLOW = "MLflow down throughout"
DISTURBED = "disturbed by the scenario"  # a run's `problem`: that it failed is not MLflow's doing


def text(run: Run) -> str:
    """Its log so far."""
    return run.log.read_text(errors="replace") if run.log.exists() else ""


def mlflow(play: Play) -> list[tuple[int, str]]:
    """Trainings log to MLflow, and a promotion brings its registry up to date at its last step."""
    runs = [run for run in play.runner.runs if run.problem != DISTURBED]
    trained = [run for run in runs if run.jobs.get("train") in ("success", "failure")]
    promoted = [run for run in runs if run.file == "promote.yml"]
    for run in trained:
        must(run.jobs["train"] == "success", "a training failed", run)
    for run in promoted:
        must(run.status == "success", "a promotion failed", run)
    reached = [run for run in promoted if "▸ view\n" in text(run)]
    must(trained and reached, f"{len(trained)} trainings, {len(reached)} promotions: nothing met MLflow")
    held = f"{len(trained)} trainings and {len(reached)} promotions ended well"
    return [(len(trained) + len(reached), held)]


THROUGHOUT: Scenario[Play] = Scenario("mlflow", (MLFLOW,), mlflow)
