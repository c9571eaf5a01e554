"""Keys of rows that a test makes up, of the type that the use case's have."""

from __future__ import annotations

import hashlib

from usecase.schema import FEATURES


def named(name: str) -> str | int:
    """That name, or where keys are numbers one that stands for it."""
    if FEATURES.key.dtype == "string":
        return name
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])
