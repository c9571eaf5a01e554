"""Spooled events in a real MLflow on SQLite, delivered by this process: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import paths
from pipeline.tracking import delivery
from pipeline.tracking.mlflow_store import Connection, connect
from pipeline.tracking.spool import Session, State, Writer, sessions
from pipeline.tracking.tracker import Tracker

pytestmark = pytest.mark.slow  # importing MLflow and making its database: seconds


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """One database for all tests here: making one takes seconds. The default URI, relative to the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("mlflow"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        patch.setenv("MAINLINE_TRACKING", "defer")
        yield connect()


@pytest.fixture
def key(connection: Connection) -> str:
    """A key that no other test uses; the spool is empty."""
    assert sessions(paths.SPOOL) == []
    return secrets.token_hex(8)


def start(key: str, *, resume: bool = False) -> Tracker:
    return Tracker.start(key, params={"lr": 0.1}, resume=resume)


def deliver(connection: Connection) -> None:
    delivery.deliver_old(paths.SPOOL, connection)


def runs(connection: Connection, key: str) -> list[Any]:
    return connection.client.search_runs([connection.experiment], f"tags.`mainline.key` = '{key}'")


def steps(connection: Connection, run: Any, name: str = "loss") -> list[int]:
    return [metric.step for metric in connection.client.get_metric_history(run.info.run_id, name)]


def last_session() -> Session:
    return sessions(paths.SPOOL)[-1]


def test_everything_of_a_run_arrives(connection: Connection, key: str, tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    plots.mkdir()
    (plots / "roc.svg").write_text("<svg/>")
    tracker = start(key)
    for step in range(1200):  # more than MLflow takes in one call
        tracker.metrics({"loss": 1 / (step + 1)}, step)
    tracker.tags({f"tag.{index}": "x" * 9000 for index in range(120)})
    tracker.tags({"model.sha256": "e" * 64})
    tracker.dataset("train", "d" * 64, 7)
    tracker.artifact(plots, "evaluation")
    tracker.artifact(plots / "roc.svg", "other")
    tracker.finish()
    deliver(connection)
    (run,) = runs(connection, key)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1"}
    assert steps(connection, run) == list(range(1200))
    assert len([name for name in run.data.tags if name.startswith("tag.")]) == 120
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, json.loads(data.dataset.profile)) == ("train", {"num_rows": 7})
    folder = Path("mlartifacts", run.info.run_id, "artifacts")
    assert (folder / "evaluation" / "plots" / "roc.svg").read_text() == "<svg/>"
    assert (folder / "other" / "roc.svg").exists()
    assert sessions(paths.SPOOL) == []
    last = json.loads((paths.SPOOL / "last_run.json").read_text())
    assert (last["run_id"], last["model_sha256"]) == (run.info.run_id, "e" * 64)
    Tracker.attach("e" * 64).finish()
    deliver(connection)
    assert json.loads((paths.SPOOL / "last_run.json").read_text()) == last


def test_a_killed_run_is_continued(connection: Connection, key: str) -> None:
    first = start(key)
    for step in range(5):
        first.metrics({"loss": 1.0, "seconds": float(step)}, step)
    first._done.set()
    first._writer.close()  # what SIGKILL leaves: no last word
    deliver(connection)
    assert [run.info.status for run in runs(connection, key)] == ["KILLED"]
    second = start(key, resume=True)
    for step in range(4, 8):  # the last epoch is trained again
        second.metrics({"loss": 1.0, "seconds": float(step + 100)}, step)
    second.finish()
    deliver(connection)
    (run,) = runs(connection, key)
    assert run.info.status == "FINISHED"
    assert steps(connection, run) == list(range(8))
    assert steps(connection, run, "seconds") == list(range(8))


def test_the_parts_of_a_run_are_delivered_in_order(connection: Connection, key: str) -> None:
    for resume, status in ((False, "KILLED"), (True, "KILLED"), (True, "FINISHED")):
        tracker = start(key, resume=resume)
        tracker.metrics({"loss": 1.0}, step=int(resume) + int(status == "FINISHED"))
        tracker.finish(status)  # type: ignore[arg-type]
    deliver(connection)
    (run,) = runs(connection, key)
    assert (run.info.status, steps(connection, run)) == ("FINISHED", [0, 1, 2])


def test_a_finished_run_is_not_resumed(connection: Connection, key: str) -> None:
    for _ in range(2):
        start(key, resume=True).finish()
        deliver(connection)
    assert len(runs(connection, key)) == 2


def test_delivering_again_from_the_start_doubles_nothing(connection: Connection, key: str) -> None:
    tracker = start(key)
    for step in range(3):
        tracker.metrics({"loss": 0.5}, step)
    tracker.dataset("train", "d" * 32, 7)
    tracker.finish()
    session = last_session()
    assert delivery.Delivery(session, connection).step()
    session.save(State())  # as if the process had died before it could note what MLflow had answered
    deliver(connection)
    (run,) = runs(connection, key)
    assert steps(connection, run) == [0, 1, 2]
    assert len(run.inputs.dataset_inputs) == 1


def test_events_arrive_while_the_training_runs(connection: Connection, key: str) -> None:
    tracker = start(key)
    tracker.metrics({"loss": 1.0}, 0)
    underway = delivery.Delivery(last_session(), connection)
    assert not underway.step()
    (run,) = runs(connection, key)
    assert (run.info.status, steps(connection, run)) == ("RUNNING", [0])
    tracker.metrics({"loss": 0.5}, 1)
    assert not underway.step()
    deliver(connection)  # another process' delivery leaves a living session alone
    assert len(sessions(paths.SPOOL)) == 1
    tracker.finish("FAILED")
    assert underway.step()
    (run,) = runs(connection, key)
    assert (run.info.status, steps(connection, run)) == ("FAILED", [0, 1])
    last_session().remove()


def test_a_half_written_last_line_is_tolerated(connection: Connection, key: str) -> None:
    tracker = start(key)
    tracker.metrics({"loss": 1.0}, 0)
    tracker.metrics({"loss": 1.0}, 1)
    tracker._done.set()
    tracker._writer.close()
    events = last_session().folder / "events.jsonl"
    events.write_bytes(events.read_bytes()[:-5])
    deliver(connection)
    (run,) = runs(connection, key)
    assert (run.info.status, steps(connection, run)) == ("KILLED", [0])


def test_evaluation_joins_the_run_that_made_the_model(connection: Connection, key: str) -> None:
    tracker = start(key)
    tracker.tags({"model.sha256": key})
    tracker.finish()
    for figure in (0.7, 0.7, 0.8):  # evaluated again with the same result, then with another
        with Tracker.attach(key) as attached:
            attached.metrics({"test/auc": figure}, step=0)
        deliver(connection)
    Tracker.attach(key).finish("FAILED")  # a failed evaluation does not make the training a failure
    deliver(connection)
    (run,) = runs(connection, key)
    assert run.info.status == "FINISHED"
    history = connection.client.get_metric_history(run.info.run_id, "test/auc")
    assert sorted(metric.value for metric in history) == [0.7, 0.8]


def test_evaluation_of_an_unknown_model_starts_a_run(connection: Connection, key: str) -> None:
    for _ in range(2):
        Tracker.attach(key).finish()
        deliver(connection)
    query = f"tags.`model.sha256` = '{key}'"
    assert len(connection.client.search_runs([connection.experiment], query)) == 1


def test_what_mlflow_refuses_is_set_aside_and_blocks_nobody(
    connection: Connection, key: str, capfd: pytest.CaptureFixture[str]
) -> None:
    start(key).finish("KILLED")
    deliver(connection)
    other = Tracker.start(key, params={"lr": 0.2}, resume=True)  # a parameter cannot change
    other.finish()
    name = last_session().folder.name
    start(f"{key}-next").finish()
    deliver(connection)
    assert sessions(paths.SPOOL) == []
    assert (paths.SPOOL / "refused" / name / "events.jsonl").exists()
    assert "refuses" in capfd.readouterr().err
    assert [run.info.status for run in runs(connection, f"{key}-next")] == ["FINISHED"]


def test_a_deleted_run_is_made_again(connection: Connection, key: str) -> None:
    tracker = start(key)
    tracker.metrics({"loss": 1.0}, 0)
    underway = delivery.Delivery(last_session(), connection)
    underway.step()
    connection.client.delete_run(underway.state.run_id)
    tracker.metrics({"loss": 1.0}, 1)
    tracker.finish()
    delivery._follow(underway)
    last_session().remove()
    (run,) = runs(connection, key)
    assert steps(connection, run) == [0, 1]


def test_an_empty_session_is_removed(connection: Connection, key: str) -> None:
    Writer(paths.SPOOL).close()
    deliver(connection)
    assert sessions(paths.SPOOL) == []
