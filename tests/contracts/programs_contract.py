"""What a store promises of stream programs: their states, and what they ask the log."""

from datetime import UTC, datetime, timedelta
from secrets import randbelow

import pytest

from actors.naming import aggregate_id_of
from store.appends import CheckpointMove, StateChange
from store.errors import StaleCheckpoint, VersionConflict
from store.event_store import EventStore
from store.receipts import Receipt
from store.rows.decoding import Decoder
from store.selection import EVERYTHING, Selection
from store.slots import SLOTS, slot_of, slot_of_key
from store.subscriptions import SubscriptionRecord
from tests.contracts.appending import Log, history, made_event

DAY = datetime(2013, 7, 1, tzinfo=UTC)
DAY_US = int(DAY.timestamp()) * 1_000_000


def kept(key: str, data: bytes | None, due_us: int | None = None) -> StateChange:
    """What `totals` keeps of a key."""
    return StateChange(program="totals", key=key, data=data, due_us=due_us)


def moved(record: SubscriptionRecord, position: int, watermark_us: int | None) -> CheckpointMove:
    """Its checkpoint, and how far event time has come."""
    return CheckpointMove(
        name=record.name,
        epoch=record.epoch,
        position=position,
        receipt=record.receipt,
        watermark_us=watermark_us,
    )


class ProgramsContract:
    """States and watermarks move with checkpoints; the log answers what programs ask."""

    async def test_states_and_watermark_move_with_the_rows_or_not_at_all(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        record = await store.open_subscription("totals/3", EVERYTHING, 0, randbelow(2**62))
        assert record.watermark_us is None
        await log.append_rows(
            log.stamped([made_event("totals/EWR")]),
            checkpoints=[moved(record, 5, DAY_US)],
            states=[kept("EWR", b"1"), kept("JFK", b"2", DAY_US), kept("LGA", b"3", -5)],
        )
        wanted = ["LGA", "EWR", "SFO", "JFK"]
        before = await store.load_states("totals", wanted)
        assert before == {"EWR": b"1", "JFK": b"2", "LGA": b"3"}
        [there] = await store.subscriptions()
        assert (there.position, there.watermark_us) == (5, DAY_US)
        with pytest.raises(VersionConflict):
            await log.append_rows(
                log.stamped([made_event("totals/EWR")]),
                checkpoints=[moved(record, 9, DAY_US + 1)],
                states=[kept("EWR", b"4")],
            )
        assert await store.load_states("totals", wanted) == before
        assert await store.subscriptions() == [there]

    async def test_states_of_whoever_was_replaced_change_nothing(self, store: EventStore) -> None:
        log = await Log.open(store)
        old = await store.open_subscription("totals/3", EVERYTHING, 0, randbelow(2**62))
        await store.open_subscription("totals/3", EVERYTHING, 0, randbelow(2**62))
        with pytest.raises(StaleCheckpoint):
            await log.append_rows(
                log.stamped([]), checkpoints=[moved(old, 1, None)], states=[kept("EWR", b"1")]
            )
        assert await store.load_states("totals", ["EWR"]) == {}

    async def test_a_move_that_says_nothing_of_the_watermark_leaves_it(
        self, store: EventStore
    ) -> None:
        record = await store.open_subscription("totals/0", EVERYTHING, 0, randbelow(2**62))
        await store.move_checkpoint(moved(record, 1, DAY_US))
        await store.move_checkpoint(moved(record, 2, None))
        again = await store.open_subscription("totals/0", EVERYTHING, 0, randbelow(2**62))
        assert (again.position, again.watermark_us) == (2, DAY_US)

    async def test_states_are_replaced_and_forgotten_also_without_rows(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        record = await store.open_subscription("totals/3", EVERYTHING, 0, randbelow(2**62))

        async def change(position: int, *states: StateChange) -> None:
            await log.append_rows(
                log.stamped([]), checkpoints=[moved(record, position, None)], states=states
            )

        await change(1, kept("a", b"1", 7), kept("b", b"2", 8), kept("c", b"3"))
        await change(2, kept("a", b"4"), kept("b", None), kept("never", None))
        assert await store.load_states("totals", ["a", "b", "c"]) == {"a": b"4", "c": b"3"}
        assert await store.due_states("totals", "", 9) == []
        other = await store.open_subscription("totals", EVERYTHING, 0, randbelow(2**62))
        assert await store.drop_program("totals")
        assert await store.load_states("totals", ["a", "b", "c"]) == {}
        assert await store.subscriptions() == [other]
        assert not await store.drop_program("totals")

    async def test_what_is_due_comes_by_key_in_pieces(self, store: EventStore) -> None:
        log = await Log.open(store)
        record = await store.open_subscription("totals/3", EVERYTHING, 0, randbelow(2**62))
        keys = ["b", "Z", "é", "a", "\U0001f6e9", "z", "A"]
        due = {key: number * 1_000 for number, key in enumerate(keys)}
        other = StateChange(program="others", key="b", data=b"", due_us=1)
        await log.append_rows(
            log.stamped([]),
            checkpoints=[moved(record, 1, None)],
            states=[*(kept(key, b"", at) for key, at in due.items()), kept("m", b""), other],
        )
        in_order = sorted(due.items(), key=lambda each: each[0].encode())
        assert await store.due_states("totals", "", 100) == in_order
        found: list[tuple[str, int]] = []
        while some := await store.due_states("totals", found[-1][0] if found else "", 2):
            assert len(some) <= 2
            found += some
        assert found == in_order

    async def test_the_last_version_of_an_aggregate(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(*history("totals/EWR", 3), *history("totals/JFK", 1))
        ids = {name: aggregate_id_of(f"totals/{name}").bytes for name in ("EWR", "JFK", "LGA")}
        found = await store.last_versions(list(ids.values()))
        assert found == {ids["EWR"]: 3, ids["JFK"]: 1}
        assert await store.last_versions([]) == {}

    async def test_receipts_of_the_slots_are_that_of_all(self, store: EventStore) -> None:
        log = await Log.open(store)
        events = await log.append(*[made_event(f"device/{number}") for number in range(60)])
        receipts = [await store.recount(EVERYTHING, 2, 50, slot) for slot in range(SLOTS)]
        assert sum(receipts, Receipt()) == await store.recount(EVERYTHING, 2, 50)
        for slot, receipt in enumerate(receipts):
            theirs = [e for e in events[2:50] if slot_of(e.aggregate_id.bytes) == slot]
            assert receipt == Receipt().plus(event.id.bytes for event in theirs)
            assert all(slot_of_key(event.source) == slot for event in theirs)
        assert len([receipt for receipt in receipts if receipt.count]) > SLOTS // 2

    async def test_a_stretch_of_event_time_is_read_alone(self, store: EventStore) -> None:
        log = await Log.open(store)
        moments = [DAY + timedelta(hours=hours) for hours in (5, 3, 4, 2, 4)]
        events = await log.append(
            *[made_event(f"device/{n}", timestamp=at) for n, at in enumerate(moments)]
        )
        hour = 3_600_000_000
        selection = Selection(moments_us=(DAY_US + 3 * hour, DAY_US + 5 * hour))
        page = await store.read(0, 2**40, selection=selection)
        assert Decoder().events(page.rows) == [events[1], events[2], events[4]]
        assert page.through == 5
        exact = Selection(moments_us=(DAY_US + 5 * hour, DAY_US + 5 * hour + 1))
        assert Decoder().events((await store.read(0, 5, selection=exact)).rows) == [events[0]]
