"""A signed folder is accepted as it was signed, file for file, and nothing else is: with real keys."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainline import signing
from mainline.errors import ConfigError, IntegrityError, ServiceError


def make_key(
    folder: Path, name: str, password: bytes | None = None, private: Any = None
) -> tuple[Path, Path]:
    """PEM files of a new key pair: private, public."""
    private = private or ec.generate_private_key(ec.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    paths = folder / f"{name}.key", folder / f"{name}.pub"
    paths[0].write_bytes(private.private_bytes(pem, pkcs8, lock))
    paths[1].write_bytes(
        private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return paths


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_key(tmp_path_factory.mktemp("keys"), "signing")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model as it is released."""
    model = tmp_path / "model"
    (model / "sub").mkdir(parents=True)
    (model / "model.onnx").write_bytes(b"the model")
    (model / "sub" / "card.md").write_text("the card")
    return model


@pytest.fixture
def bundle(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    out = tmp_path / "model.sig"
    signing.sign(folder, out, keys[0])
    return out


def test_what_was_signed_is_accepted_under_any_folder_name(
    folder: Path, bundle: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signing.verify(folder, bundle, keys[1])
    signing.verify(folder.rename(tmp_path / "elsewhere"), bundle, signing.Key(keys[1]))


def extra(name: str) -> Callable[[Path], object]:
    def add(model: Path) -> None:
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")

    return add


def linked(model: Path) -> None:
    shutil.move(model / "model.onnx", model.parent / "outside")
    (model / "model.onnx").symlink_to(model.parent / "outside")


def piped(model: Path) -> None:
    os.mkfifo(model / "pipe")


def emptied(model: Path) -> None:
    shutil.rmtree(model)
    model.mkdir()


@pytest.mark.parametrize(
    "change",
    [
        lambda m: (m / "model.onnx").write_bytes(b"the modeL"),
        lambda m: (m / "model.onnx").unlink(),
        lambda m: (m / "model.onnx").rename(m / "other.onnx"),
        extra("model.pkl"),
        extra(".git/hooks/post-checkout"),  # which the library as it comes passes over
        extra(".github/workflows/x.yml"),
        extra(".gitignore"),
        extra(".gitattributes"),
        extra("a\nb"),
        linked,
        lambda m: (m / "model.onnx").symlink_to("nowhere") if not (m / "model.onnx").unlink() else None,
        piped,
        emptied,
        shutil.rmtree,
    ],
)
def test_a_folder_that_is_not_the_signed_one_is_refused(
    change: Callable[[Path], object], folder: Path, bundle: Path, keys: tuple[Path, Path]
) -> None:
    change(folder)
    with pytest.raises(IntegrityError):
        signing.verify(folder, bundle, keys[1])


def test_files_named_as_gits_own_are_signed_like_others(
    folder: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    extra(".github/hooks.py")(folder)
    signing.sign(folder, tmp_path / "sig", keys[0])
    signing.verify(folder, tmp_path / "sig", keys[1])
    (folder / ".github" / "hooks.py").write_text("changed")
    with pytest.raises(IntegrityError):
        signing.verify(folder, tmp_path / "sig", keys[1])


def test_nothing_is_not_signed(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """The library itself would sign, and accept, an empty folder: still true of the installed version?"""
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(IntegrityError, match="not what was signed"):
        signing.sign(tmp_path / "empty", tmp_path / "sig", keys[0])
    assert not (tmp_path / "sig").exists()
    import model_signing

    model_signing.signing.Config().use_elliptic_key_signer(private_key=keys[0]).sign(
        tmp_path / "empty", tmp_path / "sig"
    )
    with pytest.raises(IntegrityError, match="holds no files"):
        signing.verify(tmp_path / "empty", tmp_path / "sig", keys[1])


def test_another_key_is_refused(folder: Path, bundle: Path, tmp_path: Path) -> None:
    _, public = make_key(tmp_path, "other")
    with pytest.raises(IntegrityError):
        signing.verify(folder, bundle, public)


def test_the_hint_of_a_trusted_key_does_not_make_another_key_good(
    folder: Path, keys: tuple[Path, Path], bundle: Path, tmp_path: Path
) -> None:
    private, _ = make_key(tmp_path, "other")
    forged = tmp_path / "forged.sig"
    signing.sign(folder, forged, private)
    content = json.loads(forged.read_text())
    content["verificationMaterial"] = json.loads(bundle.read_text())["verificationMaterial"]
    forged.write_text(json.dumps(content))
    with pytest.raises(IntegrityError):
        signing.verify(folder, forged, keys[1])


def test_a_missing_signature_is_refused(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="no signature"):
        signing.verify(folder, tmp_path / "none.sig", keys[1])


def test_a_changed_statement_is_refused(folder: Path, bundle: Path, keys: tuple[Path, Path]) -> None:
    """Also one that leaves out a file, or asks that paths be ignored."""
    (folder / "evil.pkl").write_text("x")
    content = json.loads(bundle.read_text())
    statement = json.loads(base64.b64decode(content["dsseEnvelope"]["payload"]))
    statement["predicate"]["serialization"]["ignore_paths"] = ["evil.pkl"]
    content["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    bundle.write_text(json.dumps(content))
    with pytest.raises(IntegrityError):
        signing.verify(folder, bundle, keys[1])


def test_a_signer_that_left_a_file_out_is_refused(
    folder: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """A good signature of the right key, made by the library with paths ignored."""
    import model_signing

    (folder / "evil.pkl").write_text("x")
    hashing = model_signing.hashing.Config().set_ignored_paths(paths=["evil.pkl"], ignore_git_paths=False)
    config = model_signing.signing.Config().set_hashing_config(hashing)
    config.use_elliptic_key_signer(private_key=keys[0]).sign(folder, tmp_path / "sig")
    with pytest.raises(IntegrityError, match=r"evil\.pkl"):
        signing.verify(folder, tmp_path / "sig", keys[1])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(noise=st.binary(max_size=80), where=st.integers(0, 10_000), truncate=st.booleans())
def test_a_damaged_bundle_is_refused(
    noise: bytes,
    where: int,
    truncate: bool,
    folder: Path,
    bundle: Path,
    keys: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    """Never another error, and never accepted unless nothing that counts was changed."""
    whole = bundle.read_bytes()
    at = where % len(whole)
    damaged = whole[:at] + noise + (b"" if truncate else whole[at + len(noise) :])
    copy = tmp_path / "damaged.sig"
    copy.write_bytes(damaged)
    try:
        signing.verify(folder, copy, keys[1])
    except IntegrityError:
        return
    assert json.loads(damaged)["dsseEnvelope"] == json.loads(whole)["dsseEnvelope"]


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"dsseEnvelope": 1}', "[" * 100_000, '"\\ud800"'])
def test_a_hostile_bundle_is_refused(
    text: str, folder: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "sig").write_text(text)
    with pytest.raises(IntegrityError):
        signing.verify(folder, tmp_path / "sig", keys[1])


def test_files_are_signed_by_their_names(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    bento, sbom, out = tmp_path / "a.bento", tmp_path / "a.cdx.json", tmp_path / "release.sig"
    bento.write_bytes(b"bento")
    sbom.write_bytes(b"sbom")
    signing.sign_files([bento, sbom], out, keys[0])
    signing.verify_files([sbom, bento], out, keys[1])
    for wrong in ([bento], [bento, sbom, folder / "model.onnx"], [bento.rename(tmp_path / "b.bento"), sbom]):
        with pytest.raises(IntegrityError):
            signing.verify_files(wrong, out, keys[1])
    with pytest.raises(IntegrityError, match="no file"):
        signing.verify_files([bento, sbom], out, keys[1])
    with pytest.raises(ConfigError, match="named"):
        signing.sign_files([sbom, sbom], out, keys[0])


def test_keys_with_a_password(folder: Path, tmp_path: Path) -> None:
    private, public = make_key(tmp_path, "locked", b"open sesame")
    out = tmp_path / "sig"
    signing.sign(folder, out, signing.Key(private, "open sesame"))
    signing.verify(folder, out, public)
    for password in (None, "guess"):
        with pytest.raises(ConfigError) as caught:
            signing.sign(folder, out, signing.Key(private, password))
        assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(signing.Key(private, "open sesame"))


def test_unusable_keys_are_told(folder: Path, bundle: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = make_key(tmp_path, "edwards", private=ed25519.Ed25519PrivateKey.generate())
    (tmp_path / "noise").write_bytes(b"\0noise")
    for key in (private, keys[1], tmp_path / "noise", tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError):
            signing.sign(folder, tmp_path / "sig", key)
    for key in (public, keys[0], tmp_path / "noise", tmp_path / "none"):
        with pytest.raises(ConfigError):
            signing.verify(folder, bundle, key)
    assert not (tmp_path / "sig").exists()


def test_a_signature_inside_what_it_signs_is_refused(folder: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="beside"):
        signing.sign(folder, folder / "model.sig", keys[0])


def test_the_environment_chooses(tmp_path: Path) -> None:
    assert signing.signer({}) is None
    assert signing.signer({"MAINLINE_SIGNING": "off", "MAINLINE_SIGNING_KEY": "k"}) is None
    assert signing.signer({"MAINLINE_SIGNING_KEY": "k"}) == signing.Key(Path("k"))
    protected = {"MAINLINE_SIGNING_KEY": "k", "MAINLINE_SIGNING_PASSWORD": "p"}
    assert signing.signer(protected) == signing.Key(Path("k"), "p")
    assert signing.signer({"MAINLINE_SIGNING": "keyless"}) == signing.Keyless()
    for wrong in ("yes", "key"):
        with pytest.raises(ConfigError):
            signing.signer({"MAINLINE_SIGNING": wrong})
    assert signing.trusted({}) is None
    assert signing.trusted({"MAINLINE_PUBLIC_KEY": "k"}) == signing.Key(Path("k"))
    assert signing.trusted({"MAINLINE_IDENTITY": "me"}) == signing.Keyless("me")
    assert signing.trusted({"MAINLINE_IDENTITY": "me", "MAINLINE_ISSUER": "x"}) == signing.Keyless("me", "x")
    with pytest.raises(ConfigError):
        signing.trusted({"MAINLINE_PUBLIC_KEY": "k", "MAINLINE_IDENTITY": "me"})


def test_keyless_without_an_identity_is_told_and_opens_no_browser(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name for name in os.environ if name.startswith(("GITHUB_", "ACTIONS_", "GITLAB_", "CIRCLE"))
    ]:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match="identity"):
        signing.sign(folder, tmp_path / "sig", signing.Keyless())
    monkeypatch.setenv("GITHUB_ACTIONS", "true")  # a job without `id-token: write`
    with pytest.raises((ConfigError, ServiceError), match="identity"):
        signing.sign(folder, tmp_path / "sig", signing.Keyless())


def test_the_documented_commands_make_a_pair(folder: Path, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("no openssl here")
    commands = [
        line.strip() for line in (signing.__doc__ or "").splitlines() if line.startswith("    openssl")
    ]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    signing.sign(folder, tmp_path / "sig", tmp_path / "signing.key")
    signing.verify(folder, tmp_path / "sig", tmp_path / "signing.pub")


def test_sigstore_is_imported_only_when_it_is_needed() -> None:
    code = (
        "import sys, mainline.signing; sys.exit('model_signing' in sys.modules or 'sigstore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
