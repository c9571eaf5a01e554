"""The real gate on copies of this repository: a trained model, the same one again, and one made worse."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper

from mainline.champion import ROWS
from mainline.errors import Answer, IntegrityError
from mainline.exported import LOCK, MODEL, TEST
from mainline.records import Manifest, Metrics
from mainline.review import Gate
from tests import clones, tagging

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("gate")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This work tree, run, pushed to a folder beside it, and committed on main."""
    root = clones.copy(tmp_path_factory.mktemp("gate") / "trained")
    done = clones.mainline(root, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "remote", "modify", "store", "url", "../store"], cwd=root, check=True)
    subprocess.run([*dvc, "push", "--quiet"], cwd=root, check=True, env=clones.environment(root))
    clones.commit(root, "trained")
    return root


@pytest.fixture
def fresh(trained: Path, tmp_path: Path) -> Path:
    """A clone with an empty cache on a branch of its own; the remote's path is the same from there."""
    root = trained.parent / f"clone-{tmp_path.name}"
    clones.git(trained.parent, "clone", "--quiet", str(trained), str(root))
    clones.git(root, "switch", "--quiet", "--create", "feature")
    return root


def gate(root: Path, *arguments: str, answer: int = 0) -> Gate:
    done = clones.mainline(root, "gate", *arguments, "--json")
    assert done.returncode == answer, done.stdout + done.stderr
    assert json.loads(done.stdout) == json.loads((root / Gate.location).read_text())
    return Gate.read(root / Gate.location)


def rule(record: Gate, name: str) -> str:
    return next(one.outcome for one in record.rules if one.name == name)


