"""An actor that was erased, in its host: it is over behind all that it has decided, and takes
nothing until it is started; it begins anew then."""

import pytest

from actors.event import Kind
from actors.naming import aggregate_key_of
from runtime.errors import ActorErased, HandlerFailed, NotPossible
from runtime.partition.writer_link import WriterAway
from runtime.wire.answers import read_events
from runtime.wire.commands import ERASE, PUBLISH, START, STATE, STOP
from store.appends import Acknowledged, Append
from store.erasures import ERASED_SNAPSHOT, Erasure
from store.event_store import Snapshot
from tests.unit.hosting import Add, Break, Hosting, Spoil, command, versions
from tests.virtual_time import settled, virtual_time

_WHY = {"reason": "its owner asked"}


async def erase(host: Hosting, source: str = "counter/a") -> list[int | None]:
    """The versions of the events that say so."""
    answer = await host.deliver(command(source, ERASE, data=_WHY))
    return versions(read_events(answer, 0))


async def forget(host: Hosting, source: str = "counter/a") -> None:
    """What whoever has it erased does then."""
    await host.store.erase(Erasure.of(source), -1)


@virtual_time
async def test_it_is_over_behind_what_was_decided_and_what_follows_is_refused() -> None:
    host = await Hosting.begin()
    answer = await host.deliver(
        command("counter/a", Add(times=2)),
        command("counter/b", Add()),
        command("counter/a", ERASE, data=_WHY),
        command("counter/a", Add()),
        command("counter/b", Add()),
    )
    assert versions(read_events(answer, 0)) == [1, 2]
    [erased] = read_events(answer, 2)
    assert (erased.event_type, erased.version, erased.kind) == ("actor-erased", 3, Kind.SYSTEM)
    assert erased.data == {"reason": "its owner asked", "events": 2}
    with pytest.raises(ActorErased, match="counter/a was erased: its owner asked"):
        read_events(answer, 3)
    assert versions(read_events(answer, 4)) == [2]
    for _ in range(2):  # also a host that has to read that
        for message in (Add(), Break()):
            with pytest.raises(ActorErased):
                await host.ask("counter/a", message)
        with pytest.raises(ActorErased):
            read_events(await host.deliver(command("counter/a", STATE)), 0)
        with pytest.raises(ActorErased):
            await host.stop("counter/a")
        assert await erase(host) == []
        host = await Hosting.begin(host.store)


@virtual_time
async def test_it_begins_anew_when_it_is_started() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add(times=5))
    await erase(host)
    await forget(host)
    assert versions(await host.start("counter/a")) == [7]
    assert await host.total("counter/a") == 0
    assert versions(await host.ask("counter/a", Add())) == [8]
    successor = await Hosting.begin(host.store)
    assert await successor.total("counter/a") == 1
    assert await erase(successor) == [9]


@virtual_time
async def test_it_is_not_started_before_its_erasure_has_a_receipt_whichever_host_is_asked() -> None:
    host = await Hosting.begin()
    both = await host.deliver(
        command("counter/a", Add(times=5)),
        command("counter/a", ERASE, data=_WHY),
        command("counter/a", START, data=_WHY),
        command("counter/a", START, data=_WHY),
        command("counter/b", Add()),
    )
    assert versions(read_events(both, 1)) == [6]
    for index in (2, 3):
        with pytest.raises(NotPossible, match=r"call system\.erase\(ref, reason\) again"):
            read_events(both, index)
    assert versions(read_events(both, 4)) == [1]
    for _ in range(2):  # also where it has moved, or its host was killed in between
        with pytest.raises(NotPossible, match="counter/a was erased"):
            await host.start("counter/a")
        successor = await Hosting.begin(host.store)
        with pytest.raises(ActorErased):
            await successor.ask("counter/a", Add())  # it is resident there, of before the receipt
        host = successor
    with pytest.raises(NotPossible):
        await host.start("counter/a")
    await forget(host)
    assert versions(await host.start("counter/a")) == [7]
    assert versions(await host.ask("counter/a", Add())) == [8]
    # Of the erasure before there is a marker; this one is another.
    successor = await Hosting.begin(host.store)
    assert await erase(successor) == [9]
    for each in (successor, await Hosting.begin(host.store)):
        with pytest.raises(NotPossible):
            await each.start("counter/a")


