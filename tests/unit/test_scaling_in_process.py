"""A system in one process gets hosts and loses hosts while somebody speaks to its actors."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from actors.event import Event
from examples.thermostat import ReportTemperature, Thermostat
from runtime.errors import HostUnavailable
from tests.unit.test_messages_between_actors import Ping, Receiver, Sender
from tests.unit.test_timers_in_a_system import Bell, Wind, take
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

ACTORS = 40
LIMIT_S = 30.0


@pytest.fixture
def two() -> Iterator[InProcessSystem]:
    """A system of two hosts."""
    with InProcessSystem(small_settings({"actor_system": {"hosts": 2}}, type="memory")) as system:
        yield system


def _asked(system: InProcessSystem, process: str, method: str, *arguments: Any) -> Any:
    """What a process says, as if one of the system had asked it."""

    async def ask() -> Any:
        handle = await system.connection.world.handle(process)
        return await getattr(handle, method).remote(*arguments)

    return asyncio.run_coroutine_threadsafe(ask(), system.connection.courier.loop).result(LIMIT_S)


def _hosts(system: InProcessSystem) -> list[str]:
    return [one.name for one in system.status().result() if one.name.startswith("host-")]


def test_hosts_come_and_go_under_load_and_nobody_notices() -> None:
    with InProcessSystem(small_settings({"actor_system": {"hosts": 1}}, type="memory")) as system:
        rooms = [system.actor(Thermostat, f"room-{n}") for n in range(ACTORS)]
        done = threading.Event()
        rounds: list[list[list[Event]]] = []
        failed: list[Exception] = []

        def load() -> None:
            try:
                while not done.is_set():
                    number = len(rounds)
                    asked = [room.ask(ReportTemperature(celsius=number)) for room in rooms]
                    rounds.append([reply.result() for reply in asked])
            except Exception as error:  # for the thread that looks
                failed.append(error)

        loading = threading.Thread(target=load)
        loading.start()
        try:
            for hosts in (3, 2, 4, 1):
                shares = system.scale(hosts).result()
                assert len(shares) == hosts
                assert sum(shares.values()) == 4096
        finally:
            done.set()
            loading.join()
        assert failed == []
        for n in range(ACTORS):
            versions = [events[0].version for events in (each[n] for each in rounds)]
            assert versions == list(range(1, len(rounds) + 1))
        assert _hosts(system) == ["host-0"]
        with pytest.raises(HostUnavailable, match="no such host to have shards: there are host-0"):
            system.move_shards([rooms[0].shard], to="host-3").result()


def test_timers_and_messages_find_their_actors_while_hosts_come_and_go(
    two: InProcessSystem,
) -> None:
    """Those who post them have connections of their own."""
    bells = [two.actor(Bell, f"bell-{n}") for n in range(10)]
    senders = [two.actor(Sender, f"sender-{n}") for n in range(10)]
    two.actor(Receiver, "r-0").state().result()  # hosts know its class
    for hosts in (3, 1, 4, 2):
        for bell in bells:
            bell.ask(Wind(key=f"at {hosts}", times=20)).result()
        for number, sender in enumerate(senders):
            sender.ask(Ping(number=hosts, to=f"receiver/r-{number}")).result()
        assert len(two.scale(hosts).result()) == hosts
    rang = take(two, "rang", 10 * 4 * 20)
    assert Counter(event.source for event in rang) == {bell.source: 80 for bell in bells}
    got = take(two, "counted", 10 * 4, sources="receiver/*")
    for number in range(10):
        theirs = [event for event in got if event.source == f"receiver/r-{number}"]
        assert [event.data["number"] for event in theirs] == [3, 1, 4, 2]


def test_a_shard_moves_by_itself_and_what_is_none_is_refused(two: InProcessSystem) -> None:
    room = two.actor(Thermostat, "kitchen")
    room.ask(ReportTemperature(celsius=20)).result()
    for host in ("host-0", "host-1", "host-0"):
        two.move_shards([room.shard], to=host).result()
        [event] = room.ask(ReportTemperature(celsius=21)).result()
        assert dict(event.vector_clock.counts).get(f"node-001.{host}")
        assert room.channel.host == host
    with pytest.raises(ValueError, match="4095"):
        two.move_shards([4096], to="host-0")
    with pytest.raises(TypeError):
        two.move_shards(["kitchen"], to="host-0")  # type: ignore[list-item]


def test_a_host_that_is_given_shards_when_it_has_ended_is_there_again(two: InProcessSystem) -> None:
    """Whoever had asked for the move has given it up, and it is made all the same."""
    room = two.actor(Thermostat, "kitchen")
    room.ask(ReportTemperature(celsius=20)).result()
    two.scale(1).result()
    assert _hosts(two) == ["host-0"]
    _asked(two, "host-0", "give_shards", [room.shard], "host-1")
    [event] = room.ask(ReportTemperature(celsius=21)).result()
    assert event.version == 2
    assert room.channel.host == "host-1"
    assert set(_hosts(two)) == {"host-0", "host-1"}


def test_what_a_host_was_given_when_it_had_ended_is_scaled_too(two: InProcessSystem) -> None:
    two.scale(1).result()
    _asked(two, "host-0", "give_shards", [7], "host-1")
    assert two.scale(1).result() == {"host-0": 4096}
    assert _hosts(two) == ["host-0"]


def test_a_driver_that_knows_ended_hosts_alone_finds_its_actors(two: InProcessSystem) -> None:
    room = two.actor(Thermostat, "kitchen")
    two.move_shards(range(4096), to="host-1").result()
    two.move_shards([room.shard], to="host-0").result()
    two.move_shards([room.shard], to="host-1").result()
    room.ask(ReportTemperature(celsius=20)).result()
    assert set(two.connection.channels.table.hosts) == {"host-1"}
    two.scale(1).result()
    [event] = room.ask(ReportTemperature(celsius=21)).result()
    assert event.version == 2


def test_a_host_is_not_ended_while_it_has_shards(two: InProcessSystem) -> None:
    with pytest.raises(HostUnavailable, match="it is to stay: it has 2,048 shards"):
        _asked(two, "directory", "remove_host", "host-1", LIMIT_S)
    with pytest.raises(HostUnavailable, match="no host that may"):
        _asked(two, "directory", "remove_host", "writer", LIMIT_S)
    _asked(two, "directory", "remove_host", "host-7", LIMIT_S)
    with pytest.raises(HostUnavailable, match="host-0 to host-63"):
        _asked(two, "directory", "add_host", "host-64", LIMIT_S)
    assert _hosts(two) == ["host-0", "host-1"]


def test_of_a_host_that_is_there_or_has_no_shards_nothing_is_started(two: InProcessSystem) -> None:
    for name in ("host-1", "host-2", "writer"):
        _asked(two, "directory", "keep_host", name)
    assert _hosts(two) == ["host-0", "host-1"]


def test_a_hot_actor_has_a_process_of_its_own_for_a_while_and_nobody_notices(
    two: InProcessSystem,
) -> None:
    hot, other = two.actor(Thermostat, "hot"), two.actor(Thermostat, "other")
    sources: list[str] = []
    for celsius, have in enumerate((None, two.promote, two.promote, two.demote, two.demote)):
        host = have(hot).result() if have else hot.channel.host
        assert host == (f"promoted-{hot.shard}" if have == two.promote else f"host-{host[-1]}")
        [event] = hot.ask(ReportTemperature(celsius=celsius)).result()
        [beside] = other.ask(ReportTemperature(celsius=celsius)).result()
        assert event.version == beside.version == celsius + 1
        assert hot.channel.host == host
        sources.append(list(event.vector_clock.counts)[-1])
        assert sum(two.scale(2).result().values()) == 4096
    assert sources[1:3] == ["node-001.promoted"] * 2
    assert {
        one.name for one in two.status().result() if "host" in one.name or "prom" in one.name
    } == {
        "host-0",
        "host-1",
    }
    with pytest.raises(TypeError, match="a ref is wanted"):
        two.promote("thermostat/hot")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"like ref\.shard"):
        two.move_shards([hot], to="host-0")  # type: ignore[list-item]
