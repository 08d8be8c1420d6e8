"""A host's work: decide, append, answer; nothing leaves before it is durable."""

import asyncio
from typing import Any

import pytest

from actors.errors import Rejected
from actors.ids import event_id
from actors.naming import aggregate_id_of
from runtime.errors import HostUnavailable, InvalidMessage, UnknownActorType, UnknownMessage
from runtime.partition.writer_link import WriterAway
from runtime.wire.answers import read_events, unpack_state
from runtime.wire.commands import STATE, unpack_answer
from store.appends import Acknowledged, Append
from store.errors import InvalidData, RowsRefused, StaleEpoch, StoreUnavailable
from tests.unit.hosting import (
    AT_US,
    NODE,
    Add,
    AddOnce,
    Hosting,
    YieldBadData,
    command,
    totals,
    versions,
)
from tests.unit.writing import GONE, CuedStore
from tests.virtual_time import settled, virtual_time


@virtual_time
async def test_an_answer_has_the_events_that_the_log_has() -> None:
    host = await Hosting.begin()
    answer = await host.deliver(
        command("counter/a", Add(times=2)), command("counter/b", Add()), command("counter/a", Add())
    )
    a, b, a2 = [read_events(answer, index) for index in range(3)]
    assert await host.log("counter/a") == a + a2
    assert await host.log("counter/b") == b
    assert totals(a + a2) == versions(a + a2) == [1, 2, 3]
    assert [event.position for event in a + b + a2] == [1, 2, 3, 4]
    assert answer.total == 4


@virtual_time
async def test_an_event_says_when_it_happened_and_what_caused_it() -> None:
    host = await Hosting.begin()
    cause, root = b"c" * 16, b"r" * 16
    sent = command("counter/a", Add(), correlation=root, causation=cause)
    alone = command("counter/a", Add(), at_us=AT_US + 1)
    answer = await host.deliver(sent, alone)
    [event], [next_event] = read_events(answer, 0), read_events(answer, 1)
    assert event.correlation_id is not None
    assert event.causation_id is not None
    assert (event.correlation_id.bytes, event.causation_id.bytes) == (root, cause)
    assert next_event.correlation_id == next_event.causation_id
    assert next_event.causation_id is not None
    assert next_event.causation_id.bytes == alone[2]
    assert (next_event.timestamp - event.timestamp).microseconds == 1
    assert event.aggregate_id == aggregate_id_of("counter/a")


@virtual_time
async def test_a_clock_ticks_with_every_event_and_takes_in_what_its_driver_has_seen() -> None:
    host = await Hosting.begin()
    first = await host.ask("counter/a", Add(times=2))
    answer = await host.deliver(command("counter/b", Add()), clock={"elsewhere": 7})
    [third] = read_events(answer, 0)
    assert [dict(event.vector_clock) for event in first] == [{NODE: 1}, {NODE: 2}]
    assert dict(third.vector_clock) == {NODE: 3, "elsewhere": 7}
    assert first[-1].vector_clock.happens_before(third.vector_clock)
    assert answer.clock == {NODE: 3, "elsewhere": 7}


@virtual_time
async def test_no_answer_leaves_before_its_events_are_durable() -> None:
    host = await Hosting.begin()
    host.store.open.clear()
    batch = host.send(command("counter/a", Add()))
    await settled()
    assert not batch.answer.done()
    host.store.open.set()
    assert versions(read_events(unpack_answer(await batch.answer), 0)) == [1]


@virtual_time
async def test_a_look_at_the_state_waits_until_what_it_shows_is_durable() -> None:
    host = await Hosting.begin()
    host.store.open.clear()
    adding = host.send(command("counter/a", Add()))
    looking = host.send(command("counter/a", STATE))
    await settled()
    assert not looking.answer.done()
    host.store.open.set()
    state = unpack_state(unpack_answer(await looking.answer))
    assert adding.answer.done()
    assert state == {"version": 1, "state": {"total": 1, "spoilt": False}}


@virtual_time
async def test_batches_travel_to_the_writer_without_waiting_for_one_another() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    host.store.open.clear()
    batches = [host.send(command("counter/a", Add())) for _ in range(5)]
    await settled()
    assert len(host.appends) == 6
    host.store.open.set()
    answers = [unpack_answer(await batch.answer) for batch in batches]
    assert [versions(read_events(answer, 0)) for answer in answers] == [[n] for n in range(2, 7)]