@virtual_time
async def test_a_host_reads_no_tombstones_of_one_that_was_forgotten() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add(times=50))
    await erase(host)
    await forget(host)
    successor = await Hosting.begin(host.store)
    assert versions(await successor.start("counter/a")) == [52]
    assert successor.residents.folded <= 2
    await host.store.save_snapshots(
        [Snapshot(aggregate_id=aggregate_key_of("counter/a"), version=51, data=b"?")]
    )
    another = await Hosting.begin(host.store)  # nor does it need the snapshot that spares it them
    assert await another.total("counter/a") == 0
    assert another.residents.folded == 52


@virtual_time
async def test_what_is_broken_is_erased_and_begins_anew() -> None:
    host = await Hosting.begin(strategy="stop")
    with pytest.raises(HandlerFailed):
        await host.ask("counter/a", Spoil())
    assert await erase(host) == [2]
    with pytest.raises(ActorErased):
        await host.ask("counter/a", Add())
    await forget(host)
    assert versions(await host.start("counter/a")) == [3]
    assert await host.total("counter/a") == 0


@virtual_time
async def test_a_repeat_of_what_it_had_done_has_no_data() -> None:
    host = await Hosting.begin()
    add, other = command("counter/a", Add(times=2)), command("counter/b", Add())
    first = read_events(await host.deliver(add, other), 0)
    await erase(host)
    await forget(host)
    again = read_events(await host.deliver(add), 0)
    assert [event.id for event in again] == [event.id for event in first]
    assert all(event.erased for event in again)
    found = read_events(await host.deliver(other), 0)  # who was decided beside it is in the log
    assert (versions(found), found[0].erased) == ([1], False)


@virtual_time
async def test_a_batch_that_is_sent_again_erases_once() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    order = command("counter/a", ERASE, data=_WHY)
    first = read_events(await host.deliver(order), 0)
    assert read_events(await host.deliver(order), 0) == first
    successor = await Hosting.begin(host.store)
    assert read_events(await successor.deliver(order), 0) == first


@virtual_time
async def test_who_has_no_events_is_not_erased() -> None:
    host = await Hosting.begin()
    assert await erase(host, "counter/nobody") == []
    assert versions(await host.ask("counter/nobody", Add())) == [1]


@virtual_time
async def test_a_source_without_an_actor_is_erased_and_nothing_more_is_published_there() -> None:
    host = await Hosting.begin()

    def published(number: int) -> list[object]:
        return command(
            "sensor/7", PUBLISH, id=number.to_bytes(16),
            data={"event_type": "measured", "kind": "device", "data": b'{"a":1}', "metadata": {},
                  "clock": {}},
        )  # fmt: skip

    await host.deliver(published(1))
    assert await erase(host, "sensor/7") == [2]
    with pytest.raises(ActorErased):
        read_events(await host.deliver(published(2)), 0)
    await forget(host, "sensor/7")
    assert versions(read_events(await host.deliver(command("sensor/7", START, data=_WHY)), 0)) == [
        3
    ]
    assert versions(read_events(await host.deliver(published(3)), 0)) == [4]


@virtual_time
async def test_no_snapshot_of_before_is_kept_by_a_host_that_saves_one_late() -> None:
    host = await Hosting.begin(frequency=2)
    await host.ask("counter/a", Add(times=2))
    await settled()
    await erase(host)
    await forget(host)
    key = aggregate_key_of("counter/a")
    assert (await host.store.load_snapshots([key]))[key].data == ERASED_SNAPSHOT


@virtual_time
async def test_who_was_stopped_is_erased_too() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    answer = await host.deliver(
        command("counter/a", STOP, data=_WHY), command("counter/a", ERASE, data=_WHY)
    )
    assert versions(read_events(answer, 1)) == [3]
    with pytest.raises(ActorErased):
        await host.ask("counter/a", Add())


@virtual_time
async def test_whoever_does_not_hear_that_its_end_is_durable_remembers_nothing_either() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    lost: list[Append] = []

    async def lose_the_first(append: Append) -> Acknowledged:
        acknowledged = await host.writing.writer.append(append)
        if not lost:
            lost.append(append)
            raise WriterAway("killed")
        return acknowledged

    host.way = lose_the_first  # type: ignore[method-assign]
    assert await erase(host) == [2]
    assert (lost != [], host.recent.bytes) == (True, 0)


@virtual_time
async def test_nothing_of_actors_that_have_left_is_remembered() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    await host.ask("counter/b", Add())
    await host.deliver(command("counter/a", Add()), command("counter/b", Add()))
    host.executor.forget(lambda source: source == "counter/a")
    assert len(host.recent) == 1
    assert host.recent.bytes > 0
    host.executor.forget(lambda source: source == "counter/b")
    assert (len(host.recent), host.recent.bytes) == (0, 0)
