"""What a store promises of timers: they change with a checkpoint, and are read in their order."""

from secrets import randbelow

import pytest

from store.appends import CheckpointMove
from store.errors import StaleCheckpoint
from store.event_store import EventStore
from store.selection import EVERYTHING
from store.subscriptions import SubscriptionRecord
from store.timers import FIRST, Place, Timer, TimerChanges, TimerMove, Woken


def timer(source: str, key: str, look_us: int, number: int = 1) -> Timer:
    """One that is to fire."""
    return Timer(
        source=source,
        key=key,
        timer=number.to_bytes(16),
        event_id=(100 + number).to_bytes(16),
        correlation_id=None if number % 2 else (200 + number).to_bytes(16),
        occurrence=0,
        due_us=look_us,
        look_us=look_us,
        message_type="ring",
        message=b'{"n": 1, "umlaut": "\xc3\xb6"}',
    )


def changes(
    *kept: Timer, moved: tuple[TimerMove, ...] = (), gone: tuple[tuple[str, str], ...] = ()
) -> TimerChanges:
    return TimerChanges(list(kept), list(moved), list(gone))


class Keeper:
    """Whoever fires timers."""

    def __init__(self, store: EventStore, record: SubscriptionRecord) -> None:
        self.store, self.record = store, record
        self.position = 0

    @classmethod
    async def begin(cls, store: EventStore) -> "Keeper":
        epoch = randbelow(2**62)
        return cls(store, await store.open_subscription("timers", EVERYTHING, 0, epoch))

    def next_move(self) -> CheckpointMove:
        self.position += 1
        return CheckpointMove(
            name=self.record.name,
            epoch=self.record.epoch,
            position=self.position,
            receipt=self.record.receipt,
        )

    async def file(self, changed: TimerChanges) -> int:
        return await self.store.file_timers(self.next_move(), changed)


async def all_of(store: EventStore) -> list[Timer]:
    return await store.due_timers(FIRST, 2**62, 1_000, 2**40)