def replace_model(root: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    """Another model with a manifest and a lock that name it, its object on the remote: a forged export."""
    subprocess.run([sys.executable, "-m", "dvc", "pull", "--quiet", MODEL], cwd=root, check=True)
    model = onnx.load(root / MODEL)
    change(model)
    content = model.SerializeToString(deterministic=True)
    (root / MODEL).unlink()
    (root / MODEL).write_bytes(content)
    record = json.loads((root / Manifest.location).read_text())
    record["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    (root / Manifest.location).write_text(json.dumps(record))
    name = hashlib.md5(content, usedforsecurity=False).hexdigest()
    stored = root.parent / "store/files/md5" / name[:2] / name[2:]
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_bytes(content)
    relock(root, MODEL, Manifest.location.as_posix())


def relock(root: Path, *paths: str) -> None:
    """Write what these files are now into the lock, by hand, and commit."""
    lock = yaml.safe_load((root / LOCK).read_text())
    for stage in lock["stages"].values():
        for one in (*stage.get("outs", []), *stage.get("deps", [])):
            if one["path"] in paths:
                content = (root / one["path"]).read_bytes()
                one["md5"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
                one["size"] = len(content)
    (root / LOCK).write_text(yaml.safe_dump(lock, sort_keys=False))
    clones.commit(root, "another model")


def record_figures(root: Path) -> None:
    """As `evaluate` would have recorded them of this model: another record is no record of it, and blocks."""
    clones.mainline(root, "gate", "--json")
    found = Gate.read(root / Gate.location)
    assert rule(found, "record") == "block" and found.comparison
    record = json.loads((root / Metrics.location).read_text())
    record["figures"] |= {name: one.model_dump() for name, one in found.comparison.candidate.items()}
    (root / Metrics.location).write_text(json.dumps(record))
    relock(root, Metrics.location.as_posix())


def noise(size: float) -> Callable[[onnx.ModelProto], None]:
    """Weights times (1 + noise), from a seed."""

    def change(model: onnx.ModelProto) -> None:
        random = np.random.default_rng(1)
        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.dtype == np.float32 and values.size > 1:
                noisy = values * (1 + random.normal(0, size, values.shape))
                tensor.CopyFrom(numpy_helper.from_array(noisy.astype(np.float32), tensor.name))

    return change


def edit_gate(root: Path, **changes: Any) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["gate"].update(changes)
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    clones.commit(root, "another gate")


def test_the_same_model_is_promoted_without_pulling_anything(fresh: Path) -> None:
    (fresh / "README.md").write_text("only words\n")
    clones.commit(fresh, "documentation")
    record = gate(fresh)
    assert (record.verdict, record.basis, record.comparison) == ("promote", "same model", None)
    assert (record.champion.kind, record.champion.name) == ("main", "origin/main")
    assert not (fresh / MODEL).exists() and not (fresh / TEST).exists()
    assert not (fresh / ".dvc/cache/files").exists()
    assert record.changes == [] and record.warnings == []


def test_parameters_that_were_not_trained_are_not_promoted(fresh: Path) -> None:
    content = yaml.safe_load((fresh / "params.yaml").read_text())
    before = content["train"]["lr"]
    content["train"]["lr"] *= 2
    (fresh / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    clones.commit(fresh, "not trained")
    record = gate(fresh, answer=Answer.BLOCK)
    assert record.reason == (
        f"dvc.lock is stale: train would run: params.yaml: train.lr is {before * 2}, was {before}"
    )


def test_the_same_model_does_not_pass_a_floor_above_it(fresh: Path) -> None:
    edit_gate(fresh, floors={"skill": 0.99})
    record = gate(fresh, answer=Answer.BLOCK)
    assert record.basis == "same model" and "floor 0.99" in record.reason


def test_a_model_made_worse_is_blocked_with_the_number(fresh: Path) -> None:
    replace_model(fresh, noise(0.5))
    record = gate(fresh, answer=Answer.BLOCK)
    assert (record.basis, record.verdict) == ("same rows", "block")
    assert "certainly worse: log loss +" in record.reason and "against origin/main" in record.reason
    assert record.comparison and len(record.comparison.slices) > 10
    assert set(record.comparison.latency) == {"candidate", "champion"}
    assert (fresh / ROWS).exists() and not (fresh / "data/features").exists()
    done = clones.mainline(fresh, "lock")
    assert done.returncode == 0, done.stdout
    gate(fresh, "--accept-hold", answer=Answer.BLOCK)


def test_a_pull_request_does_not_loosen_its_own_gate(fresh: Path) -> None:
    replace_model(fresh, noise(0.5))
    record_figures(fresh)
    loose = {"log_loss": 9.0, "roc_auc": 1.0}
    edit_gate(fresh, margins=loose, floors={}, ceilings={}, slice_margin=9.0)
    record = gate(fresh, answer=Answer.HOLD)
    assert rule(record, "main's gate") == "hold"
    assert "the gate on main: block, certainly worse: log loss" in record.reason
    assert {"gate.margins.log_loss", "gate.slice_margin"} <= {one.key for one in record.changes}
    assert {one.outcome for one in record.rules if one.name != "main's gate"} == {"promote"}


def test_a_hold_may_be_accepted_by_a_person(fresh: Path) -> None:
    """About equal, and a gate without any margin: the rows cannot tell."""
    replace_model(fresh, noise(0.003))
    record_figures(fresh)
    edit_gate(fresh, margins={"log_loss": 0.0})
    record = gate(fresh, answer=Answer.HOLD)
    assert "cannot tell" in record.reason and not record.accepted
    assert rule(record, "main's gate") == "promote"
    record = gate(fresh, "--accept-hold")
    assert record.verdict == "hold" and record.accepted


def test_a_gate_on_main_that_does_not_fit_the_model_holds(fresh: Path) -> None:
    """As after a change of the task: main's figures are none of this model's."""
    clones.git(fresh, "switch", "--quiet", "--create", "elsewhere")
    edit_gate(fresh, floors={"r2": 0.1})
    clones.git(fresh, "update-ref", "refs/remotes/origin/main", "HEAD")
    clones.git(fresh, "switch", "--quiet", "feature")
    replace_model(fresh, noise(0.0001))
    record = gate(fresh, answer=Answer.HOLD)
    assert record.reason == "the gate on main cannot be applied to this model"


def test_a_gate_on_main_of_another_schema_holds(fresh: Path) -> None:
    """A branch does not get rid of main's gate by being unable to read it."""
    clones.git(fresh, "switch", "--quiet", "--create", "elsewhere")
    edit_gate(fresh, stricter=1)
    clones.git(fresh, "update-ref", "refs/remotes/origin/main", "HEAD")
    clones.git(fresh, "switch", "--quiet", "feature")
    record = gate(fresh, answer=Answer.HOLD)
    assert "the gate of origin/main cannot be read: params.yaml: gate.stricter" in record.reason
    assert record.basis == "same model"


def test_the_same_bytes_with_another_threshold_are_scored_and_told(fresh: Path) -> None:
    record = json.loads((fresh / Manifest.location).read_text())
    record["threshold"] = 0.9
    (fresh / Manifest.location).write_text(json.dumps(record))
    relock(fresh, Manifest.location.as_posix())
    found = gate(fresh)
    assert found.basis == "same rows" and found.comparison
    assert any("its manifest is not: threshold (" in one and "to 0.9)" in one for one in found.warnings)


def test_before_there_is_a_champion_the_baselines_are_asked(trained: Path, tmp_path: Path) -> None:
    root = orphan(trained, trained.parent / f"clone-{tmp_path.name}")
    done = clones.mainline(root, "gate", "--json")
    record = Gate.read(root / Gate.location)
    assert (record.champion.kind, record.basis) == ("baselines", "baselines")
    assert done.returncode == {"promote": 0, "hold": Answer.HOLD, "block": Answer.BLOCK}[record.verdict]
    assert record.comparison and record.comparison.champion == {}
    assert "against the baseline" in next(one.text for one in record.rules if one.name == "baseline")


def orphan(trained: Path, root: Path) -> Path:
    """The same files on a branch called trunk, in a repository without origin."""
    clones.git(trained.parent, "clone", "--quiet", str(trained), str(root))
    clones.git(root, "remote", "remove", "origin")
    clones.git(root, "branch", "--move", "trunk")
    return root


def test_a_champion_that_cannot_read_the_rows_is_compared_on_recorded_figures(fresh: Path) -> None:
    clones.git(fresh, "switch", "--quiet", "--create", "old")
    record = json.loads((fresh / Manifest.location).read_text())
    record["inputs"][0]["name"] = "no_longer_there"
    (fresh / Manifest.location).write_text(json.dumps(record))
    relock(fresh, Manifest.location.as_posix())
    clones.git(fresh, "switch", "--quiet", "feature")
    replace_model(fresh, noise(0.003))
    record_figures(fresh)
    found = gate(fresh, "--champion", "old", answer=Answer.HOLD)
    assert (found.champion.kind, found.basis) == ("chosen", "recorded figures")
    assert "no_longer_there is missing" in found.reason
    assert found.comparison and found.comparison.candidate["log_loss"].value


def test_a_tampered_champion_is_an_error_and_leaves_no_verdict(fresh: Path) -> None:
    clones.git(fresh, "switch", "--quiet", "--create", "evil")
    replace_model(fresh, noise(0.1))
    record = json.loads((fresh / Manifest.location).read_text())
    record["files"]["model.onnx"] = "0" * 64
    (fresh / Manifest.location).write_text(json.dumps(record))
    relock(fresh, Manifest.location.as_posix())
    (fresh / MODEL).unlink()
    clones.git(fresh, "switch", "--quiet", "feature")
    gate(fresh)
    done = clones.mainline(fresh, "gate", "--champion", "evil")
    assert done.returncode == IntegrityError.exit_code, done.stderr
    assert "not the file that its manifest names" in done.stderr
    assert not (fresh / Gate.location).exists(), "the verdict of another comparison"


def test_a_branch_that_renames_the_model_keeps_its_champion(fresh: Path) -> None:
    name = f"{yaml.safe_load((fresh / 'params.yaml').read_text())['release']['model']}#production#1"
    tagging.stage(fresh, name)
    # What is in production is what origin says, and the one of the other tests has nothing there.
    mirror = f"{fresh}.git"
    clones.git(fresh, "clone", "--quiet", "--bare", str(fresh.parent / "trained"), mirror)
    clones.git(fresh, "remote", "set-url", "origin", mirror)
    clones.git(fresh, "push", "--quiet", "origin", "--tags")
    replace_model(fresh, noise(0.0001))  # else main's model is all that it is held against
    text = (fresh / "params.yaml").read_text()
    (fresh / "params.yaml").write_text(text.replace("model: flight-delay", "model: other"))
    clones.commit(fresh, "renamed")
    record = gate(fresh)
    assert (record.champion.kind, record.champion.name) == ("production", name)
    assert [one.key for one in record.changes] == ["release.model"]


def test_a_person_sees_a_table_and_the_reason_last(fresh: Path) -> None:
    done = clones.mainline(fresh, "gate")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("promote: to the byte the model of origin/main")
    assert "floor roc_auc" in done.stdout and "\x1b" not in done.stdout
    assert "nothing is fetched" in done.stderr
