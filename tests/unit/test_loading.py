"""Actors come into memory a few at a time, and nobody is kept waiting while they do."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from actors.naming import aggregate_id_of
from runtime.clocks import NodeClock
from runtime.host.actor_types import ActorTypes
from runtime.host.residents import Residents
from runtime.wire.answers import read_events
from runtime.wire.commands import PUBLISH
from store.errors import StoreUnavailable
from store.event_store import Load, Snapshot
from tests.unit.hosting import Add, Counter, Hosting, command, versions
from tests.unit.writing import CuedStore
from tests.virtual_time import settled, virtual_time


class CountingStore(CuedStore):
    """Counts what its queries ask for, and what they bring."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.brought = 0

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        self.asked.append(len(aggregate_ids))
        return await super().load_snapshots(aggregate_ids)

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        load = await super().load_rows(after_versions)
        self.brought += len(load.rows)
        return load


@virtual_time
async def test_a_load_of_many_asks_for_a_bounded_number_at_a_time() -> None:
    store = CountingStore()
    host = await Hosting.begin(store, capacity=5_000)
    names = [f"counter/{number}" for number in range(2_500)]
    await host.deliver(*(command(name, Add()) for name in names))
    assert store.asked == [100, 650, 650, 650, 450]  # few at first: nothing is folded meanwhile
    assert len(host.residents) == 2_500
    successor = await Hosting.begin(store)
    answer = await successor.deliver(*(command(name, Add()) for name in names))
    assert {tuple(versions(read_events(answer, n))) for n in range(2_500)} == {(2,)}


class SlowStore(CountingStore):
    """Each query for rows takes a second; says what was resident when it was asked."""

    residents: Residents | None = None

    def __init__(self) -> None:
        super().__init__()
        self.asked_with: list[int] = []
        self.fails_at = 0

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        if self.residents is not None:
            self.asked_with.append(len(self.residents))
            await asyncio.sleep(1)
            if len(self.asked_with) == self.fails_at:
                raise StoreUnavailable("the database", "on cue")
        return await super().load_rows(after_versions)


@virtual_time
async def test_what_is_folded_next_is_read_while_others_are_folded() -> None:
    store = SlowStore()
    names = [f"counter/{number}" for number in range(1_500)]
    host = await Hosting.begin(store, capacity=5_000)
    await host.deliver(*(command(name, Add()) for name in names))
    types = ActorTypes()
    types.register(Counter)
    store.residents = Residents(store, types, capacity=5_000, observe=lambda _: None)
    await store.residents.load(names)
    # Each query is asked before those that the one before it has brought are folded.
    assert store.asked_with == [0, 0, 100, 750]
    assert len(store.residents) == 1_500


@virtual_time
async def test_what_was_read_before_a_failure_is_resident_and_nothing_is_left_under_way() -> None:
    store = SlowStore()
    names = [f"counter/{number}" for number in range(2_000)]
    host = await Hosting.begin(store, capacity=5_000)
    await host.deliver(*(command(name, Add()) for name in names))
    types = ActorTypes()
    types.register(Counter)
    store.residents = Residents(store, types, capacity=5_000, observe=lambda _: None)
    store.fails_at = 3
    before = asyncio.all_tasks()
    with pytest.raises(StoreUnavailable, match="on cue"):
        await store.residents.load(names)
    assert len(store.residents) == 750
    await store.residents.load(names[:1])  # the store is back
    loading = asyncio.ensure_future(store.residents.load(names))
    await asyncio.sleep(1.5)  # the second query is under way
    loading.cancel()
    await settled()
    assert asyncio.all_tasks() == before


@virtual_time
async def test_others_have_their_turn_while_a_long_history_is_folded() -> None:
    host = await Hosting.begin(frequency=100_000)
    await host.ask("counter/a", Add(times=5_000))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    types = ActorTypes()
    types.register(Counter)
    clock = NodeClock("elsewhere", 0, {"host"})
    residents = Residents(host.store, types, capacity=10, observe=clock.observe)
    running = asyncio.ensure_future(others())
    await settled()
    turns = 0
    await residents.load(["counter/a"])
    running.cancel()
    assert turns >= 5_000 // Residents.SLICE
    resident = residents.get("counter/a")
    assert resident is not None
    assert (resident.version, resident.actor.state.total) == (5_000, 5_000)
    assert clock.counts() == {"elsewhere": 0, "host": 5_000}


@virtual_time
async def test_a_published_source_is_loaded_without_its_history() -> None:
    store = CountingStore()
    host = await Hosting.begin(store, frequency=10)
    data = {"event_type": "seen", "kind": "system", "data": b"{}", "metadata": {}, "clock": {}}
    for _ in range(25):
        await host.deliver(command("tower/jfk", PUBLISH, data=data))
    await settled()
    snapshot = await store.load_snapshot(aggregate_id_of("tower/jfk"))
    assert snapshot == (20, b"")
    successor = await Hosting.begin(store, frequency=10)
    store.brought = 0
    answer = await successor.deliver(command("tower/jfk", PUBLISH, data=data))
    assert versions(read_events(answer, 0)) == [26]
    row = store.brought / 6  # the snapshot's own event, for its clock, and the five after it
    assert row == len((await store.read(0, 1)).rows)
    assert read_events(answer, 0)[0].vector_clock.count("host") == 26
