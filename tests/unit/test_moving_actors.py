"""A driver whose actors move: it sends what was turned away to where they live, in their order."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, GetTimeoutError

from actors.actor import Command
from runtime.driver.bulk import BulkCall
from runtime.driver.channel import Channel
from runtime.driver.connection import Connection
from runtime.driver.dividing import divided
from runtime.driver.life import stop_actor
from runtime.driver.outgoing import Outgoing
from runtime.driver.plain import PlainCommand
from runtime.driver.plain_bulk import PlainBulk
from runtime.driver.ref import ActorRef
from runtime.errors import ActorsMoved, AskTimeout, ChannelFailed, HostUnavailable
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.placement import shard_of
from runtime.topology.status import Topology
from runtime.wire.answers import raise_error
from runtime.wire.commands import (
    DATA,
    SOURCE,
    Answer,
    CommandPacker,
    Request,
    pack_answer,
    turned_away,
)
from runtime.wire.error_codec import encode_error
from runtime.wire.reading import unpack_request
from runtime.wire.values import unpack_value
from store.errors import StoreUnavailable
from store.shards import SHARDS, ShardTable, dealt
from tests.unit.connecting import OwnLoop, PlayedHandle, PlayedWorld
from tests.unit.sending import PlayedHost
from tests.virtual_time import now_s, virtual_time

HOSTS = ("host-0", "host-1")
THREE = (*HOSTS, "host-2")


class Say(Command):
    """Anything."""

    text: str


def sources(host: int) -> Iterator[str]:
    """Counters that one of the two has at first."""
    return (one for n in range(10_000) if shard_of(one := f"counter/{n}") % 2 == host)


MOVING, STAYING = list(sources(0))[:2]
OTHER = next(sources(1))


class Sharing:
    """The table as it is in truth."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts
        self.table = dealt(hosts, version=1)

    def move(self, *moving: str, to: str) -> None:
        shards = [shard_of(one) for one in moving]
        for host in self._hosts:
            self.table = self.table.given(shards, host, to)


class SharingHost(PlayedHost):
    """Turns away what is not its own, and remembers what it was asked, in order."""

    def __init__(self, name: str, sharing: Sharing) -> None:
        super().__init__()
        self.name, self.sharing = name, sharing
        self.done: list[tuple[str, Any]] = []

    def answer(self, request: Request) -> bytes:
        if request.commands and request.shards != self.sharing.table.version:
            for one in request.commands:
                if self.sharing.table.hosts[shard_of(one[SOURCE])] != self.name:
                    error = ActorsMoved(self.name, "moved", self.sharing.table.version)
                    return turned_away(encode_error(error))
        self.done += [(one[SOURCE], one[DATA]) for one in request.commands]
        if not request.commands or request.want_events:
            return super().answer(request)
        return pack_answer(Answer({}, len(request.commands), {0}, 0, 0, [], [], b"", {}, {}, {}))


async def _never(*arguments: Any) -> None:
    await asyncio.Event().wait()


class SharingHandle(PlayedHandle):
    """Says which table its host knows."""

    def __init__(self, world: "SharingWorld", name: str) -> None:
        super().__init__(world, name)
        said = partial(world.said, name)
        self.shard_table = type("Method", (), {"remote": staticmethod(said)})
        self.move_shards = type("Method", (), {"remote": staticmethod(_never)})


class SharingWorld(PlayedWorld):
    """Hosts that share the actors, two unless more are named."""

    def __init__(self, hosts: tuple[str, ...] = HOSTS) -> None:
        super().__init__()
        self.sharing = Sharing(hosts)
        self.asked = 0
        self.when_asked: Callable[[], None] = lambda: None
        self.hanging: dict[str, asyncio.Event] = {}  #: hosts say nothing until it is set
        self.silent = 0  #: so many of the next questions for the table are answered with nothing

    async def handle(self, name: str) -> PlayedHandle:
        return SharingHandle(self, name)

    def host(self, name: str) -> PlayedHost:
        return self.hosts.setdefault(name, SharingHost(name, self.sharing))

    async def said(self, host: str) -> ShardTable:
        self.asked += 1
        if hanging := self.hanging.get(host):
            await hanging.wait()
        self.when_asked()
        if self.silent:
            self.silent -= 1
            raise HostUnavailable("host-0", "on cue")
        return self.sharing.table

    def done(self, host: int) -> list[tuple[str, Any]]:
        """What one of the hosts has done."""
        played = self.host(f"host-{host}")
        assert isinstance(played, SharingHost)
        return played.done


