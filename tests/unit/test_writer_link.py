"""A host's way to the writer: what comes back over it, and whom it asks next."""

import asyncio
from array import array
from collections.abc import Callable, Generator
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, RayTaskError

from runtime.errors import StartFailed
from runtime.partition.writer_link import WriterAway, WriterLink
from runtime.process.world import World
from runtime.wire.commits import pack_acknowledgement, unpack_append
from runtime.wire.error_codec import encode_error
from store.appends import Acknowledged, Append, CheckpointMove
from store.errors import (
    AppendRefused,
    DuplicateEvent,
    RowsRefused,
    StaleEpoch,
    StoreUnavailable,
    Superseded,
    VersionConflict,
)
from store.receipts import Receipt
from store.rows.layout import EncodedRows
from tests.virtual_time import now_s, virtual_time

PATIENCE_S = 2.5
APPEND = Append(
    node="host",
    epoch=1,
    generation=0,
    sequence=0,
    tick=1,
    rows=EncodedRows(b"row", array("I", [3])),
    types={"counted": 1},
    checkpoints=(
        CheckpointMove(name="totals", epoch=3, position=9, receipt=Receipt().plus([b"a" * 16])),
    ),
)


class PlayedWriter(World):
    """A world in which the writer is what a test says."""

    def __init__(self, answer: Callable[[Append], bytes]) -> None:
        super().__init__("test")
        self.answer = answer
        self.looked = 0  #: how often it was looked for anew
        self.away_s = 0.0  #: so long it is away
        self.why: Exception = ActorUnavailableError("being restarted", b"\x01" * 16)

    async def caller(self, name: str) -> "PlayedWriter":
        assert name == "writer"
        return self

    async def call(self, method: str, request: bytes) -> bytes:
        assert method == "append"
        return self.answer(unpack_append(request))

    def look_again(self) -> None:
        self.looked += 1

    def close(self) -> None:
        """Nothing is open."""

    async def handle(self, name: str) -> Any:
        assert name == "writer"
        return self

    @property
    def ready(self) -> Any:
        return self

    def remote(self) -> "Reference":
        """A reference to what `ready` answers."""
        return Reference(self)


class Reference:
    """What Ray gives for a call: it may be awaited."""

    def __init__(self, world: PlayedWriter) -> None:
        self._world = world

    def __await__(self) -> Generator[Any, None, str]:
        yield from asyncio.sleep(0).__await__()
        if now_s() < self._world.away_s:
            raise self._world.why
        return "writer"


def answering(error: Exception) -> Callable[[Append], bytes]:
    """A writer that refuses."""
    return lambda _append: pack_acknowledgement(encode_error(error))


@virtual_time
async def test_an_append_arrives_as_it_was_sent_and_its_acknowledgement_comes_back() -> None:
    done = Acknowledged(first_position=7, recorded_us=5)
    arrived: list[Append] = []

    def answer(append: Append) -> bytes:
        arrived.append(append)
        return pack_acknowledgement(done)

    link = WriterLink(PlayedWriter(answer), patience_s=PATIENCE_S)
    assert await link.append(APPEND) == done
    assert arrived == [APPEND]


@virtual_time
async def test_a_refusal_comes_back_as_what_it_was() -> None:
    refusals: list[AppendRefused] = [
        VersionConflict("device/one 3"),
        DuplicateEvent("id 7"),
        StaleEpoch("host", 1),
        Superseded("host", 4),
        RowsRefused("no row"),
    ]
    for refusal in refusals:
        world = PlayedWriter(answering(refusal))
        with pytest.raises(type(refusal)) as caught:
            await WriterLink(world, patience_s=PATIENCE_S).append(APPEND)
        assert caught.value.args == refusal.args
        assert world.looked == 0


@virtual_time
async def test_a_writer_without_a_store_is_looked_for_anew() -> None:
    """It may have been replaced, and answer for ever."""
    world = PlayedWriter(answering(StoreUnavailable("the log", "another writer took over")))
    with pytest.raises(StoreUnavailable, match="took over"):
        await WriterLink(world, patience_s=PATIENCE_S).append(APPEND)
    assert world.looked == 1


@virtual_time
@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        ActorUnavailableError("being restarted", b"\x01" * 16),
        ValueError("no actor of that name"),
    ],
    ids=["connection", "ray", "unknown"],
)
async def test_without_an_answer_the_outcome_is_open(error: Exception) -> None:
    def lost(_append: Append) -> bytes:
        raise error

    link = WriterLink(PlayedWriter(lost), patience_s=PATIENCE_S)
    with pytest.raises(WriterAway):
        await link.append(APPEND)


@virtual_time
async def test_a_writer_that_is_away_is_waited_for_until_patience_ends() -> None:
    world = PlayedWriter(answering(Superseded("host", 0)))
    link = WriterLink(world, patience_s=PATIENCE_S)
    world.away_s = PATIENCE_S / 2
    await asyncio.wait_for(link.wait_back(), PATIENCE_S)
    world.away_s = 1000.0
    with pytest.raises(StoreUnavailable, match=r"the writer .* its process is away"):
        await link.wait_back()


@virtual_time
async def test_a_writer_that_rests_for_too_long_is_what_its_hosts_hear_of() -> None:
    world = PlayedWriter(answering(Superseded("host", 0)))
    world.away_s = 1000.0
    rests = StartFailed("writer", "it has ended 9 times in a row, and rests for 9.0 s")
    world.why = RayTaskError("ready", "", rests).as_instanceof_cause()
    with pytest.raises(StoreUnavailable, match=r"the writer .* in a row, and rests for 9\.0 s"):
        await WriterLink(world, patience_s=PATIENCE_S).wait_back()
