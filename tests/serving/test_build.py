"""From a model to an archive to a process: what is refused on the way, and with which exit code."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from mainline import archives, packaged
from mainline.errors import ConfigError, IntegrityError
from serving import build, run, signature, staging
from serving.process import running
from tests.imports import ROOT
from tests.mainline.test_signing import make_key

SLOW = [pytest.mark.slow, pytest.mark.xdist_group("serving")]


def _model(root: Path) -> Path:
    """A root with the real model."""
    shutil.copytree(ROOT / "models", root / "models")
    return root


@pytest.mark.parametrize("version", ["1.2.3", "v1.2", "v1.2.3; rm", "../v1.2.3", ""])
def test_a_version_is_a_version(tmp_path: Path, version: str) -> None:
    with pytest.raises(ConfigError):
        build.build(ROOT, version, tmp_path)


def test_without_a_model_the_command_says_how_to_get_one(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "serving.run", "--port", "0"],
        cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": f"{ROOT}:{ROOT}/src", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 19 and "make run" in done.stderr


def test_a_tampered_model_is_not_packed(tmp_path: Path) -> None:
    root = _model(tmp_path)
    with (root / "models/model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(IntegrityError, match=r"does not hold the model"):
        staging.stage(root, tmp_path / "out", "m", "v1.0.0", {})
    assert not (tmp_path / "out").exists()


def test_an_archive_with_another_digest_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "x.bento").write_bytes(b"anything")
    with pytest.raises(IntegrityError, match="not the recorded Bento"):
        run.unpacked(tmp_path / "x.bento", "0" * 64)
    with pytest.raises(IntegrityError, match="not a Bento archive"):
        run.unpacked(tmp_path / "x.bento", hashlib.sha256(b"anything").hexdigest())


def test_a_change_of_what_the_service_runs_is_a_new_package() -> None:
    """Else a mended check of the manifest would be merged, and never served."""
    packed = {f"{package}/{name}.py" for package, names in staging.CODE.items() for name in names}
    ours = {path for path in packed if not path.startswith("serving/") and not path.endswith("__init__.py")}
    assert ours == set(packaged.SHARED)


def test_a_folder_cannot_be_held_against_an_archives_digest(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="is a folder"):
        run.unpacked(tmp_path, "0" * 64)
    assert run.unpacked(tmp_path, None) == tmp_path


def test_an_archive_cannot_write_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with tarfile.open(tmp_path / "x.bento", "w") as archive:
        archive.add(tmp_path / "f", arcname="../../outside")
    with pytest.raises(IntegrityError):
        run.unpacked(tmp_path / "x.bento", None)


def test_a_key_asks_for_a_signature(tmp_path: Path) -> None:
    signature.check(tmp_path, None)
    with pytest.raises(IntegrityError, match="not signed"):
        signature.check(tmp_path, tmp_path / "key.pub")


@pytest.mark.slow
@pytest.mark.xdist_group("serving")
@pytest.mark.parametrize("spoil", ["changed", "extra", "pickle"])
def test_a_spoilt_bento_does_not_start(bento: Path, tmp_path: Path, spoil: str) -> None:
    with tarfile.open(bento) as archive:
        archives.extract(archive, tmp_path)
    models = tmp_path / "src/models"
    match spoil:
        case "changed":
            (models / "MODEL_CARD.md").write_text("# another")
        case "extra":
            (models / "more.onnx").write_bytes(b"\x08")
        case _:
            (models / "model.onnx").write_bytes(b"\x80\x04N.")
    done = subprocess.run(
        [sys.executable, "-m", "serving.run", "--bento", str(tmp_path), "--port", "0"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == IntegrityError.exit_code, done.stderr
    assert "does not hold the model" in done.stderr and "Traceback" not in done.stderr


def respond(bento: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """The service's refusal to start, with SERVING_KEY."""
    return subprocess.run(
        [sys.executable, "-m", "serving.run", "--bento", str(bento), "--port", "0"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, "SERVING_KEY": str(key)},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.xdist_group("serving")
def test_a_signed_model_is_served_and_one_that_was_exchanged_is_not(
    bento: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exchanged with a manifest that fits: only the signature can tell."""
    private, public = make_key(tmp_path, "signing")
    _, other = make_key(tmp_path, "other")
    monkeypatch.setenv("MAINLINE_SIGNING_KEY", str(private))
    signed = Path(build.build(ROOT, "v0.0.2", tmp_path)["path"])
    with running("--bento", str(signed), extra={"SERVING_KEY": str(public), "SERVING_LOG": "off"}) as service:
        assert service.ask("GET", "/readyz")[0] == 200
    wrong = respond(signed, other)
    assert wrong.returncode == IntegrityError.exit_code and "not what was signed" in wrong.stderr
    bare = respond(bento, public)
    assert bare.returncode == IntegrityError.exit_code and "the model is not signed" in bare.stderr

    with tarfile.open(signed) as archive:
        archives.extract(archive, tmp_path / "spoilt")
        assert "model-signing==" in (tmp_path / "spoilt/env/python/requirements.txt").read_text()
    models = tmp_path / "spoilt/src/models"
    (models / "MODEL_CARD.md").write_text("# a better model")
    manifest = json.loads((models / "manifest.json").read_text())
    digest = hashlib.sha256((models / "MODEL_CARD.md").read_bytes()).hexdigest()
    manifest["files"]["MODEL_CARD.md"] = digest
    (models / "manifest.json").write_text(json.dumps(manifest))
    exchanged = respond(tmp_path / "spoilt", public)
    assert exchanged.returncode == IntegrityError.exit_code, exchanged.stderr
    assert "models is not what was signed" in exchanged.stderr and "Traceback" not in exchanged.stderr
    with running("--bento", str(tmp_path / "spoilt"), extra={"SERVING_LOG": "off"}) as service:
        assert service.ask("GET", "/readyz")[0] == 200, "without a key nobody can tell"


@pytest.mark.slow
@pytest.mark.xdist_group("serving")
def test_a_bento_passes_its_check_and_holds_nothing_of_this_machine(bento: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.check", "--bento", str(bento), "--latency-ms", "50"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["parity"]["rows"] >= 1000 and record["parity"]["worst"] < 1e-5
    assert record["contract"]["answered"] > 50 and record["version"] == "v0.0.1"
    with tarfile.open(bento) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is None or str(ROOT).encode() not in file.read(), member.name
