"""What costs its sender an answer costs nobody else: neither its neighbours in the host, nor
whoever sends later."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import DeviceEvent, Payload
from actors.naming import aggregate_id_of
from runtime.errors import PublishRefused
from runtime.wire.answers import raise_error, read_events
from runtime.wire.commands import PUBLISH, unpack_answer
from store.errors import InvalidData, StoreUnavailable
from store.event_store import Snapshot
from tests.unit.hosting import Add, Hosting, command
from tests.unit.writing import GONE, CuedStore
from tests.virtual_time import virtual_time


class NarrowStore(CuedStore):
    """Its index of event types takes no name of more than 2,700 bytes, as PostgreSQL's does."""

    async def note_event_types(self, pairs: Any) -> None:
        pairs = list(pairs)
        if any(sum(len(name.encode()) for name in pair) > 2700 for pair in pairs):
            raise StoreUnavailable("memory", "index row size exceeds btree version 4 maximum 2704")
        await super().note_event_types(pairs)


@virtual_time
async def test_a_publication_with_an_event_type_that_cannot_be_noted_costs_its_sender_alone() -> (
    None
):
    host = await Hosting.begin(NarrowStore())
    await host.ask("counter/a", Add())
    publication = {
        "event_type": "\u4e00" * 1024, "kind": "device", "data": b"{}", "metadata": {}, "clock": {},
    }  # fmt: skip
    answer = await host.deliver(command("device/a", PUBLISH, data=publication))
    with pytest.raises(InvalidData, match="at most 1024 bytes"):
        raise_error(answer, 0)
    host.begin_generation()
    await host.ask("counter/a", Add())
    host.begin_generation()
    assert (await host.deliver(command("counter/b", Add()))).turned_away is None


class RefusingStore(CuedStore):
    """Cannot note one event type, whatever the reason."""

    async def note_event_types(self, pairs: Any) -> None:
        if any("unheard-of" in pair for pair in list(pairs)):
            raise GONE
        await super().note_event_types(pairs)


@virtual_time
async def test_an_event_type_that_cannot_be_noted_stands_in_the_way_of_its_own_batch_alone() -> (
    None
):
    host = await Hosting.begin(RefusingStore())
    publication = {
        "event_type": "unheard-of", "kind": "device", "data": b"{}", "metadata": {}, "clock": {},
    }  # fmt: skip
    published = await host.deliver(command("device/a", PUBLISH, data=publication))
    assert published.turned_away is not None
    host.begin_generation()
    assert await host.ask("counter/a", Add())
    records = await host.store.type_records(["counter"])
    assert records["counter"].event_types == {"counted"}


class Panic(BaseException):
    """What an extension in Rust raises is no Exception."""


class Unspeakable(Exception):
    """An error whose text cannot be had: to ask for it panics."""

    def __str__(self) -> str:
        raise Panic


class UnspeakableRejection(Rejected):
    def __init__(self) -> None:
        pass

    def __str__(self) -> str:
        raise Panic

    __repr__ = __str__


class Trip(Command):
    rejecting: bool = False


class Empty(BaseModel):
    total: int = 0


class Tripper(Actor[Empty]):
    @handles
    def trip(self, message: Trip) -> Iterator[Payload]:
        if message.rejecting:
            raise UnspeakableRejection
        raise Unspeakable


@pytest.mark.parametrize("rejecting", [False, True])
@virtual_time
async def test_an_error_that_panics_when_it_is_looked_at_costs_its_own_command(
    rejecting: bool,
) -> None:
    host = await Hosting.begin()
    host.register(Tripper)
    sent = host.send(command("tripper/a", Trip(rejecting=rejecting)), command("counter/a", Add()))
    either: set[asyncio.Future[Any]] = {sent.answer, host.running}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    ended = host.running.done() and type(host.running.exception()).__name__
    assert not ended  # its text alone: pytest does not survive a look at the error either
    answer = unpack_answer(await sent.answer)
    assert read_events(answer, 1)


class LoadlessStore(CuedStore):
    """Its database is away for whoever loads."""

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        raise GONE


@virtual_time
async def test_batches_that_are_turned_away_leave_nothing_behind() -> None:
    """A database that is away for long, and drivers that go on asking."""
    host = await Hosting.begin(LoadlessStore())
    for _ in range(500):
        answer = await host.deliver(command("counter/a", Add()))
        assert answer.turned_away is not None
        host.begin_generation()
    recovery = host.executor._recovery
    assert len(recovery._given_up) < 10


class Registered(DeviceEvent):
    model: str = "?"


class Gauge(Actor[Empty]):
    """Its events were published by a program, until this class came."""

    @applies
    def registered(self, event: Registered) -> None:
        self.state.total += 1


@virtual_time
async def test_a_published_event_is_a_repeat_also_when_its_source_has_an_actor_by_now() -> None:
    host = await Hosting.begin()
    publication = {
        "event_type": "registered", "kind": "device", "data": b"{}", "metadata": {}, "clock": {},
    }  # fmt: skip
    sent = command("gauge/a", PUBLISH, data=publication)
    first = read_events(await host.deliver(sent), 0)
    again = await Hosting.begin(host.store)  # the host was restarted: it remembers nothing
    again.register(Gauge)
    assert read_events(await again.deliver(sent), 0) == first


def published(source: str, event_type: str = "seen") -> list[Any]:
    """An event from outside, as a command."""
    data = {"event_type": event_type, "kind": "device", "data": b'{"total":7}', "metadata": {}}
    return command(source, PUBLISH, data={**data, "clock": {}})


@pytest.mark.parametrize("event_type", ["seen", "counted"])
@virtual_time
async def test_what_is_published_under_the_id_of_an_actor_s_aggregate_is_refused(
    event_type: str,
) -> None:
    """Or it would be among the events that the actor is rebuilt from."""
    host = await Hosting.begin()
    await host.ask("counter/a", Add(times=2))
    answer = await host.deliver(published(str(aggregate_id_of("counter/a")), event_type))
    with pytest.raises(PublishRefused, match="counter/a"):
        read_events(answer, 0)
    host = await Hosting.begin(host.store)
    assert await host.total("counter/a") == 2
    assert len(await host.log("counter/a")) == 2


@pytest.mark.parametrize("event_type", ["seen", "counted"])
@pytest.mark.parametrize("frequency", [1, 1000])
@virtual_time
async def test_an_actor_passes_over_what_was_published_under_its_aggregate_s_id_before_it(
    event_type: str, frequency: int
) -> None:
    host = await Hosting.begin(frequency=frequency)
    source = str(aggregate_id_of("counter/a"))
    read_events(await host.deliver(published(source, event_type)), 0)
    await host.ask("counter/a", Add())
    with pytest.raises(PublishRefused):
        read_events(await host.deliver(published(source, event_type)), 0)
    host = await Hosting.begin(host.store, frequency=frequency)
    await host.ask("counter/a", Add())
    assert await host.total("counter/a") == 2
    assert [event.version for event in await host.log("counter/a")] == [1, 2, 3]
