"""What the environment may set: `SERVING_*`, parsed once and strictly."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from mainline.errors import ConfigError

PREFIX = "SERVING_"
HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) *=([\x20-\x7e]*)")
LOGS = "/v1/logs"  # of OTLP, where a collector's address has no path


def _headers(text: str) -> dict[str, str]:
    """`name=value,name=value` with %XX in values, as OTEL_EXPORTER_OTLP_HEADERS. Its values are secrets."""
    found = [HEADER.fullmatch(unquote(part.strip())) for part in text.split(",") if part.strip()]
    if None in found:
        raise ValueError("write them like name=value,name=value")
    return {one[1]: one[2].strip() for one in found if one}


class Settings(BaseModel):
    """One field a variable: `max_rows` is SERVING_MAX_ROWS.

    `log`: where predictions go; `log_path` is the folder of `file`; `log_endpoint` the collector of `otlp`,
    and `log_headers` what it asks for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    log: Literal["file", "otlp", "off"] = "file"
    log_path: Path = Path(".mainline/serving")
    log_bytes: int = Field(
        64_000_000,
        ge=10_000,
        description="a file is set aside when it has grown so long; of otlp, so much waits",
    )
    log_keep: int = Field(20, ge=1, description="files set aside that are kept")
    log_endpoint: str = Field("", validate_default=True)
    log_headers: Annotated[dict[str, str], BeforeValidator(_headers)] = Field({}, repr=False)
    max_rows: int = Field(1000, ge=1, le=100_000)
    max_bytes: int = Field(2_000_000, ge=1000)
    body_seconds: float = Field(10, gt=0, description="within which a request's body must have come")
    key: Path | None = Field(None, description="public key; a model that it did not sign is not opened")

    @field_validator("log_endpoint")
    @classmethod
    def _collector(cls, text: str, info: ValidationInfo) -> str:
        if info.data.get("log") != "otlp":
            return text
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("should be the collector's address, like http://collector:4318")
        return text if parts.path.strip("/") else parts._replace(path=LOGS).geturl()


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