def connected(
    world: SharingWorld, table: ShardTable | None = None, hosts: tuple[str, ...] = HOSTS
) -> Connection:
    settings = Settings.model_validate(
        {"actor_system": {"actor_timeout_ms": 20_000, "hosts": len(hosts)}}
    )
    topology = Topology(
        settings_json=settings.model_dump_json(), hosts=hosts, shards=table or world.sharing.table
    )
    return Connection(topology, world, OwnLoop())


def ask(to: ActorRef[Any], text: str) -> Any:
    """A command, as one may wait for it."""
    fields = (to.source, "say", to.connection.new_id(), 0, text, None, None)
    outgoing, index = to.add(fields, want_events=True)

    async def answered() -> Any:
        if (future := outgoing.future()) is not None:
            await future
        if outgoing.error is not None:
            raise outgoing.error
        assert outgoing.answer is not None
        raise_error(outgoing.answer, index)
        return unpack_value(outgoing.answer.values[index])

    return asyncio.ensure_future(answered())


def refs(connection: Connection) -> tuple[ActorRef[Any], ...]:
    return tuple(ActorRef(connection, None, one) for one in (MOVING, STAYING, OTHER))


async def test_what_was_turned_away_goes_to_where_its_actor_lives_and_nobody_notices() -> None:
    world = SharingWorld()
    moving, staying, other = refs(connected(world))
    assert await ask(moving, "1") == "1"
    world.sharing.move(MOVING, to="host-1")
    asked = [ask(one, f"{n}") for n in range(2, 5) for one in (moving, staying, other)]
    assert await asyncio.gather(*asked) == [f"{n}" for n in range(2, 5) for _ in range(3)]
    assert [text for source, text in world.done(1) if source == MOVING] == ["2", "3", "4"]
    assert [text for source, text in world.done(0) if source == STAYING] == ["2", "3", "4"]
    assert world.asked == 1
    assert moving.channel.host == "host-1"
    assert await ask(moving, "5") == "5"
    assert world.hosts["host-1"].requests[-1].shards == 2


async def test_whoever_was_told_of_no_table_learns_it_where_it_matters() -> None:
    world = SharingWorld()
    world.sharing.move(MOVING, to="host-1")
    moving, *_ = refs(connected(world, dealt(HOSTS)))
    assert await ask(moving, "1") == "1"
    assert world.done(1) == [(MOVING, "1")]


async def test_what_is_under_way_is_waited_for_before_anything_goes_elsewhere() -> None:
    world = SharingWorld()
    moving, staying, other = refs(connected(world))
    await asyncio.gather(ask(moving, "0"), ask(staying, "0"), ask(other, "0"))
    first = world.host("host-0")
    first.answering.clear()
    under_way = [ask(moving, f"{n}") for n in range(1, 3)]
    await _turns()
    world.sharing.move(OTHER, to="host-0")  # found by the channel to the other host
    world.sharing.move(MOVING, to="host-1")
    assert not any(one.done() for one in under_way)
    found = ask(other, "1")
    await _turns()
    later = ask(moving, "3")
    await _turns()
    assert not found.done()  # the table is not adopted while the first host has something
    first.answering.set()
    assert await asyncio.gather(*under_way, later, found) == ["1", "2", "3", "1"]
    texts = [text for source, text in world.done(1) if source == MOVING]
    assert texts == sorted(texts)
    assert (OTHER, "1") in world.done(0)


async def test_a_host_that_does_not_answer_holds_nobody_up_for_long() -> None:
    world = SharingWorld()
    moving, staying, other = refs(connected(world))
    await asyncio.gather(ask(moving, "0"), ask(staying, "0"), ask(other, "0"))
    first = world.host("host-0")
    first.answering.clear()
    hung = ask(moving, "1")
    await _turns()
    world.sharing.move(MOVING, to="host-1")
    world.sharing.move(OTHER, to="host-0")
    moving.channel.HOLD_S = 0.01
    found = ask(other, "1")
    assert await hung == "1"
    assert world.done(1)[-1] == (MOVING, "1")
    first.answering.set()
    assert await found == "1"


async def test_a_host_that_does_not_say_who_has_its_actors_is_asked_again() -> None:
    world = SharingWorld()
    moving, *_ = refs(connected(world))
    moving.channel.PAUSE_S = 0.01
    world.silent = 3
    world.sharing.move(MOVING, to="host-1")
    assert await ask(moving, "1") == "1"
    assert world.asked == 4


async def test_a_host_that_begins_while_its_store_is_away_is_asked_again() -> None:
    world = SharingWorld()
    moving, staying, _ = refs(connected(world))
    await ask(staying, "0")
    world.sharing.move(MOVING, to="host-1")
    failing = [StoreUnavailable("the database", "it is away")] * 2

    def away() -> None:
        if failing:
            raise failing.pop()

    world.when_asked = away
    assert await ask(moving, "1") == "1"
    assert await ask(staying, "2") == "2"
    assert not failing


