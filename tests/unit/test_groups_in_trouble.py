"""Groups whose members look slowly, are told late, close just then, or are no group any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from jobs.subscriptions import members_heard
from runtime.errors import SubscriptionTaken
from runtime.processing.keeping import Keeping
from store.errors import StoreUnavailable
from store.event_store import EventStore
from store.memory import MemoryEventStore
from store.selection import EVERYTHING
from store.slots import SLOTS
from store.subscriptions import SubscriptionRecord
from tests.unit.grouping import Grouping, with_groups
from tests.unit.test_groups import ALL, DEALT_S, OUT_S
from tests.virtual_time import settled

Question = Callable[[EventStore], Awaitable[Any]]


@with_groups
async def test_who_looks_slowly_puts_out_a_dead_member_all_the_same() -> None:
    group = Grouping()
    one, two = await group.join(), await group.join()
    await asyncio.sleep(DEALT_S)
    ask = one.connection.log.ask_at_once

    async def slowly(question: Question) -> Any:
        await asyncio.sleep(1.1)  # and with the pause, longer than two looks take
        return await ask(question)

    await two.die()
    one.connection.log.ask_at_once = slowly  # type: ignore[method-assign]
    await asyncio.sleep(4 * OUT_S)
    assert one.stream.slots == set(ALL)


@with_groups
async def test_a_refusal_of_before_costs_nothing_that_was_taken_anew() -> None:
    """Its slots were others' meanwhile, and it has taken them again when the answer comes."""
    group = Grouping()
    one = await group.join()
    await group.commit(*ALL)
    await one.read()
    await one.finish()
    await group.commit(*ALL)
    ask, may = one.connection.log.ask_at_once, asyncio.Event()

    async def asks(question: Question) -> Any:
        await may.wait()
        if "move_checkpoints" in question.__code__.co_names:
            await asyncio.sleep(0.8)
        return await ask(question)

    one.connection.log.ask_at_once = asks  # type: ignore[method-assign]
    assert await one.read() == list(range(17, 33))  # finished, and not kept
    two = await group.join()
    await asyncio.sleep(OUT_S + DEALT_S)
    assert await two.read() == list(range(17, 33))
    await two.finish()
    await two.close()
    await asyncio.sleep(DEALT_S)
    await group.commit(*ALL)
    may.set()
    await settled()  # it has looked, and its move is under way
    for _ in range(4):
        await one.read(0.6)
    assert one.given == list(range(1, 49))


@with_groups
async def test_the_last_move_is_waited_for_as_long_as_is_said_and_not_leaving_besides() -> None:
    group = Grouping()
    await group.commit(*ALL)
    one = await group.join()
    await one.read()
    one.hang()
    await one.close()
    last = one.stream._checkpoint._last
    assert last is not None
    await asyncio.sleep(Keeping.LAST_S - 0.5)
    assert not last.done()
    await asyncio.sleep(1.0)
    assert last.done()


@with_groups
async def test_whose_last_move_is_refused_by_a_database_that_is_away_still_leaves() -> None:
    group = Grouping()
    await group.commit(*ALL)
    one = await group.join()
    await one.read()

    async def away(*_: object) -> Any:
        raise StoreUnavailable("memory", "on cue")

    group.partition.log.move_checkpoints = away  # type: ignore[method-assign, assignment]
    await one.close()
    await asyncio.sleep(1.0)
    assert {record.member for record in (await group.records()).values()} == {0}


@with_groups
async def test_who_closes_while_it_looks_leaves_when_what_that_asked_for_has_come_about() -> None:
    group = Grouping()
    one = await group.join()
    meet, log = group.partition.log.meet_group, group.partition.log

    async def comes_about(*question: Any) -> Any:
        await asyncio.sleep(2.0)
        return await meet(*question)

    async def slow(*question: Any) -> Any:
        return await asyncio.shield(asyncio.ensure_future(comes_about(*question)))

    log.meet_group = slow  # type: ignore[method-assign, assignment]
    await asyncio.sleep(1.5)  # it looks after a second
    await one.close()
    await asyncio.sleep(OUT_S)
    assert log._groups.members("mail") == {}


@with_groups
async def test_a_database_that_is_away_is_not_asked_for_each_event_that_is_finished() -> None:
    group = Grouping()
    await group.commit(15, *[0] * 40)
    one = await group.join()
    assert (await anext(one.stream)).position == 1
    await group.join()
    await asyncio.sleep(DEALT_S)  # slot 15 is to go, and waits for what is in hand
    asked: list[int] = []
    log = group.partition.log

    async def away(*question: Any) -> Any:
        asked.append(question[1])
        raise StoreUnavailable("memory", "on cue")

    log.meet_group = away  # type: ignore[method-assign, assignment]
    assert len(await one.read()) == 40
    assert asked.count(one.stream._checkpoint._member) <= 2


@with_groups
async def test_who_finishes_something_of_a_group_that_was_dropped_is_told_that_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    group = Grouping()
    await group.commit(*ALL)
    one = await group.join()
    await one.read()
    assert await group.partition.log.drop_program("mail")
    with pytest.raises(SubscriptionTaken, match="'mail' was opened somewhere else, or dropped"):
        await one.finish()
    with pytest.raises(SubscriptionTaken):
        await one.read()
    assert "another member" not in caplog.text


@with_groups
async def test_a_group_that_is_opened_anew_before_its_members_have_looked_is_another_one() -> None:
    group = Grouping()
    await group.commit(*ALL)
    one = await group.join()
    await one.read()
    await one.finish()
    assert await group.partition.log.drop_program("mail")
    two = await group.join()
    with pytest.raises(SubscriptionTaken, match="'mail' was opened somewhere else, or dropped"):
        await one.read(patience_s=DEALT_S)
    await asyncio.sleep(2 * DEALT_S)
    assert two.stream.slots == set(ALL)
    assert sorted(await two.read()) == list(range(1, 17))


@with_groups
async def test_what_was_given_up_and_the_answer_was_lost_nobody_has_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    group = Grouping()
    free, log = group.partition.log.free_slots, group.partition.log
    answers = [False]

    async def unheard(*arguments: Any) -> None:
        await free(*arguments)
        if answers and not answers.pop():
            raise StoreUnavailable("memory", "the connection broke before the answer")

    log.free_slots = unheard  # type: ignore[method-assign, assignment]
    one = await group.join()
    with caplog.at_level(logging.WARNING, "thornback.processing"):
        two = await group.join()
        await asyncio.sleep(2 * DEALT_S)
    assert not answers
    assert (len(one.stream.slots), len(two.stream.slots)) == (8, 8)
    assert "another member" not in caplog.text


def test_members_are_counted_as_long_as_they_are_heard_of() -> None:
    """One that was killed last has its slots until somebody comes."""
    ann, bob, eve = 1, 2, 3

    async def records() -> list[SubscriptionRecord]:
        store = MemoryEventStore()
        await store.open_group("mail", EVERYTHING, 0)
        await store.open_subscription("billing", EVERYTHING, 0, 1)
        for member in (ann, bob, eve):
            view = await store.meet_group("mail", member, 1)
            seen = {slot: view.slots[slot].epoch for slot in range(member, SLOTS, 4)}
            await store.take_slots("mail", member, 100 + member, seen)
        await store.expel_member("mail", eve, 1)
        return await store.subscriptions()

    found = asyncio.run(records())
    assert {record.member for record in found} == {None, 0, ann, bob, eve}
    assert members_heard(found, 10.0) == {"mail": "2"}
    later = [replace(each, silent_s=11.0) if each.member == bob else each for each in found]
    assert members_heard(later, 10.0) == {"mail": "1"}
