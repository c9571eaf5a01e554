"""Batch scoring: rows a second and the most memory, from Parquet, DuckDB and PostgreSQL into each.

Rows are a month of flights, many times: first few, then ten times as many, so that memory which grows with
them shows. `--quick`: 20,000 and 200,000 instead of 100,000 and 1,000,000. PostgreSQL is left out where it is
not installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from serving import build
from tests.deploy.test_compose import POSTGRES, postgres
from tests.imports import ROOT
from tests.ports import free_port
from usecase.schema import FEATURES

SIZES = (20_000, 200_000) if "--quick" in sys.argv else (100_000, 1_000_000)
WORD = "bench"


def main() -> int:
    print(f"load {os.getloadavg()[0]:.1f}; rows, rows/s, and the most memory of the process")
    with tempfile.TemporaryDirectory() as name:
        bento = build.build(ROOT, "v0.0.1", Path(name))
        for rows in SIZES:
            folder = Path(name) / str(rows)
            _tile(folder / "rows", rows)
            _files_and_duckdb(bento, folder, rows)
            if POSTGRES:
                _postgresql(bento, folder, rows)
    return 0


def _files_and_duckdb(bento: dict[str, object], folder: Path, rows: int) -> None:
    given, base = folder / "rows", folder / "base.duckdb"
    _show("Parquet to Parquet", rows, bento, str(given), str(folder / "out"))
    with duckdb.connect(str(base)) as database:
        database.execute("CREATE TABLE rows AS SELECT * FROM read_parquet($1)", [f"{given}/*.parquet"])
    _show("DuckDB to Parquet", rows, bento, f"duckdb:{base}?table=rows", str(folder / "duck"))
    _show("Parquet to DuckDB", rows, bento, str(given), f"duckdb:{folder}/scores.duckdb?table=scores")
    _show("DuckDB to DuckDB", rows, bento, f"duckdb:{base}?table=rows", f"duckdb:{base}?table=scores")


def _postgresql(bento: dict[str, object], folder: Path, rows: int) -> None:
    with _server() as address:
        _show("Parquet to PostgreSQL", rows, bento, str(folder / "rows"), f"{address}?table=scores")
        _fill(address, folder / "rows")
        _show("PostgreSQL to Parquet", rows, bento, f"{address}?table=rows", str(folder / "pg"))


def _tile(folder: Path, rows: int) -> None:
    """Copies of the test month in files of about 100,000 rows, each with keys of its own."""
    folder.mkdir(parents=True)
    month, key = pl.read_parquet(ROOT / "data/features/test.parquet"), FEATURES.key.name
    if month.schema[key] != pl.String():
        raise SystemExit("the bench makes keys out of strings; this use case has others")
    copies = -(-rows // month.height)
    for first in range(0, copies, 4):
        parts = [month.with_columns(pl.col(key) + f"_{n}") for n in range(first, min(first + 4, copies))]
        left = max(rows - first * month.height, 0)
        pl.concat(parts).head(left).write_parquet(folder / f"{first:03}.parquet")


def _show(label: str, rows: int, bento: dict[str, object], given: str, out: str) -> None:
    command = [
        sys.executable, "-m", "serving.batch", "--input", given, "--output", out, "--json",
        "--bento", str(bento["path"]), "--sha256", str(bento["sha256"]),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        print(f"{label:22} {rows:>9,} failed with exit code {process.returncode}")
        return
    speed = json.loads(said)["rows_per_second"]
    print(f"{label:22} {rows:>9,} {speed:>9,}  {used.ru_maxrss / 1024:,.0f} MB", flush=True)


def _fill(address: str, given: Path) -> None:
    import psycopg

    kinds = {
        "string": "text",
        "int64": "bigint",
        "float64": "float8",
        "date": "date",
        "datetime": "timestamp",
    }
    wanted = {c.name: kinds[c.dtype] for c in (FEATURES.key, FEATURES.time, *FEATURES.features)}
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE rows ({', '.join(f'{n} {k}' for n, k in wanted.items())})".encode())
        for path in sorted(given.glob("*.parquet")):
            with cursor.copy("COPY rows FROM STDIN (FORMAT csv)") as copy:
                frame = pl.read_parquet(path, columns=list(wanted)).select(list(wanted))
                copy.write(frame.write_csv(include_header=False).encode())


@contextmanager
def _server() -> Iterator[str]:
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    port = free_port()
    os.environ["PGPASSWORD"] = WORD
    try:
        with postgres(folder, port, WORD):
            yield f"postgresql://mlflow@127.0.0.1:{port}/mlflow"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
