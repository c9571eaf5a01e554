"""Pure: one value of params.yaml changed, and every other byte as it was."""

from __future__ import annotations

from typing import Any

import yaml

from mainline.errors import ConfigError
from mainline.settings import Month

KEY = ("data", "as_of")


def as_of(text: str) -> Month:
    """`data.as_of` of a parameter file. Raises ConfigError."""
    try:
        content = yaml.safe_load(text)
        value = content["data"]["as_of"]
    except (yaml.YAMLError, KeyError, TypeError):
        raise ConfigError(
            "params.yaml has no data.as_of that could be read", remedy="the bot moves data.as_of"
        ) from None
    return Month.parse(value, name="data.as_of")


def with_as_of(text: str, month: Month) -> str:
    """The same text with another `data.as_of`. Raises ConfigError where that cannot be done in place."""
    before = as_of(text)
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in KEY:
        node = next(value for name, value in node.value if name.value == key)
    start, end = node.start_mark.index, node.end_mark.index
    written = text[start:end]
    changed = text[:start] + written.replace(str(before), str(month)) + text[end:]
    wanted = yaml.safe_load(text)
    wanted["data"]["as_of"] = str(month)
    try:
        done = yaml.safe_load(changed) == wanted
    except yaml.YAMLError:
        done = False
    if not done:
        raise ConfigError(
            "data.as_of of params.yaml cannot be changed in place",
            why="it is written in a way that other values share, or twice",
            remedy="write it as one plain value",
        )
    return changed
