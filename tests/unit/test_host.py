"""The host process itself, in a world without Ray: requests in, answers out."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from pydantic import BaseModel
from ray import cloudpickle

from actors.actor import Actor, Command, handles
from actors.errors import InvalidActor, ThornbackError
from actors.event import DeviceEvent, Payload
from actors.supervision import Supervision
from runtime.errors import ActorsMoved, HandlerFailed
from runtime.host.host import Host
from runtime.host.supervision import Supervisor
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.placement import shard_of
from runtime.wire.answers import raise_error, read_events
from runtime.wire.commands import Answer, CommandPacker, pack_request, unpack_answer
from runtime.wire.commits import pack_acknowledgement, unpack_append
from runtime.wire.error_codec import encode_error
from store.errors import AppendRefused, StoreUnavailable
from store.event_store import EventStore
from tests.unit.hosting import command
from tests.unit.writing import CuedStore, Writing
from tests.virtual_time import settled, virtual_time


class OneWriter(World):
    """A world with a store in memory and a writer over it, and nobody else."""

    def __init__(self, writing: Writing) -> None:
        self.writing = writing

    async def caller(self, name: str) -> Any:
        return self

    async def call(self, method: str, request: bytes) -> bytes:
        try:
            done = await self.writing.writer.append(unpack_append(request))
        except (AppendRefused, StoreUnavailable) as error:
            return pack_acknowledgement(encode_error(error))
        return pack_acknowledgement(done)

    def look_again(self) -> None:
        """There is but one writer."""

    async def open_store(self, settings: Settings, *, migrate: bool = False) -> EventStore:
        return self.writing.store

    def random(self, size: int) -> bytes:
        return bytes(size)

    def end(self) -> None:
        self.ends = True

    ends = False


async def begun(**own: Any) -> Host:
    """A pooled host, ready to work, with settings of its own."""
    world = OneWriter(await Writing.begin())
    settings = Settings.load(environ={}, actor_system={"hosts": 1, **own})
    host = Host("host-0", settings.model_dump_json(), None, world=world)
    await host.ready()
    return host


async def deliver(host: Host, *commands: list[Any], sequence: int = 0) -> Answer:
    pack = CommandPacker().pack
    packed = [pack(tuple(one)) for one in commands]
    return unpack_answer(await host.deliver(pack_request(b"driver", 0, sequence, {}, True, packed)))


class Ring(Command):
    """Press the bell."""


class Crack(Command):
    """Break it."""


class Rang(DeviceEvent):
    by: str


class BellState(BaseModel):
    """Nothing to remember."""


def bell(by: str) -> type[Actor[Any]]:
    """A class of bells that say which class they are of."""

    class Bell(Actor[BellState]):
        actor_type = "bell"
        ignores = (Rang,)

        @handles
        def ring(self, message: Ring) -> Iterator[Payload]:
            yield Rang(by=by)

    return Bell


@virtual_time
async def test_the_gauge_of_unanswered_commands_rises_and_falls() -> None:
    host = await begun()
    await host.register(cloudpickle.dumps(bell("old")))
    gauge = host.metrics.waiting.labels(host.node)._value
    store = host._store
    assert isinstance(store, CuedStore)
    store.open.clear()
    delivering = asyncio.ensure_future(deliver(host, *(command("bell/a", Ring()),) * 3))
    await settled()
    assert gauge.get() == 3
    store.open.set()
    await delivering
    assert gauge.get() == 0


@virtual_time
async def test_a_class_that_comes_again_in_the_same_bytes_changes_nothing() -> None:
    host = await begun()
    old, new = cloudpickle.dumps(bell("old")), cloudpickle.dumps(bell("new"))
    await host.register(old)
    await deliver(host, command("bell/a", Ring()))
    resident = host._residents.get("bell/a")
    await host.register(old)
    [event] = read_events(await deliver(host, command("bell/a", Ring()), sequence=1), 0)
    assert event.data == {"by": "old"}
    assert host._residents.get("bell/a") is resident
    await host.register(new)
    [event] = read_events(await deliver(host, command("bell/a", Ring()), sequence=2), 0)
    assert (event.version, event.data) == (3, {"by": "new"})
    await host.register(old)
    [event] = read_events(await deliver(host, command("bell/a", Ring()), sequence=3), 0)
    assert (event.version, event.data) == (4, {"by": "old"})


@virtual_time
async def test_a_dedicated_host_may_be_of_a_class_that_replaces_one_it_has_by_name() -> None:
    world = OneWriter(await Writing.begin())

    class Twin(Actor[BellState]):
        actor_type = "device-twin"
        ignores = (Rang,)
        replaces = ("actors.devices.device_twin.DeviceTwin",)

        @handles
        def ring(self, message: Ring) -> Iterator[Payload]:
            yield Rang(by="twin")

    plain = Settings().model_dump_json()
    host = Host("device-twin/a", plain, None, "device-twin/a", cloudpickle.dumps(Twin), world=world)
    await host.ready()
    [event] = await host.ask(Ring())
    assert event.data == {"by": "twin"}


@virtual_time
async def test_a_plain_call_finds_an_actor_while_it_lives_there_and_when_it_has_come_back() -> None:
    host, shard = await begun(), shard_of("bell/a")
    await host.register(cloudpickle.dumps(bell("bell")))
    await host.ask(Ring(), "bell/a")
    await host.give_shards([shard], "host-1")
    with pytest.raises(ActorsMoved, match="lives at host-1"):
        await host.ask(Ring(), "bell/a")
    other = await host._store.open_epoch("host-1")
    await host._store.move_shards([shard], "host-1", "host-0", other, 1)
    await host.learn_shards()
    [event] = await host.ask(Ring(), "bell/a")
    assert event.version == 2


@virtual_time
async def test_registering_what_is_no_actor_class_is_told_and_changes_nothing() -> None:
    host = await begun()
    with pytest.raises(InvalidActor):
        await host.register(b"not a pickle")
    await host.register(cloudpickle.dumps(bell("old")))
    assert not (await deliver(host, command("bell/a", Ring()))).errors


class Exits:
    """Loading it is what a module does that wants to be run, and not imported."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, ("run me, do not import me",)


