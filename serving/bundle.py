"""Beside the model in a Bento: its name and version, and the vocabularies, to count what is unknown."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from mainline.errors import IntegrityError
from mainline.records import Manifest, Record

NAME = "bundle.json"


class Bundle(Record):
    """`provenance`: what was known of the release when the Bento was built; /provenance shows it."""

    location = Path(NAME)
    version: Literal[1] = 1
    model: str
    release: str
    vocabularies: dict[str, list[str]]
    provenance: dict[str, Any]


def check(bundle: Bundle, manifest: Manifest) -> None:
    """Raises IntegrityError unless the vocabularies are the manifest's."""
    for name, expected in manifest.vocabularies.items():
        values = bundle.vocabularies.get(name)
        text = json.dumps(values, ensure_ascii=True)
        if hashlib.sha256(text.encode()).hexdigest() != expected.sha256:
            raise IntegrityError(
                f"the vocabulary of {name} is not the one in the manifest",
                remedy="build the Bento again: python -m serving.build",
            )
