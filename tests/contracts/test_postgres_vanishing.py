"""A server that vanishes without a word: everything ends, and what was in doubt is settled."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from store.appends import Append, Commit
from store.errors import StoreUnavailable
from store.event_store import WRITER, DecidingClass, Snapshot
from store.group_commit import GroupCommit
from store.postgres.connections import PROBE_AFTER_S
from store.postgres.event_store import PostgresEventStore
from store.postgres.migrations import migrate
from store.rows.encoding import encode_event
from store.rows.layout import EncodedRows
from store.selection import EVERYTHING
from tests.contracts.appending import NODE, Log, history, made_event
from tests.contracts.vanishing import VanishingWay

pytestmark = pytest.mark.integration

#: Short, so that the tests are: nothing here is measured against it.
OPERATION_S = 0.5


@pytest.fixture
async def way(database: str) -> AsyncIterator[VanishingWay]:
    await migrate(database)
    opened = VanishingWay(database)
    yield opened
    await opened.close()


@pytest.fixture
async def store(way: VanishingWay) -> AsyncIterator[PostgresEventStore]:
    opened = await PostgresEventStore.connect(
        await way.open(), pool_size=2, operation_s=OPERATION_S
    )
    yield opened
    await opened.close()


KEY = b"\x01" * 16


@pytest.mark.parametrize(
    "operation",
    [
        lambda store: store.open_epoch("host-b"),
        lambda store: store.epochs([WRITER]),
        lambda store: store.open_subscription("totals", EVERYTHING, 0, 1),
        lambda store: store.subscriptions(),
        lambda store: store.recount(EVERYTHING, 0, 10),
        lambda store: store.head(),
        lambda store: store.read(0, 10, selection=EVERYTHING),
        lambda store: store.load_rows({KEY: 0}),
        lambda store: store.find_rows([KEY]),
        lambda store: store.find_ids([KEY]),
        lambda store: store.find_caused([KEY], 10),
        lambda store: store.find_correlated(KEY, 10),
        lambda store: store.save_snapshots([Snapshot(aggregate_id=KEY, version=1, data=b"")]),
        lambda store: store.load_snapshots([KEY]),
        lambda store: store.type_records(["oven"]),
        lambda store: store.event_types(),
        lambda store: store.record_deciding_classes({"oven": DecidingClass(class_name="a.Oven")}),
        lambda store: store.note_event_types([("oven", "heated")]),
        lambda store: store.note_event_schemas({("oven", "heated"): 2}),
        lambda store: store.note_event_shapes({("oven", "heated", 1): {"by": ["string"]}}),
    ],
    ids=[
        "open_epoch", "epochs",
        "open_subscription", "subscriptions", "recount", "head", "read",
        "load_rows", "find_rows", "find_ids", "find_caused", "find_correlated", "save_snapshots",
        "load_snapshots", "type_records", "event_types",
        "record_deciding_classes", "note_event_types", "note_event_schemas",
        "note_event_shapes",
    ],
)  # fmt: skip
async def test_every_operation_ends_and_the_next_one_goes_a_new_way(
    store: PostgresEventStore, way: VanishingWay, operation: Any
) -> None:
    await operation(store)
    way.swallows_answers = True
    with pytest.raises(StoreUnavailable):
        await operation(store)
    way.swallows_answers = False
    await operation(store)


@pytest.mark.parametrize("swallows", ["swallows_answers", "swallows_questions"])
@pytest.mark.parametrize("count", [1, 300], ids=["small", "copy"])
async def test_an_append_ends_in_doubt_and_the_log_tells_by_its_number(
    store: PostgresEventStore, way: VanishingWay, count: int, swallows: str
) -> None:
    log = await Log.open(store)
    await log.append(made_event("device/first"))
    setattr(way, swallows, True)
    with pytest.raises(StoreUnavailable):
        await log.append_rows(log.stamped(history("device/one", count)), attempt=2)
    setattr(way, swallows, False)
    # Whoever asks may be quicker than a server that is still busy with it; opening an epoch
    # waits for what has begun, and fences what has not.
    present = await store.open_epoch(WRITER)
    small_and_unheard = count == 1 and swallows == "swallows_answers"
    assert (present.counter, present.attempt) == ((2, 2) if small_and_unheard else (1, 0))


async def test_a_commit_that_happened_unheard_is_acknowledged_where_it_stands(
    store: PostgresEventStore, way: VanishingWay
) -> None:
    commits: list[Commit] = []
    writer = GroupCommit(
        store, batch_size=100, publish=commits.append, now_us=lambda: 7, patience_s=60
    )
    await writer.open()
    running = asyncio.ensure_future(writer.run())
    node = await store.open_epoch(NODE)

    def made(sequence: int) -> Append:
        event = made_event("device/one", sequence + 1)
        rows = EncodedRows.of([encode_event(event)])
        return Append(
            node=NODE, epoch=node.number, generation=0, sequence=sequence, tick=sequence + 1,
            rows=rows, types={},
        )  # fmt: skip

    await writer.append(made(0))
    way.swallows_answers = True
    way.swallowed.clear()
    sent = asyncio.ensure_future(writer.append(made(1)))
    await way.swallowed.wait()  # its answer: the server has done it
    way.swallows_answers = False
    assert (await sent).first_position == 2
    assert (await writer.append(made(2))).first_position == 3
    assert [commit.first_position for commit in commits] == [1, 2, 3]
    assert (await store.epochs([WRITER]))[WRITER].attempt == 3, "none was attempted twice"
    running.cancel()


async def test_both_ends_probe_a_connection_on_which_nothing_comes(
    store: PostgresEventStore,
) -> None:
    names = [
        "tcp_keepalives_idle", "statement_timeout", "idle_in_transaction_session_timeout"
    ]  # fmt: skip
    query = "SELECT name, setting FROM pg_settings WHERE name = ANY($1)"
    rows = await store.connections.fetch(query, names)
    assert {row["name"]: row["setting"] for row in rows} == {
        "tcp_keepalives_idle": str(PROBE_AFTER_S),
        "statement_timeout": str(int((OPERATION_S + PROBE_AFTER_S) * 1000)),
        "idle_in_transaction_session_timeout": str(int(OPERATION_S * 1000)),
    }
    async with store.connections.use() as connection:
        plain = connection._con._transport.get_extra_info("socket")
        assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == PROBE_AFTER_S


async def test_a_report_may_take_longer_than_an_operation_and_leaves_the_limit_as_it_was(
    store: PostgresEventStore,
) -> None:
    slowly = f"SELECT pg_sleep({OPERATION_S * 2})"
    await store.fetch(slowly)
    with pytest.raises(StoreUnavailable):
        await store.connections.fetch(slowly)
    for _ in range(2):  # a connection each
        async with store.connections.use() as connection:
            limit = await connection.fetchval("SHOW statement_timeout")
            assert limit == f"{int((OPERATION_S + PROBE_AFTER_S) * 1000)}ms"
