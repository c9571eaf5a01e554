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


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("http://collector:4318", "http://collector:4318/v1/logs"),
        ("https://collector/", "https://collector/v1/logs"),
        ("https://collector/otlp/v1/logs?tenant=a", "https://collector/otlp/v1/logs?tenant=a"),
    ],
)
def test_a_collector_is_named_by_its_address(given: str, called: str) -> None:
    found = settings.load({"SERVING_LOG": "otlp", "SERVING_LOG_ENDPOINT": given})
    assert monitors.options(found)["monitor_options"]["endpoint"] == called


@pytest.mark.parametrize(
    "given", [None, "", "collector:4318", "file:///etc/passwd", "http://", "http://a:b@c"]
)
def test_a_log_without_a_collector_is_refused(given: str | None) -> None:
    environment = {"SERVING_LOG": "otlp"} | ({} if given is None else {"SERVING_LOG_ENDPOINT": given})
    with pytest.raises(ConfigError, match="SERVING_LOG_ENDPOINT"):
        settings.load(environment)


def test_headers_are_written_as_for_opentelemetry() -> None:
    found = settings.load({"SERVING_LOG_HEADERS": "authorization=Bearer%20a%3Db, x-tenant = one,"})
    assert found.log_headers == {"authorization": "Bearer a=b", "x-tenant": "one"}
    assert "Bearer" not in repr(found)


@pytest.mark.parametrize("given", ["s3cret", "a=s3cret%0d%0ax: y", "a b=s3cret", "=s3cret", "a=s3cré"])
def test_a_wrong_header_is_refused_without_telling_it(given: str) -> None:
    with pytest.raises(ConfigError, match="SERVING_LOG_HEADERS") as caught:
        settings.load({"SERVING_LOG_HEADERS": given})
    assert "s3cr" not in str(caught.value)
