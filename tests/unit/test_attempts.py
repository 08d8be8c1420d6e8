"""A batch runs in as many attempts as it takes; one answer is put together from them."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from actors.actor import Command
from actors.ids import event_id
from actors.naming import aggregate_id_of
from runtime.errors import HandlerFailed, HostUnavailable, RetriesExhausted
from runtime.partition.writer_link import WriterAway
from runtime.wire.answers import read_events, unpack_state
from runtime.wire.commands import ID, PUBLISH, STATE, Request, unpack_answer
from store.appends import Acknowledged, Append
from store.errors import RowsRefused, StoreUnavailable, VersionConflict
from tests.unit.hosting import (
    NODE,
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
from tests.unit.writing import GONE
from tests.virtual_time import settled, virtual_time


def fail_once(host: Hosting, failure: Exception, *, committed: bool = False) -> None:
    """The next append of this host ends with a failure, committed or not."""

    async def way(append: Append) -> Acknowledged:
        del host.way
        if committed:
            await host.writing.writer.append(append)
        raise failure

    host.way = way  # type: ignore[method-assign]


@pytest.mark.parametrize("committed", [True, False])
@virtual_time
async def test_a_deferred_command_whose_append_is_lost_is_stored_before_it_is_answered(
    committed: bool,
) -> None:
    host = await Hosting.begin()
    sent = [command("counter/a", Break()), command("counter/a", Add())]
    fail_once(host, WriterAway("killed"), committed=committed)
    answer = await host.deliver(*sent)
    with pytest.raises(HandlerFailed):
        read_events(answer, 0)
    [event] = read_events(answer, 1)
    assert (event.version, event.position) == (1, 1)
    assert await host.log("counter/a") == [event]
    assert read_events(await host.deliver(sent[1]), 0) == [event]


@virtual_time
async def test_what_was_durable_when_a_later_attempt_failed_is_answered_as_it_was() -> None:
    host = await Hosting.begin()
    sent = [
        command("counter/b", Add(times=2)),
        command("counter/a", Break()),
        command("counter/a", Add()),
    ]

    async def lose_the_second(append: Append) -> Acknowledged:
        if len(host.appends) == 2:
            raise WriterAway("killed")
        return await host.writing.writer.append(append)

    host.way = lose_the_second  # type: ignore[method-assign]
    answer = await host.deliver(*sent)
    assert answer.repeats == set()
    assert answer.total == 3
    assert await host.log("counter/b") == read_events(answer, 0)
    assert await host.log("counter/a") == read_events(answer, 2)


@virtual_time
async def test_a_batch_of_many_failing_commands_is_answered_command_by_command() -> None:
    host = await Hosting.begin()
    sent = [command("counter/a", one) for _ in range(400) for one in (Break(), Add())]
    answer = await host.deliver(*sent)
    assert sorted(answer.errors) == list(range(0, 800, 2))
    events = [event for index in range(1, 800, 2) for event in read_events(answer, index)]
    assert versions(events) == totals(events) == list(range(1, 401))
    assert await host.log("counter/a") == events


@virtual_time
async def test_all_commands_for_an_actor_that_cannot_be_rebuilt_are_told_why_at_once() -> None:
    host = await Hosting.begin()
    await intrude(host, "counter/a", 1, event_type="spoilt")
    answer = await host.deliver(*(command("counter/a", Add()) for _ in range(5)))
    for index in range(5):
        with pytest.raises(HandlerFailed, match="its event 1 cannot be applied"):
            read_events(answer, index)
    assert host.residents.folded == 1


@virtual_time
async def test_a_command_that_the_log_refuses_for_ever_costs_its_batch_nothing_else() -> None:
    host = await Hosting.begin()
    sent = [
        command("counter/b", Add()),
        command("counter/a", Break()),
        command("counter/a", Add()),
    ]

    async def refuse_a(append: Append) -> Acknowledged:
        if b"counter/a" in append.rows.data:
            raise VersionConflict("on cue")
        return await host.writing.writer.append(append)

    host.way = refuse_a  # type: ignore[method-assign]
    answer = await host.deliver(*sent)
    assert await host.log("counter/b") == read_events(answer, 0)
    with pytest.raises(RetriesExhausted, match="counter/a: the log refused"):
        read_events(answer, 2)
    del host.way
    assert versions(await host.ask("counter/a", Add())) == [1]


@virtual_time
async def test_an_event_that_took_a_command_s_second_id_costs_that_command_alone() -> None:
    host = await Hosting.begin()
    taken = command("counter/b", Add(times=2))
    outside = {"event_type": "seen", "kind": "system", "data": b"{}", "metadata": {}, "clock": {}}
    claim = command("tower/jfk", PUBLISH, data=outside, id=event_id(taken[ID], 1))
    assert versions(read_events(await host.deliver(claim), 0)) == [1]
    before, after = command("counter/a", Add(times=2)), command("counter/b", Add())
    batches = [host.send(before, taken, after), host.send(command("counter/b", Add(times=3)))]
    answer, next_answer = [unpack_answer(await batch.answer) for batch in batches]
    assert versions(read_events(answer, 0)) == [1, 2]
    with pytest.raises(RetriesExhausted, match=f"counter/b.*{UUID(bytes=claim[ID])}"):
        read_events(answer, 1)
    assert versions(read_events(answer, 2)) == [1]
    assert versions(read_events(next_answer, 0)) == [2, 3, 4]
    assert totals(await host.log("counter/b")) == [1, 2, 3, 4]


@virtual_time
async def test_a_batch_whose_writer_never_answers_is_not_told_that_nothing_was_stored() -> None:
    host = await Hosting.begin()

    async def never(append: Append) -> Acknowledged:
        raise WriterAway("killed")

    host.way = never  # type: ignore[method-assign]
    with pytest.raises(HostUnavailable):
        await host.ask("counter/a", Add())


@virtual_time
async def test_a_batch_that_meets_only_its_neighbours_conflicts_is_run_as_often_as_it_takes() -> (
    None
):
    host = await Hosting.begin()
    await host.ask("counter/a", Add())

    intruding = asyncio.Lock()

    async def conflict(append: Append) -> Acknowledged:
        async with intruding:
            if b"counter/a" in append.rows.data:
                await intrude(host, "counter/a", len(await host.log("counter/a")) + 1)
        return await host.writing.writer.append(append)

    host.way = conflict  # type: ignore[method-assign]
    conflicting = [host.send(command("counter/a", Add())) for _ in range(3)]
    other = host.mailbox.put(Request(b"other", 0, 0, {}, True, [command("counter/b", Add())]))
    for batch in conflicting:
        with pytest.raises(RetriesExhausted):
            read_events(unpack_answer(await batch.answer), 0)
    assert versions(read_events(unpack_answer(await other.answer), 0)) == [1]


@virtual_time
async def test_a_batch_in_hand_does_not_run_before_an_earlier_one_that_was_turned_away() -> None:
    host = await Hosting.begin()
    await host.ask("counter/z", Add())
    sent = [command("counter/a", AddOnce()), command("counter/a", Add())]
    batches = []

    async def lose(append: Append) -> Acknowledged:
        del host.way
        batches.append(host.send(sent[1]))  # arrives just when the first one fails
        raise GONE

    host.way = lose  # type: ignore[method-assign]
    batches.insert(0, host.send(sent[0]))
    await settled()
    for batch in batches:
        with pytest.raises((StoreUnavailable, HostUnavailable)):
            read_events(unpack_answer(await batch.answer), 0)
    assert await host.log("counter/a") == []
    host.begin_generation()
    again = [await host.deliver(one) for one in sent]
    assert [versions(read_events(answer, 0)) for answer in again] == [[1], [2]]


@virtual_time
async def test_batches_that_overtook_one_another_are_run_again_in_their_driver_s_order() -> None:
    host = await Hosting.begin()
    await host.ask("counter/z", Add())
    sent = [command("counter/a", AddOnce()), command("counter/a", Add())]
    first, second = (Request(b"driver", 0, 1 + n, {}, True, [sent[n]]) for n in range(2))
    fail_once(host, WriterAway("killed"))
    batches = [host.mailbox.put(request) for request in (second, first)]
    answers = [unpack_answer(await batch.answer) for batch in batches]
    assert [versions(read_events(answer, 0)) for answer in answers] == [[2], [1]]


@virtual_time
async def test_what_was_sent_behind_a_lost_append_is_not_waited_for() -> None:
    """The writer holds it back for the lost one, which it never gets."""
    host = await Hosting.begin()
    await host.ask("counter/z", Add())

    async def lose_a(append: Append) -> Acknowledged:
        if b"counter/a" not in append.rows.data:
            return await host.writing.writer.append(append)
        await settled()
        del host.way
        raise WriterAway("the connection was lost")

    host.way = lose_a  # type: ignore[method-assign]
    batches = [host.send(command(f"counter/{name}", Add())) for name in "abc"]
    answers = [unpack_answer(await batch.answer) for batch in batches]
    assert [versions(read_events(answer, 0)) for answer in answers] == [[1], [1], [1]]
    assert await host.store.stored_sources() == [
        "counter/z:1", "counter/a:1", "counter/b:1", "counter/c:1",
    ]  # fmt: skip


@virtual_time
async def test_an_actor_that_fails_in_a_rerun_is_rebuilt_before_the_batches_after_it() -> None:
    host = await Hosting.begin()
    fail_once(host, WriterAway("killed"))
    batches = [
        host.send(command("counter/a", Add())),
        host.send(command("counter/b", Break())),
        host.send(command("counter/b", Add())),
        host.send(command("counter/c", Add())),
    ]
    answers = [unpack_answer(await batch.answer) for batch in batches]
    with pytest.raises(HandlerFailed):
        read_events(answers[1], 0)
    assert [versions(read_events(answers[place], 0)) for place in (0, 2, 3)] == [[1], [1], [1]]


@pytest.mark.parametrize("strategy", ["restart", "resume"])
@pytest.mark.parametrize("without", [AddOnce(), AddUpTo(total=1), Break(), "fly", STATE])
@virtual_time
async def test_an_id_that_had_no_effect_before_it_had_one_is_told_apart(
    without: Command | str, strategy: str
) -> None:
    host = await Hosting.begin(strategy=strategy)
    await host.ask("counter/a", Add())
    first = command("counter/a", without)
    same = command("counter/b", Add(times=2), id=first[2])
    answer = await host.deliver(
        command("counter/c", Add()), first, same, command("counter/d", Add())
    )
    if 1 in answer.errors or 1 in answer.values:
        assert answer.numbers[1] == answer.numbers[2]
    else:
        assert read_events(answer, 1) == []
    for index, source in ((0, "counter/c"), (2, "counter/b"), (3, "counter/d")):
        assert read_events(answer, index) == await host.log(source)


@virtual_time
async def test_an_actor_stopped_by_what_is_undone_is_not_stopped() -> None:
    host = await Hosting.begin(strategy="stop")
    await host.ask("counter/a", Add())
    fail_once(host, WriterAway("killed"))
    answer = await host.deliver(command("counter/b", Add()), command("counter/a", Break()))
    with pytest.raises(HandlerFailed, match="broken"):
        read_events(answer, 1)


@virtual_time
async def test_the_clock_of_an_answer_is_not_below_those_of_its_events_that_ran_late() -> None:
    host = await Hosting.begin()
    answer = await host.deliver(
        command("counter/b", Add()), command("counter/a", Break()), command("counter/a", Add())
    )
    assert [event.vector_clock.count(NODE) for event in read_events(answer, 2)] == [2]
    assert answer.clock == {NODE: 2}


@virtual_time
async def test_the_clock_of_an_answer_is_not_below_those_of_commands_that_ran_alone() -> None:
    host = await Hosting.begin()

    async def refuse_b(append: Append) -> Acknowledged:
        if b"counter/b" in append.rows.data:
            raise RowsRefused("on cue")
        return await host.writing.writer.append(append)

    host.way = refuse_b  # type: ignore[method-assign]
    answer = await host.deliver(*(command(f"counter/{name}", Add()) for name in "abc"))
    counts = [read_events(answer, index)[0].vector_clock.count(NODE) for index in (0, 2)]
    assert answer.clock[NODE] == max(counts)


@virtual_time
async def test_the_clock_of_an_answer_has_no_tick_that_was_never_stored() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add(times=2))
    fail_once(host, GONE)
    with pytest.raises(StoreUnavailable):
        await host.ask("counter/a", Add(times=3))
    host.begin_generation()
    answer = await host.deliver(command("counter/a", STATE))
    assert unpack_state(answer)["version"] == 2
    assert answer.clock == {NODE: 2}
    [event] = await host.ask("counter/a", Add())
    assert event.vector_clock.count(NODE) == 6, "ticks that were used up are not used again"


@virtual_time
async def test_the_clock_of_an_answer_is_not_below_what_was_stored_unheard() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", Add(times=3))
    fail_once(host, WriterAway("killed"), committed=True)
    answer = await host.deliver(sent)
    assert answer.repeats == {0}
    assert answer.clock == {NODE: 3}
    looked = await host.deliver(command("counter/a", STATE))
    assert looked.clock == {NODE: 3}


@virtual_time
async def test_the_clock_of_an_answer_is_not_below_those_of_repeats_out_of_the_log() -> None:
    host = await Hosting.begin()
    sent = command("counter/a", Add(times=2))
    await host.deliver(sent, clock={"elsewhere": 7})
    successor = await Hosting.begin(host.store)
    # The same id, for a message that would be rejected: it is answered with the first one's events.
    answer = await successor.deliver(command("counter/a", AddOnce(), id=sent[2]))
    [first, second] = read_events(answer, 0)
    assert dict(second.vector_clock) == {"elsewhere": 7, NODE: 2}
    assert answer.clock == {"elsewhere": 7, NODE: 2}
    assert first.aggregate_id == aggregate_id_of("counter/a")


@virtual_time
async def test_what_is_stored_between_the_look_into_the_log_and_the_load_is_a_repeat() -> None:
    """The writer still had the append that was taken for lost, and commits it just then."""
    host = await Hosting.begin()
    lost: list[Append] = []

    async def lose(append: Append) -> Acknowledged:
        del host.way
        lost.append(append)
        raise WriterAway("the connection was lost")

    find_ids = host.store.find_ids

    async def find_and_commit(event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        found = await find_ids(event_ids)
        if lost:
            await host.writing.writer.append(lost.pop())
        return found

    host.way = lose  # type: ignore[method-assign]
    host.store.find_ids = find_and_commit  # type: ignore[method-assign]
    answer = await host.deliver(command("counter/a", AddUpTo(total=1)))
    assert read_events(answer, 0) == await host.log("counter/a")
    assert answer.repeats == {0}


@virtual_time
async def test_a_batch_that_is_turned_away_leaves_no_more_actors_in_memory_than_there_may_be() -> (
    None
):
    """A part of it is durable by then, and has touched more actors than may stay."""
    host = await Hosting.begin(capacity=1)
    sent = [command("counter/a", Break()), command("counter/a", Add())]
    sent += [command(f"counter/{name}", Add()) for name in "bcd"]
    real = host.way

    async def lose_the_deferred(append: Append) -> Acknowledged:
        if len(append.rows) == 1:
            raise StoreUnavailable("append", "away for good")
        return await real(append)

    host.way = lose_the_deferred  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        read_events(await host.deliver(*sent), 1)
    assert len(await host.log("counter/b")) == 1
    assert len(host.residents) <= 1
