"""The registry with a real MLflow server on loopback, real git and a real DVC remote."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import ledger, objects, releases
from mainline.git import Git
from mainline.records import Manifest
from mainline.registry import connect
from mainline.releases import Artifact, Release, Verdict
from mainline.verbs import tagging
from tests import clones
from tests.ports import free_port

pytestmark = pytest.mark.slow

MODEL, LIMIT = "flight-delay", 180
VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0")


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def content(name: str) -> bytes:
    return f"the model {name}".encode()


def manifest(name: str) -> Manifest:
    card = f"card {name}".encode()
    return Manifest(
        task="binary", inputs=[], outputs=["probability"], classes=[], threshold=0.3, vocabularies={},
        windows={}, device_class="cpu", code={},
        files={"model.onnx": hashlib.sha256(content(name)).hexdigest(),
               "MODEL_CARD.md": hashlib.sha256(card).hexdigest()},
    )  # fmt: skip


def record(name: str, commit: str) -> Release:
    bento = Artifact(name=f"x-{name}.bento", md5=md5(b"b"), sha256="3" * 64, bytes=1)
    return Release(
        model=MODEL, release=name, commit=commit, lock_sha256="1" * 64,
        data_md5={"data/raw": f"{'a' * 32}.dir"},
        model_md5=md5(content(name)), model_sha256=hashlib.sha256(content(name)).hexdigest(),
        artifacts={"bento": bento}, image=None, figures={"log_loss": 0.38}, mlflow_run="abc",
        gate=Verdict(verdict="promote", reason="better", champion="none", accepted=False),
    )  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions, each on a commit of its own; the files on a DVC remote, the tags at origin."""
    folder = tmp_path_factory.mktemp("registry")
    root = folder / "work"
    (root / "models").mkdir(parents=True)
    clones.git(root, "init", "--quiet", "--initial-branch=main")
    clones.git(root, "config", "user.name", "Test")
    clones.git(root, "config", "user.email", "test@example.org")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, check=True)
    remote = ["remote", "add", "--quiet", "--default", "store", "../store"]
    subprocess.run([sys.executable, "-m", "dvc", *remote], cwd=root, check=True)
    (root / "params.yaml").write_text(yaml.safe_dump({"release": {"model": MODEL}}))
    (root / ".gitignore").write_text("/models/model.onnx\n/.mainline\n/mlflow.db*\n/mlartifacts\n")
    clones.git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(folder / "origin.git"))
    clones.git(root, "remote", "add", "origin", "../origin.git")
    for name in VERSIONS:
        (root / "models" / "model.onnx").write_bytes(content(name))
        objects.put(root, {"model": root / "models" / "model.onnx"})
        (root / "models" / "MODEL_CARD.md").write_text(f"card {name}")
        manifest(name).write(root / "models" / "manifest.json")
        clones.commit(root, name)
        clones.git(root, "push", "--quiet", "origin", "main")
        git = Git(root)
        head = git("rev-parse", "HEAD")
        message = releases.write(record(name, head), name)
        tag = f"{MODEL}@{name}"
        assert ledger.push(git, {tag: ledger.make(git, tag, head, message)})
    return folder


