"""The writer's process around the group commit: what it cannot do without is watched, and
where it does not start it says so to its hosts."""

import asyncio
from array import array
from collections import deque
from typing import Any

import pytest

from runtime.partition.writer import WriterActor
from runtime.process.leave import Leave
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.wire.commits import pack_append, unpack_acknowledgement
from store.appends import Append, nothing_after
from store.errors import SchemaMismatch, StoreUnavailable
from store.rows.layout import EncodedRows
from tests.virtual_time import now_s, settled, virtual_time

APPENDED = pack_append(
    Append(
        node="host", epoch=1, generation=0, sequence=0, tick=1,
        rows=EncodedRows(b"row", array("I", [3])), types={"counted": 1},
    )
)  # fmt: skip


class BrokenBus:
    """Fails as nobody thought of."""

    async def call(self, method: str, request: bytes) -> bytes:
        raise KeyError("what nobody thought of")

    def look_again(self) -> None:
        """There is no other."""

    def close(self) -> None:
        """Nothing is open."""


class HeardBus(BrokenBus):
    """Takes what it is given."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def call(self, method: str, request: bytes) -> bytes:
        self.heard.append(method)
        return b""


class Played(World):
    """A world in which the end of a process is noticed and nothing else happens."""

    ended = 0
    opening: Exception | None = None
    bus: BrokenBus = BrokenBus()

    async def caller(self, name: str) -> BrokenBus:
        return self.bus

    async def open_store(self, settings: Settings) -> Any:
        assert self.opening is not None
        raise self.opening

    def end(self) -> None:
        self.ended += 1


def writer(world: World, store: str) -> WriterActor:
    settings = Settings.load(environ={}, event_store={"type": store})
    return WriterActor("writer", settings.model_dump_json(), None, world=world)


@virtual_time
async def test_a_writer_that_cannot_publish_any_more_ends_instead_of_keeping_its_bus_waiting() -> (
    None
):
    world = Played("n")
    await writer(world, "memory").ready()
    await asyncio.sleep(1)
    await settled()
    assert world.ended == 1


@pytest.mark.parametrize(
    ("opening", "said"),
    [
        (StoreUnavailable("127.0.0.1:5432", "refused"), "refused"),
        (SchemaMismatch(7, 2), "7"),
        (KeyError("what nobody thought of"), "what nobody thought of"),
    ],
)
def test_a_writer_that_does_not_start_answers_its_hosts_with_the_reason(
    opening: Exception, said: str
) -> None:
    @virtual_time
    async def test() -> None:
        world = Played("n")
        world.opening = opening
        refusal = unpack_acknowledgement(await writer(world, "postgres").append(b""))
        assert isinstance(refusal, tuple)
        assert refusal[0] == "StoreUnavailable"
        assert said in str(refusal[1])

    test()


class BegunAgain(Played):
    """A world in which a process is to rest before it begins again."""

    def __init__(self, rest_s: float) -> None:
        super().__init__("n")
        self._leave = Leave(rest_s, "it has ended 2 times in a row")
        self.bus = HeardBus()

    def restarted(self) -> bool:
        return True

    async def handle(self, name: str) -> Any:
        return self

    @property
    def begins_again(self) -> Any:
        return self

    async def remote(self, name: str, incarnation: bytes) -> Leave:
        """What the directory says."""
        return self._leave


@virtual_time
async def test_an_append_waits_for_a_writer_that_rests_for_a_moment() -> None:
    process = writer(BegunAgain(0.2), "memory")
    answered = unpack_acknowledgement(await process.append(APPENDED))
    assert isinstance(answered, tuple)
    assert answered[0] == "RowsRefused"  # these are none: it has come to that
    assert now_s() == pytest.approx(0.2)


@virtual_time
async def test_an_append_is_refused_at_once_by_a_writer_that_rests_for_longer() -> None:
    process = writer(BegunAgain(20.0), "memory")
    refusal = unpack_acknowledgement(await process.append(APPENDED))
    assert isinstance(refusal, tuple)
    assert refusal[0] == "StoreUnavailable"
    assert "it has ended 2 times in a row, and rests for 20.0 s" in str(refusal[1])
    assert now_s() < 0.1


class HeldBus(HeardBus):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: deque[asyncio.Future[bytes]] = deque()

    async def call(self, method: str, request: bytes) -> bytes:
        await super().call(method, request)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


@virtual_time
async def test_a_drain_does_not_wait_for_what_is_to_be_published_meanwhile() -> None:
    world = Played("n")
    world.bus = bus = HeldBus()
    process = writer(world, "memory")
    await process.ready()
    await settled()
    draining = asyncio.ensure_future(process.drain())
    await settled()
    assert not draining.done()
    process._publish(nothing_after(7))  # as a commit does
    bus.answers.popleft().set_result(b"")
    assert await draining == 0
    assert len(bus.heard) == 2


@virtual_time
async def test_the_bus_is_told_without_a_pause() -> None:
    world = Played("n")
    world.bus = bus = HeardBus()
    await writer(world, "memory").ready()
    await settled()
    assert (bus.heard, now_s()) == (["publish"], 0.0)


@virtual_time
async def test_a_start_is_told_to_the_bus_and_is_no_append_that_is_counted() -> None:
    world = Played("n")
    world.bus = bus = HeardBus()
    begun = writer(world, "memory")
    await begun.ready()
    await settled()
    assert bus.heard == ["publish"]
    assert begun.metrics.operations.labels("append", "ok")._value.get() == 0
