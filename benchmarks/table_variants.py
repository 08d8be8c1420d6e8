"""What parts of the log's table cost PostgreSQL per appended row.

    python -m benchmarks.table_variants postgresql://...

Copies the same rows, taken from a log of at least 100,000 events on this machine, into
empty tables that differ in one thing each; five rounds in turn, medians of the processor
time of the backend that copies.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from io import BytesIO
from statistics import median

import asyncpg
import psutil

from store.rows.layout import COLUMNS

ROWS = 100_000
ROUNDS = 5
_NO_POSITION = "DROP INDEX candidate_position_idx"
_CLOCK_AS_BYTES = "ALTER TABLE candidate ALTER COLUMN vector_clock TYPE bytea USING NULL"
VARIANTS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "position not unique": (_NO_POSITION, "CREATE INDEX ON candidate (position)"),
    "position by BRIN": (_NO_POSITION, "CREATE INDEX ON candidate USING brin (position)"),
    "no index on position": (_NO_POSITION,),
    "clock as bytes": (_CLOCK_AS_BYTES,),
    "data as bytes": ("ALTER TABLE candidate ALTER COLUMN event_data TYPE bytea USING NULL",),
    "no index on position, clock as bytes": (_NO_POSITION, _CLOCK_AS_BYTES),
    "no primary key": ("ALTER TABLE candidate DROP CONSTRAINT candidate_pkey",),
}


async def measure(url: str) -> dict[str, float]:
    """Median microseconds a row, by variant."""
    connection = await asyncpg.connect(url)
    try:
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
        taken = BytesIO()
        await connection.copy_from_query(
            f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY position LIMIT {ROWS}",
            output=taken,
            format="binary",
        )
        spent: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for _ in range(ROUNDS):
            for name, changes in VARIANTS.items():
                spent[name].append(await _copy(connection, backend, changes, taken.getvalue()))
    finally:
        await connection.close()
    return {name: median(found) for name, found in spent.items()}


async def _copy(
    connection: asyncpg.Connection, backend: psutil.Process, changes: tuple[str, ...], rows: bytes
) -> float:
    await connection.execute("DROP TABLE IF EXISTS candidate")
    await connection.execute("CREATE TABLE candidate (LIKE events INCLUDING ALL)")
    for change in changes:
        await connection.execute(change)

    async def source() -> AsyncIterator[bytes]:
        yield rows

    before_s = sum(backend.cpu_times()[:2])
    tag = await connection.copy_to_table(
        "candidate", source=source(), columns=COLUMNS, format="binary"
    )
    spent_s = sum(backend.cpu_times()[:2]) - before_s
    await connection.execute("DROP TABLE candidate")
    return float(spent_s / int(tag.split()[1]) * 1e6)


if __name__ == "__main__":
    for variant, us in asyncio.run(measure(sys.argv[1])).items():
        print(f"{us:5.2f} us a row: {variant}")
