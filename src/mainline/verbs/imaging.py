"""What a person may say of a version's image and run, and what of that is too late."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mainline import policy, promotion, releases
from mainline.errors import ConfigError
from mainline.promotion import Book
from mainline.versions import Next

FORMS: tuple[tuple[str, Any, str], ...] = (
    ("image", releases.Image, "NAME@sha256:… and 64 hexadecimal digits"),
    ("mlflow_run", releases.Run, "the run's id: letters, digits, - and _, 64 at most"),
)


def check(options: argparse.Namespace) -> None:
    """Raises ConfigError at the start for what the record would refuse when all is built."""
    for flag, kind, form in FORMS:
        try:
            TypeAdapter(kind | None).validate_python(getattr(options, flag))
        except ValidationError:
            shown = ascii(getattr(options, flag)[:100])
            raise ConfigError(f"--{flag.replace('_', '-')} is {shown}", remedy=f"give {form}") from None
    policy.registry()


def made(options: argparse.Namespace, book: Book, step: Next) -> None:
    """A record is never changed. Raises ConfigError when this version has not the image that is given."""
    has = promotion.record(book.model, step.version, book.versions()[step.version]).image
    if options.image is not None and options.image != has:
        raise ConfigError(
            f"{step.version} is made, {f'with the image {has}' if has else 'without an image'}",
            why=f"what HEAD packages is {step.version} already, and what its tag says stays as it is",
            remedy="a change of the model or of the service makes a new version: promote that with --image",
        )
    if has is None and policy.registry():
        print(f"warning: {step.version} has no image, and gets none: the next version does", file=sys.stderr)
