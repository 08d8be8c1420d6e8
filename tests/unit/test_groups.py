"""Groups: who has which share, what is handed out to whom, and what comes again."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import InvalidName
from actors.event import Event, Payload
from runtime.errors import ShareTaken, SubscriptionTaken
from runtime.processing.dealing import dealt
from runtime.processing.durable_subscription import DurableSubscription
from runtime.processing.group_subscription import GroupSubscription
from runtime.system import ActorSystem
from store.errors import AnotherSelection, StoreUnavailable
from store.event_store import DecidingClass, EventStore
from store.selection import EVERYTHING, Selection
from store.slots import SLOTS
from streams.errors import InvalidProgram
from streams.handler import Handler
from tests.unit.grouping import Grouping, by_slot, with_groups
from tests.unit.subscribing import LIMIT_S, Driving, taken
from tests.virtual_time import settled

ALL = list(range(SLOTS))

#: Longer than it takes until shares are dealt out, and than until a silent member is out.
DEALT_S, OUT_S = 3.0, 15.0


@with_groups
async def test_one_member_has_everything_and_the_receipt_is_that_of_the_log() -> None:
    group = Grouping()
    await group.commit(*ALL, *ALL)
    one = await group.join()
    assert one.stream.slots == set(ALL)
    assert await one.read() == list(range(1, 33))
    assert one.stream.position == 32
    assert await one.finish() == 32
    assert one.stream.receipt.count == 32
    assert await group.agrees() == 32
    await one.close()


@with_groups
async def test_members_share_the_aggregates_and_each_event_is_given_to_one_in_order() -> None:
    group = Grouping()
    one = await group.join()
    two = await group.join()
    assert (len(one.stream.slots), len(two.stream.slots)) == (16, 0)
    await asyncio.sleep(DEALT_S)
    assert (len(one.stream.slots), len(two.stream.slots)) == (8, 8)
    three = await group.join()
    await asyncio.sleep(DEALT_S)
    assert sorted(len(member.stream.slots) for member in group.members) == [5, 5, 6]
    log = [*ALL, *ALL, *ALL]
    await group.commit(*log)
    for member in group.members:
        for slot, positions in by_slot(await member.read(), log).items():
            assert slot in member.stream.slots
            assert positions == [slot + 1, slot + 17, slot + 33]
    given = [position for member in group.members for position in member.given]
    assert sorted(given) == list(range(1, 49))
    for member in group.members:
        assert await member.finish() == 48
    assert await group.agrees() == 48
    for member in (one, two, three):
        await member.close()


@with_groups
async def test_a_slot_goes_to_another_member_when_what_is_in_hand_of_it_is_finished() -> None:
    group = Grouping()
    await group.commit(15, 15, 15, 0)
    one = await group.join()
    event = await anext(one.stream)
    assert event.position == 1
    two = await group.join()
    await asyncio.sleep(OUT_S)  # it is slow, and says that it is there
    assert 15 in one.stream.slots
    assert 15 not in two.stream.slots
    assert len(two.stream.slots) == 7
    assert await two.read() == []
    assert await one.read() == [4]  # the rest of slot 15 is not its own any more
    await asyncio.sleep(DEALT_S)
    assert 15 in two.stream.slots
    assert await two.read() == [2, 3]
    assert await one.finish()
    assert await two.finish()
    assert await group.agrees() == 4


@with_groups
async def test_who_takes_slots_over_reads_from_where_they_stand_and_the_others_once() -> None:
    """Slots that lag, beside others that are far: each event once, each slot in order."""
    group = Grouping()
    log = [*ALL, *ALL]
    await group.commit(*log)
    one = await group.join()
    two = await group.join()
    await asyncio.sleep(DEALT_S)
    mine = await one.read()
    assert await one.finish() == 32
    await two.close()
    await asyncio.sleep(DEALT_S)
    assert one.stream.slots == set(ALL)
    assert one.stream.position == 0  # of the slots that lag
    late = await one.read()
    assert sorted(mine + late) == list(range(1, 33))
    assert late == sorted(late)
    await group.commit(*ALL)
    assert await one.read() == list(range(33, 49))
    assert await one.finish() == 48
    assert await group.agrees() == 48


@with_groups
async def test_what_was_read_ahead_of_slots_that_have_come_since_is_read_again_in_order() -> None:
    group = Grouping()
    log = [0, 15] * 20
    await group.commit(*log)
    one = await group.join()
    two = await group.join()
    await asyncio.sleep(DEALT_S)
    event = await anext(one.stream)
    first = event.position or 0
    await two.close()
    await asyncio.sleep(DEALT_S)  # the page that is in hand is of one slot, the log of two
    given = [first, *await one.read()]
    assert len(given) == len(set(given)) == 40
    for slot, positions in by_slot(given, log).items():
        assert positions == sorted(positions), slot
    await one.finish()
    assert await group.agrees() == 40


@with_groups
async def test_who_leaves_is_followed_at_once_and_what_he_had_in_hand_comes_again() -> None:
    group = Grouping()
    await group.commit(*ALL)
    one = await group.join()
    for position in range(1, 17):
        assert (await anext(one.stream)).position == position
    two = await group.join()
    await one.close()
    await asyncio.sleep(DEALT_S)
    assert two.stream.slots == set(ALL)
    assert await two.read() == [16]
    await two.finish()
    assert await group.agrees() == 16


@with_groups
async def test_who_dies_is_out_after_a_time_and_what_he_has_not_kept_comes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    group = Grouping()
    await group.commit(*ALL)
    one = await group.join()
    assert await one.read() == list(range(1, 17))
    await one.finish()
    one.hang()
    await group.commit(*ALL)
    assert await one.read() == list(range(17, 33))
    two = await group.join()
    await one.die()
    await asyncio.sleep(DEALT_S)
    assert await two.read() == []
    with caplog.at_level(logging.WARNING, "thornback.processing"):
        await asyncio.sleep(OUT_S)
    assert "a member of the group 'mail' has been silent for 10 seconds" in caplog.text
    assert two.stream.slots == set(ALL)
    assert await two.read() == list(range(17, 33))
    await two.finish()
    assert await group.agrees() == 32


@with_groups
async def test_who_hung_and_comes_back_is_told_and_goes_on_with_another_share() -> None:
    group = Grouping()
    log = [*ALL, *ALL]
    await group.commit(*log)
    one = await group.join()
    two = await group.join()
    await asyncio.sleep(DEALT_S)
    event = await anext(one.stream)
    lost = log[(event.position or 0) - 1]
    one.hang()
    await asyncio.sleep(OUT_S)
    assert two.stream.slots == set(ALL)
    assert sorted(await two.read()) == list(range(1, 33))
    await two.finish()
    event = await anext(one.stream)  # as long as nobody has told it
    finishing = asyncio.ensure_future(one.finish())
    await settled()
    await one.go_on()
    with pytest.raises(ShareTaken, match=rf"slots {lost}.*reading goes on") as told:
        await finishing
    assert told.value.slots == tuple(sorted({lost, log[(event.position or 0) - 1]}))
    await asyncio.sleep(2 * DEALT_S)
    assert (len(one.stream.slots), len(two.stream.slots)) == (8, 8)
    await group.commit(*ALL)
    assert sorted(await one.read() + await two.read()) == list(range(33, 49))
    await one.finish()
    await two.finish()
    assert await group.agrees() == 48


@with_groups
async def test_nobody_is_out_because_the_database_is_away_and_reading_goes_on() -> None:
    group = Grouping()
    one, two = await group.join(), await group.join()
    await asyncio.sleep(DEALT_S)
    had = [member.stream.slots for member in (one, two)]
    meet, log = group.partition.log.meet_group, group.partition.log

    async def away(*_: object) -> Any:
        raise StoreUnavailable("memory", "on cue")

    log.meet_group = log.move_checkpoints = away  # type: ignore[method-assign, assignment]
    await group.commit(*ALL)
    assert sorted(await one.read() + await two.read()) == list(range(1, 17))
    await asyncio.sleep(10 * OUT_S)
    with pytest.raises(StoreUnavailable):
        await one.finish()
    log.meet_group = meet  # type: ignore[method-assign]
    del log.move_checkpoints
    await asyncio.sleep(OUT_S)
    assert [member.stream.slots for member in (one, two)] == had
    assert await one.finish() == 16
    assert await two.finish() == 16
    assert await group.agrees() == 16


@with_groups
async def test_who_was_away_himself_judges_nobody_at_once() -> None:
    """The one who hung sees the last sign of life of the other one twice, long apart."""
    group = Grouping()
    one, two = await group.join(), await group.join()
    await asyncio.sleep(DEALT_S)
    for member in (one, two):
        member.hang()
    await asyncio.sleep(OUT_S)
    for member in (one, two):
        await member.go_on()
    await asyncio.sleep(DEALT_S)
    assert sorted(len(member.stream.slots) for member in (one, two)) == [8, 8]
    records = await group.records()
    assert {record.member for record in records.values()} == {
        member.stream._checkpoint._member for member in (one, two)
    }


@with_groups
async def test_a_seventeenth_member_waits_reads_nothing_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    group = Grouping()
    for _ in range(SLOTS):
        await group.join()
    await asyncio.sleep(3 * DEALT_S)
    assert Counter(len(member.stream.slots) for member in group.members) == {1: 16}
    with caplog.at_level(logging.WARNING, "thornback.processing"):
        last = await group.join()
    assert "has 17 members, and 16 slots: this one has no share" in caplog.text
    await asyncio.sleep(DEALT_S)
    await group.commit(*ALL)
    assert await last.read() == []
    assert last.stream._inlet._feed is None
    assert await last.finish() == 0
    first = group.members[0]
    mine = first.stream.slots
    await first.close()
    await asyncio.sleep(DEALT_S)
    assert last.stream.slots == mine
    assert await last.read() == [slot + 1 for slot in mine]


@with_groups
async def test_an_answer_that_was_lost_costs_no_slot() -> None:
    group = Grouping()
    take, log = group.partition.log.take_slots, group.partition.log
    answers: list[bool] = [False, False]

    async def unheard(*arguments: Any) -> Any:
        records = await take(*arguments)
        if answers and not answers.pop():
            raise StoreUnavailable("memory", "the connection broke before the answer")
        return records

    log.take_slots = unheard  # type: ignore[method-assign, assignment]
    await group.commit(*ALL)
    one = await group.join()
    await asyncio.sleep(DEALT_S)
    assert await one.read() == list(range(1, 17))
    await one.finish()
    assert await group.agrees() == 16
    two = await group.join()
    answers += [False]
    await asyncio.sleep(2 * DEALT_S)
    assert (len(one.stream.slots), len(two.stream.slots)) == (8, 8)


@with_groups
async def test_an_iteration_that_begins_anew_begins_with_what_is_in_hand_of_its_share() -> None:
    group = Grouping()
    await group.commit(0, 15, 0)
    one = await group.join()
    assert (await anext(one.stream)).position == 1
    assert (await anext(one.stream)).position == 2
    assert (await anext(aiter(one.stream))).position == 2
    two = await group.join()
    aiter(one.stream)  # whoever works at it has failed, and has not begun again
    await asyncio.sleep(DEALT_S)
    assert 15 in two.stream.slots
    assert await two.read() == [2]
    assert await one.read() == [3]
    await one.finish()
    await two.finish()
    assert await group.agrees() == 3


@with_groups
async def test_a_group_that_is_dropped_is_told_to_its_members() -> None:
    group = Grouping()
    await group.commit(*ALL)
    one = await group.join()
    await one.read()
    assert await group.partition.log.drop_program("mail")
    with pytest.raises(SubscriptionTaken, match="'mail' was opened somewhere else, or dropped"):
        await one.read(patience_s=DEALT_S)
    assert await group.records() == {}
    again = await group.join()
    assert await again.read() == list(range(1, 17))


@with_groups
async def test_another_selection_is_refused_and_the_group_goes_on() -> None:
    group = Grouping()
    one = await group.join()
    with pytest.raises(AnotherSelection, match="'mail' is to"):
        await group.join(selection=Selection(event_types=("meter-*",)))
    await group.commit(0)
    assert await one.read() == [1]
    assert one.stream.slots == set(ALL)


async def _program(store: EventStore) -> None:
    await store.open_subscription("mail/0", EVERYTHING, 0, 1)


async def _single(store: EventStore) -> None:
    await store.open_subscription("mail", EVERYTHING, 0, 1)


async def _listeners(store: EventStore) -> None:
    await store.record_deciding_classes({"mail": DecidingClass(class_name="mine.Mail")})
    await store.open_subscription("mail", EVERYTHING, 0, 1)


async def _group(store: EventStore) -> None:
    await store.open_group("mail", EVERYTHING, 0)


@pytest.mark.parametrize(
    ("there", "wanted", "problem"),
    [
        (_program, GroupSubscription, "'mail': a stream program has this name: take another name"),
        (
            _single,
            GroupSubscription,
            "with one reader has this name: open it without group=True, or",
        ),
        (
            _listeners,
            GroupSubscription,
            "'mail': it is the checkpoint of actors of this type, which .* another name$",
        ),
        (
            _program,
            DurableSubscription,
            "'mail': a stream program has this name: take another name",
        ),
        (
            _group,
            DurableSubscription,
            "a group of readers has this name: open it with group=True, or",
        ),
    ],
    ids=["group-program", "group-single", "group-listeners", "single-program", "single-group"],
)
def test_a_name_is_that_of_one_reader_of_a_group_or_of_a_program(
    there: Callable[[EventStore], Awaitable[None]],
    wanted: type[DurableSubscription],
    problem: str,
) -> None:
    driving = Driving()
    driving.run(there(driving.partition.log))  # type: ignore[arg-type]
    before = driving.run(driving.partition.log.subscriptions())
    subscription = wanted(driving.connection, "mail", EVERYTHING, 0)
    with pytest.raises(InvalidName, match=problem):
        subscription.wait_begun(LIMIT_S)
    assert driving.run(driving.partition.log.subscriptions()) == before
    driving.connection.close()


def test_a_thread_reads_its_share_by_events_and_by_pages() -> None:
    driving = Driving()
    driving.commit(*"abcdefgh")
    with GroupSubscription(driving.connection, "mail", EVERYTHING, 0) as one:
        one.wait_begun(LIMIT_S)
        assert taken(one, 5) == [1, 2, 3, 4, 5]
        pages = one.pages()
        assert [event.position for event in next(pages)] == [5]  # it was in hand
        found: list[int | None] = []
        while len(found) < 3:
            found += [event.position for event in next(pages)]
        assert found == [6, 7, 8]
        driving.commit("i")
        while not (page := next(pages)):
            pass
        assert [event.position for event in page] == [9]
        assert one.finish().result(LIMIT_S) == 9
    records = driving.run(driving.partition.log.subscriptions())
    assert {record.member for record in records} == {0}  # who closes has left
    assert sum(record.receipt.count for record in records) == 9
    driving.connection.close()


def test_closing_the_connection_leaves_the_group() -> None:
    driving = Driving()
    driving.commit(*"abcd")
    one = GroupSubscription(driving.connection, "mail", EVERYTHING, 0)
    one.wait_begun(LIMIT_S)
    assert taken(one, 4) == [1, 2, 3, 4]
    driving.connection.close()
    records = driving.partition.log._subscriptions.all()
    assert {record.member for record in records} == {0}
    assert sum(record.receipt.count for record in records) == 3


def test_a_system_s_own_call_makes_a_member_which_has_a_name(memory_system: ActorSystem) -> None:
    with memory_system.subscribe(name="mail", group=True, after=0) as one:
        assert isinstance(one, GroupSubscription)
        assert (one.name, one.slots) == ("mail", frozenset(ALL))
    with pytest.raises(ValueError, match="group=True is for a durable subscription, which has a"):
        memory_system.subscribe(group=True)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="group= is True or False, not 'mail'"):
        memory_system.subscribe(name="mail", group="mail")  # type: ignore[call-overload]


def test_a_program_does_not_take_the_name_of_a_group(memory_system: ActorSystem) -> None:
    class Echo(Handler):
        name = "mail"
        event_types = ("*",)

        def handle(self, event: Event) -> Iterator[Payload]:
            yield from ()

    memory_system.subscribe(name="mail", group=True, after=0).close()
    with pytest.raises(InvalidProgram, match="a group of readers has the name 'mail'"):
        memory_system.run(Echo).result(timeout_s=LIMIT_S)


class TestDealing:
    """Who is to have which slot."""

    @given(
        members=st.lists(st.integers(1, 30), unique=True, min_size=1, max_size=20),
        owners=st.lists(st.integers(0, 30), min_size=SLOTS, max_size=SLOTS),
    )
    def test_shares_are_even_and_nothing_moves_that_need_not(
        self, members: list[int], owners: list[int]
    ) -> None:
        had = dict(enumerate(owners))
        deal = dealt(had, members)
        assert sorted(deal) == ALL
        sizes = Counter(dict.fromkeys(members, 0))
        sizes.update(deal.values())
        assert set(sizes) == set(members)
        assert max(sizes.values()) - min(sizes.values()) <= 1
        assert dealt(deal, members) == deal
        for member in members:
            kept = [slot for slot in ALL if had[slot] == member and deal[slot] == member]
            before = owners.count(member)
            assert len(kept) == min(before, sizes[member])

    def test_without_a_member_there_is_nothing_to_deal(self) -> None:
        assert dealt({0: 3}, []) == {}

    def test_what_nobody_has_is_dealt_before_what_somebody_is_to_give_up(self) -> None:
        owners = {slot: 1 if slot < 12 else 0 for slot in ALL}
        deal = dealt(owners, [1, 2])
        assert {slot for slot in ALL if deal[slot] == 2} == {8, 9, 10, 11, 12, 13, 14, 15}
