"""Pure: the two values of params.yaml that a retraining moves, and every other byte as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from mainline.errors import ConfigError
from mainline.settings import Month

SECTION = "data"


@dataclass(frozen=True, slots=True)
class Data:
    """`data.as_of`, the last month used, and `data.train_months`, the training window's length in months."""

    as_of: Month
    train_months: int

    def moved(self, to: Month, most: int) -> Data:
        """With data to that month. A window of fewer than `most` months keeps its first one, so it grows with
        the data until it has so many; any other keeps its length and slides.
        """
        grown = self.train_months + max(0, to.since(self.as_of))
        return Data(to, max(self.train_months, min(most, grown)))


def read(text: str) -> Data:
    """Both values of a parameter file. Raises ConfigError."""
    try:
        section = yaml.safe_load(text)[SECTION]
        as_of, train_months = section["as_of"], section["train_months"]
    except (yaml.YAMLError, KeyError, TypeError):
        raise ConfigError(
            "params.yaml has no data.as_of and data.train_months that could be read",
            remedy="a retraining moves them: write both, as the template's params.yaml does",
        ) from None
    if type(train_months) is not int or train_months < 1:  # True is an int, too
        raise ConfigError(
            f"data.train_months is {train_months!r}, not a number of months", remedy="write 1 or more"
        )
    return Data(Month.parse(as_of, name="data.as_of"), train_months)


def written(text: str, data: Data) -> str:
    """The same text with these values. Raises ConfigError where that cannot be done in place."""
    before, wanted = read(text), yaml.safe_load(text)
    wanted[SECTION] |= {"as_of": str(data.as_of), "train_months": data.train_months}
    try:
        changed = _replaced(text, "as_of", str(before.as_of), str(data.as_of))
        changed = _replaced(changed, "train_months", str(before.train_months), str(data.train_months))
        done = yaml.safe_load(changed) == wanted
    except (yaml.YAMLError, StopIteration):
        done = False
    if not done:
        raise ConfigError(
            "data.as_of or data.train_months of params.yaml cannot be changed in place",
            why="it is written in a way that other values share, or twice",
            remedy="write it as one plain value",
        )
    return changed


def _replaced(text: str, name: str, old: str, new: str) -> str:
    """Raises StopIteration where no key of that name is written in the section itself."""
    if old == new:
        return text
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for wanted in (SECTION, name):
        node = next(value for key, value in node.value if key.value == wanted)
    start, end = node.start_mark.index, node.end_mark.index
    return text[:start] + text[start:end].replace(old, new) + text[end:]
