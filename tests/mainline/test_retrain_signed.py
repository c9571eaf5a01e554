"""Where tags must be signed the bot knows production by signed ones alone, as the gate and a release do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mainline import ledger, releases, watched
from mainline.bot import clone
from mainline.git import Git
from mainline.promotion import PRODUCTION
from tests import clones, tagging
from tests.clones import git
from tests.imports import ROOT
from tests.mainline.retraining import MODEL

FIRST = f"{MODEL}#production#1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone whose allowed signers are nobody yet; main is on origin."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["release"]["model"] = MODEL  # a fork's has another name
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    (root / "signers").write_text(f"test@example.org {(tmp_path / 'key.pub').read_text()}")
    clones.commit(root, "first")
    git(root, "clone", "--quiet", "--bare", ".", str(tmp_path / "origin.git"))
    git(root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(root, "config", "user.signingkey", str(tmp_path / "key"))
    return root


def by_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ledger.ALLOWED, (root / "signers").read_text())


def by_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(root, "config", ledger.SIGNERS, str(root / "signers"))


def by_relative_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git takes it from where it runs: the work tree's root, and not the bot's clone."""
    git(root, "config", ledger.SIGNERS, "signers")


def by_included_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git takes its path from where the configuration lies, which the bot copies elsewhere."""
    (root / ".git/team").write_text(f'[gpg "ssh"]\n\tallowedSignersFile = {root / "signers"}\n')
    git(root, "config", "include.path", "team")


def tag(root: Path, name: str, message: str, *, signed: bool) -> str:
    how = ("-c", "gpg.format=ssh") if signed else ()
    git(root, *tagging.IDENTITY, *how, "tag", "--sign" if signed else "--annotate", "--cleanup=verbatim",
        "--message", message, name)  # fmt: skip
    git(root, "push", "--quiet", "origin", f"refs/tags/{name}")
    return git(root, "rev-parse", f"refs/tags/{name}")


def version(root: Path, number: str, *, signed: bool) -> str:
    """A version at main's commit; what a stage tag says of it."""
    name = f"{MODEL}@{number}"
    record = tagging.record(MODEL, number, git(root, "rev-parse", "HEAD"))
    return f"words\n\nVersion-Tag: {name} {tag(root, name, releases.write(record, 'words'), signed=signed)}\n"


def production(root: Path) -> str | None:
    with clone.opened(Git(root)) as found:
        return found.production()


@pytest.mark.parametrize("told", [by_environment, by_path, by_relative_path, by_included_file])
def test_whoever_may_not_sign_does_not_say_what_is_in_production(
    root: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    one = version(root, "v1.0.0", signed=True)
    two = version(root, "v2.0.0", signed=False)
    tag(root, FIRST, one, signed=True)
    tag(root, f"{MODEL}#production#2", two, signed=False)
    assert production(root) == "v2.0.0", "nobody is asked to sign"
    told(root, monkeypatch)
    assert production(root) == "v1.0.0"


def test_a_signed_tag_by_hand_brings_no_version_that_nobody_signed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names none; and who may push tags, and not sign, put a newer version at the same commit."""
    tag(root, FIRST, version(root, "v1.0.0", signed=True), signed=True)
    tag(root, f"{MODEL}#production#2", "by hand\n", signed=True)
    version(root, "v9.0.0", signed=False)
    by_environment(root, monkeypatch)
    assert production(root) == "v1.0.0"


def test_the_watch_asks_the_same_tags_as_the_bot(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = version(root, "v1.0.0", signed=True)
    tag(root, FIRST, one, signed=True)
    tag(root, f"{MODEL}#production#2", version(root, "v2.0.0", signed=False), signed=False)
    by_environment(root, monkeypatch)
    book = ledger.refresh(Git(root), MODEL)
    turn, _, passed = watched.current(Git(root), book, PRODUCTION)
    assert str(turn.version) == "v1.0.0"
    assert len(passed) == 1 and f"{MODEL}#production#2" in passed[0]
