"""`mainline report` in real repositories: it reads what is there, and says what is not."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mainline import cli
from mainline.errors import StorageError
from mainline.profile import Profile
from mainline.records import Metrics, Training
from mainline.review import Champion, Gate, LockState, Run
from tests.clones import commit, git
from tests.mainline import reporting

PARAMS = {"train": {"lr": 0.004}, "gate": {"margins": {"log_loss": 0.002}}}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a champion's commit on main and a branch that changes parameters and data."""
    for name in ("GITHUB_HEAD_REF", "CHANGE_BRANCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / ".gitignore").write_text(".mainline/\nreports/gate.json\nreports/report.*\n")
    (tmp_path / "dvc.yaml").write_text("stages: {ingest: {cmd: x}, train: {cmd: x}}\n")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    facts = reporting.facts()
    assert facts.base.profile and facts.profile and facts.training and facts.run
    facts.base.profile.write(Profile.location)
    reporting.metrics().write(Metrics.location)
    facts.training.write(Training.location)
    commit(tmp_path, "the champion\n\nStage-Seconds: ingest=1.5 featurize=2.5")
    git(tmp_path, "switch", "--quiet", "--create", "slower")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**PARAMS, "train": {"lr": 0.002}}))
    facts.profile.write(Profile.location)
    commit(tmp_path, "candidate")
    sha = hashlib.sha256((tmp_path / "dvc.lock").read_bytes()).hexdigest()
    facts.run.model_copy(update={"lock_sha256": sha}).write(Run.location)
    return tmp_path


def write_gate(root: Path) -> None:
    head, main = git(root, "rev-parse", "HEAD"), git(root, "rev-parse", "main")
    sha = hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()
    champion = Champion(kind="production", name="flight-delay#production#3", commit=main, model_md5=None)
    gate = reporting.gate(commit=head, lock_sha256=sha, champion=champion, changes=[], warnings=[])
    gate.write(Gate.location)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["report", "--stdout", *arguments]) == 0
    return capsys.readouterr().out


def test_everything_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_gate(root)
    text = shown(capsys, "--run-url", "https://ci.example/7", "--title", "Slower @team")
    assert text.startswith("### ✅ Promote: log loss −0.0100")
    assert "| `train.lr`" in text and "added 2013-10; removed 2013-09" in text
    assert "which saved 4.0 s" in text, "seconds from the lock's commit"
    assert "on `slower` for `Slower @team`" in text
    assert text == Path("reports/report.md").read_text()
    assert "<title>Promote" in Path("reports/report.html").read_text()


