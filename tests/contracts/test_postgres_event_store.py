"""The event store contract, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from secrets import randbelow, token_hex
from typing import Any

import asyncpg
import pytest

from actors.columns import Column, ColumnType, TableSchema
from actors.event import Event, Kind
from actors.lifecycle import ERASED
from actors.messages import RETURNED, RETURNS_SOURCE
from store.erasures import Erasure
from store.errors import RowsRefused, SchemaMismatch, StoreUnavailable
from store.postgres.connections import Connections
from store.postgres.erasing import Erasing
from store.postgres.event_store import PostgresEventStore
from store.postgres.migrations import migrate
from store.postgres.queries import QUERIES
from store.projected import RefusedRow, RowChange
from store.rows.encoding import encode_event
from store.rows.layout import EncodedRows, stamp
from store.selection import EVERYTHING
from tests.contracts.append_contract import AppendContract
from tests.contracts.appending import RECORDED_US, Log, history, made_event
from tests.contracts.erasing_contract import EPOCH, SOURCE, erased_event
from tests.contracts.event_store_contract import EventStoreContract
from tests.contracts.projections_contract import opened
from tests.contracts.values_contract import ValuesContract

pytestmark = pytest.mark.integration


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresEventStore]:
    await migrate(database)
    opened = await PostgresEventStore.connect(database, pool_size=2)
    yield opened
    await opened.close()


class TestPostgresEventStore(EventStoreContract):
    """As it is: small appends go in one statement, larger ones by COPY."""


async def test_a_row_that_the_database_refuses_is_named_and_nothing_of_its_batch_is_stored(
    store: PostgresEventStore,
) -> None:
    notes = TableSchema(name="notes", columns=(Column("note", ColumnType.TEXT),), indexes=("note",))
    slots = await opened(store, notes)
    long = "".join(chr(0x4E00 + randbelow(20_000)) for _ in range(4_000))  # not to be compressed
    rows = [RowChange(f"k{number}", (f"{number}",)) for number in range(9)]
    with pytest.raises(RefusedRow, match=r"row of k5: .*index") as refused:
        await slots.project(3, *rows[:5], RowChange("k5", (long,)), *rows[6:])
    assert refused.value.key == "k5"
    assert await store.load_projected(slots.table, ["k0", "k5"]) == {}
    assert await slots.positions() == {0}
    await slots.project(4, *rows)
    assert await store.load_projected(slots.table, ["k5"]) == {"k5": ("5",)}


class TestPostgresAppendsByCopy(AppendContract, ValuesContract):
    """Appends of any size by COPY."""

    @pytest.fixture
    def store(self, store: PostgresEventStore) -> PostgresEventStore:
        store.SMALL = 0
        return store


@pytest.mark.parametrize("small", [0, 100], ids=["copy", "small"])
async def test_a_database_without_its_table_is_unavailable_until_it_is_there_again(
    store: PostgresEventStore, small: int
) -> None:
    store.SMALL = small
    log = await Log.open(store)
    await store.fetch("ALTER TABLE events RENAME TO elsewhere")
    with pytest.raises(StoreUnavailable, match="events"):
        await log.append(made_event())
    await store.fetch("ALTER TABLE elsewhere RENAME TO events")
    assert await store.head() == 0
    [event] = await log.append(made_event())
    assert event.position == 1


async def test_a_connection_that_asyncpg_finds_in_disorder_is_ended_and_another_one_serves(
    store: PostgresEventStore,
) -> None:
    log = await Log.open(store)
    used = []

    async def use() -> None:
        async with store.connections.use() as connection:
            used.append(connection)
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2)")

    with pytest.raises(StoreUnavailable, match="another operation"):
        await use()
    assert used[0]._con is None  # given back
    [event] = await log.append(made_event())
    assert event.position == 1


def damaged(column: str) -> EncodedRows:
    """A row of which one column is as Postgres does not take it; nothing before it tells."""
    row = encode_event(made_event("device/damaged", event_type="value-read", data={"x": "abc"}))
    good, bad = {
        "version": (row[42:54], row[42:46] + (0).to_bytes(8, "big")),
        "text": (b"value-read", b"value\0read"),
        "encoding": (b"value-read", b"value\xffread"),
        "json": (b'{"x":"abc"}', b'{"x":"abc",'),
        "json version": (b'\x01{"x":"abc"}', b'\x07{"x":"abc"}'),
        "escape": (b'{"x":"abc"}', b'{"x":"\\u0"}'),
        "length": (b"\0\0\0\x0avalue-read", b"\x7f\0\0\x0avalue-read"),
        "nothing": (b"\0\0\0\x0avalue-read", b"\xff\xff\xff\xffvalue-read"),
    }[column]
    assert len(good) == len(bad)
    assert good in row
    return EncodedRows.of([row.replace(good, bad)])


COLUMNS_DAMAGED = ["version", "text", "encoding", "json", "escape", "length", "nothing"]


@pytest.mark.parametrize(
    ("small", "column"),
    [
        *(pytest.param(0, name, id=f"copy-{name}") for name in (*COLUMNS_DAMAGED, "json version")),
        *(pytest.param(100, name, id=f"small-{name}") for name in COLUMNS_DAMAGED),
    ],
)
async def test_rows_that_postgres_does_not_take_are_refused_and_nothing_else_is(
    store: PostgresEventStore, small: int, column: str
) -> None:
    store.SMALL = small
    log = await Log.open(store)
    rows = damaged(column)
    data = bytearray(rows.data)
    stamp(data, rows.lengths, RECORDED_US, log.head + 1)
    with pytest.raises(RowsRefused):
        await log.append_rows(EncodedRows(data, rows.lengths))
    [event] = await log.append(made_event())
    assert event.position == 1


@pytest.mark.parametrize("small", [0, 100], ids=["copy", "small"])
async def test_rows_of_other_lengths_than_they_say_are_refused(
    store: PostgresEventStore, small: int
) -> None:
    """Readers of the bus would get what the log does not have."""
    store.SMALL = small
    log = await Log.open(store)
    first, second = (encode_event(made_event(f"device/{name}")) for name in "ab")
    for rows in ([first + b"\0" * 8], [first + second], [first[:-4], second]):
        encoded = EncodedRows.of(rows)
        data, whole = bytearray(encoded.data), EncodedRows.of([first, second])
        stamp(data, whole.lengths if len(data) == len(whole.data) else encoded.lengths,
              RECORDED_US, log.head + 1)  # fmt: skip
        with pytest.raises(RowsRefused):
            await log.append_rows(EncodedRows(data, encoded.lengths))
    [event] = await log.append(made_event())
    assert event.position == 1


@pytest.mark.parametrize("small", [0, 100], ids=["copy", "small"])
async def test_a_counter_that_no_bigint_holds_is_refused(
    store: PostgresEventStore, small: int
) -> None:
    store.SMALL = small
    log = await Log.open(store)
    log.ticks = 2**64
    with pytest.raises(RowsRefused):
        await log.append(made_event())


async def test_a_server_that_is_not_there_is_said_to_be_so_without_its_password() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1/gone is not available") as caught:
        await PostgresEventStore.connect("postgresql://me:secret@127.0.0.1:1/gone", timeout_s=5)
    assert "secret" not in str(caught.value)


async def test_a_database_is_brought_up_to_date_once_however_many_try(database: str) -> None:
    assert len(set(await asyncio.gather(*(migrate(database) for _ in range(4))))) == 1
    store = await PostgresEventStore.connect(database, pool_size=1)
    assert await store.head() == 0
    await store.close()


async def test_whoever_has_one_connection_may_erase(database: str) -> None:
    await migrate(database)
    store = await PostgresEventStore.connect(database, pool_size=1)
    log = await Log.open(store)
    await log.append(made_event(SOURCE), erased_event(2))
    async with asyncio.timeout(10):
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        assert (await store.search_erased(receipt)).agrees(receipt)
    await store.close()


async def test_who_opens_a_store_changes_no_schema_and_says_which_one_it_finds(
    database: str,
) -> None:
    with pytest.raises(SchemaMismatch, match=r"schema 0, .* launch the system"):
        await PostgresEventStore.connect(database)
    known = await migrate(database)
    store = await PostgresEventStore.connect(database)
    await store.fetch("INSERT INTO schema_migrations (number) VALUES ($1)", known + 1)
    with pytest.raises(SchemaMismatch, match="run the newer release"):
        await PostgresEventStore.connect(database)
    with pytest.raises(SchemaMismatch, match="run the newer release"):
        await migrate(database)
    await store.fetch("DELETE FROM schema_migrations WHERE number >= $1", known)
    with pytest.raises(SchemaMismatch) as older:
        await PostgresEventStore.connect(database)
    assert older.value.args == (known - 1, known)
    await store.close()


async def test_a_stretch_is_bounded_in_bytes_and_ends_with_the_event_that_exceeds_them(
    store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await Log.open(store)

    def large(version: int) -> Event:
        return made_event(SOURCE, version, data={"noise": token_hex(50_000)})

    events = [large(version) for version in range(1, 8)]
    await log.append(*events, *history(SOURCE, 10, first=8), erased_event(18))
    stretches: list[tuple[int, int]] = []
    fetch = Connections.fetch

    async def fetched(self: Connections, query: str, *arguments: Any) -> Any:
        rows = await fetch(self, query, *arguments)
        if query == QUERIES["bury_events"]:
            stretches.append((arguments[2], len(rows)))
        return rows

    monkeypatch.setattr(Connections, "fetch", fetched)
    monkeypatch.setattr(Erasing, "STRETCH", 6)
    monkeypatch.setattr(Erasing, "STRETCH_BYTES", 150_000)
    receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
    # Two of 100,000 letters, or little more in the last one of those; then six of the small ones.
    assert stretches == [(2, 2), (4, 2), (6, 2), (12, 6), (17, 5)]
    assert receipt.events == 17
    assert (await store.search_erased(receipt)).agrees(receipt)


async def test_while_all_programs_wait_only_what_has_come_since_is_looked_through(
    store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, output = await Log.open(store), "totals/charger/c-17"
    end = made_event("charger/c-17", 2, event_type=ERASED, kind=Kind.SYSTEM)

    def returned(version: int) -> Event:
        data = {"sender": "charger/c-17"}
        return made_event(RETURNS_SOURCE, version, data=data, event_type=RETURNED, kind=Kind.SYSTEM)

    await log.append(made_event("charger/c-17"), end, made_event(output), returned(1))
    await store.open_subscription("totals/0", EVERYTHING, 0, randbelow(2**62))
    looked: list[int] = []
    bury = Erasing._bury_returned

    async def bury_returned(self: Erasing, source: str, after: int, *more: Any) -> int:
        buried = await bury(self, source, after, *more)
        if not looked:  # all that there was has been done, and nobody waits yet
            await log.append(made_event(output, 2), returned(2))
        looked.append(after)
        return buried

    monkeypatch.setattr(Erasing, "_bury_returned", bury_returned)
    receipt = await store.erase(Erasure.of("charger/c-17"), -7)
    assert (looked, receipt.outputs) == ([0, 1], 4)
    assert (await store.search_erased(receipt)).agrees(receipt)
