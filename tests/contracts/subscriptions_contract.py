"""What a store promises of durable subscriptions."""

from dataclasses import replace
from secrets import randbelow

import pytest

from store.appends import CheckpointMove
from store.errors import AnotherSelection, StaleCheckpoint, VersionConflict
from store.event_store import EventStore
from store.receipts import Receipt
from store.selection import EVERYTHING, Selection
from store.subscriptions import SubscriptionRecord
from tests.contracts.append_contract import everything
from tests.contracts.appending import Log, made_event

FLIGHTS = Selection(event_types=("flight-*",), sources=("aircraft/*", "carrier/UA"))


def moved(record: SubscriptionRecord, position: int, *event_ids: bytes) -> CheckpointMove:
    """Its checkpoint at a position, with these events."""
    return CheckpointMove(
        name=record.name,
        epoch=record.epoch,
        position=position,
        receipt=record.receipt.plus(event_ids),
    )


async def opened(
    store: EventStore, name: str, selection: Selection = EVERYTHING, after: int = 0
) -> SubscriptionRecord:
    """By somebody new."""
    return await store.open_subscription(name, selection, after, randbelow(2**62))


async def positions(store: EventStore) -> dict[str, int]:
    return {record.name: record.position for record in await store.subscriptions()}


class SubscriptionsContract:
    """Opening, moving, checking, dropping."""

    async def test_one_that_is_new_begins_where_it_is_told(self, store: EventStore) -> None:
        record = await opened(store, "billing", FLIGHTS, 7)
        assert (record.name, record.selection) == ("billing", FLIGHTS)
        assert (record.began, record.position, record.receipt) == (7, 7, Receipt())
        assert record.moved_at is None

    async def test_none_is_made_where_none_is_to_be(self, store: EventStore) -> None:
        for _ in range(2):
            with pytest.raises(StaleCheckpoint, match="'billing' does not move to 7"):
                await store.open_subscription(
                    "billing", EVERYTHING, 7, randbelow(2**62), make=False
                )
            assert await store.subscriptions() == []
            await opened(store, "billing", after=3)
            epoch = randbelow(2**62)
            record = await store.open_subscription("billing", EVERYTHING, 7, epoch, make=False)
            assert (record.epoch, record.began) == (epoch, 3)
            assert await store.drop_subscription("billing")

    async def test_one_that_is_there_goes_on_where_it_stands(self, store: EventStore) -> None:
        record = await opened(store, "billing", FLIGHTS, 0)
        move = moved(record, 9, b"a" * 16, b"b" * 16)
        await store.move_checkpoint(move)
        again = await opened(store, "billing", FLIGHTS, 100)
        assert again == replace(record, epoch=again.epoch, position=9, receipt=move.receipt)
        assert again.moved_at is not None
        assert [record.name for record in await store.subscriptions()] == ["billing"]

    async def test_whoever_opens_it_again_under_his_number_still_has_it(
        self, store: EventStore
    ) -> None:
        """As where the answer was lost, and the first time comes about after the second."""
        record = await opened(store, "billing")
        await store.move_checkpoint(moved(record, 4, b"a" * 16))
        again = await store.open_subscription("billing", EVERYTHING, 9, record.epoch)
        assert (again.epoch, again.position) == (record.epoch, 4)
        await store.move_checkpoint(moved(again, 5))

    async def test_whoever_was_replaced_moves_nothing(self, store: EventStore) -> None:
        old = await opened(store, "billing")
        new = await opened(store, "billing")
        with pytest.raises(StaleCheckpoint, match="'billing' does not move to 5"):
            await store.move_checkpoint(moved(old, 5, b"a" * 16))
        assert await store.subscriptions() == [new]
        await store.move_checkpoint(moved(new, 6))
        assert await positions(store) == {"billing": 6}

    async def test_another_selection_is_refused_and_the_one_that_is_there_goes_on(
        self, store: EventStore
    ) -> None:
        record = await opened(store, "billing", FLIGHTS, 0)
        for selection in (EVERYTHING, replace(FLIGHTS, sources=()), Selection(sources=("a/*",))):
            with pytest.raises(AnotherSelection, match=r"flight-.*thornback subscriptions --drop"):
                await opened(store, "billing", selection, 0)
        await store.move_checkpoint(moved(record, 3))
        assert await positions(store) == {"billing": 3}

    async def test_one_that_was_dropped_is_gone_and_moves_no_more(self, store: EventStore) -> None:
        record = await opened(store, "billing")
        assert await store.drop_subscription("billing")
        assert not await store.drop_subscription("billing")
        with pytest.raises(StaleCheckpoint):
            await store.move_checkpoint(moved(record, 1))
        assert await store.subscriptions() == []
        await opened(store, "billing")
        with pytest.raises(StaleCheckpoint):  # it is another one
            await store.move_checkpoint(moved(record, 1))

    async def test_a_move_that_comes_late_takes_nothing_back(self, store: EventStore) -> None:
        record = await opened(store, "billing")
        await store.move_checkpoint(further := moved(record, 9, b"a" * 16, b"b" * 16))
        with pytest.raises(StaleCheckpoint):
            await store.move_checkpoint(moved(record, 5, b"a" * 16))
        await store.move_checkpoint(further)
        [there] = await store.subscriptions()
        assert (there.position, there.receipt) == (9, further.receipt)

    async def test_they_come_in_the_order_of_their_names(self, store: EventStore) -> None:
        for name in ("b", "a-2", "a", "C"):
            await opened(store, name)
        assert [record.name for record in await store.subscriptions()] == ["C", "a", "a-2", "b"]

    async def test_a_checkpoint_moves_with_the_rows_or_not_at_all(self, store: EventStore) -> None:
        log = await Log.open(store)
        totals = await opened(store, "totals")
        move = moved(totals, 5, b"a" * 16)
        await log.append_rows(log.stamped([made_event("device/one")]), checkpoints=[move])
        [there] = await store.subscriptions()
        assert there == replace(totals, position=5, receipt=move.receipt)
        with pytest.raises(VersionConflict):
            await log.append_rows(
                log.stamped([made_event("device/one")]), checkpoints=[moved(totals, 9)]
            )
        assert await store.subscriptions() == [there]

    async def test_a_checkpoint_moves_also_without_any_rows(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event("device/one"))
        for name, position in (("totals", 1), ("alarms", 3)):
            record = await opened(store, name)
            await log.append_rows(log.stamped([]), checkpoints=[moved(record, position)])
        assert await positions(store) == {"totals": 1, "alarms": 3}
        assert await store.head() == 1

    async def test_an_append_with_a_checkpoint_of_whoever_was_replaced_changes_nothing(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        old = await opened(store, "totals")
        rows = log.stamped([made_event("device/one")])
        await log.append_rows(rows, checkpoints=[moved(old, 1)])
        new = await opened(store, "totals")
        other = await opened(store, "alarms")
        before = await everything(store), await store.subscriptions()
        rows = log.stamped([made_event("device/two")])
        with pytest.raises(StaleCheckpoint, match="'totals' does not move to 8"):
            await log.append_rows(rows, checkpoints=[moved(other, 4), moved(old, 8)])
        assert (await everything(store), await store.subscriptions()) == before
        await log.append_rows(rows, checkpoints=[moved(other, 4), moved(new, 2)])
        assert await positions(store) == {"alarms": 4, "totals": 2}

    async def test_what_was_finished_is_counted_again_by_the_log(self, store: EventStore) -> None:
        log = await Log.open(store)
        events = await log.append(
            *[
                made_event(f"{kind}/{number}")
                for number in range(6)
                for kind in ("aircraft", "ground", "carrier")
            ]
        )
        wanted = Selection(sources=("aircraft/*", "carrier/3"))
        ids = {
            event.position or 0: event.id.bytes
            for event in events
            if event.source.startswith("aircraft/") or event.source == "carrier/3"
        }
        assert len(ids) == 7
        assert await store.recount(wanted, 0, 18) == Receipt().plus(ids.values())
        for cut in (0, 1, 7, 12, 18):
            halves = [
                Receipt().plus(one for at, one in ids.items() if at <= cut),
                Receipt().plus(one for at, one in ids.items() if at > cut),
            ]
            found = [await store.recount(wanted, 0, cut), await store.recount(wanted, cut, 18)]
            assert found == halves
            assert found[0] + found[1] == Receipt().plus(reversed(ids.values()))
        assert await store.recount(wanted, 18, 18) == Receipt()
        assert await store.recount(EVERYTHING, 0, 18) == Receipt().plus(
            event.id.bytes for event in events
        )
