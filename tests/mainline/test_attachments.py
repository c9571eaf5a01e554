"""The key that signs a release, where the environment holds it and no file of the machine does."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mainline import attachments, packaged, signing
from mainline.errors import ConfigError


@pytest.fixture
def key(tmp_path: Path) -> Path:
    made = tmp_path / "signing.key"
    ecparam = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(made)]
    public = ["openssl", "ec", "-in", str(made), "-pubout", "-out", str(made.with_suffix(".pub"))]
    for command in (ecparam, public):
        subprocess.run(command, check=True, capture_output=True)
    return made


def test_a_key_of_the_environment_signs_and_leaves_no_file(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    (tmp_path / "bento").write_text("bento")
    text = key.read_text()
    with attachments._signer({attachments.PEM: f"\n{text}\r\n"}) as by:
        assert isinstance(by, signing.Key)
        assert by.path.stat().st_mode & 0o777 == 0o600 and by.path.parent.stat().st_mode & 0o777 == 0o700
        signing.sign_files([tmp_path / "bento"], tmp_path / "signature.json", by)
    assert list(own.iterdir()) == []
    signing.verify_files([tmp_path / "bento"], tmp_path / "signature.json", key.with_suffix(".pub"))
    said = "".join(capfd.readouterr())
    assert not [line for line in text.splitlines() if line in said]


def test_what_is_no_key_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    (tmp_path / "bento").write_text("bento")
    with (
        pytest.raises(ConfigError, match="cannot sign") as caught,
        attachments._signer({attachments.PEM: "s3cr3t, not a key"}) as by,
    ):
        assert isinstance(by, signing.Key)
        signing.sign_files([tmp_path / "bento"], tmp_path / "signature.json", by)
    assert list(own.iterdir()) == [], "also after a failure"
    assert "s3cr3t" not in str(caught.value) + "".join(capfd.readouterr())


@pytest.mark.parametrize("text", ["", " \n"])
def test_without_one_the_file_counts_or_nothing_signs(key: Path, text: str) -> None:
    with attachments._signer({attachments.PEM: text}) as by:
        assert by is None
    with attachments._signer({attachments.PEM: text, attachments.KEY: str(key)}) as by:
        assert by == signing.Key(key)


def test_two_keys_are_one_too_many_and_keyless_asks_for_none(key: Path) -> None:
    both = {attachments.PEM: key.read_text(), attachments.KEY: str(key)}
    with pytest.raises(ConfigError, match="both"), attachments._signer(both):
        pass
    with attachments._signer({attachments.PEM: key.read_text(), "MAINLINE_SIGNING": "keyless"}) as by:
        assert by == signing.Keyless()


TELLS = f"""
import json, os
names = sorted(name for name in os.environ if name.startswith(("MAINLINE_SIGN", "MAINLINE_TAG")))
path = os.environ.get({attachments.KEY!r})
print(json.dumps({{"names": names, "key": path and open(path).read()}}))
"""


def test_a_key_of_the_environment_signs_the_model_in_the_bento_and_reaches_nobody_else(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CI hands the key over as text; the build, which signs the model inside, is a process of its own."""
    command = [sys.executable, "-c", TELLS]
    secrets = {attachments.PEM: key.read_text(), attachments.PASSWORD: "pw", "MAINLINE_TAG_KEY": "k"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    with attachments.signing_environment(os.environ) as given:
        said = packaged._run(command, "the build", given)
    assert said["names"] == [attachments.KEY, attachments.PASSWORD]
    assert said["key"].strip() == key.read_text().strip()
    assert packaged._run(command, "the check") == {"names": [], "key": None}