def test_a_batch_says_of_which_of_its_commands_no_part_was_answered() -> None:
    whole = Outgoing(1.0, bulk=True, want_events=False)
    for number in range(5):
        whole.add(CommandPacker().pack((f"counter/{number}", "say", bytes(16), 0, "", None, None)))
    first, second = divided(whole, {"a": [0, 2, 4], "b": [1, 3]}).values()
    inner = divided(first, {"a": [0, 2], "c": [1]})  # and it is divided once more
    lost, late = HostUnavailable("c", "away"), ChannelFailed("b", "a fault")
    inner["c"].finish(None, lost)
    inner["a"].finish(Answer({}, 2, set(), 0, 0, [], [], b"", {}, {}, {}), None)
    assert not whole.finished
    second.finish(None, late)
    assert whole.answer is not None
    assert whole.without_answer == {2: lost, 1: late, 3: late}


async def test_a_host_that_hangs_as_it_is_asked_for_the_table_holds_up_no_other() -> None:
    world = SharingWorld(THREE)
    connection = connected(world, hosts=THREE)
    hung, other, third = refs_of_three(connection)
    await asyncio.gather(*(ask(one, "0") for one in (hung, other, third)))
    world.hanging["host-0"] = asyncio.Event()
    world.sharing.move(hung.source, to="host-1")
    first = ask(hung, "1")
    await _turns()
    world.sharing.move(other.source, to="host-2")
    assert await ask(other, "1") == "1"  # by what the other host says
    assert await first == "1"
    world.hanging["host-0"].set()


async def test_the_parts_of_a_batch_of_which_one_fails_fail_and_succeed_by_themselves() -> None:
    world = SharingWorld()
    moving, staying, _ = refs(connected(world))
    await ask(staying, "0")
    world.sharing.move(MOVING, to="host-1")
    world.host("host-1").unknown = ["1"]
    failing, well = ask(moving, "1"), ask(staying, "1")
    assert await well == "1"
    with pytest.raises(Exception, match="no actor type"):
        await failing


async def test_a_bulk_call_keeps_the_order_of_actors_that_move() -> None:
    world = SharingWorld()
    moving, staying, other = refs(connected(world))
    changed = asyncio.Event()
    call = BulkCall(20.0, want_events=False, changed=changed.set)

    def offer(to: ActorRef[Any], text: str) -> None:
        assert call.offer((to, Say(text=text))) is not None

    for n in range(3):
        for one in (moving, staying, other):
            offer(one, f"{n}")
    world.sharing.move(MOVING, to="host-1")
    assert await ask(moving, "between") == "between"  # by which the driver learns it
    assert moving.channel.host == "host-1"
    for n in range(3, 6):
        offer(moving, f"{n}")
    call.send_all()
    finished = []
    while not call.idle:
        await changed.wait()
        changed.clear()
        finished += call.collect()
    assert [one.error for one in finished] == [None] * len(finished)
    assert sum(one.answer.total for one in finished if one.answer) == 12
    said = [data for source, data in world.done(1) if source == MOVING and data != "between"]
    assert [data["text"] for data in said] == [f"{n}" for n in range(6)]


async def test_plain_bulk_calls_keep_it_too() -> None:
    world = SharingWorld()
    connection = connected(world)
    moving, *_ = refs(connection)
    bulk = PlainBulk(connection, 20.0, want_events=False)
    replies = [bulk.offer(PlainCommand(MOVING, "say", "0", bytes(15) + b"\1", 0))]
    world.sharing.move(MOVING, to="host-1")
    await ask(moving, "between")
    replies += [
        bulk.offer(PlainCommand(MOVING, "say", f"{n}", bytes(15) + bytes([n + 1]), 0))
        for n in range(1, 4)
    ]
    bulk.send_all()
    await asyncio.gather(*replies)
    texts = [text for source, text in world.done(1) if text != "between"]
    assert texts == ["0", "1", "2", "3"]


async def test_a_relaunch_with_other_hosts_ends_what_is_unanswered_as_ever() -> None:
    world = SharingWorld()
    connection = connected(world)
    moving, *_ = refs(connection)
    world.host("host-0").answering.clear()
    unanswered = ask(moving, "1")
    await _turns()
    channel = moving.channel
    connection.channels.adopt(dealt(("host-0",), version=2), connection.settings)
    with pytest.raises(HostUnavailable, match="has other hosts"):
        await unanswered
    assert moving.channel is not channel
    assert moving.channel.host == "host-0"
    assert moving.channel.routed == 2


