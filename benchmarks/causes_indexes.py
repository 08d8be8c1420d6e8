"""What indexes of causes cost PostgreSQL per appended row, and what they bring.

    python -m benchmarks.causes_indexes postgresql://...

Copies the same 100,000 rows into tables that differ in these indexes alone, once rows of events
that began by themselves and once of events that follow from others; five rounds in turn, medians of
the processor time of the backend that copies. Then each table is filled to a million rows, and
asked for what one event has caused. Takes a database of its own, which `migrate` has prepared.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from itertools import count
from statistics import median

import asyncpg
import psutil

from actors.ids import event_id, time_ordered_id
from store.postgres.migrations import migrate
from store.rows.encoding import clock_prefix, encode_decided, text_field, type_fields
from store.rows.layout import COLUMNS, COPY_HEADER, COPY_TRAILER, EncodedRows, stamp

ROWS = 100_000
ROUNDS = 5
FILLED = 1_000_000
_PAIR = ("causation_id", "correlation_id")
_BEGAN_BY_ITSELF = (
    "(causation_id = correlation_id AND uuid_send(causation_id)"
    " = set_byte(uuid_send(id), 15, 255 - get_byte(uuid_send(id), 15)))"
)
VARIANTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "of who names something": tuple(
        f"CREATE INDEX ON candidate ({name}, position)"
        " WHERE causation_id IS DISTINCT FROM correlation_id"
        for name in _PAIR
    ),
    "of all but a command's first event": tuple(
        f"CREATE INDEX ON candidate ({name}, position) WHERE {name} IS NOT NULL"
        f" AND {_BEGAN_BY_ITSELF} IS NOT TRUE"
        for name in _PAIR
    ),
    "of all": tuple(f"CREATE INDEX ON candidate ({name}, position)" for name in _PAIR),
    "of all, BRIN with bloom filters": tuple(
        f"CREATE INDEX ON candidate USING brin ({name} uuid_bloom_ops)" for name in _PAIR
    ),
}

_numbers = count(100)


def rows(began_by_themselves: bool) -> bytes:
    """Fresh rows, as COPY takes them."""
    made: list[bytes] = []
    types, source = type_fields("value-read", "device"), text_field("meter/17")
    clock = clock_prefix(b'{"node-001.host-0":')
    now_us = time.time_ns() // 1000
    number = 0
    for _ in range(ROWS):
        number = next(_numbers)
        command = time_ordered_id(now_us // 1000, number << 20)
        cause = time_ordered_id(now_us // 1000, (number - 7) << 20 | 1)
        made.append(
            encode_decided(
                event_id(command, 0), number.to_bytes(16, "big"), 1, now_us, types, source,
                b'{"celsius": 21.5, "humidity": 40}', clock, number,
                command,
                command if began_by_themselves else cause,
            )
        )  # fmt: skip
    encoded = EncodedRows.of(made)
    data = bytearray(encoded.data)
    stamp(data, encoded.lengths, now_us, number + 1 - ROWS)
    return b"".join((COPY_HEADER, data, COPY_TRAILER))


async def measure(url: str) -> None:
    """Print medians."""
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
        for began_by_themselves in (True, False):
            spent: dict[str, list[float]] = {name: [] for name in VARIANTS}
            for _ in range(ROUNDS):
                data = rows(began_by_themselves)
                for name, indexes in VARIANTS.items():
                    await _prepare(connection, indexes)
                    spent[name].append(await _copy(connection, backend, data))
            kind = "began by themselves" if began_by_themselves else "follow from others"
            for name, found in spent.items():
                print(f"{median(found):6.2f} us a row, events that {kind}: {name}")
        for name, indexes in VARIANTS.items():
            await _prepare(connection, ())
            for number in range(FILLED // ROWS):
                await _copy(connection, backend, rows(number > 0))
            began_s = time.perf_counter()
            for index in indexes:
                await connection.execute(index)
            making_s = time.perf_counter() - began_s
            await connection.execute("VACUUM ANALYZE candidate")
            bytes_of = await connection.fetchval("SELECT pg_indexes_size('candidate')")
            asked_ms = [await _ask(connection) for _ in range(ROUNDS)]
            print(
                f"{median(asked_ms):7.2f} ms what one has caused, of {FILLED:,}; made in "
                f"{making_s:.1f} s, {bytes_of / 2**20:,.0f} MiB of all indexes: {name}"
            )
    finally:
        await connection.execute("DROP TABLE IF EXISTS candidate")
        await connection.close()


async def _prepare(connection: asyncpg.Connection, indexes: tuple[str, ...]) -> None:
    await connection.execute("DROP TABLE IF EXISTS candidate")
    await connection.execute("CREATE TABLE candidate (LIKE events INCLUDING ALL)")
    for index in await connection.fetch(
        "SELECT indexrelid::regclass AS name FROM pg_index WHERE indrelid = 'candidate'::regclass"
        " AND pg_get_indexdef(indexrelid) LIKE '%IS DISTINCT FROM%'"
    ):
        await connection.execute(f"DROP INDEX {index['name']}")
    for statement in indexes:
        await connection.execute(statement)


async def _copy(connection: asyncpg.Connection, backend: psutil.Process, data: bytes) -> float:
    async def source() -> AsyncIterator[bytes]:
        yield data

    before_s = sum(backend.cpu_times()[:2])
    await connection.copy_to_table("candidate", source=source(), columns=COLUMNS, format="binary")
    return float((sum(backend.cpu_times()[:2]) - before_s) / ROWS * 1e6)


async def _ask(connection: asyncpg.Connection) -> float:
    cause = await connection.fetchval(
        "SELECT causation_id FROM candidate TABLESAMPLE SYSTEM (0.01) LIMIT 1"
    )
    query = "SELECT id FROM candidate WHERE causation_id = $1"
    query += " AND causation_id IS DISTINCT FROM correlation_id"
    began_s = time.perf_counter()
    await connection.fetch(query, cause)
    return (time.perf_counter() - began_s) * 1e3


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1]))
