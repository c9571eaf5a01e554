"""A disk that takes no more ends the watch as what it is: no traceback, no broken store, no wrong label."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mainline.errors import StorageError
from monitoring import disk
from tests.imports import ROOT
from tests.monitoring.test_check import FIRST, days, log, reference  # noqa: F401 - fixture
from tests.monitoring.test_places import keys, s3, upload  # noqa: F401 - fixtures
from tests.slow.test_remote import bucket, endpoint  # noqa: F401 - fixtures

FULL = """
import resource, sys
most = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # what is longer the system refuses, as a full disk
from monitoring import __main__
sys.exit(__main__.main())
"""


def told(most: int, *arguments: str) -> str:
    """What a check says that can write no file of more than `most` bytes."""
    line = [sys.executable, "-c", FULL, str(most), "check", *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == StorageError.exit_code, done.stderr
    assert "Traceback" not in done.stderr and "free disk space" in done.stderr
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("full", ["rows", "footer", "log", "labels"])
def test_a_disk_that_takes_no_more_is_told(
    full: str,
    reference: Path,  # noqa: F811
    s3: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    """While rows are staged, while an object of the log is copied, while one of the labels is."""
    place, out = log(tmp_path / "log", days(20)), tmp_path / "drift.json"
    base = ["--reference", str(reference), "--features", "none", "--out", str(out), "--log"]
    if full in ("rows", "footer"):  # of a Parquet file, where Polars says no number
        assert "check: no room to write" in told(100 if full == "rows" else 2000, *base, str(place))
    elif full == "log":
        said = told(100_000, *base, upload(s3, place, "full/log"))
        assert "network" not in said and "check: no room to write" in said
    else:
        (tmp_path / "labels").mkdir()
        keys = [f"{FIRST} {number}" for number in range(200_000)]
        table = pl.DataFrame({"key": keys, "target": [0] * len(keys)})
        table.write_parquet(tmp_path / "labels/a.parquet", compression="uncompressed")
        said = told(100_000, *base, str(place), "--labels", upload(s3, tmp_path / "labels", "full/labels"))
        assert "network" not in said and "correct the file" not in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(28, "No space left on device"), True),
        (OSError(2, "(os error 28)"), False),
        (OSError("No space left on device (os error 28)"), True),
        (pl.exceptions.ComputeError("parquet: underlying IO error: File too large (os error 27)"), True),
        (pl.exceptions.ComputeError("Disk quota exceeded (os error 122)\n\nwhile it was written"), True),
        (pl.exceptions.ComputeError("No such file or directory (os error 2)"), False),
        (pl.exceptions.InvalidOperationError('conversion failed: ["(os error 28)"]'), False),
        (pl.exceptions.ComputeError(""), False),
        (ValueError("No space left on device (os error 28)"), False),
    ],
)
def test_what_is_a_full_disk(error: Exception, full: bool) -> None:
    assert disk.full(error) is full
