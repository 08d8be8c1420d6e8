"""Repeats, conflicts, eviction and snapshots: each command once, on the state of the log."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.event import Event, Kind
from actors.naming import aggregate_id_of
from runtime.driver.publishing import publish_fields
from runtime.errors import HostUnavailable, PublishRefused, RetriesExhausted
from runtime.host.idling import Idling
from runtime.wire.answers import read_events
from runtime.wire.commands import STATE, Request, unpack_answer
from store.appends import Acknowledged, Append
from store.errors import StoreUnavailable
from store.event_store import Load
from tests.unit.hosting import (
    Add,
    AddOnce,
    AddUpTo,
    Break,
    Hosting,
    command,
    intrude,
    totals,
    versions,
)
from tests.unit.writing import GONE, CuedStore
from tests.virtual_time import settled, virtual_time


@virtual_time
async def test_a_repeat_is_answered_with_the_events_of_the_first_run() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", Add(times=3))
    first = await host.deliver(sent)
    again = await host.deliver(command("counter/b", Add()), sent)
    assert read_events(again, 1) == read_events(first, 0)
    assert (again.total, again.repeats) == (1, {1})
    assert await host.total("counter/a") == 3


@virtual_time
async def test_a_repeat_in_the_same_batch_takes_effect_once() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", Add(times=2))
    answer = await host.deliver(sent, command("counter/a", Add()), sent, sent)
    first, between, again, once_more = [read_events(answer, index) for index in range(4)]
    assert again == once_more == first
    assert versions(first + between) == [1, 2, 3]
    assert len(await host.log("counter/a")) == 3


@virtual_time
async def test_a_repeat_of_a_batch_still_on_its_way_waits_for_the_first_run() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", Add(times=2))
    host.store.open.clear()
    batches = [host.send(sent), host.send(sent)]
    await settled()
    assert not any(batch.answer.done() for batch in batches)
    host.store.open.set()
    first, again = [read_events(unpack_answer(await batch.answer), 0) for batch in batches]
    assert first == again == await host.log("counter/a")


@virtual_time
async def test_a_repeat_that_no_host_remembers_is_recognised_by_the_log() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", Add(times=6))
    first = read_events(await host.deliver(sent), 0)
    successor = await Hosting.begin(host.store)
    answer = await successor.deliver(command("counter/b", Add()), sent, command("counter/a", Add()))
    assert read_events(answer, 1) == first
    assert versions(read_events(answer, 2)) == [7]
    assert await successor.total("counter/a") == 7
    assert await successor.total("counter/b") == 1


@virtual_time
async def test_a_repeat_beyond_what_a_host_remembers_is_recognised_by_the_log() -> None:
    host = await Hosting.begin(recent=2)
    sent = command("counter/a", Add())
    first = read_events(await host.deliver(sent), 0)
    for _ in range(4):
        await host.ask("counter/b", Add())
    assert read_events(await host.deliver(sent), 0) == first
    assert (await host.total("counter/a"), await host.total("counter/b")) == (1, 4)


@virtual_time
async def test_a_repeat_that_is_now_refused_is_answered_with_the_first_run() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", AddOnce())
    first = read_events(await host.deliver(sent), 0)
    successor = await Hosting.begin(host.store)
    answer = await successor.deliver(sent)
    assert read_events(answer, 0) == first
    assert not answer.errors


@virtual_time
async def test_a_repeat_that_now_finds_nothing_to_do_is_answered_with_the_first_run() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", AddUpTo(total=3))
    first = read_events(await host.deliver(sent), 0)
    successor = await Hosting.begin(host.store)
    assert read_events(await successor.deliver(sent), 0) == first
    assert totals(first) == [1, 2, 3]


@virtual_time
async def test_a_repeat_whose_handler_now_fails_is_answered_with_the_first_run() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", Add(times=2))
    first = read_events(await host.deliver(sent), 0)
    successor = await Hosting.begin(host.store)
    fails_now = command("counter/a", Break(), id=sent[2])
    assert read_events(await successor.deliver(fails_now), 0) == first
    assert await successor.total("counter/a") == 2


@virtual_time
async def test_a_command_with_nothing_to_do_has_no_events() -> None:
    host = await Hosting.begin()
    assert await host.ask("counter/a", AddUpTo(total=0)) == []
    assert await host.store.stored_sources() == []


@virtual_time
async def test_a_conflict_is_decided_again_on_what_the_log_says() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    await intrude(host, "counter/a", 2)
    [event] = await host.ask("counter/a", Add())
    assert (event.version, event.data) == (3, {"total": 3})
    assert await host.total("counter/a") == 3


@virtual_time
async def test_a_conflict_runs_every_batch_again_that_was_decided_on_it() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    await intrude(host, "counter/a", 2)
    host.store.open.clear()
    batches = [host.send(command("counter/a", Add()), command("counter/b", Add()))]
    batches += [host.send(command("counter/a", Add())) for _ in range(3)]
    batches += [host.send(command("counter/a", STATE)), host.send(command("counter/b", Add()))]
    await settled()
    host.store.open.set()
    answers = [unpack_answer(await batch.answer) for batch in batches]
    events = [event for answer in answers[:4] for event in read_events(answer, 0)]
    assert versions(events) == totals(events) == [3, 4, 5, 6]
    assert await host.total("counter/a") == 6
    assert versions(await host.log("counter/b")) == [1, 2]


@virtual_time
async def test_a_command_that_the_log_refuses_for_ever_is_given_up_on() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())

    async def always_too_late(append: Append) -> Acknowledged:
        await intrude(host, "counter/a", len(await host.log("counter/a")) + 1)
        return await host.writing.writer.append(append)

    host.way = always_too_late  # type: ignore[method-assign]
    with pytest.raises(RetriesExhausted):
        await host.ask("counter/a", Add())
    del host.way
    host.begin_generation()
    length = len(await host.log("counter/a"))
    assert versions(await host.ask("counter/a", Add())) == [length + 1]


class LosingStore(CuedStore):
    """Cannot load actors, so many times."""

    losses = 0

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        if self.losses:
            self.losses -= 1
            raise GONE
        return await super().load_rows(after_versions)


@virtual_time
async def test_no_batch_is_run_again_after_an_earlier_one_of_its_driver_was_given_up() -> None:
    host = await Hosting.begin(store := LosingStore())
    await host.ask("counter/a", Add())
    await intrude(host, "counter/a", 2)
    store.open.clear()
    sent = [command("counter/a", Add()), command("counter/b", Add()), command("counter/c", Add())]
    batches = [host.send(one) for one in sent[:2]]
    batches.append(host.mailbox.put(Request(b"another driver", 0, 0, {}, True, sent[2:])))
    await settled()
    store.losses = 1  # of the first batch, when it is run again after its conflict
    store.open.set()
    answers = [unpack_answer(await batch.answer) for batch in batches]
    with pytest.raises(StoreUnavailable):
        read_events(answers[0], 0)
    with pytest.raises(HostUnavailable, match="an earlier batch was turned away"):
        read_events(answers[1], 0)
    assert versions(read_events(answers[2], 0)) == [1]
    assert await host.log("counter/b") == []
    host.begin_generation()
    again = [await host.deliver(one) for one in sent[:2]]
    assert [versions(read_events(answer, 0)) for answer in again] == [[3], [1]]


@virtual_time
async def test_actors_beyond_capacity_leave_memory_and_come_back_as_they_were() -> None:
    host = await Hosting.begin(capacity=3)
    for round_ in range(1, 4):
        for name in "abcdefgh":
            [event] = await host.ask(f"counter/{name}", Add())
            assert (event.version, event.data["total"]) == (round_, round_)
            assert len(host.residents) <= 3
    assert host.residents.evicted >= 8 * 3 - 3
    assert [await host.total(f"counter/{name}") for name in "abcdefgh"] == [3] * 8


@virtual_time
async def test_the_actors_used_last_are_those_that_stay() -> None:
    host = await Hosting.begin(capacity=3)
    for name in "abcabd":
        await host.ask(f"counter/{name}", Add())
    assert host.residents.sources() == ["counter/a", "counter/b", "counter/d"]


@virtual_time
async def test_actors_that_are_idle_leave_and_come_back_as_they_were() -> None:
    host = await Hosting.begin()
    for name in "abc":
        await host.ask(f"counter/{name}", Add())
    idling = Idling(10.0)
    assert idling.note(0.0, host.mailbox.last) is None
    await host.ask("counter/b", Add())
    for now_s in (2.5, 5.0, 7.5, 9.9):
        assert idling.note(now_s, host.mailbox.last) is None
    through = idling.note(10.0, host.mailbox.last)
    assert through is not None
    host.executor.evict_idle(through)
    assert (host.residents.sources(), host.residents.evicted) == (["counter/b"], 2)
    [event] = await host.ask("counter/a", Add())
    assert (event.version, event.data["total"]) == (2, 2)
    host.executor.evict_idle(host.mailbox.last)
    assert not host.residents.sources()


@virtual_time
async def test_an_actor_with_undecided_work_is_not_idle_however_long_that_takes() -> None:
    """What it has decided stands in no append while the event's type is noted."""
    noting, noted = asyncio.Event(), asyncio.Event()

    class Slow(CuedStore):
        async def note_event_types(self, pairs: Iterable[tuple[str, str]]) -> None:
            noting.set()
            await noted.wait()
            await super().note_event_types(pairs)

    host = await Hosting.begin(Slow())
    asking = asyncio.ensure_future(host.ask("counter/a", Add()))
    await noting.wait()
    host.executor.evict_idle(host.mailbox.last)
    assert host.residents.sources() == ["counter/a"]
    noted.set()
    [event] = await asking
    host.executor.evict_idle(host.mailbox.last)
    assert (event.version, host.residents.sources()) == (1, [])


