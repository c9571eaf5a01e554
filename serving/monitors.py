"""Which backend of `bentoml.monitor` takes the predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bentoml._internal.monitoring.base import NoOpMonitor
from bentoml.monitoring import MonitorBase

from mainline.errors import ConfigError
from serving.prediction_log import FileMonitor
from serving.settings import Settings

NAME = "predictions"


def options(
    settings: Settings, about: Mapping[str, str] | None = None, lost: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Arguments of `bentoml.monitor`. Raises ConfigError.

    `about`: what is sent once for many lines; `lost` is called with the number of lines that were lost.
    """
    match settings.log:
        case "file":
            folder = str(settings.log_path)
            given = {"folder": folder, "longest": settings.log_bytes, "keep": settings.log_keep}
            return {"monitor_class": FileMonitor, "monitor_options": given}
        case "otlp":
            given = {
                "endpoint": settings.log_endpoint,
                "headers": settings.log_headers,
                "longest": settings.log_bytes,
                "about": about,
                "lost": lost,
            }
            return {"monitor_class": _otlp(), "monitor_options": given}
        case _:
            return {"monitor_class": NoOpMonitor, "monitor_options": {}}


def flush(monitor: MonitorBase[Any]) -> None:
    """At a stop: have sent what a backend holds back. Blocks, for some seconds at most."""
    if flushing := getattr(monitor, "flush", None):
        flushing()


def _otlp() -> type[MonitorBase[Any]]:
    try:
        from serving.otlp import OtlpMonitor
    except ImportError as error:
        raise ConfigError(
            "SERVING_LOG=otlp needs OpenTelemetry's protocol",
            why=str(error),
            remedy="install opentelemetry-proto beside the service; its image has it",
        ) from None
    return OtlpMonitor
