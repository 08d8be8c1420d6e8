"""What every event store promises of shards: one table, its moves, and the epochs they end."""

from dataclasses import replace

import pytest

from store.errors import StaleEpoch
from store.event_store import Epoch, EventStore
from store.shards import SHARDS, dealt
from tests.contracts.appending import Log, made_event

HOSTS = ["host-0", "host-1"]


async def _opened(store: EventStore) -> Epoch:
    await store.open_shards(HOSTS)
    return await store.open_epoch("n.host-0", "somebody")


class ShardsContract:
    """Which host has which shard."""

    async def test_at_first_shards_are_dealt_out_in_turn(self, store: EventStore) -> None:
        table = await store.open_shards(HOSTS)
        assert table.version == 1
        assert table.hosts == tuple(HOSTS[shard % 2] for shard in range(SHARDS))
        assert await store.open_shards(["others"]) == table

    async def test_for_other_hosts_they_are_dealt_out_anew_if_that_is_wanted(
        self, store: EventStore
    ) -> None:
        first = await store.open_shards(HOSTS)
        assert await store.open_shards(HOSTS[::-1], anew=True) == first
        three = [*HOSTS, "host-2"]
        assert await store.open_shards(three, anew=True) == dealt(three, version=2)

    async def test_for_the_same_hosts_they_stay_though_one_of_them_has_none_any_more(
        self, store: EventStore
    ) -> None:
        epoch = await _opened(store)
        moved = await store.move_shards(range(SHARDS), "host-0", "host-1", epoch, 7)
        assert set(moved.table.hosts) == {"host-1"}
        assert await store.open_shards(HOSTS, anew=True) == moved.table
        assert await store.open_shards(["host-1"], anew=True) == dealt(["host-1"], version=3)

    async def test_a_move_gives_what_its_host_has_and_ends_its_epoch(
        self, store: EventStore
    ) -> None:
        epoch = await _opened(store)
        moved = await store.move_shards([0, 1, 4], "host-0", "host-1", epoch, 7)
        assert moved.table.version == 2
        assert set(moved.table.hosts[:5]) - {moved.table.hosts[2]} == {"host-1"}
        assert moved.table.hosts[2] == "host-0"
        assert (moved.epoch.number, moved.epoch.holder) == (epoch.number + 1, "somebody")
        assert await store.open_shards(HOSTS) == moved.table
        nothing = await store.move_shards([0, 1], "host-0", "host-1", moved.epoch, 8)
        assert nothing.table == moved.table

    async def test_what_was_sent_before_a_move_is_refused_behind_it(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append(made_event("a"))
        await store.open_shards(HOSTS)
        moved = await store.move_shards([0], "host-0", "host-1", log.node, 7)
        assert moved.epoch.counter == log.ticks
        later = Log(store, replace(log.writer, counter=1), moved.epoch)
        with pytest.raises(StaleEpoch):
            await log.append(made_event("a", 2))
        await later.append(made_event("a", 2))
        assert await store.head() == 2

    async def test_a_move_that_is_asked_for_again_is_done_once(self, store: EventStore) -> None:
        epoch = await _opened(store)
        moved = await store.move_shards([0], "host-0", "host-1", epoch, 7)
        assert await store.move_shards([0], "host-0", "host-1", epoch, 7) == moved
        with pytest.raises(StaleEpoch):
            await store.move_shards([2], "host-0", "host-1", epoch, 8)
        assert await store.open_shards(HOSTS) == moved.table

    async def test_of_an_epoch_that_is_over_nothing_is_moved(self, store: EventStore) -> None:
        epoch = await _opened(store)
        table = await store.open_shards(HOSTS)
        await store.open_epoch(epoch.name)
        with pytest.raises(StaleEpoch):
            await store.move_shards([0], "host-0", "host-1", epoch, 7)
        assert await store.open_shards(HOSTS) == table

    async def test_whoever_begins_behind_a_move_is_no_repeat_of_it(self, store: EventStore) -> None:
        epoch = await _opened(store)
        moved = await store.move_shards([0], "host-0", "host-1", epoch, 7)
        await store.open_epoch(epoch.name)
        with pytest.raises(StaleEpoch):
            await store.move_shards([2], "host-0", "host-1", moved.epoch, 8)
        with pytest.raises(StaleEpoch):
            await store.move_shards([0], "host-0", "host-1", epoch, 7)
