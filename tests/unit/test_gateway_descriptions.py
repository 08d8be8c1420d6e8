"""What the gateway says of itself: OpenAPI, and a page to try it."""

import json
import re
from typing import Any

from tests.unit.http import serving


async def test_the_document_has_every_actor_type_with_its_messages_and_state() -> None:
    async with serving() as client:
        api = (await client.get("/openapi.json")).json
    assert api["openapi"] == "3.1.0"
    heat = api["paths"]["/v1/actors/boiler/{name}/heat"]["post"]
    schema = _resolved(api, heat["requestBody"]["content"]["application/json"]["schema"])
    assert schema["properties"] == {"celsius": {"title": "Celsius", "type": "number"}}
    assert schema["additionalProperties"] is False
    state = api["paths"]["/v1/actors/boiler/{name}"]["get"]["responses"]["200"]
    shown = state["content"]["application/json"]["schema"]["properties"]["state"]
    assert set(_resolved(api, shown)["properties"]) == {"celsius", "services"}
    assert "/v1/actors/device-twin/{name}/report" in api["paths"]
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(api)):
        _resolved(api, {"$ref": reference})


async def test_the_page_fetches_nothing_from_elsewhere() -> None:
    async with serving() as client:
        page = await client.get("/docs")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        for part in re.findall(rb'(?:src|href)="(/docs/[^"]+)"', page.body):
            said = await client.get(part.decode())
            assert said.status == 200
            assert b"://" not in said.body
        assert b"://" not in page.body


def _resolved(api: Any, schema: Any) -> Any:
    while "$ref" in schema:
        found = api
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema
