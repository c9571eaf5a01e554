"""A full disk: an error of its own, and no fault of what was read meanwhile."""

from __future__ import annotations

import re

from polars.exceptions import PolarsError

from mainline.errors import DISK_FULL, StorageError

SAID = re.compile(rf"\(os error (?:{'|'.join(map(str, sorted(DISK_FULL)))})\)$", re.MULTILINE)


def full(error: Exception) -> bool:
    """Whether the system took no more. Polars has its number in the text alone, and not always."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in DISK_FULL
    return isinstance(error, (OSError, PolarsError)) and SAID.search(str(error)) is not None


def no_room(error: Exception) -> StorageError:
    """What to say of it."""
    return StorageError(
        "no room to write",
        why=" ".join(str(error).split()),
        remedy="free disk space, above all where TMPDIR points, then run the same command again",
    )
