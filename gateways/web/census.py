"""How many events of each type the log has, and how many sources: counted once, then what is new.

The log keeps no such counts, because keeping them would cost every commit. A gateway counts a
stretch at a time, from when somebody first asks, remembers how far it has come, and goes on from
there. So the first answers may be of a part of the log, and say so; the later ones cost little.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateways.web.log_store import LogStore
from store.event_store import TypeCount


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted so far: the events up to the position `through`."""

    types: tuple[TypeCount, ...]
    through: int
    complete: bool  #: was that the end of the log?


def added_up(counts: Iterable[Counted]) -> list[TypeCount]:
    """The types that several logs have, each once; its last event is the one that was recorded
    last, which has its position in the log of its source."""
    found: dict[tuple[str, str], TypeCount] = {}
    for new in (each for counted in counts for each in counted.types):
        key = (new.actor_type, new.event_type)
        old = found.setdefault(key, new)
        if old is not new:
            events, newcomers = old.events + new.events, old.newcomers + new.newcomers
            last = max(old, new, key=lambda each: each.recorded_us)
            found[key] = replace(last, events=events, newcomers=newcomers)
    return list(found.values())


class Census:
    """The counts of one gateway, by the prefix of the sources that they are of. Lives in one event
    loop."""

    #: Positions that one question to the database covers.
    STRETCH = 50_000
    #: Who asks waits so long for the end of the log to be reached.
    PATIENCE_S = 1.0
    #: Prefixes that are remembered; beyond it the one nobody has asked for longest is forgotten,
    #: unless somebody waits for its count, which is within PATIENCE_S.
    MOST = 32

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    async def counted(self, prefix: str) -> Counted:
        """The counts of the sources that begin with `prefix`. Raises StoreUnavailable."""
        count = self._counts.get(prefix)
        if count is None:
            count = self._counts[prefix] = _Count(self._store, prefix)
        self._counts.move_to_end(prefix)
        count.waiting += 1
        try:
            self._forget()
            return await count.counted(self.STRETCH, self.PATIENCE_S)
        finally:
            count.waiting -= 1
            self._forget()

    def _forget(self) -> None:
        spare = [prefix for prefix, count in self._counts.items() if not count.waiting]
        for prefix in spare[: max(len(self._counts) - self.MOST, 0)]:
            self._counts.pop(prefix).end()


class _Count:
    """The counts of one prefix."""

    def __init__(self, store: LogStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self.waiting = 0  #: those who wait for it now
        self._types: dict[tuple[str, str], TypeCount] = {}
        self._through = 0
        self._going_on: asyncio.Task[None] | None = None  # to the end of the log, for all who wait

    async def counted(self, stretch: int, patience_s: float) -> Counted:
        if self._going_on is None or self._going_on.done():
            self._going_on = asyncio.ensure_future(self._go_on(stretch))
        going_on = self._going_on
        await asyncio.wait({going_on}, timeout=patience_s)
        if going_on.done():
            going_on.result()
        return Counted(tuple(self._types.values()), self._through, complete=going_on.done())

    def end(self) -> None:
        """Nobody asks any more."""
        if self._going_on is not None:
            self._going_on.cancel()

    async def _go_on(self, stretch: int) -> None:
        while True:
            found = await self._store.ask(
                lambda store: store.count(self._through, stretch, self._prefix)
            )
            if found.through == self._through:
                return
            for new in found.types:
                key = (new.actor_type, new.event_type)
                old = self._types.get(key)
                self._types[key] = new if old is None else replace(
                    new, events=old.events + new.events, newcomers=old.newcomers + new.newcomers
                )  # fmt: skip
            self._through = found.through
