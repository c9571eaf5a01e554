"""`mainline deploy`: from the tag to what is served, with the real service; and what it refuses."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import deploying, objects, releases
from mainline.deploy import supervisor
from mainline.errors import ConfigError, DeployError, GitError, RecordError
from tests import clones
from tests.clones import git, mainline
from tests.deploy.releasing import release
from tests.deploy.test_local import free_port, leftovers, until
from tests.imports import ROOT

IMAGE = f"registry.example.org/flights@sha256:{'1' * 64}"
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org")


def tag(root: Path, record: releases.Release, name: str = "") -> None:
    """On origin, with main at its commit."""
    name = name or f"{record.model}@{record.release}"
    record = record.model_copy(update={"commit": git(root, "rev-parse", "HEAD")})
    git(root, *IDENTITY, "tag", "--annotate", name, "--message", releases.write(record, "words"))
    git(root, "push", "--quiet", "origin", "HEAD:refs/heads/main", f"refs/tags/{name}")


def call(root: Path) -> None:
    """The model's name is the one of these records, also in a fork."""
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["release"]["model"] = "flight-delay"
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    shutil.copytree(ROOT / "serving/deploy/kubernetes", made / "serving/deploy/kubernetes")
    shutil.copy2(ROOT / "params.yaml", made)
    call(made)
    git(made, "init", "--quiet", "--initial-branch=main")
    clones.commit(made, "as it is")
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(made, "remote", "add", "origin", "../origin.git")
    return made


def test_a_version_goes_to_its_branch(root: Path, tmp_path: Path) -> None:
    tag(root, release(tmp_path, "v1.3.0", image=IMAGE)[0])
    to = ("deploy", "--target", "kubernetes", "--stage", "production", "--json")
    planned = mainline(root, *to, "v1.3.0", "--dry-run")
    assert planned.returncode == 0 and IMAGE in planned.stdout, planned.stderr
    assert json.loads(mainline(root, *to, "--status").stdout) == {"release": None}
    done = json.loads(mainline(root, *to, "v1.3.0").stdout)
    assert (done["place"], done["release"], done["changed"]) == ("deploy/production", "v1.3.0", True)
    assert json.loads(mainline(root, *to, "v1.3.0").stdout)["changed"] is False
    assert json.loads(mainline(root, *to, "--status").stdout)["digest"] == IMAGE.partition("@")[2]


def test_what_is_no_released_version_is_refused(root: Path, tmp_path: Path) -> None:
    git(root, "tag", "flight-delay@v0.1.0")
    git(root, *IDENTITY, "tag", "--annotate", "flight-delay@v0.2.0", "--message", "by hand")
    git(root, "push", "--quiet", "origin", "HEAD:refs/heads/main", "--tags")
    tag(root, release(tmp_path, "v1.3.0")[0], "flight-delay@v0.3.0")
    here = releases.write(release(tmp_path, "v0.4.0")[0], "only in this clone")
    git(root, *IDENTITY, "tag", "--annotate", "flight-delay@v0.4.0", "--message", here)
    for version, words in (
        ("v0.1.0", "lightweight"),
        ("v0.2.0", "no release record"),
        ("v0.3.0", "is of another release"),
        ("v0.4.0", "there is no version"),
        ("v9.9.9", "there is no version"),
        ("../v1", "there is no version"),
    ):
        error = RecordError
        done = mainline(root, "deploy", version, "--stage", "staging")
        assert (done.returncode, words in done.stderr) == (error.exit_code, True), done.stderr
    assert mainline(root, "deploy", "--stage", "staging").returncode == ConfigError.exit_code
    both = mainline(root, "deploy", "v0.1.0", "--stop", "--stage", "staging")
    assert both.returncode == ConfigError.exit_code


def test_predictions_lie_beside_the_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the checkout, which CI wipes, and not in one file for both stages."""
    monkeypatch.delenv("SERVING_LOG_PATH", raising=False)
    assert supervisor.surroundings(tmp_path / "staging") == {
        "SERVING_LOG_PATH": str(tmp_path / "staging" / "predictions")
    }
    monkeypatch.setenv("SERVING_LOG_PATH", "/var/log/flights")
    assert supervisor.surroundings(tmp_path) == {}


def test_an_origin_that_is_not_there_is_an_error_of_git(root: Path, tmp_path: Path) -> None:
    tag(root, release(tmp_path, "v1.3.0", image=IMAGE)[0])
    shutil.rmtree(tmp_path / "origin.git")
    done = mainline(root, "deploy", "v1.3.0", "--target", "kubernetes", "--stage", "staging")
    assert done.returncode == GitError.exit_code


def answer(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
        return json.loads(response.read())


@pytest.mark.slow
@pytest.mark.skipif(
    not (ROOT / "models/model.onnx").exists(), reason="no model here: mainline run, or dvc pull"
)
def test_the_real_service_from_the_tag_to_the_port(tmp_path: Path) -> None:
    root = clones.copy(tmp_path / "work")
    call(root)
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(root, "remote", "add", "origin", "../origin.git")
    (tmp_path / "store").mkdir()
    files: dict[str, Path] = {}
    for version in ("v1.0.0", "v1.1.0"):
        command = [sys.executable, "-m", "serving.build", "--version", version, "--out", str(tmp_path)]
        built = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
        files[version] = Path(built["path"])
    stored = objects.put(root, {str(path): path for path in files.values()})
    model = hashlib.sha256((ROOT / "models/model.onnx").read_bytes()).hexdigest()
    for version, path in files.items():
        digests = stored[str(path)]
        named = releases.Artifact(name=path.name, md5=digests.md5, sha256=digests.sha256, bytes=digests.bytes)
        record, _ = release(tmp_path / "records", version, model=model)
        tag(root, record.model_copy(update={"artifacts": {"bento": named}}))
    wrong, _ = release(tmp_path / "records", "v1.2.0", model="e" * 64)
    tag(root, wrong.model_copy(update={"artifacts": {"bento": named}}))

    port, folder = free_port(), tmp_path / "deploy"
    to = ("deploy", "--stage", "staging", "--port", str(port), "--bake", "1", "--json")
    extra = {deploying.FOLDER: str(folder)}
    try:
        for version in files:
            done = mainline(root, *to, version, extra=extra)
            assert done.returncode == 0, done.stderr
            assert answer(port, "/provenance")["version"] == version
        done = mainline(root, *to, "v1.2.0", extra=extra)
        assert done.returncode == DeployError.exit_code, done.stderr
        seen = json.loads(mainline(root, *to, "--status", extra=extra).stdout)
        assert (seen["release"], seen["healthy"], seen["unfinished"]) == ("v1.1.0", True, False)
    finally:
        stopped = mainline(root, *to, "--stop", extra=extra)
    assert stopped.returncode == 0 and json.loads(stopped.stdout) == {"stopped": True}
    until(lambda: not leftovers(folder))
