"""`mainline deploy`: from the tag to what is served, with the real service; and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import champion, deploying, objects, packaged, releases
from mainline.deploy import probes, surroundings
from mainline.deploy.state import State
from mainline.errors import (
    ConfigError,
    DeployError,
    GitError,
    IntegrityError,
    RecordError,
    SupersededError,
)
from mainline.git import Git
from mainline.verbs.promote import promote
from mainline.verbs.release import release
from tests import clones
from tests.clones import git, mainline
from tests.deploy.test_local import leftovers, until
from tests.imports import ROOT
from tests.mainline import releasing
from tests.mainline.releasing import QUIET, World, asked, options, tools
from tests.ports import free_port

IMAGE, NEWER = (f"registry.example.org/flights@sha256:{digit * 64}" for digit in "12")
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


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """v1.0.0 in staging and production, v1.0.1 in staging; both with an image."""
    patch = pytest.MonkeyPatch()
    world = releasing.build(tmp_path_factory.mktemp("deploy"))
    patch.chdir(world.root)
    shutil.copytree(ROOT / "serving/deploy/kubernetes", world.root / "serving/deploy/kubernetes")
    for text, image in (("first = True", IMAGE), ("second = True", NEWER)):
        (world.root / "serving/service.py").write_text(text)
        clones.commit(world.root, text)
        git(world.root, "push", "--quiet", "origin", "main")
        assert promote(options(image=image), tools()) == 0
        if text.startswith("first"):
            assert release(asked("v1.0.0"), QUIET) == 0
    patch.undo()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    return releasing.copy(template, tmp_path)


def test_a_version_goes_to_its_branch(world: World) -> None:
    to = ("deploy", "--target", "kubernetes", "--stage", "production", "--json")
    planned = mainline(world.root, *to, "v1.0.0", "--dry-run")
    assert planned.returncode == 0 and IMAGE in planned.stdout, planned.stderr
    assert json.loads(mainline(world.root, *to, "--status").stdout) == {"release": None}
    done = json.loads(mainline(world.root, *to, "v1.0.0").stdout)
    assert (done["place"], done["release"], done["changed"]) == ("deploy/production", "v1.0.0", True)
    assert json.loads(mainline(world.root, *to, "v1.0.0").stdout)["changed"] is False
    assert json.loads(mainline(world.root, *to, "--status").stdout)["digest"] == IMAGE.partition("@")[2]


def test_without_a_version_it_is_the_one_that_the_stage_has(world: World) -> None:
    """After a restart of the machine nobody needs to look it up."""
    to = ("deploy", "--target", "kubernetes", "--json", "--stage")
    for stage, version in (("staging", "v1.0.1"), ("production", "v1.0.0")):
        done = mainline(world.root, *to, stage)
        assert done.returncode == 0 and json.loads(done.stdout)["release"] == version, done.stderr
    git(world.root, "push", "--quiet", "origin", "--delete", "flight-delay#production#1")
    none = mainline(world.root, *to, "production")
    assert none.returncode == RecordError.exit_code
    assert "production has no version yet" in none.stderr and "mainline release VERSION" in none.stderr
    git(
        world.root,
        *IDENTITY,
        "tag",
        "--annotate",
        "--message",
        "x",
        "flight-delay#production#2",
        "HEAD^{tree}",
    )
    git(world.root, "push", "--quiet", "origin", "refs/tags/flight-delay#production#2")
    assert mainline(world.root, *to, "production").returncode == RecordError.exit_code


def test_after_a_revert_the_earlier_digest_is_served(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As promote.yml has it: promote, then deploy what staging has. Nothing is judged, trained or built."""
    to = ("deploy", "--target", "kubernetes", "--stage", "staging", "--json")
    assert json.loads(mainline(world.root, *to).stdout)["digest"] == NEWER.partition("@")[2]
    built = world.builds()
    git(world.root, *IDENTITY, "revert", "--no-edit", "HEAD")
    git(world.root, "push", "--quiet", "origin", "main")
    monkeypatch.chdir(world.root)

    def no(*_: object) -> int:
        raise AssertionError("a revert is not judged again")

    assert promote(options(), tools(judge=no, build=("false",))) == 0
    done = json.loads(mainline(world.root, *to).stdout)
    assert (done["release"], done["digest"]) == ("v1.0.0", IMAGE.partition("@")[2])
    assert world.builds() == built


def test_a_version_that_the_stage_does_not_have_is_refused_unless_forced(world: World) -> None:
    to = ("deploy", "--target", "kubernetes", "--json")
    late = mainline(world.root, *to, "--stage", "staging", "v1.0.0")
    assert late.returncode == SupersededError.exit_code
    assert "it has v1.0.1 (flight-delay#staging#2)" in late.stderr
    early = mainline(world.root, *to, "--stage", "production", "v1.0.1")
    assert early.returncode == RecordError.exit_code
    assert "it has v1.0.0 (flight-delay#production#1)" in early.stderr
    forced = mainline(world.root, *to, "--stage", "production", "v1.0.1", "--force")
    assert forced.returncode == 0 and json.loads(forced.stdout)["release"] == "v1.0.1"
    assert "warning: v1.0.1 is not what production has" in forced.stderr


def test_bytes_that_changed_are_refused_whatever_the_target(world: World) -> None:
    record = releases.parse(git(world.origin, "cat-file", "tag", "flight-delay@v1.0.0"))
    stored = world.store(record.model_md5)
    stored.chmod(0o644)
    stored.write_bytes(b"evil")
    to = ("deploy", "v1.0.0", "--target", "kubernetes", "--stage", "production")
    for more in ((), ("--force",)):
        done = mainline(world.root, *to, *more)
        assert done.returncode == IntegrityError.exit_code, done.stderr
        assert "does not hold: model" in done.stderr


