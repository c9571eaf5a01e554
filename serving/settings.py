"""What the environment may set: `SERVING_*`, parsed once and strictly."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mainline.errors import ConfigError

PREFIX = "SERVING_"


class Settings(BaseModel):
    """One field a variable: `max_rows` is SERVING_MAX_ROWS.

    `log`: where predictions go; `log_path` is the folder of `file`, `log_endpoint` the collector of `otlp`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    log: Literal["file", "otlp", "off"] = "file"
    log_path: Path = Path(".mainline/serving")
    log_bytes: int = Field(64_000_000, ge=10_000, description="a file is set aside when it has grown so long")
    log_keep: int = Field(20, ge=1, description="files set aside that are kept")
    log_endpoint: str = ""
    max_rows: int = Field(1000, ge=1, le=100_000)
    max_bytes: int = Field(2_000_000, ge=1000)
    body_seconds: float = Field(10, gt=0, description="within which a request's body must have come")
    key: Path | None = Field(None, description="public key; a model that it did not sign is not opened")


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises ConfigError naming every variable that is unknown or wrong."""
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX)
    }
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        problems = [f"{PREFIX}{str(one['loc'][0]).upper()}: {one['msg'].lower()}" for one in error.errors()]
        known = ", ".join(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)
        raise ConfigError("; ".join(problems), remedy=f"known are {known}") from None