class TimersContract:
    """Timers that are to fire."""

    async def test_timers_are_read_in_the_order_in_which_they_are_looked_at(
        self, store: EventStore
    ) -> None:
        keeper = await Keeper.begin(store)
        late, early = timer("bell/b", "k", 30), timer("bell/b", "j", 10, 2)
        same = timer("bell/a", "ö", 30, 4), timer("bell/a", "z", 30, 3)
        assert await keeper.file(changes(late, *same, early)) == 4
        ordered = [early, same[1], same[0], late]
        assert await all_of(store) == ordered
        assert await store.count_timers() == 4
        size = len(early.message)
        for most_bytes, count in ((0, 0), (1, 1), (size, 1), (size + 1, 2), (4 * size, 4)):
            assert await store.due_timers(FIRST, 30, 9, most_bytes) == ordered[:count]
        assert await store.due_timers(FIRST, 29, 9, 2**40) == [early]
        assert await store.due_timers(FIRST, 30, 2, 2**40) == ordered[:2]
        assert await store.due_timers(same[1].place, 30, 9, 2**40) == ordered[2:]
        assert await store.due_timers(Place(30, "", ""), 30, 9, 2**40) == ordered[1:]

    async def test_a_timer_takes_the_place_of_the_one_that_had_its_key(
        self, store: EventStore
    ) -> None:
        keeper = await Keeper.begin(store)
        assert await keeper.file(changes(timer("bell/b", "k", 30))) == 1
        other = timer("bell/b", "k", 5, 2)
        assert await keeper.file(changes(other, timer("bell/c", "k", 7))) == 1
        assert await all_of(store) == [other, timer("bell/c", "k", 7)]

    async def test_a_timer_moves_unless_its_key_has_another_one(self, store: EventStore) -> None:
        keeper = await Keeper.begin(store)
        one, two = timer("bell/b", "k", 30), timer("bell/b", "j", 40, 2)
        await keeper.file(changes(one, two))
        moves = (
            TimerMove("bell/b", "k", one.timer, 3, 90, 95),
            TimerMove("bell/b", "j", one.timer, 3, 90, 95),
            TimerMove("bell/b", "i", one.timer, 3, 90, 95),
        )
        assert await keeper.file(changes(moved=moves)) == 0
        assert await all_of(store) == [two, one._replace(occurrence=3, due_us=90, look_us=95)]

    async def test_a_timer_that_is_gone_is_gone_and_one_that_never_was_is_none(
        self, store: EventStore
    ) -> None:
        keeper = await Keeper.begin(store)
        await keeper.file(changes(timer("bell/b", "k", 30), timer("bell/b", "j", 40)))
        gone = ("bell/b", "k"), ("bell/b", "never"), ("bell/a", "j")
        assert await keeper.file(changes(timer("bell/d", "k", 1), gone=gone)) == 0
        assert await all_of(store) == [timer("bell/d", "k", 1), timer("bell/b", "j", 40)]
        assert await store.count_timers() == 2

    async def test_whoever_was_replaced_changes_nothing(self, store: EventStore) -> None:
        keeper = await Keeper.begin(store)
        await keeper.file(changes(timer("bell/b", "k", 30)))
        await Keeper.begin(store)
        with pytest.raises(StaleCheckpoint):
            await keeper.file(changes(timer("bell/b", "j", 1), gone=(("bell/b", "k"),)))
        assert await all_of(store) == [timer("bell/b", "k", 30)]

    async def test_what_was_put_off_beyond_a_moment_is_looked_at_when_it_is_due(
        self, store: EventStore
    ) -> None:
        keeper = await Keeper.begin(store)
        far, near = timer("bell/b", "far", 30), timer("bell/b", "near", 40, 2)
        later = timer("bell/b", "later", 500, 3)
        await keeper.file(changes(far._replace(look_us=101), near._replace(look_us=100), later))
        assert await store.hasten_timers(keeper.next_move(), 100, 10) == (1, 101)
        assert await all_of(store) == [far, near._replace(look_us=100), later]
        [record] = await store.subscriptions()
        assert record.position == 2
        await Keeper.begin(store)
        with pytest.raises(StaleCheckpoint):
            await store.hasten_timers(keeper.next_move(), 0, 10)
        assert await all_of(store) == [far, near._replace(look_us=100), later]

    async def test_what_was_put_off_is_hastened_so_many_at_a_time(self, store: EventStore) -> None:
        keeper = await Keeper.begin(store)
        put_off = [timer("bell/b", f"k{n}", 10 + n, n + 1) for n in range(5)]
        await keeper.file(changes(*(each._replace(look_us=200 - each.due_us) for each in put_off)))
        beyond_us, counts = 100, []
        for _ in range(4):
            found = await store.hasten_timers(keeper.next_move(), beyond_us, 2)
            counts.append(found)
            beyond_us = beyond_us if found.last_us is None else found.last_us - 1
        assert counts == [(2, 187), (2, 189), (1, 190), (0, None)]
        assert await all_of(store) == put_off

    async def test_what_was_put_off_of_some_actors_is_looked_at_when_it_is_due(
        self, store: EventStore
    ) -> None:
        keeper = await Keeper.begin(store)
        told = [
            timer(source, key, due, number)._replace(look_us=due + late)
            for number, (source, key, due, late) in enumerate(
                [
                    ("bell/b", "put off", 30, 70),
                    ("bell/b", "also", 20, 90),
                    ("bell/b", "not", 10, 0),
                    ("bell/bb", "another", 5, 90),
                    ("gong/b", "of a type", 7, 90),
                    ("gong/c", "of it, too", 8, 90),
                    ("gon/b", "of none", 1, 90),
                ]
            )
        ]
        await keeper.file(changes(*told))

        async def wake(sources: list[str], actor_types: list[str]) -> Woken:
            return await store.wake_timers(keeper.next_move(), sources, actor_types, 0, 9)

        assert await wake(["bell/none"], ["bel"]) == Woken(0, None)
        assert await wake(["bell/b"], []) == Woken(2, 20)
        assert await wake(["bell/b"], ["gong"]) == Woken(2, 7)
        assert await wake(["bell/b"], ["gong"]) == Woken(0, None)
        woken = {"put off", "also", "of a type", "of it, too"}
        now = [each._replace(look_us=each.due_us) if each.key in woken else each for each in told]
        assert await all_of(store) == sorted(now, key=lambda each: each.place)
        [record] = await store.subscriptions()
        assert record.position == 5
        await Keeper.begin(store)
        with pytest.raises(StaleCheckpoint):
            await store.wake_timers(keeper.next_move(), ["bell/bb"], [], 0, 9)
        assert await all_of(store) == sorted(now, key=lambda each: each.place)

    async def test_so_many_are_woken_at_a_time_and_what_is_looked_at_soon_is_left(
        self, store: EventStore
    ) -> None:
        keeper = await Keeper.begin(store)
        told = [
            timer(f"{actor_type}/b", f"{number}", number, place)._replace(look_us=100 - number)
            for place, (actor_type, number) in enumerate(
                (actor_type, number) for actor_type in ("bell", "gong") for number in range(5)
            )
        ]
        await keeper.file(changes(*told))

        for limit, count in ((2, 2), (3, 3), (3, 1), (3, 0)):
            asked = ["bell/b"], ["gong"], 97, limit
            assert (await store.wake_timers(keeper.next_move(), *asked)).timers == count
        late = [each for each in await all_of(store) if each.look_us > each.due_us]
        assert sorted(each.look_us for each in late) == [96, 96, 97, 97]

    async def test_the_checkpoint_moves_with_the_timers(self, store: EventStore) -> None:
        keeper = await Keeper.begin(store)
        keeper.position = 6
        await keeper.file(changes(timer("bell/b", "k", 30)))
        [record] = await store.subscriptions()
        assert record.position == 7
