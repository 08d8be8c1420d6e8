"""What a store promises of dead letters: they come and go with checkpoints, slot by slot."""

from secrets import randbelow

import pytest

from store.appends import CheckpointMove
from store.dead_letters import (
    DeadLetter,
    LetterChange,
    Parked,
    ParkedHead,
    ParkedQueue,
    merged,
)
from store.errors import StaleCheckpoint
from store.event_store import EventStore
from store.selection import EVERYTHING
from store.subscriptions import SubscriptionRecord
from tests.contracts.appending import Log

EWR = Parked("totals", False, "EWR")
SENSOR = Parked("totals", True, "sensor/7")


def letter(
    parked: Parked,
    position: int,
    reason: str | None = None,
    *,
    slots: int = 1,
    gone: bool = False,
    tries: int = 0,
) -> LetterChange:
    """The event of a position waits, or does so no longer."""
    return LetterChange(
        parked=parked,
        position=position,
        event_id=position.to_bytes(16),
        slots=slots,
        watermark_us=position - 1_000,
        reason=reason,
        frames=("rooms.py:3, in hot", "rooms.py:9, in run") if reason else (),
        tries=tries,
        gone=gone,
    )


class Worker:
    """Whoever has a slot of `totals`."""

    def __init__(self, log: Log, record: SubscriptionRecord) -> None:
        self.log, self.record = log, record
        self.position = 0

    @classmethod
    async def begin(cls, store: EventStore) -> "Worker":
        log = await Log.open(store)
        return cls(log, await store.open_subscription("totals/3", EVERYTHING, 0, randbelow(2**62)))

    async def append(self, *letters: LetterChange) -> None:
        """Without rows, with its checkpoint."""
        self.position += 1
        move = CheckpointMove(
            name=self.record.name,
            epoch=self.record.epoch,
            position=self.position,
            receipt=self.record.receipt,
        )
        rows = self.log.stamped([])
        await self.log.append_rows(rows, checkpoints=[move], letters=merged(letters))


async def positions(store: EventStore, parked: Parked) -> list[tuple[int, int, str | None]]:
    return [
        (each.position, each.slots, each.reason) for each in await store.dead_letters(parked, 0, 99)
    ]


class LettersContract:
    """Dead letters."""

    async def test_letters_queue_by_what_is_parked_and_are_told_as_they_were_given(
        self, store: EventStore
    ) -> None:
        worker = await Worker.begin(store)
        await worker.append(letter(EWR, 7), letter(EWR, 5, "ValueError: no", tries=3))
        await worker.append(letter(SENSOR, 6, "KeyError: 'x'", slots=0b1010), letter(EWR, 9))
        letters = await store.dead_letters(EWR, 0, 2)
        assert [each.position for each in letters] == [5, 7]
        assert letters[0] == DeadLetter(
            parked=EWR,
            position=5,
            event_id=(5).to_bytes(16),
            slots=1,
            watermark_us=-995,
            reason="ValueError: no",
            frames=("rooms.py:3, in hot", "rooms.py:9, in run"),
            tries=3,
            parked_at=letters[0].parked_at,
        )
        assert (letters[1].reason, letters[1].frames, letters[1].tries) == (None, (), 0)
        assert [each.position for each in await store.dead_letters(EWR, 7, 2)] == [9]
        assert await store.parked_heads("totals") == [
            ParkedHead(False, "EWR", 5, 1),
            ParkedHead(True, "sensor/7", 6, 0b1010),
        ]
        assert await store.parked_heads("others") == []
        sensor = (await store.dead_letters(SENSOR, 0, 1))[0]
        queues = [ParkedQueue(first=letters[0], letters=3), ParkedQueue(first=sensor, letters=1)]
        assert await store.parked_queues() == await store.parked_queues("totals") == queues
        assert await store.parked_queues("others") == []

    async def test_an_event_waits_until_all_slots_that_owe_it_have_paid(
        self, store: EventStore
    ) -> None:
        worker = await Worker.begin(store)
        await worker.append(letter(SENSOR, 6, "first", slots=0b0001), letter(SENSOR, 8, slots=1))
        await worker.append(letter(SENSOR, 6, slots=0b1000), letter(SENSOR, 8, slots=0b1000))
        assert await positions(store, SENSOR) == [(6, 0b1001, "first"), (8, 0b1001, None)]
        both = letter(SENSOR, 6, slots=1, gone=True), letter(SENSOR, 8, "again", slots=1, tries=4)
        await worker.append(*both)
        assert await positions(store, SENSOR) == [(6, 0b1000, "first"), (8, 0b1001, "again")]
        await worker.append(
            letter(SENSOR, 6, slots=0b1000, gone=True),
            letter(SENSOR, 8, slots=1, gone=True),
            letter(SENSOR, 8, slots=0b1000, gone=True),
            letter(SENSOR, 99, slots=1, gone=True),
        )
        assert await positions(store, SENSOR) == []

    async def test_letters_of_whoever_was_replaced_change_nothing(self, store: EventStore) -> None:
        old = await Worker.begin(store)
        await store.open_subscription("totals/3", EVERYTHING, 0, randbelow(2**62))
        with pytest.raises(StaleCheckpoint):
            await old.append(letter(EWR, 5, "no"))
        assert await store.parked_queues() == []

    async def test_dropping_letters_stops_whoever_works_for_the_program(
        self, store: EventStore
    ) -> None:
        worker = await Worker.begin(store)
        other = await store.open_subscription("totals-2/3", EVERYTHING, 0, randbelow(2**62))
        assert await store.drop_dead_letters("totals", None, -1 - randbelow(2**62)) == 0
        await worker.append(letter(EWR, 5, "no"), letter(EWR, 6), letter(SENSOR, 7, "no"))
        assert await store.drop_dead_letters("totals", EWR, -1 - randbelow(2**62)) == 2
        assert [queue.first.parked for queue in await store.parked_queues()] == [SENSOR]
        with pytest.raises(StaleCheckpoint):
            await worker.append(letter(EWR, 8))
        assert await positions(store, EWR) == []
        assert await store.drop_dead_letters("totals", None, -1 - randbelow(2**62)) == 1
        assert await store.parked_queues() == []
        [unharmed] = [each for each in await store.subscriptions() if each.name == other.name]
        assert unharmed.epoch == other.epoch

    async def test_who_drops_a_program_drops_its_letters(self, store: EventStore) -> None:
        worker = await Worker.begin(store)
        await worker.append(letter(EWR, 5, "no"))
        assert await store.drop_program("totals")
        assert await store.parked_queues() == []
        assert not await store.drop_program("totals")