async def test_a_relaunch_with_the_same_hosts_goes_on_and_learns_who_has_moved() -> None:
    world = SharingWorld()
    connection = connected(world)
    moving, *_ = refs(connection)
    world.host("host-0").answering.clear()
    unanswered = ask(moving, "1")
    await _turns()
    world.sharing.move(MOVING, to="host-1")
    connection.channels.adopt(world.sharing.table, connection.settings)
    world.host("host-0").answering.set()
    assert await unanswered == "1"
    assert world.done(1) == [(MOVING, "1")]


async def test_a_relaunch_with_the_same_hosts_goes_on_though_one_of_them_has_been_emptied() -> None:
    world = SharingWorld()
    connection = connected(world)
    moving, *_ = refs(connection)
    world.host("host-0").answering.clear()
    unanswered = ask(moving, "1")
    await _turns()
    everything = dataclasses.replace(world.sharing.table, version=2, hosts=("host-1",) * SHARDS)
    world.sharing.table = everything
    connection.channels.adopt(everything, connection.settings)
    world.host("host-0").answering.set()
    assert await unanswered == "1"
    assert world.done(1) == [(MOVING, "1")]


async def test_a_relaunch_on_another_log_counts_by_the_versions_of_that() -> None:
    world = SharingWorld()
    first = world.sharing.table
    world.sharing.move(MOVING, to="host-1")
    world.sharing.move(MOVING, to="host-0")
    connection = connected(world)
    moving, *_ = refs(connection)
    await ask(moving, "1")
    world.sharing.table = first
    connection.channels.adopt(first, connection.settings)
    assert await ask(moving, "2") == "2"
    world.sharing.move(MOVING, to="host-1")
    assert await ask(moving, "3") == "3"
    assert world.done(1) == [(MOVING, "3")]


async def test_a_flush_waits_for_what_goes_from_one_host_to_another_meanwhile() -> None:
    world = SharingWorld(THREE)
    connection = connected(world, hosts=THREE)
    away, other, third = refs_of_three(connection)
    await asyncio.gather(ask(other, "0"), ask(third, "0"), ask(away, "0"))
    world.sharing.move(third.source, to="host-1")
    slow, free = world.host("host-1"), {"slow": asyncio.Event(), "moved": asyncio.Event()}
    call = slow.call

    async def late(method: str, packed: bytes) -> bytes:
        for one in unpack_request(packed).commands:
            await free[one[DATA]].wait()
        return await call(method, packed)

    slow.call = late  # type: ignore[method-assign]
    first = ask(other, "slow")  # at the first channel
    await _turns()
    moved = ask(third, "moved")  # at another, whose host turns it away: it goes to the first one
    flushing = asyncio.ensure_future(connection._flush())
    await _turns()
    free["slow"].set()
    await first
    await _turns()
    assert not flushing.done()
    free["moved"].set()
    assert await moved == "moved"
    await flushing


@virtual_time
async def test_a_move_of_which_nobody_says_anything_ends_with_its_time() -> None:
    world, system = SharingWorld(), ActorSystem.__new__(ActorSystem)
    system.connection = connected(world)
    with pytest.raises(AskTimeout, match="move shards"):
        await system.move_shards([1], to="host-1", timeout_s=30.0)
    assert now_s() == 35.0


async def test_what_is_first_sent_to_a_host_while_a_table_is_adopted_waits_for_that() -> None:
    world = SharingWorld(THREE)
    connection = connected(world, hosts=THREE)
    away, other, third = refs_of_three(connection)
    await asyncio.gather(ask(other, "0"), ask(third, "0"))  # and nothing to the first host
    world.host("host-1").answering.clear()
    under_way = ask(other, "1")
    await _turns()
    # All three lose some.
    world.sharing.move(third.source, to="host-0")
    world.sharing.move(away.source, to="host-2")
    world.sharing.move(_of_three(1)[1], to="host-0")
    slow, busy = world.host("host-0"), asyncio.Event()
    call = slow.call

    async def late(method: str, packed: bytes) -> bytes:
        if unpack_request(packed).commands:
            await busy.wait()
        return await call(method, packed)

    slow.call = late  # type: ignore[method-assign]
    found = ask(third, "1")  # by which the table is learnt
    await _turns()
    assert not found.done()
    first = ask(away, "first")
    await _turns()
    world.host("host-1").answering.set()
    await under_way
    await _turns()
    second = ask(away, "second")
    await _turns()
    busy.set()
    said = await asyncio.gather(first, second, found)
    assert list(said) == ["first", "second", "1"]
    assert [text for source, text in world.done(2) if source == away.source] == ["first", "second"]


