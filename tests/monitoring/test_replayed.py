"""The real service answers a real month with a fault in its last days; the check finds that, and no more."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mainline import drift, policy
from mainline.drift import Drift
from mainline.records import Metrics
from mainline.settings import Month
from serving import build
from serving.process import running
from tests.imports import ROOT
from tests.monitoring.toys import column

pytestmark = pytest.mark.slow
VERSION = "v0.0.1"


def monitoring(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitoring", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """November, a wrong unit from the 25th on; its first 2,000 rows were sent twice."""
    folder = tmp_path_factory.mktemp("log")
    bento = build.build(ROOT, VERSION, tmp_path_factory.mktemp("bento"))["path"]
    with running("--bento", str(bento), extra={"SERVING_LOG_PATH": str(folder)}) as service:
        send = ("replay", "--months", "2013-11", "--url", f"http://127.0.0.1:{service.port}")
        done = monitoring(*send, "--fault", "unit:temp", "--since", "2013-11-25")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] > 27_000
        assert monitoring(*send, "--rows", "2000").returncode == 0
    return folder


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    metrics = Metrics.read(ROOT / Metrics.location)
    record = drift.Reference(
        model=policy.release().model, version=VERSION, commit="0" * 40, promoted=None, windows={},
        rows=metrics.rows, figures=metrics.figures,
    )  # fmt: skip
    (folder / "reference.json").write_text(record.model_dump_json())
    for name in ("metrics.json", "profile.json", "predictions.parquet"):
        shutil.copy(ROOT / "reports" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def found(log: Path, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Drift:
    out = tmp_path_factory.mktemp("out") / "drift.json"
    done = monitoring(
        "check", "--reference", str(reference), "--log", str(log), "--labels", "source",
        "--until", "2013-11-30", "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "until": "2013-11-30",
        "lines": 29_268,
        "malformed": 0,
        "out": str(out),
    }
    return Drift.read(out)


def test_the_whole_month_is_there_and_labelled(found: Drift) -> None:
    window = found.months[-1]
    assert (window.name, window.rows, window.duplicates) == ("2013-11", 27_268, 2000)
    assert window.versions == {VERSION: 27_268}
    assert (window.labels.share, window.labels.pending) == (1, 0)
    assert window.labels.excluded["cancelled"] == 233
    assert found.quality is not None and found.quality.volume["2013-11-30"] > 500
    assert window.figures["log_loss"].value is not None and window.figures["log_loss"].value < 0.45


def test_the_fault_shows_in_its_column_and_only_there(found: Drift) -> None:
    assert found.newest is not None
    for one in found.newest.columns:
        assert one.skew == 0 or one.name == "temp"
    temp = column(found.newest, "temp")
    assert temp.skew is not None and temp.skew > 0.99
    assert temp.distance is not None and temp.distance > 0.9
    assert (column(found.recent[-1], "temp").skew or 0) == pytest.approx(6 / 28, abs=0.05)


def test_the_same_log_gives_the_same_bytes(log: Path, reference: Path, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        assert monitoring(
            "check", "--reference", str(reference), "--log", str(log), "--out", str(tmp_path / name)
        ).returncode == 0  # fmt: skip
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert Drift.read(tmp_path / "a.json").until == str(Month(2013, 11).first_day.replace(day=29))


def test_wrong_calls_have_exit_codes_and_words(reference: Path, tmp_path: Path) -> None:
    nobody = monitoring("replay", "--months", "2013-11", "--url", "http://127.0.0.1:9", "--rows", "10")
    assert nobody.returncode == 25 and "does not answer" in nobody.stderr
    for arguments, code in (
        (("--reference", str(tmp_path), "--log", "."), 19),
        (("--reference", str(reference), "--log", str(tmp_path / "none")), 13),
        (("--reference", str(reference), "--log", str(tmp_path), "--until", "soon"), 11),
    ):
        done = monitoring("check", *arguments)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


def test_an_empty_log_with_a_day_gives_a_record(reference: Path, tmp_path: Path) -> None:
    done = monitoring(
        "check", "--reference", str(reference), "--log", str(tmp_path), "--labels", "source",
        "--until", "2013-11-30", "--out", str(tmp_path / "drift.json"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Drift.read(tmp_path / "drift.json").recent[-1].rows == 0
