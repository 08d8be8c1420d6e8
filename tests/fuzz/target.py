"""A system with a gateway to be fuzzed, and the judgement of what it says and what it stores."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock
from uuid import UUID

from gateways.web import known_tokens
from gateways.web.bulk import BulkEndpoint
from gateways.web.problems import CONTENT_TYPE
from gateways.web.serving import Serving
from runtime.system import ActorSystem
from runtime.topology.status import GatewayFacts, ProcessStatus
from store.rows.json_events import JsonEvents
from tests.fuzz.answers import answers_of, exchange, told
from tests.fuzz.bad_requests import ALL, TENANT
from tests.tokens_in_memory import MemoryTokens
from thornback.testing import in_process
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

#: Seconds that a gateway may take to answer, and to end the connection.
LIMIT_S = 60.0
#: Connections at a time.
AT_ONCE = 200
#: Settings of the gateway.
GATEWAY: dict[str, Any] = {
    "enabled": True, "port": 0, "tokens_required": True, "read_timeout_ms": 300, "body_limit": 4096,
}  # fmt: skip


class Target:
    """What is fuzzed. It remembers what it was told, for the judgement at the end."""

    def __init__(self, system: ActorSystem, tokens: dict[bytes, bytes]) -> None:
        self.system = system
        self._tokens = tokens
        self._told: set[str] = set()  # the ids of the events of answers with 2xx
        self.requests = 0  #: connections, each with one request or a few
        self.answers: dict[int, int] = {}  #: by status
        self.port = next(
            int(each.facts.address.rpartition(":")[2])
            for each in system.status().result()
            if isinstance(each, ProcessStatus) and isinstance(each.facts, GatewayFacts)
        )

    @property
    def headers(self) -> dict[str, str]:
        """Of a request that may do everything."""
        return {"Authorization": f"Bearer {self._tokens[ALL].decode()}"}

    def send(self, requests: Sequence[bytes]) -> None:
        """Send all, and judge what is said to each. Raises AssertionError."""
        asyncio.run(self._send_all(requests))

    def judge(self) -> None:
        """Raises AssertionError where a process has ended, or something was stored that nobody
        was told of."""
        for status in self.system.status().result():
            assert isinstance(status, ProcessStatus), status
            assert status.trouble is None, status
        stored = self._stored()
        unknown = stored - self._told
        assert not unknown, f"stored, and not answered with 2xx: {sorted(unknown)[:5]}"
        assert self._told <= stored, "answered with 2xx, and not stored"

    async def _send_all(self, requests: Sequence[bytes]) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def send(sent: bytes) -> None:
            async with room:
                await self._send(sent)

        await asyncio.gather(*map(send, requests))

    async def _send(self, sent: bytes) -> None:
        for name, token in self._tokens.items():
            sent = sent.replace(name, token)
        self.requests += 1
        try:
            came = await exchange(self.port, sent, LIMIT_S)
        except TimeoutError:
            raise AssertionError(f"neither answered nor cut: {sent!r}") from None
        for answer in answers_of(came):
            self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
            assert _fine(answer.status), (sent, answer)
            if answer.status >= 400 and answer.body:
                assert answer.kind == CONTENT_TYPE, (sent, answer)
            for status, found in told(answer):
                assert _fine(status), (sent, found)
                if 200 <= status < 300 and isinstance(found, dict):
                    self._told |= {each["event_id"] for each in found.get("events", ())}

    def _stored(self) -> set[str]:
        async def read() -> bytes:
            store = await self.system.connection.open_store()
            try:
                return (await store.read(0, 2**31)).rows
            finally:
                await store.close()

        rows = self.system.connection.errand("reading the log", read).result(timeout_s=LIMIT_S)
        texts = [json.loads(event.text) for event in JsonEvents().texts(rows)]
        return {str(UUID(each["event_id"])) for each in texts}


def _fine(status: int) -> bool:
    return 200 <= status < 500 or status in (503, 504)


class TargetInProcess(Target):
    """Its processes have no process of their own that could end."""

    def __init__(self, system: ActorSystem, tokens: dict[bytes, bytes], ended: list[str]) -> None:
        super().__init__(system, tokens)
        self._ended = ended  # processes that could not go on

    def judge(self) -> None:
        """As of any target."""
        assert not self._ended, self._ended
        super().judge()


@contextmanager
def target() -> Iterator[TargetInProcess]:
    """A system in this process, its log in memory, whose gateway asks for tokens."""
    tokens, ended = MemoryTokens(), list[str]()
    modules = {"actor_modules": ["tests.unit.web_devices"]}
    settings = small_settings({"gateway": GATEWAY, "actor_system": modules}, type="memory")
    names = {
        ALL: tokens.make("admin").encode(),
        TENANT: tokens.make("read", "command:boiler", prefix="boiler/site-7-").encode(),
    }

    def ended_by(_: object) -> None:
        ended.append("a process could not go on")

    with (
        mock.patch.object(known_tokens, "table_of", return_value=tokens),
        mock.patch.object(Serving, "IDLE_S", 0.5),
        mock.patch.object(Serving, "LINGER_S", 0.2),
        mock.patch.object(BulkEndpoint, "SILENCE_S", 0.5),
        mock.patch.object(in_process._ProcessWorld, "end", ended_by),
        InProcessSystem(settings) as system,
    ):
        yield TargetInProcess(system, names, ended)
