"""What every event store promises of tallies: there is one, of the launch that was last."""

from dataclasses import replace

from store.event_store import EventStore
from tests.contracts.appending import Log, made_event


class TalliesContract:
    """How many events there are since a launch, as somebody has counted them."""

    async def test_a_tally_begins_at_the_head_and_goes_on_from_where_it_was_saved(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append(made_event("a"), made_event("b"))
        begun = await store.open_tally("first")
        assert (begun.launch, begun.through, begun.by_type, begun.by_node) == ("first", 2, {}, {})
        saved = replace(begun, through=7, by_type={"ü'\"": 3, "t": 2}, by_node={"n.host-0": 5})
        await store.save_tally(saved)
        assert await store.open_tally("first") == saved

    async def test_who_has_counted_less_far_changes_nothing(self, store: EventStore) -> None:
        begun = await store.open_tally("first")
        later = replace(begun, through=9, by_type={"t": 9}, by_node={"n": 9})
        await store.save_tally(later)
        await store.save_tally(replace(begun, through=8, by_type={"t": 8}))
        assert await store.open_tally("first") == later

    async def test_of_a_launch_that_is_over_nothing_is_kept(self, store: EventStore) -> None:
        first = replace(await store.open_tally("first"), through=3, by_type={"t": 3})
        await store.save_tally(first)
        second = await store.open_tally("second")
        assert second.by_type == {}
        await store.save_tally(first)  # by somebody who does not know yet
        assert await store.open_tally("second") == second
        assert (await store.open_tally("first")).by_type == {}
