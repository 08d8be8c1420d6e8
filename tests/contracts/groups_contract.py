"""What a store promises of groups: their slots, who has them, and who is a member."""

from secrets import randbelow

import pytest

from store.appends import CheckpointMove
from store.errors import AnotherSelection, StaleCheckpoint
from store.event_store import EventStore
from store.groups import NOBODY, GroupView
from store.selection import EVERYTHING, Selection
from store.slots import SLOTS
from store.subscriptions import SubscriptionRecord

METERS = Selection(event_types=("meter-*",))

ANN, BOB = 7, 2**62


def drawn() -> int:
    """A number that nobody has drawn before."""
    return randbelow(2**62)


def moved(record: SubscriptionRecord, position: int, *event_ids: bytes) -> CheckpointMove:
    """Its checkpoint at a position, with these events."""
    return CheckpointMove(
        name=record.name,
        epoch=record.epoch,
        position=position,
        receipt=record.receipt.plus(event_ids),
    )


async def met(store: EventStore, member: int, sign: int = 0) -> GroupView:
    """A sign of life, and what is there."""
    return await store.meet_group("mail", member, sign)


async def taken(store: EventStore, member: int, *slots: int) -> dict[int, SubscriptionRecord]:
    """What a member gets of these slots, as he sees them now."""
    view = await met(store, member)
    seen = {slot: view.slots[slot].epoch for slot in slots}
    records = await store.take_slots("mail", member, drawn(), seen)
    return {int(record.name.partition("/")[2]): record for record in records}


async def owners(store: EventStore) -> dict[int, int | None]:
    """Who has which slots, but for those that nobody has."""
    return {
        int(record.name.partition("/")[2]): record.member
        for record in await store.subscriptions()
        if record.name.startswith("mail/") and record.member != NOBODY
    }


