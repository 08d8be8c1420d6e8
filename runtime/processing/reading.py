"""Where a stream program reads its events: one log, or several as one (merged_reading.py)."""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Protocol

from actors.event import Event
from runtime.partition.feed import Feed
from runtime.partition.log_access import LogAccess
from store.event_store import EventStore, Found, Page
from store.selection import Selection


class Following(Protocol):
    """What comes after a position: a feed."""

    def take(self) -> Page | None:
        """The next page, if one is there. Raises what ended it."""

    def close(self) -> None:
        """No page comes any more."""


class Reading(Protocol):
    """The events of a program, each at a position of which it has one. One user at a time."""

    @property
    def event_time(self) -> Callable[[Event], int] | None:
        """How far event time has come by an event of those that were read last, and by all before
        it, Unix microseconds, in the logs; None: as far as the events themselves say."""

    @property
    def logs(self) -> int:
        """How many it reads as one."""

    async def begin(self) -> None:
        """A new incarnation of the program reads. Raises StaleCheckpoint where what it goes by is
        gone: the program was dropped."""

    async def read(self, after: int, limit: int, selection: Selection) -> Page:
        """The selected events of so many positions. Raises StoreUnavailable, and what else keeps
        it from being read."""

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        """Events by their ids (EventStore.find_rows). Raises likewise."""

    async def erased_keys(self) -> Mapping[tuple[str, int], Set[str]]:
        """Those of its logs (EventStore.erased_keys). Raises likewise."""

    def follow(self, selection: Selection, after: int, on_change: Callable[[], None]) -> Following:
        """What comes after a position, from now on; `on_change` is called when there may be
        something to take."""


class OneLog:
    """The log of a partition."""

    event_time: Callable[[Event], int] | None = None
    logs = 1

    def __init__(self, store: EventStore, log: LogAccess | None) -> None:
        """Whoever follows nothing needs no access to the bus."""
        self._store, self._log = store, log

    async def begin(self) -> None:
        """It is there."""

    async def read(self, after: int, limit: int, selection: Selection) -> Page:
        """See Reading."""
        return await self._store.read(after, limit, selection=selection)

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        """See Reading."""
        return await self._store.find_rows(event_ids)

    async def erased_keys(self) -> Mapping[tuple[str, int], Set[str]]:
        """See Reading."""
        return await self._store.erased_keys()

    def follow(self, selection: Selection, after: int, on_change: Callable[[], None]) -> Following:
        """See Reading."""
        assert self._log is not None
        # What it is to do again after an erasure, it meets as that has left it.
        return Feed(self._log, selection, after, on_change=on_change, committed=True)