@virtual_time
async def test_ten_thousand_events_come_from_one_command() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", Add(times=10_000))
    events = read_events(await host.deliver(sent), 0)
    assert totals(events) == versions(events) == list(range(1, 10_001))
    assert await host.log("counter/a") == events
    successor = await Hosting.begin(host.store)
    assert read_events(await successor.deliver(sent), 0) == events
    assert await successor.total("counter/a") == 10_000


@pytest.mark.parametrize(
    ("sent", "error", "text"),
    [
        (command("nothing/a", Add()), UnknownActorType, "no actor type 'nothing'"),
        (command("counter/a", "fly"), UnknownMessage, "does not handle 'fly'; it handles add, "),
        (command("counter/a", "add", data={"times": "x"}), InvalidMessage, "times: Input should"),
        (command("counter/a", "add", data={"wings": 2}), InvalidMessage, "wings: Extra inputs"),
        (command("counter/a", "add", data=None), InvalidMessage, "add for counter/a: message: "),
        (command("counter/a", YieldBadData()), InvalidData, "counted: nan is not a JSON number"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@virtual_time
async def test_a_command_that_cannot_be_run_costs_its_sender_an_answer_and_nobody_else(
    sent: list[Any], error: type[Exception], text: str
) -> None:
    host = await Hosting.begin()
    answer = await host.deliver(command("counter/a", Add()), sent, command("counter/a", Add()))
    with pytest.raises(error, match=text):
        read_events(answer, 1)
    assert versions(read_events(answer, 0) + read_events(answer, 2)) == [1, 2]
    assert await host.store.stored_sources() == ["counter/a:1", "counter/a:2"]


@virtual_time
async def test_a_refused_command_leaves_no_trace() -> None:
    host = await Hosting.begin()
    answer = await host.deliver(command("counter/a", AddOnce()), command("counter/a", AddOnce()))
    with pytest.raises(Rejected, match="counted already"):
        read_events(answer, 1)
    assert await host.total("counter/a") == 1
    assert await host.store.stored_sources() == ["counter/a:1"]


@virtual_time
async def test_a_store_that_is_away_is_said_so_and_nothing_stays_in_the_state() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    host.store.away = True
    with pytest.raises(StoreUnavailable):
        await host.ask("counter/a", Add(times=5))
    host.store.away = False
    host.begin_generation()
    assert await host.total("counter/a") == 1
    assert versions(await host.ask("counter/a", Add())) == [2]


@virtual_time
async def test_what_follows_a_batch_that_was_turned_away_is_turned_away_too() -> None:
    host = await Hosting.begin()
    host.store.away = True
    first = host.send(command("counter/a", Add()))
    await settled()
    others = [host.send(command("counter/a", Add())) for _ in range(3)]
    for batch in (first, *others):
        with pytest.raises((StoreUnavailable, HostUnavailable)):
            read_events(unpack_answer(await batch.answer), 0)
    with pytest.raises(HostUnavailable):
        host.send(command("counter/a", Add()))
    host.store.away = False
    host.begin_generation()
    assert versions(await host.ask("counter/a", Add())) == [1]


@pytest.mark.parametrize("committed", [True, False])
@virtual_time
async def test_commands_whose_writer_went_away_take_effect_once(committed: bool) -> None:
    host = await Hosting.begin()
    lost: list[Append] = []

    async def lose_the_first(append: Append) -> Acknowledged:
        if not lost:
            lost.append(append)
            if committed:
                await host.writing.writer.append(append)
            raise WriterAway("killed")
        return await host.writing.writer.append(append)

    host.way = lose_the_first  # type: ignore[method-assign]
    answer = await host.deliver(command("counter/a", Add(times=2)), command("counter/b", Add()))
    a, b = read_events(answer, 0), read_events(answer, 1)
    assert (await host.log("counter/a"), await host.log("counter/b")) == (a, b)
    assert (totals(a), totals(b)) == ([1, 2], [1])
    assert versions(await host.ask("counter/a", Add())) == [3]


@virtual_time
async def test_a_replaced_host_says_so_and_stops() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    successor = await Hosting.begin(host.store)
    assert versions(await successor.ask("counter/a", Add())) == [2]
    host.writing = successor.writing
    with pytest.raises(HostUnavailable, match="it was replaced"):
        await host.ask("counter/a", Add())
    with pytest.raises(StaleEpoch):
        await host.running
    assert await host.store.stored_sources() == ["counter/a:1", "counter/a:2"]


@virtual_time
async def test_a_row_that_the_database_refuses_costs_its_own_sender_an_answer_alone() -> None:
    host = await Hosting.begin()
    await host.ask("counter/z", Add())

    async def refuse_b(append: Append) -> Acknowledged:
        if b"counter/b" in append.rows.data:
            raise RowsRefused("on cue")
        return await host.writing.writer.append(append)

    host.way = refuse_b  # type: ignore[method-assign]
    sent = [command(f"counter/{name}", Add()) for name in "abacab"]
    answer = await host.deliver(*sent)
    for index in (1, 5):
        with pytest.raises(RowsRefused, match="on cue"):
            read_events(answer, index)
    assert versions(read_events(answer, 0) + read_events(answer, 2)) == [1, 2]
    assert await host.store.stored_sources() == [
        "counter/z:1", "counter/a:1", "counter/a:2", "counter/c:1", "counter/a:3",
    ]  # fmt: skip


@virtual_time
async def test_what_the_database_refuses_leaves_no_trace_in_actor_or_memory() -> None:
    host = await Hosting.begin()
    sent = [command("counter/a", Add(times=number)) for number in (1, 2, 3)]
    refused = sent[1]

    async def refuse_one(append: Append) -> Acknowledged:
        if event_id(refused[2], 0) in append.rows.data:
            raise RowsRefused("on cue")
        return await host.writing.writer.append(append)

    host.way = refuse_one  # type: ignore[method-assign]
    answer = await host.deliver(*sent)
    with pytest.raises(RowsRefused, match="on cue"):
        read_events(answer, 1)
    events = read_events(answer, 0) + read_events(answer, 2)
    assert versions(events) == totals(events) == [1, 2, 3, 4]
    assert await host.total("counter/a") == 4
    del host.way
    again = read_events(await host.deliver(refused), 0)  # no repeat: it took no effect
    assert versions(again) == [5, 6]
    assert await host.log("counter/a") == events + again


@pytest.mark.parametrize(
    ("failure", "told"),
    [(GONE, StoreUnavailable), (WriterAway("killed"), HostUnavailable)],
    ids=["store", "writer"],
)
@virtual_time
async def test_an_outage_while_commands_are_run_alone_leaves_their_outcome_open(
    failure: Exception, told: type[Exception]
) -> None:
    host = await Hosting.begin()

    async def fail(append: Append) -> Acknowledged:
        if b"counter/b" in append.rows.data:
            raise RowsRefused("on cue")
        if b"counter/c" in append.rows.data:
            raise failure
        return await host.writing.writer.append(append)

    host.way = fail  # type: ignore[method-assign]
    sent = [command(f"counter/{name}", Add()) for name in "abc"]
    with pytest.raises(told):
        read_events(await host.deliver(*sent), 0)
    assert await host.store.stored_sources() == ["counter/a:1"]
    del host.way
    host.begin_generation()
    answer = await host.deliver(*sent)
    assert [versions(read_events(answer, index)) for index in range(3)] == [[1]] * 3


@virtual_time
async def test_a_host_that_comes_back_counts_its_clock_on() -> None:
    store = CuedStore()
    await (await Hosting.begin(store)).ask("counter/a", Add(times=3))
    [event] = await (await Hosting.begin(store)).ask("counter/b", Add())
    assert event.vector_clock.count(NODE) == 4


@virtual_time
async def test_an_acknowledgement_that_overtakes_another_changes_no_answer() -> None:
    host = await Hosting.begin()
    await host.ask("counter/c", Add())
    slow = asyncio.Event()

    async def first_answer_late(append: Append) -> Acknowledged:
        done = await host.writing.writer.append(append)
        if append.sequence == 1:
            await slow.wait()
        return done

    host.way = first_answer_late  # type: ignore[method-assign]
    sent = command("counter/a", Add(times=2))
    first, second = host.send(sent), host.send(command("counter/b", Add()), sent)
    await settled()
    slow.set()
    answers = [unpack_answer(await batch.answer) for batch in (first, second)]
    events = await host.log("counter/a")
    assert read_events(answers[0], 0) == read_events(answers[1], 1) == events
