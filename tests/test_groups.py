"""Tests of one `xdist_group` run in one worker, so that what is dear is made once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUITE = """
import os, pathlib, pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_where(number):
    pathlib.Path(os.environ["PYTEST_XDIST_WORKER"]).touch()
"""


def test_a_group_shares_a_worker(tmp_path: Path) -> None:
    """pytest 9.2 hid the groups from xdist 3.8, without a word: `make test-all` took ten minutes more."""
    (tmp_path / "test_where.py").write_text(SUITE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    options = ("-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_where.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert "8 passed" in done.stdout, done.stdout + done.stderr
    assert len(list(tmp_path.glob("gw*"))) == 1
