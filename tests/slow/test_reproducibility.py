"""The same commit gives the same bytes: other folders, other core counts, other processors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mainline.records import Metrics
from tests import clones

# One worker runs them all: they share a clone that takes a minute to make.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("reproducibility")]

# What an AVX2 machine without AVX-512 would tell glibc and numpy; the pins must make that invisible.
LESSER = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512DQ,-AVX512BW,-AVX512CD",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "default",  # overridden by the pins: a shell's settings must not matter
    "OMP_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}


STAGES = {
    "ingest": {"torch", "pandas", "mlflow", "sklearn", "great_expectations"},
    "validate": {"torch", "mlflow", "sklearn", "great_expectations"},  # it only when a batch is new
    "featurize": {"torch", "pandas", "mlflow", "sklearn", "great_expectations"},
    "train": {"pandas", "mlflow", "sklearn", "great_expectations", "matplotlib", "onnx"},
    "evaluate": {"mlflow", "great_expectations", "onnx"},
    "export": {"mlflow", "great_expectations", "sklearn", "matplotlib"},
}


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_what_it_does_not_use(stage: str) -> None:
    code = f"import sys, pipeline.{stage}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not STAGES[stage] & set(done.stdout.split())


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work tree with an empty cache, run from nothing on the flights."""
    root = clones.copy(tmp_path_factory.mktemp("first") / "clone")
    done = clones.mainline(root, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def test_an_empty_cache_reaches_the_committed_lock(clone: Path) -> None:
    """The lock in Git is the one this machine makes: `git status` stays clean."""
    assert clones.git(clone, "status", "--porcelain") == ""


def test_another_folder_one_core_and_a_lesser_processor_give_the_same_bytes(
    clone: Path, tmp_path: Path
) -> None:
    other = clones.copy(tmp_path / "a folder with spaces" / "clone")
    done = clones.mainline(other, "run", extra=LESSER, prefix=("taskset", "-c", "0"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert clones.git(other, "status", "--porcelain") == ""
    assert (other / "dvc.lock").read_bytes() == (clone / "dvc.lock").read_bytes()


def test_a_second_run_does_nothing(clone: Path) -> None:
    done = clones.mainline(clone, "run")
    assert "Everything is up to date" in done.stdout
    assert Metrics.location.name in done.stdout


def test_a_comment_in_the_readme_re_runs_nothing(clone: Path) -> None:
    readme = clone / "README.md"
    before = readme.read_text()
    readme.write_text(before + "\n<!-- a comment -->\n")
    assert "nothing would run" in clones.mainline(clone, "run", "--dry-run").stdout
    readme.write_text(before)


def test_the_learning_rate_re_runs_training_and_nothing_before(clone: Path, tmp_path: Path) -> None:
    params = clone / "params.yaml"
    before = params.read_text()
    lines = [f"  lr: {0.0015}" if line.startswith("  lr:") else line for line in before.splitlines()]
    lines = ["  epochs: 1" if line.startswith("  epochs:") else line for line in lines]
    params.write_text("\n".join(lines) + "\n")
    try:
        done = clones.mainline(clone, "run", "--json")
        assert done.returncode == 0, done.stderr
        assert '"ran": ["train", "evaluate", "export"]' in done.stdout
        assert (
            '"unchanged": ["ingest", "validate", "featurize", "validate-features", "profile"]' in done.stdout
        )
    finally:
        params.write_text(before)
    back = clones.mainline(clone, "run", "--json")
    assert '"cached": ["train", "evaluate", "export"]' in back.stdout, (
        "the old model comes from the run cache"
    )
    assert clones.git(clone, "status", "--porcelain", "dvc.lock") == ""


def test_mainline_reproduce_says_identical(clone: Path) -> None:
    done = clones.mainline(clone, "reproduce", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"verdict": "identical", "differing": [], "outside": []}


@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs Debian's qemu-user")
@pytest.mark.parametrize("part", [[], ["baselines"]], ids=["network", "baselines"])
def test_an_emulated_intel_processor_gives_the_same_bytes(part: list[str]) -> None:
    """MKL, ATen, oneDNN, OpenBLAS and numpy choose kernels by vendor and ISA; under the pins none differ."""
    script = [str(Path(__file__).with_name("digest.py")), *part]
    native = _digests([sys.executable, *script])
    haswell = ["qemu-x86_64", "-cpu", "Haswell", str(Path(sys.executable).resolve()), *script]
    assert native and _digests(haswell) == native


def _digests(command: list[str]) -> list[str]:
    """One line a part, so that a failure names what differs."""
    env = {**clones.environment(Path.cwd()), "PYTHONPATH": ":".join([str(clones.ROOT / "src"), *sys.path])}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
