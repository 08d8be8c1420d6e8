"""The gateway answers as its OpenAPI document says, to whatever Schemathesis makes of that."""

import json
import logging
import urllib.request
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from tests.fuzz.target import Target, target

schemathesis = pytest.importorskip("schemathesis", reason="the dev extra brings schemathesis")

#: Lines, and streams without an end: what they say is of no form that a document could have.
_LEFT_OUT = {("post", "/v1/commands"), ("get", "/v1/events")}

MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


@pytest.fixture(scope="module")
def against() -> Iterator[Target]:
    logging.getLogger("thornback").setLevel(logging.CRITICAL)  # handlers fail on purpose
    with target() as found:
        yield found
    logging.getLogger("thornback").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def operations(against: Target) -> list[Any]:
    """What the document has, but for what is left out."""
    url = f"http://127.0.0.1:{against.port}/openapi.json"
    request = urllib.request.Request(url, headers=against.headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        schema = schemathesis.openapi.from_dict(json.load(answer))
    found = [result.ok() for result in schema.get_all_operations()]
    return [each for each in found if (each.method, each.path) not in _LEFT_OUT]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_answer_is_one_that_the_document_has(
    against: Target, operations: list[Any], mode: Any
) -> None:
    from schemathesis.specs.openapi import checks  # noqa: PLC0415 - only where it is installed

    judged = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]
    said: dict[int, int] = {}

    def judge(operation: Any) -> None:
        @hypothesis.seed(1)
        @hypothesis.settings(max_examples=8, deadline=None, database=None)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Any) -> None:
            answer = case.call(base_url=f"http://127.0.0.1:{against.port}", headers=against.headers)
            said[answer.status_code] = said.get(answer.status_code, 0) + 1
            assert answer.status_code < 500 or answer.status_code in (503, 504)
            case.validate_response(answer, checks=judged)

        one()

    for operation in operations:
        takes = operation.definition.raw.keys() & {"parameters", "requestBody"}
        if takes or mode is MODES[0]:  # else nothing can be wrong in it
            judge(operation)
    assert len(operations) > 10
    assert said[200 if mode is MODES[0] else 400] > 10


def test_the_document_says_which_scope_an_operation_takes(operations: list[Any]) -> None:
    taken = {each.label: each.definition.raw.get("security") for each in operations}
    assert taken["POST /v1/actors/boiler/{name}/heat"] == [{"token": ["command:boiler"]}]
    assert taken["GET /v1/actors/boiler/{name}"] == [{"token": ["read"]}]
    assert taken["DELETE /v1/actors/boiler/{name}"] == [{"token": ["admin"]}]
    assert taken["GET /livez"] == []