@pytest.mark.parametrize(
    "sent", [pytest.param(Exits(), id="ends the program"), pytest.param(7, id="is no class"),
             pytest.param(Command, id="is no actor"), pytest.param(Actor, id="is all actors")],
)  # fmt: skip
@virtual_time
async def test_whatever_loading_a_class_comes_to_the_driver_is_told_and_the_host_lives(
    sent: Any,
) -> None:
    host = await begun()
    with pytest.raises(InvalidActor):
        await host.register(cloudpickle.dumps(sent))
    await host.register(cloudpickle.dumps(bell("old")))
    assert not (await deliver(host, command("bell/a", Ring()))).errors


@virtual_time
async def test_a_class_that_cannot_be_described_here_is_told_and_not_tried_for_ever() -> None:
    """Anything else than an InvalidActor would be taken for the host's being away."""

    class Odd(BaseModel):
        @classmethod
        def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
            raise KeyError("only where it was written")

    class Bell(Actor[Odd]):
        actor_type = "bell"

    host = await begun()
    with pytest.raises(InvalidActor, match="only where it was written"):
        await host.register(cloudpickle.dumps(Bell))


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"\xc1", msgpack.packb(7), msgpack.packb([b"d", 0]), b"\x96" + b"\x00" * 6],
)
@virtual_time
async def test_bytes_that_are_no_request_are_answered(request_bytes: bytes) -> None:
    host = await begun()
    answer = unpack_answer(await host.deliver(request_bytes))
    with pytest.raises(ThornbackError):
        raise_error(answer, 0)
    assert await host.drain() == 0


class Gong(Actor[BellState]):
    """What it cannot do its host cannot do either."""

    supervision = Supervision(strategy="escalate")

    @handles
    def crack(self, message: Crack) -> Iterator[Payload]:
        raise RuntimeError("cracked")
        yield


@virtual_time
async def test_a_host_that_escalates_answers_and_then_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Supervisor, "LIFE_S", 0.0)
    world = OneWriter(await Writing.begin())
    settings = {"actor_system": {"supervisor_strategy": "escalate", "hosts": 1}}
    host = Host("host-0", Settings(**settings).model_dump_json(), None, world=world)  # type: ignore[arg-type]
    await host.ready()
    await host.register(cloudpickle.dumps(Gong))
    answer = await deliver(host, command("gong/a", Crack()))
    with pytest.raises(HandlerFailed, match=r"cracked \(escalate\)"):
        raise_error(answer, 0)
    await settled()
    assert world.ends
    assert "a failure was escalated to it, and beyond it" in caplog.text


@virtual_time
async def test_failures_of_actors_are_counted_by_type_and_by_what_became_of_them() -> None:
    host = await begun()
    await host.register(cloudpickle.dumps(Gong))
    for sequence in range(2):
        await deliver(host, command("gong/a", Crack()), sequence=sequence)
    assert host._metrics.actors._failures.labels("gong", "escalate")._value.get() == 2