@virtual_time
async def test_an_actor_that_an_unsettled_batch_has_touched_does_not_leave() -> None:
    residents = (await Hosting.begin(capacity=0)).residents
    await residents.load([f"counter/{name}" for name in "abc"])
    for batch, source in enumerate(residents.sources(), 1):
        resident = residents.get(source)
        assert resident is not None
        resident.batch = batch
    residents.evict(settled=2)
    assert residents.sources() == ["counter/c"]
    residents.evict(settled=3)
    assert residents.sources() == []


@virtual_time
async def test_an_actor_stays_while_what_it_decided_is_on_its_way() -> None:
    host = await Hosting.begin(capacity=1)
    await host.ask("counter/z", Add())
    host.store.open.clear()
    batches = [host.send(command(f"counter/{name}", Add())) for name in "abab"]
    await settled()
    host.store.open.set()
    answers = [unpack_answer(await batch.answer) for batch in batches]
    assert [versions(read_events(answer, 0)) for answer in answers] == [[1], [1], [2], [2]]


class SlowStore(CuedStore):
    """Takes a while to load what is asked of it."""

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        await asyncio.sleep(0.01)
        return await super().load_rows(after_versions)


@given(names=st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3), max_size=12))
@virtual_time
async def test_no_actor_leaves_between_its_loading_and_its_deciding(names: list[list[str]]) -> None:
    host = await Hosting.begin(SlowStore(), capacity=1)
    batches = []
    for batch in names:
        batches.append(host.send(*(command(f"counter/{name}", Add()) for name in batch)))
        await asyncio.sleep(0.003)
    for batch, sent in zip(names, batches, strict=True):
        answer = unpack_answer(await sent.answer)
        assert not answer.errors
        assert answer.turned_away is None
        assert answer.total == len(batch)
    for name in "abcdef":
        expected = sum(batch.count(name) for batch in names)
        assert totals(await host.log(f"counter/{name}")) == list(range(1, expected + 1))


