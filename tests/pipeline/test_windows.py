"""Windows end with data.as_of, touch, and never overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline.errors import ConfigError
from mainline.settings import Month
from pipeline import windows
from pipeline.params import Data

LENGTH = st.integers(1, 30)


@given(st.integers(1950, 2100), st.integers(1, 12), LENGTH, LENGTH, LENGTH)
def test_windows_touch_and_end_with_as_of(year: int, month: int, train: int, valid: int, test: int) -> None:
    last = Month(year, month)
    data = Data(as_of=str(last), train_months=train, validation_months=valid, test_months=test)
    cut = windows.split(data)
    months = [month for _, window in cut.items() for month in window.months()]
    assert [len(window.months()) for _, window in cut.items()] == [train, valid, test]
    assert months[-1] == last
    assert months == [last.plus(index - len(months) + 1) for index in range(len(months))]
    assert cut.train.last < cut.validation.first
    windows.check(cut, months)


def test_a_month_that_is_not_there_is_named_with_what_is() -> None:
    data = Data(as_of="2013-10", train_months=2, validation_months=1, test_months=1)
    months = [Month(2013, number) for number in (8, 9, 10)]
    with pytest.raises(ConfigError, match="train needs 2013-07") as caught:
        windows.check(windows.split(data), months)
    assert "2013-08 to 2013-10" in str(caught.value)
    with pytest.raises(ConfigError, match="no month at all"):
        windows.check(windows.split(data), [])
