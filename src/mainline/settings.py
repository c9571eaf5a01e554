"""Strict parsing of `params.yaml`: an unknown or missing key, or a wrong type, fails with its full name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mainline.errors import ConfigError

PARAMS = Path("params.yaml")
# Sections of the control plane: never parameters of a stage, so that no change of a gate trains anything.
CONTROL = ("gate", "release", "monitor")


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month, written `2013-10`."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: object, *, name: str = "month") -> Month:
        """Raises ConfigError unless `text` is YYYY-MM."""
        try:
            if not isinstance(text, str) or len(text) != 7:
                raise ValueError(text)
            day = date.fromisoformat(f"{text}-01")
        except ValueError:
            raise ConfigError(
                f"{name} is {text!r}, not a month", remedy="write it as YYYY-MM, for example 2013-10"
            ) from None
        return cls(day.year, day.month)

    def plus(self, months: int) -> Month:
        """The month that many months later (earlier when negative)."""
        index = self.year * 12 + self.month - 1 + months
        return Month(index // 12, index % 12 + 1)

    def since(self, other: Month) -> int:
        """Months from the other one to this (negative: it is earlier)."""
        return (self.year - other.year) * 12 + self.month - other.month

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


class _Once(yaml.SafeLoader):
    """Of a key that stands there twice, YAML takes the last one without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As it is written: later PyYAML puts merged keys beside those that override them."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} stands there twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return node


def read(path: Path = PARAMS) -> dict[str, Any]:
    """The raw mapping of a parameter file. Raises ConfigError when it cannot be read as one."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Once)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", remedy="run from the root of the repository") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML", why=str(error)) from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no sections", remedy="see the params.yaml of the template")
    return content


class Section(BaseModel):
    """Base of every section: frozen, and nothing unknown, missing or of another type gets in."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def parse(content: dict[str, Any], kind: type[S], *, name: str = PARAMS.name) -> S:
    """Parse a whole parameter mapping; every problem is listed at once, by the full name of its key.

    Raises ConfigError.
    """
    try:
        return kind.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors()]
        raise ConfigError(
            f"{name}: {'; '.join(problems)}", remedy="correct the named keys; nothing was run"
        ) from None


def _problem(detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    match detail["type"]:
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden":
            return f"{key} is not a known key"
        case _:
            message = detail["msg"][0].lower() + detail["msg"][1:]
            return f"{key}: {message} (it is {detail['input']!r}){_hint(detail['input'])}"


def _hint(value: object) -> str:
    """YAML 1.1 reads 2e-3 as text; people mean a number."""
    try:
        return f"; YAML wants it written as {float(value):.15g}" if isinstance(value, str) else ""
    except ValueError:
        return ""
