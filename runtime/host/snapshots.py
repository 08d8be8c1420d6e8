"""A host's snapshots on their way to the store, which nobody waits for.

The log has all that a snapshot has, so a snapshot may be lost; what waits here may not grow
with a slow database.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from store.errors import StoreError
from store.event_store import EventStore, Snapshot

logger = logging.getLogger("thornback.host")


class SnapshotSaving:
    """Saves snapshots in the background, one write after another, of each actor the newest.

    At most MAX_BYTES of them wait, a snapshot more or less. Those that come when so much
    waits are left out: their actors' next ones may find room.
    """

    MAX_BYTES = 64 * 1024 * 1024
    #: Bytes of one write, a snapshot more or less.
    WRITE_BYTES = 4 * 1024 * 1024

    def __init__(self, store: EventStore, saved: Callable[[int], None], *, name: str) -> None:
        self._store = store
        self._saved = saved  #: is told how many went into the store
        self._name = name
        self._waiting: dict[bytes, Snapshot] = {}  #: by aggregate id, in their order
        self.bytes = 0  #: of those that wait
        self._task: asyncio.Task[None] | None = None  #: while anything is to be saved

    @property
    def idle(self) -> bool:
        """Is nothing waiting, and nothing being written?"""
        return self._task is None

    def save(self, snapshots: Iterable[Snapshot]) -> None:
        """Save these when their turn comes, unless too much waits already."""
        left_out = 0
        for snapshot in snapshots:
            older = self._waiting.pop(snapshot.aggregate_id, None)
            self.bytes -= _size(older) if older else 0
            if self.bytes > self.MAX_BYTES:
                left_out += 1
                continue
            self._waiting[snapshot.aggregate_id] = snapshot
            self.bytes += _size(snapshot)
        if left_out:
            logger.warning("%s: %d snapshots left out: the database is slow", self._name, left_out)
        if self._waiting and self._task is None:
            self._task = asyncio.ensure_future(self._save_all())
            self._task.add_done_callback(self._ended)

    async def _save_all(self) -> None:
        while some := self._taken():
            try:
                await self._store.save_snapshots(some)
            except StoreError as error:
                # Nothing is lost: the log has the events.
                logger.warning("%s: snapshots not saved: %s", self._name, error)
            else:
                self._saved(len(some))

    def _taken(self) -> list[Snapshot]:
        """Those that are written next."""
        some: list[Snapshot] = []
        size = 0
        while self._waiting and size < self.WRITE_BYTES:
            some.append(self._waiting.pop(next(iter(self._waiting))))
            size += _size(some[-1])
        self.bytes -= size
        return some

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            # What still waits is saved with the next one that comes.
            logger.error("%s: snapshots could not be saved", self._name, exc_info=error)


def _size(snapshot: Snapshot) -> int:
    """About how many bytes of memory it takes."""
    return len(snapshot.data) + 200