def test_what_main_did_since_is_no_change_of_the_branch(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(root, "switch", "--quiet", "main")
    moved = {**PARAMS, "train": {"lr": 0.5}, "gate": {"margins": {"log_loss": 0.001}}}
    (root / "params.yaml").write_text(yaml.safe_dump(moved))
    commit(root, "main moves on")
    git(root, "switch", "--quiet", "slower")
    text = shown(capsys)
    assert "policy that judges" not in text and "gate.margins" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| `train.lr`")]
    assert "0.004" in row and "0.002" in row and "0.5" not in row


def test_without_a_gate_the_base_is_main(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    assert text.startswith("### ⚠ No verdict") and "**Champion**: `main`" in text
    assert "| `train.lr`" in text


def test_another_base_and_one_that_does_not_exist(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_gate(root)
    assert "No parameter of the pipeline changed." in shown(capsys, "--base", "HEAD")
    for name in ("v1.2.O", "--output=x"):
        assert cli.main(["report", f"--base={name}"]) == 21
        assert f"'{name}' is no commit here" in capsys.readouterr().err
    assert not Path("x").exists(), "a name is no option of git's"


def test_records_that_the_champion_lacks_are_no_crash(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(root, "switch", "--quiet", "main")
    git(root, "rm", "--quiet", "-r", "reports", "params.yaml")
    commit(root, "an older commit, without records")
    git(root, "switch", "--quiet", "slower")
    write_gate(root)
    text = shown(capsys)
    assert "The base has no profile of its data" in text
    assert "parameters cannot be compared" in text
    assert text.startswith("### ✅ Promote")


@pytest.mark.parametrize(
    "name",
    ["reports/gate.json", "reports/profile.json", "reports/metrics.json", ".mainline/review/lock.json",
     ".mainline/review/run.json", "params.yaml", "dvc.lock", "reports/plots/calibration.csv",
     ".mainline/mlflow/last_run.json", ".mainline/stages/train.json"],
)  # fmt: skip
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[1, 2]", b'{"version": 99}', b"a: [", b"<<<<<<< ours\n"]
)
def test_damaged_files_are_told_of(
    root: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    write_gate(root)
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    text = shown(capsys)
    if name.startswith(("reports/", ".mainline/review/")) and name.endswith(".json"):
        assert f"`{name}` cannot be read as a record" in text


def test_a_failed_stage_is_in_the_first_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = root / ".mainline/stages"
    notes.mkdir(parents=True)
    (notes / "train.json").write_text('{"stage": "train", "exit_code": 14, "seconds": {}}')
    (notes / "ingest.json").write_text('{"stage": "ingest", "exit_code": 0, "seconds": {}}')
    assert shown(capsys).startswith("### ⛔ The pipeline failed: stage train, exit code 14")


def test_what_is_no_stage_of_the_pipeline_is_not_called_one(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = root / ".mainline/stages"
    notes.mkdir(parents=True)
    for name in ("compare", "walkforward", "renamed-since"):
        (notes / f"{name}.json").write_text('{"exit_code": 16}')
    assert shown(capsys).startswith("### ⛔ The comparison failed: exit code 16: a file is not the one its")
    write_gate(root)
    assert shown(capsys).startswith("### ✅ Promote")


def test_a_stale_lock_of_this_commit(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An old run, and the gate's word on the same lock before the parameters changed, do not hide it."""
    write_gate(root)
    write_stale(root)
    text = shown(capsys)
    assert text.startswith("### ⚠ The lock is stale: 1 stage must run again: train")
    assert "`params.yaml`: `train.lr` changed" in text


def test_a_lock_check_counts_for_the_lock_that_it_saw(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_gate(root)
    write_stale(root, lock_sha256=None)  # there was none, and Git brought it back
    assert shown(capsys).startswith("### ✅ Promote")


def write_stale(root: Path, **changes: object) -> None:
    sha = hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()
    state = {"commit": git(root, "rev-parse", "HEAD"), "lock_sha256": sha, **changes}
    reporting.stale(**state).write(LockState.location)


def test_for_a_program(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_gate(root)
    assert cli.main(["report", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "Promote" and found["markdown"] == "reports/report.md"
    assert "Data" in found["sections"]


@pytest.mark.parametrize("flag", ["--run-url", "--mlflow-url"])
@pytest.mark.parametrize("address", ["javascript:alert(1)", "databricks", "https://me:secret@host"])
def test_what_is_no_address_is_left_out(
    root: Path, capsys: pytest.CaptureFixture[str], flag: str, address: str
) -> None:
    assert cli.main(["report", flag, address, "--stdout"]) == 0
    shown = capsys.readouterr()
    assert f"{flag} is no plain http(s) address" in shown.err
    assert address not in shown.out + shown.err


def test_outside_of_a_repository_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report"]) == 11
    assert "run from the root" in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing is written"
    (tmp_path / "dvc.yaml").touch()
    assert cli.main(["report"]) == 21
    assert "is this a Git repository?" in capsys.readouterr().err


def test_what_ci_did_for_this_lock_is_told_where_nothing_ran(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report is made on another machine than the model; the lock's commit tells."""
    Run.location.unlink()
    lines = f"Stage-Seconds: train=26.1\nStages-Cached: ingest\nMLflow-Run: 1/{'a' * 32}"
    assert "stages ran" not in shown(capsys), "the lock is main's"
    (root / "dvc.lock").write_text("schema: '2.0'\nstages: {train: {cmd: x}}\n")
    commit(root, f"dvc.lock: ran train\n\n{lines}")
    text = shown(capsys, "--mlflow-url", "https://mlflow.example/")
    assert "1 of 2 stages ran, in 26.1 s; 1 was reused, which saved 1.5 s" in text
    assert f"https://mlflow.example/#/experiments/1/runs/{'a' * 32}" in text
    Run(ran=[], cached=[], unchanged=["ingest", "train"], seconds={}).write(Run.location)
    assert "1 of 2 stages ran" in shown(capsys), "as after the job that validates"
    (root / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    assert "stages ran" not in shown(capsys), "that commit is about another lock"


def test_a_full_disk_is_told_and_leaves_the_old_report(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = shown(capsys)
    command = f"ulimit -f 1; exec {sys.executable} -m mainline.cli report"  # files of at most 1 KiB
    done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True)
    assert done.returncode == StorageError.exit_code, done.stderr
    assert "no room to write" in done.stderr and "Traceback" not in done.stderr
    assert Path("reports/report.md").read_text() == old
