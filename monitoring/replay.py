"""`python -m monitoring replay`: send the rows of real months to a running service, in order of time.

The features are computed from the source's raw data, as the pipeline does; faults are put into them first. Of
several answers to a key on its day the watch counts the first: replay a fault into a log without these rows.
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

from mainline.errors import ConfigError, DataError, Interrupted, ServiceError
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
    if options.since and not found:
        raise ConfigError("--since is the first day of a --fault, and there is none")
    if any(fault.kind == "flip" for fault in found):
        raise ConfigError("flip changes labels, and those are not sent", remedy="choose another fault")
    _reachable(options.url)
    rows = months(sorted(Month.parse(text, name="--months") for text in options.months))
    rows = rows.head(options.rows) if options.rows else rows
    for fault in found:
        rows = faults.apply(rows, fault)
    print(f"replay: {rows.height:,} rows to {options.url}", file=sys.stderr, flush=True)
    started = time.perf_counter()
    sent = send(rows, options.url, options.speed, _progress(rows.height))
    seconds = time.perf_counter() - started
    print(json.dumps({"rows": sent, "faults": [one.name for one in found], "seconds": round(seconds, 2)}))
    return 0


def months(wanted: list[Month]) -> pl.DataFrame:
    """Key, time and features of these months, ordered by time, then key. Raises DataError for no rows."""
    first, last = wanted[0].first_day, wanted[-1].plus(1).first_day - timedelta(days=1)
    table = labels.from_source(params.load(), first, last, 0).anew
    if table is None:
        raise DataError(f"the source has no row up to {last}", remedy="choose other months")
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
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped after {sent:,} of {rows.height:,} rows, which stand in the service's log",
            remedy="a replay starts at the first row again: answers to the same keys count once",
        ) from None
    finally:
        connection.close()
    return sent


def _reachable(url: str) -> None:
    """Raises ConfigError for no address, ServiceError for nobody there: before the rows are made."""
    connection = _connection(url)
    try:
        connection.connect()
    except OSError as error:
        raise ServiceError(
            f"the service at {url} does not answer", why=str(error), remedy="start it: make serve"
        ) from None
    finally:
        connection.close()


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


def _positive(kind: type[float]) -> Callable[[str], float]:
    def parsed(text: str) -> float:
        try:
            if (value := kind(text)) > 0:
                return value
        except ValueError:
            pass
        raise ConfigError(f"{text!r} is not above 0", remedy="leave the flag out for no limit")

    return parsed


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m monitoring replay",
        description=__doc__.splitlines()[0].partition(": ")[2],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--months", nargs="+", required=True, metavar="YYYY-MM")
    made.add_argument("--url", required=True, help="of the service, or of its deployment's front")
    made.add_argument("--rows", type=_positive(int), help="no more than that many")
    made.add_argument(
        "--fault",
        action="append",
        default=[],
        help="stuck:temp, unit:temp, null:seats:0.5, category:origin, airport",
    )
    made.add_argument("--since", type=_day, metavar="DAY", help="the faults' first day (default: all along)")
    made.add_argument("--speed", type=_positive(float), metavar="ROWS", help="a second, at most")
    return made
