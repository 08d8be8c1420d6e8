"""What a gateway answers that asks for tokens: problems, and streams of events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.unit.http import Client, Said


def told(said: Said) -> tuple[int, str]:
    assert said.headers["Content-Type"] == "application/problem+json"
    return said.status, said.json["type"].removeprefix("urn:thornback:problem:")


@asynccontextmanager
async def listening(client: Client, query: str) -> AsyncIterator[Any]:
    url = f"{client.address}/v1/events{query}"
    async with client.session.get(url, headers=client.headers) as answer:
        assert answer.status == 200, await answer.read()
        yield answer.content


async def read(content: Any, count: int) -> list[str]:
    """The sources of so many events."""
    found: list[str] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            line = await content.readline()
            assert line, "the stream has ended"
            if line.startswith(b"data: "):
                found.append(json.loads(line[6:])["source"])
    return found