@virtual_time
async def test_a_snapshot_is_saved_every_so_many_events_and_spares_folding_them() -> None:
    host = await Hosting.begin(frequency=10)
    await host.ask("counter/a", Add(times=9))
    assert await host.store.load_snapshot(aggregate_id_of("counter/a")) is None
    await host.ask("counter/a", Add(times=14))
    await settled()
    snapshot = await host.store.load_snapshot(aggregate_id_of("counter/a"))
    assert snapshot is not None
    assert snapshot[0] == 23
    await host.ask("counter/a", Add(times=2))
    successor = await Hosting.begin(host.store, frequency=10)
    assert await successor.total("counter/a") == 25
    assert successor.residents.folded == 2


@virtual_time
async def test_no_snapshot_is_saved_of_what_is_not_durable() -> None:
    host = await Hosting.begin(frequency=1)
    host.store.open.clear()
    batch = host.send(command("counter/a", Add()))
    await settled()
    assert await host.store.load_snapshot(aggregate_id_of("counter/a")) is None
    host.store.open.set()
    await batch.answer
    await settled()
    assert await host.store.load_snapshot(aggregate_id_of("counter/a")) is not None


@pytest.mark.parametrize(
    "data", [b"2\n{}", b'1\n{"total": "many"}', b"1\nnot json", b"", b"no header"]
)
@virtual_time
async def test_a_snapshot_that_no_longer_fits_is_ignored(data: bytes) -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add(times=3))
    await host.store.save_snapshot(aggregate_id_of("counter/a"), 3, data)
    successor = await Hosting.begin(host.store)
    assert await successor.total("counter/a") == 3
    assert versions(await successor.ask("counter/a", Add())) == [4]


def outside(source: str, number: int) -> Event:
    """An event from outside any actor."""
    return Event(
        id=UUID(int=number),
        event_type="seen",
        kind=Kind.SYSTEM,
        source=source,
        aggregate_id=aggregate_id_of(source),
        timestamp=datetime(2013, 1, 1, tzinfo=UTC),
        data={"n": 10**30, "text": "☃"},
        metadata={"by": "test"},
    )


@virtual_time
async def test_a_published_event_enters_the_log_once_under_its_own_id() -> None:
    host = await Hosting.begin()
    sent = [list(publish_fields(outside("tower/jfk", number))) for number in (1, 2)]
    answer = await host.deliver(*sent, sent[0])
    first, second, again = [read_events(answer, index) for index in range(3)]
    assert again == first
    assert await host.log("tower/jfk") == first + second
    [event] = first
    assert (event.id, event.version, event.event_type) == (UUID(int=1), 1, "seen")
    assert event.data == {"n": 10**30, "text": "☃"}
    assert (event.kind, dict(event.metadata)) == (Kind.SYSTEM, {"by": "test"})
    successor = await Hosting.begin(host.store)
    assert read_events(await successor.deliver(sent[1]), 0) == second


@virtual_time
async def test_nobody_publishes_in_the_name_of_an_actor() -> None:
    host = await Hosting.begin()
    answer = await host.deliver(list(publish_fields(outside("counter/a", 1))))
    with pytest.raises(PublishRefused, match="counter/a"):
        read_events(answer, 0)
    assert await host.store.stored_sources() == []
