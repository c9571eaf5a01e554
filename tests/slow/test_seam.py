"""A fork replaces src/usecase/ and params.yaml, and nothing else: two other tasks prove it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mainline.errors import Answer
from mainline.records import Manifest, Metrics
from mainline.review import Gate
from tests import clones

USECASES = Path(__file__).parent / "usecases"
OURS = ("reports", "models", "dvc.lock")  # what the flights left; a fork starts without

pytestmark = pytest.mark.slow


def fork(name: str, into: Path) -> Path:
    root = clones.copy(into)
    for left in OURS:
        path = root / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for module in (root / "src/usecase").glob("*.py"):
        module.unlink()
    ours = shutil.ignore_patterns("__pycache__")
    for part in ("plain", name):  # the network and the features are the same for both
        shutil.copytree(USECASES / part, root / "src/usecase", ignore=ours, dirs_exist_ok=True)
    shutil.move(root / "src/usecase/params.yaml", root / "params.yaml")
    clones.commit(root, f"the use case is {name}")
    return root


@pytest.mark.parametrize(
    ("name", "task", "figure"), [("diabetes", "regression", "r2"), ("wine", "multiclass", "accuracy")]
)
def test_another_use_case_runs_and_is_reproducible(tmp_path: Path, name: str, task: str, figure: str) -> None:
    first = fork(name, tmp_path / "first")
    done = clones.mainline(first, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = Metrics.read(first / Metrics.location)
    assert metrics.task == task
    measured = metrics.figures[figure].value
    assert measured is not None and measured > 0.3, "the model learned nothing"
    assert Manifest.read(first / Manifest.location).task == task
    changed = {line[3:] for line in clones.git(first, "status", "--porcelain").splitlines()}
    assert changed <= {"dvc.lock", "models/", "reports/", "data/"}, "only outputs may change"

    second = fork(name, tmp_path / "elsewhere" / "second")
    done = clones.mainline(second, "run", prefix=("taskset", "-c", "0"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (second / "dvc.lock").read_bytes() == (first / "dvc.lock").read_bytes()
    assert "undefined" not in done.stdout
    again = clones.mainline(second, "run")
    assert "Everything is up to date" in again.stdout
    reviewed(second, figure)


def reviewed(root: Path, figure: str) -> None:
    """A pull request of the fork: its gate compares on the same rows, its report tells the task's figures."""
    clones.commit(root, "the first model")
    clones.git(root, "checkout", "--quiet", "-b", "idea")
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("lr: 0.01", "lr: 0.009"))
    assert clones.mainline(root, "run").returncode == 0
    clones.commit(root, "slower")
    done = clones.mainline(root, "gate")
    assert done.returncode in (0, *Answer), done.stdout + done.stderr
    gate = Gate.read(root / Gate.location)
    assert (gate.basis, gate.champion.kind) == ("same rows", "main")
    assert all(rule.observed is not None for rule in gate.rules if rule.name.startswith(("margin", "floor")))
    done = clones.mainline(root, "report", "--stdout")
    assert done.returncode == 0, done.stderr
    assert figure in done.stdout
    assert "train.lr" in done.stdout


def test_a_fork_keeps_the_tests_of_everything_else(tmp_path: Path) -> None:
    """Its own tests replace tests/usecase/; all others pass on its use case, and the walk-forward runs."""
    root = fork("wine", tmp_path / "fork")
    shutil.rmtree(root / "tests/usecase")
    assert clones.mainline(root, "run").returncode == 0
    python = [sys.executable, "-m"]
    env = clones.environment(root)
    done = subprocess.run(
        [*python, "pipeline", "walkforward"], cwd=root, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| mean |" in (root / "reports/walkforward.md").read_text()
    tests = ["pytest", "-q", "-n", "2", "-m", "not slow", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run([*python, *tests], cwd=root, env=env, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-5000:]
