from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving import build
from serving.process import Running, running
from tests.imports import ROOT

LIMITS = {"SERVING_MAX_ROWS": "50", "SERVING_MAX_BYTES": "60000", "SERVING_BODY_SECONDS": "1"}


@pytest.fixture(scope="session")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(build.build(ROOT, "v0.0.1", tmp_path_factory.mktemp("bento"))["path"])


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def service(bento: Path, log: Path) -> Iterator[Running]:
    """The Bento as a process, with small limits."""
    with running("--bento", str(bento), extra={**LIMITS, "SERVING_LOG_PATH": str(log)}) as started:
        yield started
