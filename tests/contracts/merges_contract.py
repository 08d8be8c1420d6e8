"""What a store promises of merges: one order of several logs, by whomever it is extended."""

import pytest

from store.errors import StaleCheckpoint
from store.event_store import EventStore
from store.merges import Leg, Merge, reached


def leg(after: int, partition: int, log_after: int, length: int) -> Leg:
    """A piece of a log of which nothing was selected."""
    return Leg(
        after=after, partition=partition, log_after=log_after, length=length, merged_us=7 * after
    )


async def extended(store: EventStore, merge: Merge) -> list[Leg]:
    """Two pieces of each of two logs, behind 2 and 3."""
    legs = [leg(5, 0, 2, 4), leg(9, 1, 3, 1), leg(10, 0, 6, 2), leg(12, 1, 4, 8)]
    assert await store.extend_merge(merge, legs[:2])
    assert await store.extend_merge(merge, legs[2:])
    return legs


class MergesContract:
    """A merge is extended at its end alone, and read from any place."""

    async def test_a_merge_is_made_once_and_found_again(self, store: EventStore) -> None:
        assert await store.merge_of("totals") is None
        merge = await store.make_merge("totals", [2, 3])
        assert (merge.program, merge.began, merge.start) == ("totals", (2, 3), 5)
        assert await store.make_merge("totals", [0, 0]) == merge
        assert await store.merge_of("totals") == merge
        other = await store.make_merge("alerts", [0, 0])
        assert other.number != merge.number
        assert await store.merges() == [other, merge]

    async def test_it_is_extended_where_it_ends_and_nowhere_else(self, store: EventStore) -> None:
        merge = await store.make_merge("totals", [2, 3])
        assert not await store.extend_merge(merge, [leg(6, 0, 2, 4)])
        assert not await store.extend_merge(merge, [leg(0, 0, 2, 4)])
        legs = await extended(store, merge)
        assert not await store.extend_merge(merge, [leg(9, 1, 3, 9), leg(18, 0, 6, 1)])
        assert not await store.extend_merge(merge, [leg(21, 1, 3, 9)])
        assert await store.merge_legs(merge, 5, 10) == legs
        with pytest.raises(ValueError, match="begins behind"):
            await store.extend_merge(merge, [leg(20, 1, 12, 2), leg(23, 0, 8, 1)])
        with pytest.raises(ValueError, match="at least one position"):
            await store.extend_merge(merge, [leg(20, 1, 12, 0)])

    async def test_it_is_read_from_any_place(self, store: EventStore) -> None:
        merge = await store.make_merge("totals", [2, 3])
        assert await store.merge_legs(merge, 5, 10) == []
        legs = await extended(store, merge)
        newest = Leg(
            after=20, partition=0, log_after=8, length=1, merged_us=9, newest_us=-5, heard_us=8
        )
        assert await store.extend_merge(merge, [newest])
        for place, first in ((5, 0), (8, 0), (9, 1), (10, 2), (12, 3), (19, 3), (20, 4), (21, 5)):
            assert await store.merge_legs(merge, place, 10) == [*legs, newest][first:]
        assert await store.merge_legs(merge, 5, 2) == legs[:2]

    async def test_how_far_a_place_is_in_each_log_and_where_a_position_is(
        self, store: EventStore
    ) -> None:
        merge = await store.make_merge("totals", [2, 3])
        await extended(store, merge)
        for place, logs in (
            (5, (2, 3)), (6, (3, 3)), (9, (6, 3)), (10, (6, 4)), (11, (7, 4)), (12, (8, 4)),
            (15, (8, 7)), (20, (8, 12)),
        ):  # fmt: skip
            assert reached(merge, place, await store.last_legs(merge, place)) == logs
            assert sum(logs) == place
        assert await store.places_in_merge(merge, 0, [1, 2, 3, 6, 7, 8, 9]) == {
            3: 6, 6: 9, 7: 11, 8: 12,
        }  # fmt: skip
        assert await store.places_in_merge(merge, 1, [12, 4, 5, 3]) == {12: 20, 4: 10, 5: 13}

    async def test_one_that_was_dropped_is_not_extended_by_who_knows_it_from_before(
        self, store: EventStore
    ) -> None:
        merge = await store.make_merge("totals", [2, 3])
        kept = await store.make_merge("total", [0, 0])
        await extended(store, merge)
        await store.drop_program("totals")
        assert await store.merges() == [kept]
        anew = await store.make_merge("totals", [2, 3])
        assert anew.number != merge.number
        for asked in (
            store.extend_merge(merge, [leg(20, 0, 8, 1)]),
            store.extend_merge(merge, [leg(5, 0, 2, 1)]),
            store.merge_legs(merge, 5, 10),
            store.last_legs(merge, 9),
        ):
            with pytest.raises(StaleCheckpoint):
                await asked
        assert await store.merge_legs(anew, 5, 10) == []