@pytest.fixture
def root(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The work tree of a copy: its own origin, its own remote, an empty cache."""
    shutil.copytree(template, tmp_path / "copy", symlinks=True)
    work = tmp_path / "copy" / "work"
    monkeypatch.chdir(work)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return work


def assign(root: Path, stage: str, number: int, name: str) -> None:
    git = Git(root)
    tag, commit = f"{MODEL}#{stage}#{number}", git("rev-parse", f"{MODEL}@{name}^{{commit}}")
    assert ledger.push(git, {tag: ledger.make(git, tag, commit, stage)})


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """MLflow on an empty database in `folder`."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + LIMIT
            while not _answers(port):
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        return b" 200 " in connection.recv(100)
    return False


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server; each test empties it of the model first."""
    with server(tmp_path_factory.mktemp("server")) as uri:
        yield uri


@pytest.fixture
def client(shared: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An MLflow client of its own, on the server without our model."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared)
    from mlflow.tracking import MlflowClient

    found = MlflowClient(shared, registry_uri=shared)
    if any(one.name == MODEL for one in found.search_registered_models()):
        found.delete_registered_model(MODEL)
    return found


def sync(root: Path, *flags: str, code: int = 0) -> dict[str, Any]:
    done = clones.mainline(root, "registry", "sync", "--json", *flags, extra=_uri())
    assert done.returncode == code, done.stdout + done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


def _uri() -> dict[str, str]:
    """`clones.environment` takes it away, so that no test asks a server by accident."""
    return (
        {"MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"]}
        if "MLFLOW_TRACKING_URI" in os.environ
        else {}
    )


def uri_flag() -> tuple[str, str]:
    return "--tracking-uri", os.environ["MLFLOW_TRACKING_URI"]


def kinds(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["kind"], step["subject"]) for step in told["steps"]]


def alias(client: Any, stage: str) -> str:
    return str(client.get_model_version_by_alias(MODEL, stage).tags["mainline.version"])


def test_an_empty_server_gets_all_of_it_and_the_second_time_nothing(
    root: Path, client: Any, tmp_path: Path
) -> None:
    assign(root, "staging", 1, "v1.1.0")
    assign(root, "production", 1, "v1.0.0")
    expected = [("register", name) for name in VERSIONS] + [("alias", "production"), ("alias", "staging")]
    assert kinds(sync(root, "--dry-run", *uri_flag())) == expected
    assert client.search_registered_models(f"name = '{MODEL}'") == []
    assert kinds(sync(root, *uri_flag())) == expected
    assert kinds(sync(root, *uri_flag())) == []
    versions = sorted(client.search_model_versions(f"name = '{MODEL}'"), key=lambda one: int(one.version))
    assert [one.tags["mainline.version"] for one in versions] == list(VERSIONS)
    assert versions[0].tags["mainline.bento.sha256"] == "3" * 64
    assert versions[0].tags["mainline.commit"] == Git(root)("rev-parse", f"{MODEL}@v1.0.0^{{commit}}")
    assert (alias(client, "staging"), alias(client, "production")) == ("v1.1.0", "v1.0.0")
    files = Path(client.download_artifacts(versions[1].run_id, "release", str(tmp_path)))
    assert (files / "model.onnx").read_bytes() == content("v1.1.0")
    assert sorted(file.name for file in files.iterdir()) == [
        "MODEL_CARD.md", "manifest.json", "model.onnx", "release.yaml",
    ]  # fmt: skip
    assert client.get_model_version_download_uri(MODEL, "2").endswith("/release")
    assert not any((root / ".mainline" / "registry").iterdir())


def test_a_server_behind_catches_up(root: Path, client: Any) -> None:
    """MLflow was down during a promotion and a rollback."""
    assign(root, "production", 1, "v1.0.0")
    sync(root, *uri_flag())
    assign(root, "production", 2, "v1.2.0")
    assign(root, "production", 3, "v1.1.0")
    told = sync(root, *uri_flag())
    assert [(step["found"], step["wanted"]) for step in told["steps"]] == [("v1.0.0", "v1.1.0")]
    assert told["out_of_band"] == 0
    assert alias(client, "production") == "v1.1.0"


def test_what_somebody_else_changed_is_told_and_healed_when_asked(root: Path, client: Any) -> None:
    assign(root, "production", 1, "v1.0.0")
    sync(root, *uri_flag())
    client.set_registered_model_alias(MODEL, "production", "3")
    client.set_registered_model_alias(MODEL, "champion", "2")
    client.set_model_version_tag(MODEL, "2", "mainline.bento.sha256", "forged")
    client.set_model_version_tag(MODEL, "2", "owner", "somebody")
    for flags in ([], ["--dry-run"], ["--dry-run", "--heal"]):
        told = sync(root, *flags, *uri_flag(), code=34)
        assert kinds(told) == [("tags", "v1.1.0"), ("alias", "production")]
        assert told["out_of_band"] == 2
        assert alias(client, "production") == "v1.2.0"
    assert kinds(sync(root, "--heal", *uri_flag())) == [("tags", "v1.1.0"), ("alias", "production")]
    assert alias(client, "production") == "v1.0.0"
    tags = client.get_model_version(MODEL, "2").tags
    assert (tags["mainline.bento.sha256"], tags["owner"]) == ("3" * 64, "somebody")
    assert alias(client, "champion") == "v1.1.0"
    assert kinds(sync(root, *uri_flag())) == []


def test_a_removed_alias_version_and_model(root: Path, client: Any) -> None:
    assign(root, "staging", 1, "v1.1.0")
    sync(root, *uri_flag())
    client.delete_registered_model_alias(MODEL, "staging")
    assert kinds(sync(root, *uri_flag(), code=34)) == [("alias", "staging")]
    client.delete_model_version(MODEL, "2")
    assert kinds(sync(root, "--heal", *uri_flag())) == [("register", "v1.1.0"), ("alias", "staging")]
    assert alias(client, "staging") == "v1.1.0"
    client.delete_registered_model(MODEL)
    assert len(sync(root, *uri_flag())["steps"]) == 4


def test_stopped_anywhere_it_goes_on(root: Path, client: Any) -> None:
    """An object is missing: what came before stays, the next sync does the rest, nothing is there twice."""
    assign(root, "production", 1, "v1.2.0")
    digest = md5(content("v1.1.0"))
    stored = root.parent / "store" / "files" / "md5" / digest[:2] / digest[2:]
    kept = stored.rename(stored.with_suffix(".away"))
    assert "has" in sync(root, *uri_flag(), code=18)["stderr"]
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 1
    kept.rename(stored)
    sync(root, *uri_flag())
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 3
    assert alias(client, "production") == "v1.2.0"


def test_two_at_once_on_an_empty_server_make_each_version_once(root: Path, client: Any) -> None:
    assign(root, "production", 1, "v1.1.0")
    other = root.parent.parent / "other"
    shutil.copytree(root.parent, other, symlinks=True)
    command = [sys.executable, "-m", "mainline.cli", "registry", "sync", "--json", *uri_flag()]
    both = [
        subprocess.Popen(
            command, cwd=where, env=clones.environment(where), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for where in (root, other / "work")
    ]  # fmt: skip
    said = [(*one.communicate(timeout=LIMIT), one.returncode) for one in both]
    assert {code for *_, code in said} == {0}, said
    versions = client.search_model_versions(f"name = '{MODEL}'")
    assert sorted(one.tags["mainline.version"] for one in versions) == list(VERSIONS)
    assert alias(client, "production") == "v1.1.0"
    assert kinds(sync(root, *uri_flag())) == []


def test_who_comes_second_takes_its_own_version_away(root: Path, client: Any, tmp_path: Path) -> None:
    """Both have seen that it is missing."""
    found, tags = record("v1.0.0", Git(root)("rev-parse", "HEAD")), {"mainline.version": "v1.0.0"}
    (tmp_path / "files").mkdir()
    (tmp_path / "files/model.onnx").write_bytes(content("v1.0.0"))
    registry = connect(os.environ["MLFLOW_TRACKING_URI"])
    for _ in range(2):
        registry.register(found, tags, tmp_path / "files")
    assert [one.version for one in client.search_model_versions(f"name = '{MODEL}'")] == ["1"]


@pytest.mark.parametrize("key", ["model_md5", "model_sha256"])
def test_a_model_that_is_not_its_record_is_not_registered(root: Path, client: Any, key: str) -> None:
    """The record of the newest version names the model of another."""
    git, tag = Git(root), f"{MODEL}@v1.3.0"
    head = git("rev-parse", "HEAD")
    forged = record("v1.2.0", head).model_copy(
        update={"release": "v1.3.0", key: getattr(record("v1.0.0", head), key)}
    )
    assert ledger.push(git, {tag: ledger.make(git, tag, head, releases.write(forged, "x"))})
    assert "v1.3.0" in sync(root, *uri_flag(), code=16)["stderr"] or key == "model_md5"
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 3


def test_tags_without_a_record_are_told_and_left_out(root: Path, client: Any) -> None:
    clones.git(root, "tag", f"{MODEL}@v2.0.0")
    clones.git(root, "tag", "-a", "-m", "nothing\n\n\x1b[31m", f"{MODEL}@v2.1.0")
    clones.git(root, "push", "--quiet", "origin", "--tags")
    told = sync(root, *uri_flag())
    assert sorted(told["unread"]) == [f"{MODEL}@v2.0.0", f"{MODEL}@v2.1.0"]
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 3


def test_a_model_finds_its_run_by_the_weights_in_its_manifest(root: Path, client: Any) -> None:
    """In any experiment; the newest of those that made the same bytes; as a promotion asks for it."""
    known = manifest("v1.0.0")
    known = known.model_copy(update={"files": {**known.files, "model.safetensors": "7" * 64}})
    known.write(root / Manifest.location)
    assert tagging.run() is None
    runs = {}
    for number, (name, weights) in enumerate([("a", "7"), ("b", "7"), ("b", "8")]):
        made = client.get_experiment_by_name(name)
        experiment = made.experiment_id if made else client.create_experiment(name)
        tags = {"model.sha256": weights * 64}
        runs[number] = client.create_run(experiment, start_time=number + 1, tags=tags).info.run_id
    assert tagging.run() == runs[1]
    client.delete_run(runs[1])
    assert tagging.run() == runs[0]
    done = clones.mainline(root, "registry", "run", *uri_flag())
    assert (done.returncode, done.stdout.strip()) == (0, runs[0]), done.stderr


def test_versions_of_others_stay(root: Path, client: Any) -> None:
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, "s3://bucket/theirs")
    client.set_registered_model_alias(MODEL, "production", "1")
    assign(root, "production", 1, "v1.0.0")
    told = sync(root, *uri_flag(), code=34)
    assert told["steps"][-1]["found"] == "number 1, which is none of ours"
    sync(root, "--heal", *uri_flag())
    assert alias(client, "production") == "v1.0.0"
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 4


def test_without_a_server_the_file_beside_the_repository(root: Path) -> None:
    assign(root, "staging", 1, "v1.0.0")
    assert len(sync(root)["steps"]) == 4
    assert kinds(sync(root, "--local")) == []
    assert (root / "mlflow.db").exists()
    assert list((root / "mlartifacts").rglob("model.onnx"))


class Broken(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        """Be quiet."""


@pytest.mark.parametrize("kind", ["away", "broken", "hanging"])
def test_a_server_that_does_not_work_is_told_soon_and_without_its_password(root: Path, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "broken":
            broken = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken))
            stack.callback(broken.shutdown)
            threading.Thread(target=broken.serve_forever, daemon=True).start()
            port = broken.server_port
        else:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
            if kind == "away":
                listener.close()
        uri = f"http://me:hunter2@127.0.0.1:{port}"
        begun = time.monotonic()
        done = clones.mainline(
            root, "registry", "sync", "--tracking-uri", uri, extra={"MLFLOW_HTTP_REQUEST_TIMEOUT": "1"}
        )
        assert done.returncode == 25, done.stderr
        assert time.monotonic() - begun < 60
    assert "registry sync" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