class GroupsContract:
    """Joining, taking, giving up, leaving, being put out."""

    async def test_a_group_has_sixteen_slots_which_nobody_has_at_first(
        self, store: EventStore
    ) -> None:
        await store.open_group("mail", METERS, 7)
        await store.open_group("mail", METERS, 99)  # there it is
        view = await met(store, ANN)
        assert sorted(view.slots) == list(range(SLOTS))
        for slot, record in view.slots.items():
            assert (record.name, record.selection) == (f"mail/{slot}", METERS)
            assert (record.began, record.position, record.receipt.count) == (7, 7, 0)
            assert record.member == NOBODY
        assert len(await store.subscriptions()) == SLOTS

    async def test_another_selection_is_refused(self, store: EventStore) -> None:
        await store.open_group("mail", METERS, 0)
        with pytest.raises(AnotherSelection, match="'mail' is to"):
            await store.open_group("mail", EVERYTHING, 0)

    async def test_members_come_in_the_order_in_which_they_joined_with_their_last_signs(
        self, store: EventStore
    ) -> None:
        await store.open_group("mail", METERS, 0)
        await store.open_group("other", METERS, 0)
        assert dict((await met(store, BOB, 1)).members) == {BOB: 1}
        await met(store, ANN, 7)
        await store.meet_group("other", ANN, 1)
        view = await met(store, BOB, 2)
        assert list(view.members.items()) == [(BOB, 2), (ANN, 7)]

    async def test_a_slot_is_taken_as_it_was_seen_and_by_one_alone(self, store: EventStore) -> None:
        await store.open_group("mail", METERS, 0)
        await met(store, ANN)
        view = await met(store, BOB)
        seen = {slot: view.slots[slot].epoch for slot in (3, 4)}
        first = drawn()
        mine = await store.take_slots("mail", ANN, first, seen)
        assert {record.epoch for record in mine} == {first}
        assert await store.take_slots("mail", BOB, drawn(), seen) == []
        again = await store.take_slots("mail", ANN, first, seen)  # the answer was lost
        assert [record.name for record in again] == [record.name for record in mine]
        assert await owners(store) == {3: ANN, 4: ANN}

    async def test_nobody_gets_a_slot_who_is_no_member(self, store: EventStore) -> None:
        await store.open_group("mail", METERS, 0)
        view = await met(store, ANN)
        assert await store.take_slots("mail", BOB, drawn(), {0: view.slots[0].epoch}) == []
        assert await store.take_slots("mail", ANN, drawn(), {}) == []

    async def test_who_takes_a_slot_cuts_off_whoever_had_it(self, store: EventStore) -> None:
        await store.open_group("mail", METERS, 0)
        mine = await taken(store, ANN, 3, 4)
        assert await store.move_checkpoints([moved(mine[3], 5, b"a" * 16)]) == set()
        theirs = await taken(store, BOB, 3)
        assert (theirs[3].position, theirs[3].receipt.count) == (5, 1)
        moves = [moved(mine[3], 9, b"a" * 16), moved(mine[4], 8)]
        assert await store.move_checkpoints(moves) == {"mail/3"}
        with pytest.raises(StaleCheckpoint):
            await store.move_checkpoint(moved(mine[3], 9))
        records = {record.name: record for record in await store.subscriptions()}
        assert (records["mail/3"].position, records["mail/4"].position) == (5, 8)
        assert await store.move_checkpoints([moved(theirs[3], 6)]) == set()

    async def test_a_slot_that_is_given_up_is_nobodys_and_moves_no_more(
        self, store: EventStore
    ) -> None:
        await store.open_group("mail", METERS, 0)
        mine = await taken(store, ANN, 3, 4)
        seen = (await met(store, BOB)).slots[3].epoch
        await store.free_slots("mail", {3: mine[3].epoch, 4: drawn()})
        await store.free_slots("mail", {3: mine[3].epoch})  # the answer was lost
        assert await owners(store) == {4: ANN}
        assert await store.move_checkpoints([moved(mine[3], 5)]) == {"mail/3"}
        assert await store.take_slots("mail", BOB, drawn(), {3: seen}) == []  # it was Ann's then
        assert list(await taken(store, BOB, 3)) == [3]
        await store.free_slots("mail", {3: mine[3].epoch})  # which comes late
        assert await owners(store) == {3: BOB, 4: ANN}

    async def test_who_leaves_has_nothing(self, store: EventStore) -> None:
        await store.open_group("mail", METERS, 0)
        mine = await taken(store, ANN, 0, 1)
        await taken(store, BOB, 2)
        await store.leave_group("mail", ANN)
        await store.leave_group("mail", ANN)
        assert await owners(store) == {2: BOB}
        assert list((await met(store, BOB)).members) == [BOB]
        assert await store.move_checkpoints([moved(mine[0], 5)]) == {"mail/0"}

    async def test_who_is_put_out_keeps_his_slots_until_somebody_takes_them(
        self, store: EventStore
    ) -> None:
        await store.open_group("mail", METERS, 0)
        mine = await taken(store, ANN, 0, 1)
        await met(store, ANN, 5)
        assert not await store.expel_member("mail", ANN, 0)  # there is another sign since
        assert await store.expel_member("mail", ANN, 5)
        assert not await store.expel_member("mail", ANN, 5)
        view = await met(store, BOB)
        assert list(view.members) == [BOB]
        assert view.slots[0].member == ANN
        assert await store.move_checkpoints([moved(mine[0], 5)]) == set()
        assert list(await taken(store, BOB, 0)) == [0]
        assert await store.move_checkpoints([moved(mine[0], 6), moved(mine[1], 6)]) == {"mail/0"}

    async def test_of_a_slot_it_is_said_how_long_ago_its_member_was_heard_of(
        self, store: EventStore
    ) -> None:
        await store.open_group("mail", METERS, 0)
        await store.open_subscription("mailer", EVERYTHING, 0, drawn())
        await taken(store, ANN, 3)
        await taken(store, BOB, 5)
        assert await store.expel_member("mail", BOB, 0)
        silent = {record.name: record.silent_s for record in await store.subscriptions()}
        assert [name for name, silent_s in silent.items() if silent_s is not None] == ["mail/3"]
        assert 0 <= (silent["mail/3"] or 0) < 60

    async def test_a_group_is_dropped_with_its_members(self, store: EventStore) -> None:
        await store.open_group("mail", METERS, 0)
        await store.open_subscription("mailer", EVERYTHING, 0, drawn())
        mine = await taken(store, ANN, 0)
        assert await store.drop_program("mail")
        assert not await store.drop_program("mail")
        assert [record.name for record in await store.subscriptions()] == ["mailer"]
        assert await store.move_checkpoints([moved(mine[0], 5)]) == {"mail/0"}
        view = await met(store, ANN)
        assert (dict(view.slots), dict(view.members)) == ({}, {})
        await store.open_group("mail", METERS, 3)
        assert dict((await met(store, BOB, 1)).members) == {BOB: 1}

    async def test_slots_of_programs_and_other_subscriptions_are_of_no_group(
        self, store: EventStore
    ) -> None:
        await store.open_subscription("mail", EVERYTHING, 0, drawn())
        await store.open_subscription("totals/0", EVERYTHING, 0, drawn())
        assert {record.member for record in await store.subscriptions()} == {None}
        assert dict((await store.meet_group("totals", ANN, 1)).slots) == {}
        assert await store.take_slots("totals", ANN, drawn(), {0: 1}) == []
