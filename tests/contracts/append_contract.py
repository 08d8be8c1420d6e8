"""What every event store promises of an append: all or nothing, and behind the fence."""

from dataclasses import replace

import pytest

from store.errors import AppendRefused, DuplicateEvent, StaleEpoch, VersionConflict
from store.event_store import WRITER, CounterMove, Epoch, EventStore
from store.rows.layout import EncodedRows
from tests.contracts.appending import NODE, Log, history, made_event


async def everything(store: EventStore) -> tuple[bytes, int, dict[str, Epoch]]:
    """All that an append could have changed."""
    page = await store.read(0, 1_000_000)
    return page.rows, await store.head(), await store.epochs([WRITER, NODE])


class AppendContract:
    """Needs a fixture `store`: an empty event store."""

    async def test_a_log_begins_empty(self, store: EventStore) -> None:
        assert await store.head() == 0
        assert (await store.read(0, 10)).through == 0
        assert await store.epochs([WRITER, NODE]) == {}

    async def test_an_append_moves_the_head_and_the_counters_of_writer_and_node(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append(*history("device/one", 3))
        assert await store.head() == 3
        assert await store.epochs([WRITER, NODE]) == {
            WRITER: Epoch(name=WRITER, number=1, counter=3),
            NODE: Epoch(name=NODE, number=1, counter=3),
        }

    async def test_an_append_moves_the_counters_of_all_its_nodes(self, store: EventStore) -> None:
        log = await Log.open(store)
        other = await store.open_epoch("host-b")
        rows = log.stamped([made_event("device/one"), made_event("device/two")])
        await store.append(
            rows,
            writer=CounterMove(name=WRITER, epoch=log.writer.number, counter=2),
            nodes=[
                CounterMove(name=NODE, epoch=log.node.number, counter=7),
                CounterMove(name="host-b", epoch=other.number, counter=9),
            ],
        )
        found = await store.epochs([NODE, "host-b", "nobody"])
        assert {name: epoch.counter for name, epoch in found.items()} == {NODE: 7, "host-b": 9}

    async def test_an_append_at_a_stale_version_changes_nothing(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(*history("device/one", 2))
        rows = log.stamped([made_event("device/two"), made_event("device/one", 2)])
        await self._refused(log, rows, VersionConflict)

    async def test_an_append_with_a_version_twice_changes_nothing(self, store: EventStore) -> None:
        log = await Log.open(store)
        rows = log.stamped([made_event("device/one"), made_event("device/one")])
        await self._refused(log, rows, VersionConflict)

    async def test_an_append_of_an_id_in_the_log_changes_nothing(self, store: EventStore) -> None:
        log = await Log.open(store)
        [first] = await log.append(made_event("device/one"))
        rows = log.stamped([made_event("device/two"), made_event("device/three", id=first.id)])
        await self._refused(log, rows, DuplicateEvent)

    async def test_an_append_with_an_id_twice_changes_nothing(self, store: EventStore) -> None:
        log = await Log.open(store)
        event = made_event("device/one")
        rows = log.stamped([event, made_event("device/two", id=event.id)])
        await self._refused(log, rows, DuplicateEvent)

    async def test_an_append_of_a_replaced_writer_changes_nothing(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event("device/one"))
        await store.open_epoch(WRITER)
        refusal = await self._refused(log, log.stamped([made_event("device/two")]), StaleEpoch)
        assert refusal.args == (WRITER, 1)

    async def test_an_append_of_a_replaced_node_changes_nothing(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event("device/one"))
        await store.open_epoch(NODE)
        refusal = await self._refused(log, log.stamped([made_event("device/two")]), StaleEpoch)
        assert refusal.args == (NODE, 1)

    async def test_an_append_of_a_node_without_an_epoch_changes_nothing(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        before = await everything(store)
        with pytest.raises(StaleEpoch, match="stranger"):
            await store.append(
                log.stamped([made_event()]),
                writer=CounterMove(name=WRITER, epoch=log.writer.number, counter=1),
                nodes=[CounterMove(name="stranger", epoch=1, counter=1)],
            )
        assert await everything(store) == before

    @pytest.mark.parametrize("through", [1, 3])
    async def test_an_append_that_does_not_follow_on_the_head_changes_nothing(
        self, store: EventStore, through: int
    ) -> None:
        log = await Log.open(store)
        await log.append(made_event("device/one"))
        before = await everything(store)
        with pytest.raises(StaleEpoch, match=WRITER):
            await log.append_rows(log.stamped([made_event("device/two")]), through=through)
        assert await everything(store) == before

    async def test_an_append_goes_on_after_one_that_was_refused(self, store: EventStore) -> None:
        log = await Log.open(store)
        [first] = await log.append(made_event("device/one"))
        with pytest.raises(VersionConflict):
            await log.append(made_event("device/one", 1))
        [second] = await log.append(made_event("device/one", 2))
        assert (first.position, second.position) == (1, 2)

    async def test_the_nodes_of_a_log_are_those_that_opened_an_epoch(
        self, store: EventStore
    ) -> None:
        before = await store.nodes()
        for name in ("n.host-0", "n.meter/one", "n.meter/two", "n.meter/a/b", "n.host-0"):
            await store.open_epoch(name)
        assert await store.nodes() - before == {"n.host-0", "n.meter"}

    async def test_a_new_epoch_counts_on_from_where_the_old_one_came(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append(*history("device/one", 4))
        assert await store.open_epoch(NODE) == Epoch(name=NODE, number=2, counter=4)
        assert await store.open_epoch(WRITER) == Epoch(name=WRITER, number=2, counter=4)

    async def test_an_epoch_says_whose_incarnation_it_is_also_after_appends(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await store.open_epoch("node-001.host-0", "one")
        assert (await store.open_epoch(WRITER, "one")).holder == "one"
        log = await Log.open(store, holder="another")
        await log.append(made_event("device/one"))
        found = await store.epochs([WRITER, NODE, "node-001.host-0"])
        holders = {name: epoch.holder for name, epoch in found.items()}
        assert holders == {WRITER: "another", NODE: "another", "node-001.host-0": "one"}

    async def test_a_replaced_writer_and_node_leave_the_log_to_their_successors(
        self, store: EventStore
    ) -> None:
        old = await Log.open(store)
        await old.append(made_event("device/one", 1))
        new = await Log.open(store)
        await new.append(made_event("device/one", 2))
        with pytest.raises(StaleEpoch):
            await old.append(made_event("device/one", 3))
        assert [event.version for event in await new.append(made_event("device/one", 3))] == [3]

    async def test_ten_thousand_events_fit_into_one_append(self, store: EventStore) -> None:
        log = await Log.open(store)
        live = await log.append(*history("device/one", 10_000))
        assert await store.head() == 10_000
        assert await store.load_events(live[0].aggregate_id) == live

    async def test_the_number_of_the_attempt_that_happened_stands_beside_the_writers_counter(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append_rows(log.stamped([made_event("device/one")]), attempt=7)
        with pytest.raises(VersionConflict):
            await log.append_rows(log.stamped([made_event("device/one")]), attempt=8)
        present = Epoch(name=WRITER, number=1, counter=1, attempt=7)
        assert (await store.epochs([WRITER]))[WRITER] == present
        assert (await store.epochs([NODE]))[NODE].attempt == 0
        assert await store.open_epoch(WRITER) == replace(present, number=2)

    async def _refused(
        self, log: Log, rows: EncodedRows, error: type[AppendRefused]
    ) -> AppendRefused:
        before = await everything(log.store)
        with pytest.raises(error) as caught:
            await log.append_rows(rows)
        assert await everything(log.store) == before
        return caught.value
