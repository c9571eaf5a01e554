"""What a stage spools, without any MLflow: `MAINLINE_TRACKING=defer`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mainline.errors import DataError, Interrupted
from pipeline import paths
from pipeline.tracking import tracker
from pipeline.tracking.spool import Event, sessions
from pipeline.tracking.tracker import Tracker, flatten, provenance


@pytest.fixture(autouse=True)
def _deferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINLINE_TRACKING", "defer")


def spooled() -> list[Event]:
    (session,) = sessions(paths.SPOOL)
    events, _, damaged = session.read(0)
    assert damaged == 0
    return events


def test_a_training_is_spooled_in_order(tmp_path: Path) -> None:
    plot = tmp_path / "loss.svg"
    plot.write_text("<svg/>")
    told = Tracker.start("k1", params={"train": {"lr": 0.1}}, resume=True)
    told.metrics({"loss": 0.5, "undefined": None}, step=1)  # type: ignore[dict-item]
    told.dataset("train", "d" * 64, 10)
    told.artifact(plot, "plots")
    told.tags({"model.sha256": "abc"})
    told.finish()
    told.finish("FAILED")  # the first word counts
    events = spooled()
    assert [event["kind"] for event in events] == [
        "start", "params", "tags", "metrics", "dataset", "artifact", "tags", "finish"
    ]  # fmt: skip
    assert events[0]["key"] == "k1"
    assert events[0]["resume"] is True
    assert events[1]["values"] == {"train.lr": "0.1"}
    assert events[2]["values"] == provenance("train")
    assert events[3]["values"] == {"loss": 0.5}
    assert len(events[4]["digest"]) == 36  # MLflow's limit
    assert events[-1]["status"] == "FINISHED"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "FINISHED"),
        (DataError("x"), "FAILED"),
        (Interrupted("x"), "KILLED"),
        (KeyboardInterrupt(), "KILLED"),
    ],
)
def test_the_way_a_stage_ends_is_the_status(error: BaseException | None, status: str) -> None:
    try:
        with Tracker.attach("abc"):
            if error:
                raise error
    except (DataError, Interrupted, KeyboardInterrupt):
        pass
    assert spooled()[-1]["status"] == status


def test_the_machine_is_sampled_while_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "SAMPLE_EVERY", 0.01)
    with Tracker.start("k", params={}):
        deadline = time.monotonic() + 60
        while not (samples := [event for event in spooled() if event["kind"] == "metrics"]):
            assert time.monotonic() < deadline, "no sample of the machine"
            time.sleep(0.01)
    values = samples[0]["values"]
    assert {"system/cpu_percent", "system/memory_percent", "system/process_peak_mebibytes"} <= set(values)
    assert 0 <= values["system/cpu_percent"] <= 100 and 0 < values["system/memory_percent"] <= 100
    assert 5 < values["system/process_peak_mebibytes"] < 1e6
    assert spooled()[-1]["kind"] == "finish", "nothing is sampled afterwards"


def test_tracking_imports_no_mlflow(tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline.tracking.tracker import Tracker\n"
        "t = Tracker.start('k', params={}); t.metrics({'a': 1.0}, 0); t.finish()\n"
        "sys.exit(int(bool({'mlflow', 'pandas', 'torch', 'polars'} & set(sys.modules))))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_flatten() -> None:
    assert flatten({"a": 1, "b": {"c": None, "d": {"e": [1, 2]}}}) == {
        "a": "1",
        "b.c": "None",
        "b.d.e": "[1, 2]",
    }


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_full_disk_costs_the_record_and_not_the_training(tmp_path: Path) -> None:
    """A limit on the file size stands for the full disk."""
    code = (
        "import resource, signal; from pipeline.tracking.tracker import Tracker\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "t = Tracker.start('k', params={})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "[t.metrics({'loss': 1.0}, step) for step in range(100)]; t.finish(); print('trained')"
    )
    env = {**os.environ, "MAINLINE_TRACKING": "defer"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == "trained\n", done.stderr
    assert done.stderr.count("warning") == 1 and "File too large" in done.stderr


def test_provenance_names_commit_and_what_the_stage_reads(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: x\n    deps: [data/features, src/a.py]\n    outs: [model]\n"
    )
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  featurize:\n    outs:\n    - {path: data/features, md5: m1.dir}\n"
        "    - {path: other, md5: m2}\n"
    )
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    expected = {"mlflow.source.git.commit": git("rev-parse", "HEAD"), "git.dirty": "false"}
    assert provenance("train") == {**expected, "dvc.data/features": "m1.dir"}
    (tmp_path / "dvc.lock").write_text("stages: {}\n")  # DVC writes it while the stages run
    (tmp_path / "untracked").write_text("")
    assert provenance("train") == expected
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    assert provenance("train") == {**expected, "git.dirty": "true"}


def test_provenance_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "dvc.lock").write_text("[not, a, lock")
    assert provenance("train") == {}
