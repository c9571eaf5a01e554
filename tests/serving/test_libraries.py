"""What the image installs is what the lock names."""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mainline.errors import ConfigError
from mainline.supply import packages
from serving import libraries, signature, staging
from tests.imports import ROOT
from tests.serving.test_rooms import OURS, _imports

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


def _distribution(name: str) -> str:
    """Which installed distribution an imported module, or a name out of one, is of."""
    top, found = name.split(".")[0], None
    for parts in (name.split("."), name.split(".")[:-1]):
        try:
            found = found or importlib.util.find_spec(".".join(parts))
        except ImportError:  # a name, not a module
            continue
    assert found and found.origin, name
    for one in metadata.packages_distributions()[top]:  # several, of a namespace like opentelemetry
        files = metadata.files(one) or []
        if any(file.name == Path(found.origin).name and str(file.locate()) == found.origin for file in files):
            return canonicalize_name(one)
    raise AssertionError(f"no distribution has {name}")


def test_the_image_has_what_the_service_imports() -> None:
    """The tests' environment has more: what others brought was missing in the image, and nobody saw it."""
    asked = {
        name
        for package, modules in staging.CODE.items()
        if package == "serving"
        for module in modules
        if module != "signature"  # model_signing comes with a signature
        for name in _imports(ROOT / package / f"{module}.py")
        if name.split(".")[0] not in OURS | sys.stdlib_module_names
    }
    missing = {_distribution(name) for name in asked} - names(
        libraries.requirements(ROOT, signed=False)
    ).keys()
    assert not missing, f"name {missing} in the group `serving` of pyproject.toml"


def test_nothing_that_trains_is_in_the_image() -> None:
    found = names(libraries.requirements(ROOT, signed=True)).keys()
    assert not found & {"torch", "polars", "pandas", "pyarrow", "scikit-learn", "scipy", "mlflow", "dvc"}


def test_the_image_parses_requests_with_the_parser_that_was_measured() -> None:
    """Uvicorn takes httptools where it is, and else one written in Python, without a word."""
    assert "httptools" in names(libraries.requirements(ROOT, signed=False))
