"""How rows come into the log: one statement for a few of them, a COPY in a transaction for many.

Both move the counters first, which is the fence (store/postgres/fence.py): an update of the rows of
all concerned with the epochs that the caller names, or no commit.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg

from store.dead_letters import LetterChange
from store.errors import (
    AppendRefused,
    DuplicateEvent,
    RowsRefused,
    StaleEpoch,
    VersionConflict,
)
from store.event_store import CheckpointMove, CounterMove, StateChange
from store.postgres.connections import reason_of, transaction
from store.postgres.fence import EPOCH_OVER, Move, Place, stale
from store.postgres.letters import change_letters
from store.postgres.states import change_states
from store.postgres.subscriptions import move_checkpoints
from store.rows.decoding import column_values
from store.rows.layout import COLUMNS, COPY_HEADER, COPY_TRAILER, EncodedRows

_APPEND = "SELECT append_events($1, $2)"
_FENCE = "SELECT move_counters($1)"

#: How many bytes of rows are sent at a time.
_CHUNK = 1024 * 1024


async def append_small(connection: Any, rows: EncodedRows, moves: list[Move]) -> list[Place]:
    """Commit the moves and a few rows; where the rows of the fence stand now.

    One round trip instead of five: most of what a single ask waits for.
    """
    try:
        values = column_values(rows)
    except Exception as error:  # whatever it is that these bytes are
        raise RowsRefused(reason_of(error)) from error
    places: list[Place] = await connection.fetchval(_APPEND, moves, values)
    return places


async def append_copy(
    connection: Any,
    rows: EncodedRows,
    moves: list[Move],
    checkpoints: Sequence[CheckpointMove],
    states: Sequence[StateChange],
    letters: Sequence[LetterChange],
    *,
    time_s: float,
) -> list[Place]:
    """Commit the moves, checkpoints, states, letters and any number of rows, whose COPY may take
    `time_s`; where the rows of the fence stand now. Raises StaleCheckpoint for one whose
    subscription has a newer epoch, or of which there is none."""
    async with transaction(connection):
        places: list[Place] = await connection.fetchval(_FENCE, moves)
        if checkpoints:
            await move_checkpoints(connection, checkpoints)
        if states:
            await change_states(connection, states)
        if letters:
            await change_letters(connection, letters)
        if len(rows.data) > _CHUNK:
            # The server's own limit is for an operation of the usual size.
            await connection.execute(f"SET LOCAL statement_timeout = {int(time_s * 1000)}")
        if len(rows):
            done = await connection.copy_to_table(
                "events",
                source=_copy_stream(rows),
                columns=COLUMNS,
                format="binary",
                timeout=time_s,
            )
            if done != f"COPY {len(rows)}":
                raise RowsRefused(f"of {len(rows)} rows the database has read: {done}")
    return places


def refusal(error: Exception, writer: CounterMove, moves: Sequence[Move]) -> AppendRefused | None:
    """What a failed append is told as, where it is the database that does not take it; None for
    an error that says nothing of these rows and moves."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return _conflict(error, writer)
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == EPOCH_OVER:
        return stale(moves, error)
    return RowsRefused(reason_of(error)) if _is_of_the_rows(error) else None


async def _copy_stream(rows: EncodedRows) -> AsyncIterator[bytes]:
    """In pieces: what is sent is taken over as it goes, and no message may have a gibibyte."""
    yield COPY_HEADER
    view = memoryview(rows.data)
    for start in range(0, len(view), _CHUNK):
        yield bytes(view[start : start + _CHUNK])
    yield COPY_TRAILER


def _is_of_the_rows(error: Exception) -> bool:
    """Is it for what the rows are that they cannot be stored, whoever tries?"""
    if isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, ValueError)  # asyncpg's own: an argument that is none
    if isinstance(error, asyncpg.InternalServerError):
        return error.sqlstate == "XX000"  # also what reads columns may say so; others are damage
    return isinstance(
        error,
        asyncpg.DataError
        | asyncpg.IntegrityConstraintViolationError
        | asyncpg.ProgramLimitExceededError
        | OverflowError,
    )


def _conflict(error: asyncpg.UniqueViolationError, writer: CounterMove) -> AppendRefused:
    detail = str(error.detail)
    if error.constraint_name == "events_pkey":
        return DuplicateEvent(detail)
    if error.constraint_name == "events_position_idx":
        return StaleEpoch(writer.name, writer.epoch)
    return VersionConflict(detail)
