from __future__ import annotations

import pytest

from mainline.errors import ConfigError
from serving import monitors, settings


def test_settings_come_from_the_environment() -> None:
    found = settings.load({"SERVING_MAX_ROWS": "7", "SERVING_LOG": "off", "HOME": "/"})
    assert (found.max_rows, found.log) == (7, "off")


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_ROWS", "0"), ("MAX_ROWS", "x"), ("LOG", "elsewhere"), ("MAX_ROW", "7")]
)
def test_an_unknown_or_wrong_setting_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"SERVING_{name}"):
        settings.load({f"SERVING_{name}": value})


def test_a_log_that_is_off_takes_anything() -> None:
    kind = monitors.options(settings.load({"SERVING_LOG": "off"}))["monitor_class"]
    kind("p").log_table([{"x": 1}], {})