async def test_what_was_turned_away_by_a_table_from_before_is_not_sent_there_once_more() -> None:
    world = SharingWorld()
    connection = connected(world)
    moving, staying, _ = refs(connection)
    await ask(staying, "0")
    world.sharing.move(MOVING, to="host-1")
    first = world.host("host-0")
    first.answering.clear()
    first.refusing = [ActorsMoved("host-0", "moved", 1)]
    channel, asked = moving.channel, ask(moving, "1")
    await _turns()  # it is under way by the table from before
    connection.channels._shards = world.sharing.table
    channel.reroute(world.sharing.table.version)
    first.answering.set()
    assert await asked == "1"
    assert world.done(1) == [(MOVING, "1")]
    assert world.done(0) == [(STAYING, "0")]


async def test_stop_goes_to_where_its_actor_lives_when_it_is_put_into_a_batch() -> None:
    world = SharingWorld()
    connection = connected(world)
    moving, *_ = refs(connection)
    await ask(moving, "1")
    world.sharing.move(MOVING, to="host-1")

    class Ref(ActorRef[Any]):
        @property
        def way(self) -> tuple[Channel, int]:
            found, channels = super().way, connection.channels
            if channels.table is not world.sharing.table:  # between this and what comes next
                with channels._lock:
                    channels._switch(world.sharing.table, {"host-0"})
            return found

    stopped = stop_actor(Ref(connection, None, MOVING), "now")
    answered = stopped._pending.future()
    assert answered is not None
    await answered
    assert world.done(0) == [(MOVING, "1")]
    assert world.done(1) == [(MOVING, {"reason": "now"})]


def refs_of_three(connection: Connection) -> list[ActorRef[Any]]:
    return [ActorRef(connection, None, _of_three(host)[0]) for host in range(3)]


def _of_three(host: int) -> list[str]:
    return [one for n in range(1000) if shard_of(one := f"counter/{n}") % 3 == host][:2]


async def _turns() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


class HeadAway(SharingWorld):
    """Ray's head does not say where host-1 is, for a while."""

    away = True

    async def handle(self, name: str) -> Any:
        if name == "host-1" and self.away:
            raise GetTimeoutError("the head is away")
        handle: Any = await super().handle(name)

        async def told(anew: bool = False) -> Any:
            return self.sharing.table

        handle.shard_table = SimpleNamespace(remote=told)
        return handle


async def test_a_head_that_is_away_as_a_host_is_looked_for_closes_no_way_to_it() -> None:
    world = HeadAway()
    _, staying, other = refs(connected(world))
    assert await ask(staying, "0") == "0"
    one = ask(other, "1")
    await asyncio.sleep(0.5)  # it is looked for meanwhile, also at the other host
    world.away = False
    assert await one == "1"
    assert await ask(other, "2") == "2"


class Remembering(SharingWorld):
    """It has the handle of a host that has ended, under whose name there is another one by now."""

    remembered = True

    def forget(self, name: str) -> None:
        if name == "host-0":
            self.remembered = False

    async def handle(self, name: str) -> Any:
        handle: Any = await super().handle(name)

        async def told(anew: bool = False) -> Any:
            if name == "host-0" and self.remembered:
                raise ActorDiedError
            return self.sharing.table

        handle.shard_table = SimpleNamespace(remote=told)
        return handle


async def test_who_has_ended_is_not_asked_again_for_the_shards_of_another() -> None:
    world = Remembering()
    await connected(world).channels.look_elsewhere("host-1")
    assert not world.remembered


class AllStopped(SharingWorld):
    """The hosts that a driver has heard of have ended for good; the directory knows who has their
    shards."""

    async def handle(self, name: str) -> Any:
        if name == DIRECTORY_ACTOR:
            return SimpleNamespace(shard_table=SimpleNamespace(remote=self._read))
        if name in HOSTS:
            raise ValueError(f"no actor named {name}")
        return await super().handle(name)

    async def _read(self) -> ShardTable:
        return self.sharing.table


async def test_where_all_hosts_that_are_known_were_stopped_the_directory_says_who_is_there() -> (
    None
):
    world = AllStopped()
    connection = connected(world)
    table = world.sharing.table
    for host in HOSTS:
        table = table.given(sorted(table.of(host)), host, "host-2")
    world.sharing.table = table
    await connection.channels.look_elsewhere("host-0")
    assert connection.channels.table is table
    assert await ask(refs(connection)[0], "1") == "1"
    assert len(world.done(2)) == 1
