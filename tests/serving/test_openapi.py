"""Requests that schemathesis makes up from the OpenAPI document: the service keeps its contract."""

from __future__ import annotations

import json
import re

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.process import Running
from usecase.schema import FEATURES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("serving")]
CALM = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def test_requests_from_the_document_are_answered_and_others_refused(service: Running) -> None:
    document = json.loads(service.ask("GET", "/docs.json")[1])
    operation = schemathesis.openapi.from_dict(document)["/predict"]["POST"]
    statuses: dict[str, set[int]] = {"valid": set(), "invalid": set()}

    @CALM
    @given(st.data())
    def send(data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(["valid", "invalid"]))
        mode = (
            schemathesis.GenerationMode.POSITIVE if kind == "valid" else schemathesis.GenerationMode.NEGATIVE
        )
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if not isinstance(case.body, (bytes, dict, list, str, int, float, bool, type(None))):
            return  # no body at all: BentoML documents it as optional
        body = case.body if isinstance(case.body, bytes) else json.dumps(case.body, default=str).encode()
        status, answer = service.ask("POST", "/predict", body)
        assert status < 500, answer
        if kind == "valid":
            assert status in (200, 413), (answer, body)
        statuses[kind].add(status)

    send()
    assert 200 in statuses["valid"] and 400 in statuses["invalid"]


def test_the_document_shows_every_field_with_its_unit_and_an_example(service: Running) -> None:
    schemas = json.loads(service.ask("GET", "/docs.json")[1])["components"]["schemas"]
    properties = schemas["Row"]["properties"]
    for column in FEATURES.features:
        shown = properties[column.name]
        assert shown["description"].startswith(column.description)
        assert shown.get("x-unit", "") == column.unit
        assert (shown.get("x-minimum"), shown.get("x-maximum")) == (column.minimum, column.maximum)
        assert shown["examples"]
    assert schemas["Request"]["example"]["rows"]


def test_the_document_says_which_model_answers(service: Running) -> None:
    document = json.loads(service.ask("GET", "/docs.json")[1])
    provenance = json.loads(service.ask("GET", "/provenance")[1])
    about = document["info"]
    assert (about["title"], about["version"]) == (provenance["model"], provenance["version"])
    assert FEATURES.target.description in about["description"] and "contact" not in about
    assert {"/predict", "/provenance", "/metrics"} <= document["paths"].keys()
    assert "IODescriptor" not in json.dumps(document)


def test_a_refusal_does_not_speak_of_our_classes(service: Running) -> None:
    status, answer = service.ask("POST", "/predict", b'{"rows": [{}]}')
    assert status == 400 and json.loads(answer)["error"].endswith(" for Request")


def test_the_page_asks_nobody_else(service: Running) -> None:
    """BentoML's own loads Google's tag manager."""
    status, page = service.ask("GET", "/")
    assert status == 200 and b"<title>" in page
    assert not re.search(rb"https?:|//", page)
    assert b"index.css" not in page, "it hides the name of the model"
    for place in re.findall(rb'(?:src|href)="\./([^"]+)"', page):
        assert service.ask("GET", f"/{place.decode()}")[0] == 200, place
