"""Time-ordered windows: validation and test are always the latest months."""

from __future__ import annotations

from dataclasses import dataclass

from mainline.errors import ConfigError
from mainline.settings import Month
from pipeline.params import Data


@dataclass(frozen=True, slots=True)
class Window:
    """Whole months, both ends included."""

    first: Month
    last: Month

    def months(self) -> list[Month]:
        count = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1
        return [self.first.plus(index) for index in range(count)]


@dataclass(frozen=True, slots=True)
class Windows:
    """Train before validation before test, without a gap and without overlap."""

    train: Window
    validation: Window
    test: Window

    def items(self) -> list[tuple[str, Window]]:
        return [("train", self.train), ("validation", self.validation), ("test", self.test)]


def split(data: Data) -> Windows:
    """The three windows that end with `data.as_of`."""
    last = data.last_month
    test = Window(last.plus(1 - data.test_months), last)
    validation = Window(test.first.plus(-data.validation_months), test.first.plus(-1))
    train = Window(validation.first.plus(-data.train_months), validation.first.plus(-1))
    return Windows(train, validation, test)


def check(windows: Windows, available: list[Month]) -> None:
    """Raises ConfigError unless every month of every window is available."""
    missing = [
        f"{name} needs {month}"
        for name, window in windows.items()
        for month in window.months()
        if month not in available
    ]
    if missing:
        have = f"{min(available)} to {max(available)}" if available else "no month at all"
        raise ConfigError(
            f"the windows of params.yaml reach outside the data: {'; '.join(missing)}",
            why=f"the source has {have}",
            remedy="change data.as_of or the window lengths (data.*_months)",
        )
