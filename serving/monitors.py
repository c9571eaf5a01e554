"""Which backend of `bentoml.monitor` takes the predictions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bentoml._internal.monitoring.base import NoOpMonitor
from bentoml.monitoring import MonitorBase

from mainline.errors import ConfigError
from serving.prediction_log import FileMonitor
from serving.settings import Settings

NAME = "predictions"


def options(settings: Settings) -> dict[str, Any]:
    """Arguments of `bentoml.monitor`. Raises ConfigError."""
    match settings.log:
        case "file":
            folder = str(settings.log_path)
            given = {"folder": folder, "longest": settings.log_bytes, "keep": settings.log_keep}
            return {"monitor_class": FileMonitor, "monitor_options": given}
        case "otlp":
            return {"monitor_class": _otlp(), "monitor_options": {"endpoint": settings.log_endpoint}}
        case _:
            return {"monitor_class": NoOpMonitor, "monitor_options": {}}


def _otlp() -> type[MonitorBase[Any]]:
    """BentoML's own backend, value by value. It sends in batches: a kill loses the last one."""
    try:
        from bentoml._internal.monitoring.otlp import OTLPMonitor
    except Exception as error:
        raise ConfigError(
            "SERVING_LOG=otlp needs the OpenTelemetry exporter",
            why=str(error),
            remedy="install opentelemetry-exporter-otlp beside the service",
        ) from None

    class Otlp(OTLPMonitor):
        def log_table(self, data: Iterable[Any], schema: dict[str, str]) -> None:  # noqa: ARG002
            for record in data:
                for name, value in record.items():
                    self.log(value, name, "prediction", "categorical")

    return Otlp
