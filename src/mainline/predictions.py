"""The adapter that finds one request's predictions in the service's log files (JSON lines)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mainline.errors import RecordError

LONGEST = 1_000_000  # bytes of a line; more is not the service's


def find(place: Path, request: str) -> list[dict[str, Any]]:
    """The lines of a request, from a file or all *.jsonl of a folder. Raises RecordError for none."""
    files = sorted(one for one in place.glob("*.jsonl") if one.is_file()) if place.is_dir() else [place]
    if not place.exists():
        raise RecordError(f"{place} does not exist", remedy="--log: the folder that the service writes to")
    if not files:
        raise RecordError(f"{place} has no log", remedy="--log: the folder that the service writes to")
    wanted = json.dumps(request)[1:-1].encode()  # as it stands in the line, before anything is parsed
    found = [one for file in files for one in _lines(file, wanted) if one.get("request_id") == request]
    if not found:
        raise RecordError(
            f"no prediction of request {request[:80]!r} in {len(files)} file(s) of {place}",
            remedy="older files may have been removed; is this the log of that service?",
        )
    return found


def _lines(file: Path, wanted: bytes) -> Iterator[dict[str, Any]]:
    """Of those that hold the text, each that is a JSON object; a line that a kill cut short is none."""
    with file.open("rb") as lines:
        while line := lines.readline(LONGEST):
            if wanted not in line:
                continue
            try:
                content = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict):
                yield content
