"""The events of commands that took effect before: those of the first run.

They are in a recent batch, or in the log. A batch that consists of repeats (an import
that is run again) is looked up in one query, not in one a command.
"""

from collections.abc import Iterable
from typing import Any

from actors.ids import event_id
from runtime.host.batch import Batch
from runtime.wire.commands import PUBLISH
from store.event_store import EventStore
from store.rows.layout import split_rows

#: Events looked for per command at first: few commands have more.
FEW = 4


async def rows_of_repeats(store: EventStore, batch: Batch) -> dict[int, bytes]:
    """The stamped rows of each repeat of a batch, by the command's index.

    Raises StoreUnavailable.
    """
    found: dict[int, bytes] = {}
    wanted: dict[int, list[bytes]] = {}
    for index, first in batch.repeats.items():
        if first is not None:
            found[index] = first.rows_of_command(batch.commands[index][2])
        else:
            wanted[index] = _ids(batch.commands[index], 0, FEW)
    if wanted:
        rows = await _rows(store, (each for ids in wanted.values() for each in ids))
        for index, ids in wanted.items():
            found[index] = b"".join(rows[each] for each in ids if each in rows)
            if len(ids) == FEW and ids[-1] in rows:
                found[index] += await _the_rest(store, batch.commands[index])
    return found


async def _the_rest(store: EventStore, command: Any) -> bytes:
    """The rows of a command's events beyond the first few, page by page."""
    data, number, width = b"", FEW, 4 * FEW
    while True:
        ids = _ids(command, number, width)
        rows = await _rows(store, ids)
        data += b"".join(rows[each] for each in ids if each in rows)
        if ids[-1] not in rows:
            return data
        number, width = number + width, width * 4


async def _rows(store: EventStore, ids: Iterable[bytes]) -> dict[bytes, bytes]:
    return dict(split_rows(await store.find_rows(list(ids))))


def _ids(command: Any, number: int, width: int) -> list[bytes]:
    """The ids of a command's events from `number` on; a published event has its own."""
    _, message_type, command_id, *_ = command
    if message_type == PUBLISH:
        return [command_id]
    return [event_id(command_id, number + ahead) for ahead in range(width)]
