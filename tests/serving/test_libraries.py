"""What the image installs is what the lock names."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mainline.errors import ConfigError
from mainline.supply import packages
from serving import libraries, signature
from tests.imports import ROOT

LOCK = (ROOT / "uv.lock").read_text()


def names(lines: list[str]) -> dict[str, str]:
    return {line.partition("==")[0]: line for line in lines}


def test_each_library_has_the_locks_version_and_every_files_digest() -> None:
    found = names(libraries.requirements(ROOT, signed=False))
    for machine in ("x86_64", "aarch64"):
        for one in packages.locked(LOCK, "serving", packages.linux(machine=machine)):
            pinned, *digests = found[one.name].split(" --hash=sha256:")
            assert str(Requirement(pinned).specifier) == f"=={one.version}"
            assert one.files and {sha256 for _, sha256 in one.files} <= set(digests)


def test_what_checks_a_signature_comes_with_it_and_nothing_else_of_that_group() -> None:
    without = names(libraries.requirements(ROOT, signed=False))
    added = names(libraries.requirements(ROOT, signed=True)).keys() - without.keys()
    assert added >= set(signature.PACKAGES) - without.keys()
    assert "cyclonedx-python-lib" not in added
    assert "cffi" in added, "what cryptography needs"


def test_without_a_lock_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"uv\.lock cannot be read"):
        libraries.requirements(tmp_path, signed=False)
