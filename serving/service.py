"""The BentoML service: predictions over HTTP, with the provenance of the model that makes them."""

from __future__ import annotations

import functools
import gc
import logging
import secrets
import time
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import bentoml
import msgspec
from bentoml.exceptions import BentoMLException
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from serving import monitors, pages, patch, prediction_log, schemas, settings, signature
from serving.limits import Limits
from serving.metrics import Metrics
from serving.model import Model, NoAnswerError
from serving.prediction_log import LogError
from serving.rows import Row, request_model, taken
from usecase.schema import FEATURES

ROOT = Path(__file__).resolve().parents[1]  # holds models/ and bundle.json, see serving/staging.py
SETTINGS = settings.load()
Request = request_model(FEATURES, SETTINGS.max_rows)
Answer = schemas.answer_model(FEATURES)
LOG = logging.getLogger("serving")
ENCODE = msgspec.json.Encoder().encode


@functools.cache
def model() -> Model:
    """The model beside this code, checked and opened. Raises IntegrityError, RecordError."""
    signature.check(ROOT, SETTINGS.key)
    return Model(ROOT, FEATURES)


class Unanswerable(BentoMLException):
    """The request is well formed, and the model has no answer."""

    error_code = HTTPStatus.UNPROCESSABLE_ENTITY


class Unlogged(BentoMLException):
    """The prediction could not be logged, so it is not given."""

    error_code = HTTPStatus.SERVICE_UNAVAILABLE


class _Quiet(logging.Filter):
    """BentoML logs a traceback for every refused request: a client's mistake must not fill our disk."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, ValidationError | Unanswerable)


async def _provenance(request: HttpRequest) -> Response:
    return JSONResponse(request.app.state.predictor.provenance)


async def _metrics(request: HttpRequest) -> Response:
    text = request.app.state.predictor.metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _page(request: HttpRequest) -> Response:
    shown = pages.page(request.app.state.predictor.name, request.app.state.predictor.version)
    return HTMLResponse(shown, headers={"Content-Security-Policy": pages.POLICY})


async def _document(request: HttpRequest) -> Response:
    answering = request.app.state.predictor
    spec = SERVICE.openapi_spec.asdict()
    return JSONResponse(pages.document(spec, FEATURES, answering.name, answering.version))


# Asked before BentoML's own of the same path.
PAGES = Starlette(
    routes=[
        Route("/", _page),
        Route("/docs.json", _document),
        Route("/provenance", _provenance),
        Route("/metrics", _metrics),
    ]
)


def _count(status: int, seconds: float) -> None:
    PAGES.state.predictor.metrics.request(status, seconds)


@bentoml.service(
    name="predictor",
    # Of no distribution that BentoML knows, or it would add a compiler and git. All that we need are wheels.
    image=bentoml.images.Image(base_image="python:3.11-slim", distro="none"),
    workers=1,
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},  # labelled with whatever path a client asks for; serving/metrics.py has ours
    tracing={"excluded_urls": ".*"},
)
class Predictor:
    """Predictions for one row or many, each with the version of the model that made it."""

    def __init__(self) -> None:
        self.model = model()
        bundle, manifest = self.model.bundle, self.model.manifest
        self.name, self.version = bundle.model, bundle.release
        self.metrics = Metrics(FEATURES, self.name, self.version, manifest.windows)
        self.provenance: dict[str, Any] = {
            "model": self.name,
            "version": self.version,
            "release": bundle.provenance,
            "manifest": manifest.model_dump(mode="json"),
        }
        about = {"service.name": self.name, "service.version": self.version}
        self._monitor = monitors.options(SETTINGS, about, self.metrics.lost.inc)
        PAGES.state.predictor = self

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def warm_up(self) -> None:
        """Compute once, then take what is there for good out of the garbage collector's sight."""
        self.model.predict(taken(FEATURES, [schemas.example(FEATURES)]))
        # Kept, since BentoML takes longer to look it up than it takes to write; one that cannot be opened
        # must keep the service from becoming ready.
        with bentoml.monitor(monitors.NAME, **self._monitor) as self.log:
            pass
        gc.collect()
        gc.freeze()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def flush(self) -> None:
        """Every request has been answered; what the log holds back goes out."""
        monitors.flush(self.log)

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    async def predict(self, request: Request, /) -> Answer:  # type: ignore[valid-type]
        """One prediction a row. What is null, unknown or out of range is answered, and counted."""
        # `Answer` is for the documentation: BentoML sends a response as it is, anything else in three steps.
        rows: list[Row] = request.rows  # type: ignore[attr-defined]
        request_id = secrets.token_hex(8)
        try:
            told, odd = self.model.predict(rows)
        except NoAnswerError as error:
            raise Unanswerable(str(error)) from None
        answer = {
            "request_id": request_id,
            "model": self.name,
            "version": self.version,
            "predictions": [{"key": row.key, **one} for row, one in zip(rows, told, strict=True)],
        }
        content = ENCODE(answer)
        self._log(request_id, rows, told)
        self.metrics.count(len(rows), odd)
        if self.metrics.scores:
            self.metrics.scores.add([one["probability"] for one in told])
        return Response(content, media_type="application/json")

    def _log(self, request_id: str, rows: list[Row], told: list[dict[str, Any]]) -> None:
        """Raises Unlogged: what is not in the log is not acknowledged."""
        at = datetime.fromtimestamp(time.time(), UTC).isoformat()
        try:
            lines = prediction_log.lines((at, request_id, self.name, self.version), rows, told)
            self.log.log_table([lines], {})
        except LogError as error:
            self.metrics.unlogged.inc()
            LOG.error("%s", error)
            raise Unlogged(str(error)) from None


for _name in ("bentoml._internal.server.http_app", "bentoml.serve"):
    logging.getLogger(_name).addFilter(_Quiet())
patch.apply()
SERVICE: Any = Predictor  # the decorator makes it a bentoml.Service; its types say otherwise
SERVICE.add_asgi_middleware(
    Limits, max_bytes=SETTINGS.max_bytes, body_seconds=SETTINGS.body_seconds, count=_count
)
SERVICE.mount_asgi_app(PAGES, path="/", name="pages")
