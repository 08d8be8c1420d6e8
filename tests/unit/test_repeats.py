"""Repeated commands are answered with the events of their first run, out of the log."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID, uuid4

import pytest

from actors.event import Event
from actors.ids import event_id
from runtime.errors import InvalidMessage
from runtime.host.repeats import FEW, rows_in_the_log
from runtime.wire.answers import read_events
from runtime.wire.commands import PUBLISH, unpack_answer
from store.appends import Acknowledged, Append
from store.event_store import Found, Snapshot
from store.memory import MemoryEventStore
from store.rows.decoding import Decoder
from tests.contracts.appending import Log, made_event
from tests.unit.hosting import Add, AddOnce, Hosting, command, versions
from tests.unit.writing import CuedStore
from tests.virtual_time import virtual_time

LENGTHS = (1, FEW - 1, FEW, FEW + 1, 5 * FEW, 5 * FEW + 1, 500)


class HeldLoads(CuedStore):
    """Calls a test before it loads anybody."""

    before: Callable[[], Awaitable[None]] | None = None

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        if self.before is not None:
            await self.before()
        return await super().load_snapshots(aggregate_ids)


class CountingStore(MemoryEventStore):
    """Counts how often it is asked for rows."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = 0

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        self.queries += 1
        return await super().find_rows(event_ids)


async def found_of(store: MemoryEventStore, *commands: tuple[str, UUID]) -> dict[int, bytes]:
    """What the log has of commands that all took effect before."""
    sent: list[object] = [
        ["device/one", name, command.bytes, 0, {}, None, None] for name, command in commands
    ]
    return await rows_in_the_log(store, dict(enumerate(sent)))


async def first_run(log: Log, command: UUID, length: int) -> list[Event]:
    """The events of a command, as its first run left them in the log."""
    first = log.head + 1
    return await log.append(
        *(
            made_event(version=first + number, id=UUID(bytes=event_id(command.bytes, number)))
            for number in range(length)
        )
    )


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


async def test_each_repeat_has_all_its_events_in_order_and_no_other_s(store: CountingStore) -> None:
    log = await Log.open(store)
    commands = [uuid4() for _ in LENGTHS]
    runs = [await first_run(log, *one) for one in zip(commands, LENGTHS, strict=True)]
    found = await found_of(store, *(("add", command) for command in commands))
    assert [Decoder().events(found[index]) for index in range(len(runs))] == runs


async def test_repeats_of_few_events_cost_one_query_in_all(store: CountingStore) -> None:
    log = await Log.open(store)
    commands = [uuid4() for _ in range(50)]
    for each in commands:
        await first_run(log, each, 2)
    found = await found_of(store, *(("add", each) for each in commands))
    assert (len(found), store.queries) == (50, 1)


async def test_a_published_event_is_found_by_its_own_id(store: CountingStore) -> None:
    log = await Log.open(store)
    (event,) = await log.append(made_event())
    found = await found_of(store, (PUBLISH, event.id))
    assert Decoder().events(found[0]) == [event]


async def test_an_event_of_somebody_else_under_the_next_id_is_not_among_those_of_a_repeat(
    store: CountingStore,
) -> None:
    log = await Log.open(store)
    for length in (1, FEW, 5 * FEW):
        command = uuid4()
        run = await first_run(log, command, length)
        claimed = UUID(bytes=event_id(command.bytes, length))
        await log.append(made_event("tower/jfk", log.head + 1, id=claimed))
        found = await found_of(store, ("add", command))
        assert Decoder().events(found[0]) == run


@virtual_time
async def test_an_event_s_id_as_a_command_s_id_gives_its_first_event_the_first_command_s_id() -> (
    None
):
    host = await Hosting.begin()
    (first,) = await host.ask("counter/a", Add(), id=(command_id := uuid4()).bytes)
    assert first.id != command_id
    (second,) = await host.ask("counter/a", Add(), id=first.id.bytes)
    assert (second.id, second.version) == (command_id, 2)
    assert (first.causation_id, second.causation_id) == (second.id, first.id)


@virtual_time
async def test_a_repeat_is_known_whose_first_run_is_forgotten_while_others_are_loaded() -> None:
    """The log is asked before the first run is in it, and the table when it is no more there."""
    host = await Hosting.begin(store := HeldLoads(), recent=1)
    await host.ask("counter/a", AddOnce(), id=(old := uuid4()).bytes)
    await host.ask("counter/a", Add())
    assert await host.ask("counter/a", AddOnce(), id=old.bytes), "repeats are likely from now on"
    assert await host.total("counter/b") == 0, "it is loaded"
    let_through = asyncio.Event()

    async def way(append: Append) -> Acknowledged:
        await let_through.wait()
        return await host.writing.writer.append(append)

    async def before() -> None:
        let_through.set()
        await host.executor.wait_settled()

    host.way = way  # type: ignore[method-assign]
    once = command("counter/b", AddOnce())
    run = host.send(once, command("counter/b", Add()))
    again = host.send(once, command("counter/z", Add()))
    store.before = before
    first, repeated = unpack_answer(await run.answer), unpack_answer(await again.answer)
    assert read_events(repeated, 0) == read_events(first, 0) != []


class CountedLookUps(CuedStore):
    """Counts how often it is asked which commands took effect."""

    asked = 0

    async def find_ids(self, event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        self.asked += 1
        return await super().find_ids(event_ids)


@virtual_time
async def test_what_is_sent_again_to_a_new_host_is_looked_up_and_costs_others_nothing() -> None:
    host = await Hosting.begin(store := CountedLookUps())
    once = command("counter/a", AddOnce())
    run = await host.deliver(once)
    host = await Hosting.begin(store)
    again = host.send(once, again=True)
    behind = [host.send(command("counter/b", Add())) for _ in range(3)]
    repeated = unpack_answer(await again.answer)
    assert read_events(repeated, 0) == read_events(run, 0) != []
    assert [versions(read_events(unpack_answer(await each.answer), 0)) for each in behind] == [
        [1], [2], [3],
    ]  # fmt: skip
    assert len(host.appends) == len(behind), "nothing was appended in vain, and run again"
    assert store.asked == 1, "those behind it are no repeats"


@virtual_time
async def test_a_command_under_a_published_event_s_id_is_refused_while_it_is_remembered() -> None:
    host = await Hosting.begin()
    outside = {"event_type": "seen", "kind": "system", "data": b"{}", "metadata": {}, "clock": {}}
    published = command("tower/jfk", PUBLISH, data=outside, id=uuid4().bytes)
    (event,) = read_events(await host.deliver(published), 0)
    with pytest.raises(InvalidMessage, match="took effect at another actor"):
        await host.ask("counter/a", Add(), id=event.id.bytes)
    assert await host.log("counter/a") == []
    host = await Hosting.begin(host.store)
    (counted,) = await host.ask("counter/a", Add(), id=event.id.bytes)
    assert (counted.source, counted.version) == ("counter/a", 1)