def test_what_is_no_released_version_is_refused(world: World) -> None:
    root, record = world.root, git(world.origin, "cat-file", "tag", "flight-delay@v1.0.0")
    git(root, "tag", "flight-delay@v0.1.0")
    git(root, *IDENTITY, "tag", "--annotate", "flight-delay@v0.2.0", "--message", "by hand")
    tag(root, releases.parse(record), "flight-delay@v0.3.0")
    git(root, "push", "--quiet", "origin", "HEAD:refs/heads/main", "--tags")
    git(root, *IDENTITY, "tag", "--annotate", "flight-delay@v0.4.0", "--message", "only in this clone")
    for version, error, words in (
        ("v0.1.0", IntegrityError, "lightweight"),
        ("v0.2.0", IntegrityError, "no release record"),
        ("v0.3.0", IntegrityError, "is of another release"),
        ("v0.4.0", RecordError, "there is no version"),
        ("v9.9.9", RecordError, "there is no version"),
        ("../v1", RecordError, "there is no version"),
    ):
        done = mainline(root, "deploy", version, "--stage", "staging", "--force")
        assert (done.returncode, words in done.stderr) == (error.exit_code, True), done.stderr
    both = mainline(root, "deploy", "v0.1.0", "--stop", "--stage", "staging")
    assert both.returncode == ConfigError.exit_code


def test_predictions_lie_beside_the_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the checkout, which CI wipes, and not in one file for both stages."""
    folder = tmp_path / "staging"
    assert surroundings.service(folder, {})["SERVING_LOG_PATH"] == str(folder / "predictions")
    given = {"SERVING_LOG_PATH": "/var/log/flights"}
    assert surroundings.service(folder, given) == given
    monkeypatch.chdir(tmp_path)
    here = surroundings.service(folder, {"SERVING_KEY": "keys/model.pub"})
    assert here["SERVING_KEY"] == str(tmp_path / "keys/model.pub"), "the service runs elsewhere"


def test_an_origin_that_is_not_there_is_an_error_of_git(world: World) -> None:
    shutil.rmtree(world.origin)
    done = mainline(world.root, "deploy", "v1.0.0", "--target", "kubernetes", "--stage", "staging")
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
    model = ROOT / "models/model.onnx"
    stored = objects.put(root, {"model": model} | {str(path): path for path in files.values()})
    for version, path in files.items():
        record = of_the_clone(root, version, path.name, stored[str(path)])
        tag(root, record)
    tag(root, record.model_copy(update={"release": "v1.2.0"}))  # with the Bento of v1.1.0
    tag(root, record.model_copy(update={"release": "v1.3.0", "model_sha256": "e" * 64}))

    port, folder = free_port(), tmp_path / "deploy"
    to = ("deploy", "--stage", "staging", "--bake", "1", "--json")
    extra = {deploying.FOLDER: str(folder), "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
    try:
        for version, where in (("v1.0.0", ("--port", str(port))), ("v1.1.0", ())):
            done = mainline(root, *to, version, "--force", *where, extra=extra)
            assert done.returncode == 0, done.stderr
            assert answer(port, "/provenance")["version"] == version
        again = mainline(root, *to[:-1], version, "--force", extra=extra)
        command = again.stdout.splitlines()[-1]
        assert command.startswith(f"curl http://127.0.0.1:{port}/predict "), again.stdout + again.stderr
        asked_ = subprocess.run(["bash", "-c", f"{command} --fail"], capture_output=True, text=True)
        assert asked_.returncode == 0 and json.loads(asked_.stdout), asked_.stderr
        for version, error in (("v1.2.0", DeployError), ("v1.3.0", IntegrityError)):
            done = mainline(root, *to, version, "--force", extra=extra)
            assert done.returncode == error.exit_code, done.stderr
        seen = json.loads(mainline(root, *to, "--status", extra=extra).stdout)
        assert (seen["release"], seen["healthy"], seen["unfinished"]) == ("v1.1.0", True, False)

        # The next job of CI wipes the checkout: the service is started again from what was deployed.
        shutil.move(root / "serving", tmp_path / "wiped")
        before = State.read(folder / "staging" / State.location).active
        os.kill(before.process.pid, signal.SIGKILL)
        until(lambda: State.read(folder / "staging" / State.location).active.process != before.process)
        until(lambda: probes.ready(port))
        assert answer(port, "/provenance")["version"] == "v1.1.0"
        shutil.move(tmp_path / "wiped", root / "serving")
    finally:
        stopped = mainline(root, *to, "--stop", extra=extra)
    assert stopped.returncode == 0 and json.loads(stopped.stdout) == {"stopped": True}
    until(lambda: not leftovers(folder))


def of_the_clone(root: Path, version: str, name: str, digests: objects.Digests) -> releases.Release:
    """A record that agrees with the lock of HEAD."""
    exported, outs = champion.at(Git(root), "HEAD"), packaged.outputs(Git(root), "HEAD")
    assert exported is not None and exported.manifest is not None
    named = releases.Artifact(name=name, md5=digests.md5, sha256=digests.sha256, bytes=digests.bytes)
    return releases.Release(
        model="flight-delay", release=version, commit=git(root, "rev-parse", "HEAD"),
        lock_sha256=hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest(),
        data_md5=packaged.data(outs), model_md5=exported.model_md5,
        model_sha256=exported.manifest.files["model.onnx"], artifacts={"bento": named}, image=None,
        figures={}, mlflow_run=None,
        gate=releases.Verdict(verdict="promote", reason="equal", champion="none", accepted=False),
    )  # fmt: skip
