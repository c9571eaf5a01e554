"""`make setup` on a machine without uv: pip brings one into .tools, where a system's Python is locked too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.imports import ROOT

VERSION = re.search(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
SYSTEM = Path("/usr/bin/python3")


def _make(folder: Path, *arguments: str, **names: str) -> subprocess.CompletedProcess[str]:
    """With the tools of the system alone on the PATH."""
    shutil.copy(ROOT / "Makefile", folder)
    tools = folder / "tools"
    tools.mkdir()
    for name in ("bash", "make", "python3", "awk", "grep"):
        (tools / name).symlink_to(names.get(name) or str(shutil.which(name)))
    env = {"PATH": str(tools), "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**_network(), **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def _network() -> dict[str, str]:
    """What this machine needs to reach its package index."""
    names = ("PIP_", "SSL_", "HTTP_", "HTTPS_", "NO_PROXY", "REQUESTS_")
    return {name: value for name, value in os.environ.items() if name.upper().startswith(names)}


def test_without_uv_pip_is_told_to_bring_this_version_into_the_folder(tmp_path: Path) -> None:
    done = _make(tmp_path, "--dry-run", "setup")
    assert done.returncode == 0, done.stderr
    assert VERSION is not None
    flat = " ".join(done.stdout.replace("\\\n", " ").split())
    assert re.search(rf'-m pip install .*--target \.tools/uv "uv=={re.escape(VERSION[1])}"', flat), flat
    assert ".tools/uv/bin/uv sync --locked" in flat


def test_a_uv_on_the_path_is_taken(tmp_path: Path) -> None:
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        ["make", "--dry-run", "setup"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert f"{tmp_path}/uv sync --locked" in done.stdout and "pip install" not in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(
    not any(Path("/usr/lib").glob("python3*/EXTERNALLY-MANAGED")),
    reason="no Python that refuses pip (PEP 668)",
)
def test_a_python_that_refuses_pip_brings_it_all_the_same(tmp_path: Path) -> None:
    refused = subprocess.run(
        [SYSTEM, "-m", "pip", "install", "--dry-run", "uv"], capture_output=True, text=True, env=_network()
    )
    if "No module named pip" in refused.stderr:
        pytest.skip("the system's Python has no pip")
    assert "externally-managed-environment" in refused.stderr, refused.stderr
    done = _make(tmp_path, ".tools/uv/bin/uv", python3=str(SYSTEM))
    assert done.returncode == 0, done.stderr
    assert VERSION is not None
    said = subprocess.run([tmp_path / ".tools/uv/bin/uv", "--version"], capture_output=True, text=True)
    assert said.stdout.split()[:2] == ["uv", VERSION[1]]
