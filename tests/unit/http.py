"""A gateway over a system in this process, and a client that speaks to it over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from runtime.system import ActorSystem
from runtime.topology.status import GatewayFacts, ProcessStatus
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

MODULES = ("tests.unit.web_devices",)


class Said(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What it says."""
        return json.loads(self.body)


class Client:
    """Sends requests to one gateway, and keeps its connections."""

    def __init__(self, system: ActorSystem, session: aiohttp.ClientSession, address: str) -> None:
        self.system, self.session, self.address = system, session, address
        self.headers: dict[str, str] = {}  #: of every request

    def showing(self, token: str) -> "Client":
        """The same client with a token."""
        other = Client(self.system, self.session, self.address)
        other.headers = {"Authorization": f"Bearer {token}"}
        return other

    async def get(self, path: str, **headers: str) -> Said:
        """A GET; underscores in the names of headers stand for dashes."""
        return await self.send("GET", path, headers=headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Said:
        """A POST of JSON, or of bytes as they are."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers.setdefault("Content_Type", "application/json")
        return await self.send("POST", path, headers=headers, data=body)

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str], **more: Any
    ) -> Said:
        """Any request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {**self.headers, **named}
        url = URL(self.address + path, encoded=True)
        if isinstance(more.get("data"), bytes) and len(more["data"]) > 1 << 20:
            more["data"] = BytesIO(more["data"])  # as aiohttp wants it
        async with self.session.request(method, url, headers=named, **more) as answer:
            return Said(answer.status, answer.headers.copy(), await answer.read())


@asynccontextmanager
async def serving(**sections: Mapping[str, Any]) -> AsyncIterator[Client]:
    """A system with a gateway, its log in memory."""
    merged = {
        "gateway": {"enabled": True, "port": 0, **sections.pop("gateway", {})},
        "actor_system": {"actor_modules": MODULES, **sections.pop("actor_system", {})},
        **sections,
    }
    settings = small_settings(merged, type="memory")
    system = await asyncio.to_thread(InProcessSystem, settings)
    try:
        address = await address_of(system)
        async with aiohttp.ClientSession() as session:
            yield Client(system, session, address)
    finally:
        await asyncio.to_thread(system.close)


async def address_of(system: ActorSystem) -> str:
    """Where the gateway of a system listens."""
    for status in await system.status():
        if isinstance(status, ProcessStatus) and isinstance(status.facts, GatewayFacts):
            return status.facts.address
    raise LookupError("there is no gateway")
