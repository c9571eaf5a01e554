"""`python -m monitoring replay`: send the rows of real months to a running service, in order of time.

The features are computed from the source's raw data, as the pipeline does; faults are put into them first.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

import polars as pl

from mainline.errors import ConfigError, DataError, ServiceError
from mainline.schema import FeatureTable
from mainline.settings import Month
from monitoring import faults, labels
from pipeline import params
from usecase.schema import FEATURES

AT_ONCE = 1000  # rows a request; the service takes no more
SECONDS = 60.0  # for one answer
EXAMPLES = """examples:
  python -m monitoring replay --months 2013-11 2013-12 --url http://127.0.0.1:3000
  python -m monitoring replay --months 2013-11 --url http://[::1]:3000 --fault unit:temp --since 2013-11-15
"""


def main(arguments: list[str]) -> int:
    """Send all rows. Raises ConfigError, DataError, SourceError, ServiceError."""
    options = _parser().parse_args(arguments)
    found = [faults.parse(text, options.since) for text in options.fault]
    if any(fault.kind == "flip" for fault in found):
        raise ConfigError("flip changes labels, and those are not sent", remedy="choose another fault")
    rows = months(sorted(Month.parse(text, name="--months") for text in options.months))
    rows = rows.head(options.rows) if options.rows else rows
    for fault in found:
        rows = faults.apply(rows, fault)
    started = time.perf_counter()
    sent = send(rows, options.url, options.speed, _progress(rows.height))
    seconds = time.perf_counter() - started
    print(json.dumps({"rows": sent, "faults": [one.name for one in found], "seconds": round(seconds, 2)}))
    return 0


def months(wanted: list[Month]) -> pl.DataFrame:
    """Key, time and features of these months, ordered by time, then key. Raises DataError for no rows."""
    first, last = wanted[0].first_day, wanted[-1].plus(1).first_day - timedelta(days=1)
    table = labels.from_source(params.load(), first, last, 0).anew
    assert table is not None  # noqa: S101
    day = pl.col(FEATURES.time.name).cast(pl.Date)
    inside = table.filter(day.dt.truncate("1mo").is_in([month.first_day for month in wanted]))
    if not inside.height:
        raise DataError(
            f"the source has no rows in {', '.join(map(str, wanted))}", remedy="choose other months"
        )
    return inside.sort(FEATURES.time.name, FEATURES.key.name)


def send(
    rows: pl.DataFrame,
    url: str,
    speed: float | None = None,
    progress: Callable[[int], None] | None = None,
    table: FeatureTable = FEATURES,
) -> int:
    """Ask for AT_ONCE rows at a time, `speed` rows a second at most; how many were answered.

    Raises ServiceError as soon as one request is not.
    """
    names = list(dict.fromkeys(one.name for one in (table.key, table.time, *table.features)))
    connection = _connection(url)
    started, sent = time.perf_counter(), 0
    try:
        for part in rows.select(names).iter_slices(AT_ONCE):
            _ask(connection, url, part)
            sent += part.height
            if progress:
                progress(sent)
            if speed:
                time.sleep(max(0.0, started + sent / speed - time.perf_counter()))
    finally:
        connection.close()
    return sent


def _ask(connection: http.client.HTTPConnection, url: str, part: pl.DataFrame) -> None:
    body = json.dumps({"rows": list(_json(part))}, allow_nan=False).encode()
    try:
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServiceError(
            f"the service at {url} does not answer", why=str(error), remedy="start it: make serve"
        ) from None
    if response.status != 200:
        why = answer[:300].decode("utf-8", errors="replace")
        raise ServiceError(f"the service at {url} refused the rows with status {response.status}", why=why)


def _json(part: pl.DataFrame) -> Iterator[dict[str, object]]:
    """Rows as the service takes them: times as ISO text, what is not finite as null."""
    for row in part.with_columns(pl.selectors.float().fill_nan(None)).iter_rows(named=True):
        yield {
            name: value.isoformat() if isinstance(value, date | datetime) else value
            for name, value in row.items()
        }


def _connection(url: str) -> http.client.HTTPConnection:
    """Raises ConfigError unless `url` is http(s)://host[:port]."""
    try:
        parts = urlsplit(url)
        kinds: dict[str, type[http.client.HTTPConnection]] = {
            "http": http.client.HTTPConnection,
            "https": http.client.HTTPSConnection,
        }
        return kinds[parts.scheme](parts.hostname or "", parts.port, timeout=SECONDS)
    except (KeyError, ValueError):
        raise ConfigError(f"{url!r} is no address", remedy="for example http://127.0.0.1:3000") from None


def _progress(rows: int) -> Callable[[int], None]:
    def told(sent: int) -> None:
        if sent % (10 * AT_ONCE) == 0 or sent == rows:
            print(f"replay: {sent:,} of {rows:,} rows", file=sys.stderr, flush=True)

    return told


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no day", remedy="write it as YYYY-MM-DD") from None


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m monitoring replay",
        description=__doc__.splitlines()[0].partition(": ")[2],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--months", nargs="+", required=True, metavar="YYYY-MM")
    made.add_argument("--url", required=True, help="of the service, or of its deployment's front")
    made.add_argument("--rows", type=int, help="no more than that many")
    made.add_argument(
        "--fault",
        action="append",
        default=[],
        help="stuck:temp, unit:temp, null:seats:0.5, category:origin, airport",
    )
    made.add_argument("--since", type=_day, metavar="DAY", help="the faults' first day (default: all along)")
    made.add_argument("--speed", type=float, metavar="ROWS", help="a second, at most")
    return made
