"""What `mainline run` says into a pipe, as CI reads it: at once, in order, of a failure all that is known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mainline.errors import TrainingError
from mainline.records import Manifest
from mainline.verbs import failing
from tests import clones
from tests.imports import ROOT
from tests.mainline import pipelines

FILES = {
    "dvc.yaml": "stages:\n  train: {cmd: python train.py, deps: [train.py]}\n",
    ".gitignore": "/.mainline/\n/go\n",
    # Leaves the note that `python -m pipeline` leaves; ends badly where nobody has heard it in 20 s.
    "train.py": """\
import json, pathlib, sys, time
note = pathlib.Path(".mainline/stages/train.json")
note.parent.mkdir(parents=True, exist_ok=True)
print("train: at work")
end = time.monotonic() + 20
while not pathlib.Path("go").exists():
    if time.monotonic() > end:
        sys.exit("nobody heard me")
    time.sleep(0.02)
if said := pathlib.Path("go").read_text():
    print(said, file=sys.stderr)
    note.write_text(json.dumps({"exit_code": 14}))
    sys.exit(14)
note.write_text(json.dumps({"exit_code": 0, "seconds": {"startup": 0.1, "total": 1.0}}))
""",
}
TALKING = """\
import pathlib, time
try:
    for epoch in range(1000):
        print(f"train: at work, epoch {epoch}", flush=True)
        time.sleep(0.02)
except KeyboardInterrupt:
    pathlib.Path("saved").touch()
    raise SystemExit(75)
"""
LOST = str(TrainingError("the loss became NaN", why="epoch 3", remedy="a smaller train.lr"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("output") / "work"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    clones.git(root, "init", "--quiet", "--initial-branch=main")
    pipelines.dvc(root, "init", "--quiet")
    clones.commit(root, "all")
    return root


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    return pipelines.full(template, tmp_path / "work")


def start(root: Path, *arguments: str, stderr: int = subprocess.STDOUT) -> subprocess.Popen[str]:
    environment = clones.environment(ROOT)
    environment.pop("PYTHONUNBUFFERED", None)  # as where nobody has set it
    return subprocess.Popen(
        [sys.executable, "-m", "mainline.cli", "run", *arguments],
        cwd=root, env=environment, text=True, stdout=subprocess.PIPE, stderr=stderr,
    )  # fmt: skip


def test_a_pipe_gets_each_line_while_the_stage_still_runs(root: Path) -> None:
    process = start(root)
    assert process.stdout
    heard = next(line for line in process.stdout if "at work" in line)
    (root / "go").touch()
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, heard + rest


def test_a_stages_message_comes_before_the_word_that_it_failed(root: Path) -> None:
    (root / "go").write_text(f"train: {LOST}")
    said, _ = start(root).communicate(timeout=60)
    assert said.index("the loss became NaN") < said.index("stage train failed (exit code 14)")


def test_a_reader_that_leaves_ends_the_run_as_a_signal_does_and_the_stage_saves(root: Path) -> None:
    (root / "train.py").write_text(TALKING)
    process = start(root)
    assert process.stdout
    next(line for line in process.stdout if "at work" in line)
    process.stdout.close()
    assert process.wait(60) == 141
    assert (root / "saved").exists()


def test_a_failure_for_a_program_names_the_stage_the_reason_and_the_remedy(root: Path) -> None:
    (root / "go").write_text(f"train: {LOST}")
    out, _ = start(root, "--json", stderr=subprocess.PIPE).communicate(timeout=60)
    assert json.loads(out) == {
        "error": "the loss became NaN", "why": "epoch 3", "remedy": "a smaller train.lr", "stage": "train",
        "exit_code": 14,
    }  # fmt: skip


def test_wrong_parameters_for_a_program(tmp_path: Path) -> None:
    root = clones.copy(tmp_path / "clone")
    pipelines.edit(root, "params.yaml", "  lr:", "  rate:")
    process = start(root, "--json", stderr=subprocess.PIPE)
    out, said = process.communicate(timeout=60)
    told = json.loads(out)
    assert process.returncode == told["exit_code"] == 11
    assert "train.rate" in told["error"] + told["why"] and told["error"] in said and "stage" not in told


@pytest.mark.parametrize("model", ["", "a" * 64, "b" * 64])
def test_the_run_on_mlflow_is_shown_only_of_the_model_that_it_made(root: Path, model: str) -> None:
    """After a `git pull` the figures are those of a model that was trained elsewhere."""
    (root / "go").touch()
    (root / "models").mkdir()
    Manifest(
        task="binary", inputs=[], outputs=["p"], classes=["no", "yes"], threshold=0.5, vocabularies={},
        windows={}, device_class="cpu", files={"m": "a" * 64}, code={},
    ).write(root / Manifest.location)  # fmt: skip
    place = root / ".mainline/mlflow/last_run.json"
    place.parent.mkdir(parents=True)
    last = {"tracking_uri": "http://mlflow", "experiment_id": "1", "run_id": "abc", "model_sha256": model}
    place.write_text(json.dumps(last))
    said, _ = start(root).communicate(timeout=60)
    assert ("http://mlflow/#/experiments/1/runs/abc" in said) == (model == "a" * 64)
    assert "Next: edit" in said


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["train: lost", "  why: x", "  do:  y", "ERROR: failed to run"], ("lost", "x", "y")),
        (["epoch 1", "train: epoch 2: 0.5", "train: lost", "  do:  y"], ("lost", "", "y")),
        (["train: lost", "  why: x", "        and z", "other"], ("lost", "x\nand z", "")),
        (["Traceback", "ValueError: no", "ERROR: failed to run: python"], ("", "", "")),
        (["  why: of nobody"], ("", "", "")),
        ([], ("", "", "")),
    ],
)
def test_what_a_stage_said_is_found_among_its_lines(lines: list[str], found: tuple[str, str, str]) -> None:
    assert failing.message("train", lines) == found
