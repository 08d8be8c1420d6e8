"""What an index on `timestamp` costs per appended row: none, BRIN, or B-tree.

    python -m benchmarks.timestamp_index postgresql://...

Copies the same rows, taken from a log of at least 100,000 events, into three empty
tables that differ in this index alone; three rounds in turn, medians.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from io import BytesIO
from statistics import median

import asyncpg

from store.rows.layout import COLUMNS

ROWS = 100_000
ROUNDS = 3
INDEXES = {
    "none": "",
    "brin": "CREATE INDEX ON candidate USING brin (timestamp)",
    "btree": "CREATE INDEX ON candidate (timestamp)",
}


async def measure(url: str) -> dict[str, float]:
    """Median rows a second, by kind of index."""
    connection = await asyncpg.connect(url)
    try:
        taken = BytesIO()
        await connection.copy_from_query(
            f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY position LIMIT {ROWS}",
            output=taken,
            format="binary",
        )
        rates: dict[str, list[float]] = {kind: [] for kind in INDEXES}
        for _ in range(ROUNDS):
            for kind, index in INDEXES.items():
                rates[kind].append(await _copy(connection, index, taken.getvalue()))
    finally:
        await connection.close()
    return {kind: median(found) for kind, found in rates.items()}


async def _copy(connection: asyncpg.Connection, index: str, rows: bytes) -> float:
    await connection.execute("DROP TABLE IF EXISTS candidate")
    await connection.execute("CREATE TABLE candidate (LIKE events INCLUDING ALL)")
    await connection.execute("DROP INDEX candidate_timestamp_idx")
    if index:
        await connection.execute(index)

    async def source() -> AsyncIterator[bytes]:
        yield rows

    began_s = time.perf_counter()
    tag = await connection.copy_to_table(
        "candidate", source=source(), columns=COLUMNS, format="binary"
    )
    seconds = time.perf_counter() - began_s
    await connection.execute("DROP TABLE candidate")
    return int(tag.split()[1]) / seconds


if __name__ == "__main__":
    for kind, rate in asyncio.run(measure(sys.argv[1])).items():
        print(f"{kind:>6} {rate:,.0f} rows/s")
