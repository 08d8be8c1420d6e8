"""The actors of one host: at most so many, the rest come back from snapshot and log
unnoticed."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from actors.actor_type import ActorType
from actors.errors import ThornbackError
from actors.naming import actor_type_of
from runtime.clocks import now_us
from runtime.errors import UnknownActorType
from runtime.host.actor_types import ActorTypes
from runtime.host.at_hand import REBUILDING, hook_of
from runtime.host.blocked import Blocked
from runtime.host.interruptible import Interruptible
from runtime.host.resident import Resident, fold_into, restore
from store.event_store import EventStore, Snapshot
from store.rows.decoding import Fold, folds
from store.rows.json_text import decode_json


@dataclass(slots=True)
class _Past:
    """What is to be read for a load, and how far it is."""

    sources: deque[str]  #: of which nothing was asked yet
    together: int  #: so many of them are read next
    fresh: dict[bytes, Resident] = field(default_factory=dict)  #: at hand, by aggregate
    rest: Mapping[bytes, int] = field(default_factory=dict)  #: of these, above which version


class Residents:
    """The actors of one host, by source. At most `capacity` stay between batches.

    Who is `ready` and of a present type may decide; whoever is not is rebuilt first.
    """

    #: Actors loaded by one query: what it brings is to stay small, and while that is folded the
    #: next one is under way. Fewer would wait for more answers than that spares.
    TOGETHER = 650
    #: The first ones: nothing is folded while they are under way.
    FIRST = 100
    #: Work between two looks at what else there is to do: an event counts one, and one more
    #: for each kibibyte. A few milliseconds.
    SLICE = 500

    def __init__(
        self,
        store: EventStore,
        types: ActorTypes,
        *,
        capacity: int,
        observe: Callable[[dict[str, int]], None],
        work: Interruptible | None = None,
    ) -> None:
        self._store = store
        self._types = types
        self._capacity = capacity
        self._observe = observe  # merges a vector clock into the host's
        #: What runs code of actors here.
        self.work = work or Interruptible(Blocked(now_us))
        #: Is told of each that is rebuilt, before anybody else has it.
        self.on_load: Callable[[Resident], None] = lambda resident: None
        self._by_source: dict[str, Resident] = {}
        self.get = self._by_source.get
        self._without_theirs: list[Resident] = []
        self.evicted = 0
        self.folded = 0

    def __len__(self) -> int:
        return len(self._by_source)

    def sources(self) -> list[str]:
        """Who is resident."""
        return list(self._by_source)

    def one_of(self, actor_type: str) -> Resident | None:
        """One that is resident, of an actor type, and has events."""
        of_type = (one for one in self._by_source.values() if one.type and one.version)
        return next((one for one in of_type if one.type and one.type.name == actor_type), None)

    def of_type(self, actor_type: ActorType | None) -> list[Resident]:
        """All that are resident, of an actor type."""
        return [one for one in self._by_source.values() if one.type is actor_type]

    def outdated(self, source: str, resident: Resident) -> bool:
        """Has a class been registered since it was loaded, that replaces its own?"""
        return self._types.get(actor_type_of(source)) is not resident.known

    def why_unknown(self, actor_type: str) -> ThornbackError:
        """What to say to a command for an actor of a type that is not known."""
        return self._types.refused.get(actor_type) or UnknownActorType(actor_type)

    async def load(self, sources: Iterable[str]) -> None:
        """Make those resident that are not; sources of an unknown type become residents
        without an actor. A few at a time: one query for their snapshots, one for their
        events. What is folded next is read meanwhile, as the database has a processor of its own.

        Whose class is replaced meanwhile does not become resident. Raises HandlerBlocked where
        code of one of them was interrupted: that one is broken at the next try.
        """
        past = _Past(deque(sources), min(self.FIRST, self.TOGETHER))
        ahead: asyncio.Future[bytes | None] | None = None
        try:
            rows = await self._page(past)
            while rows is not None:
                fresh, complete = past.fresh, not past.rest
                ahead = None
                if past.rest or past.sources:
                    ahead = asyncio.ensure_future(self._page(past))
                    await asyncio.sleep(0)  # it begins
                await self._fold(fresh, rows)
                if complete:
                    self._know(fresh.values())
                rows = None if ahead is None else await ahead
        finally:
            if ahead is not None:
                ahead.add_done_callback(_not_needed)
                ahead.cancel()

    def without_snapshot(self) -> list[Resident]:
        """Those that were loaded since the last call, and whose snapshot was ignored: whoever
        makes a new one saves the next load the whole log. Whose class was replaced, or who takes
        no commands, is none of them."""
        found, self._without_theirs = self._without_theirs, []
        return [one for one in found if one.ready and self._by_source.get(one.source) is one]

    def drop(self, sources: Iterable[str]) -> None:
        """Forget actors: their state is rebuilt from the log on the next message, wherever they
        live then."""
        for source in sources:
            self._by_source.pop(source, None)

    def evict(self, settled: int) -> None:
        """Back to capacity: the least recently used leave, of those that no batch above
        `settled` has touched."""
        surplus = len(self._by_source) - self._capacity
        if surplus <= 0:
            return
        idle = (
            (resident.batch, source)
            for source, resident in self._by_source.items()
            if resident.batch <= settled
        )
        # A tenth more than needed, so that the scan is not paid again at the next batch.
        leaving = heapq.nsmallest(surplus + self._capacity // 10, idle)
        for _, source in leaving:
            del self._by_source[source]
        self.evicted += len(leaving)

    def evict_idle(self, through: int) -> None:
        """Those leave that no batch above that number has touched."""
        idle = [source for source, resident in self._by_source.items() if resident.batch <= through]
        self.drop(idle)
        self.evicted += len(idle)

    def _know(self, fresh: Iterable[Resident]) -> None:
        for resident in fresh:
            if not self.outdated(resident.source, resident):
                self.on_load(resident)
                self._by_source[resident.source] = resident

    async def _page(self, past: _Past) -> bytes | None:
        """The next rows of what is to be loaded, of the actors that are `fresh` then; None where
        there is no more. Each of these is new, or has what its snapshot says."""
        if not past.rest:
            if not past.sources:
                return None
            some = [past.sources.popleft() for _ in range(min(len(past.sources), past.together))]
            past.together = self.TOGETHER
            past.fresh = self.work.run(None, self._made, some)
            snapshots = await self._store.load_snapshots(list(past.fresh))
            self.work.run(None, self._restore, past.fresh, snapshots)
            # From a snapshot's own event on: a snapshot has no clock, its event has.
            past.rest = {
                aggregate: max(one.version - 1, 0) for aggregate, one in past.fresh.items()
            }
        load = await self._store.load_rows(past.rest)
        past.rest = load.rest
        return load.rows

    async def _fold(self, fresh: dict[bytes, Resident], rows: bytes) -> None:
        last: Fold | None = None
        coming = folds(rows)
        more = True
        while more:
            last, more = self.work.run(None, self._fold_some, fresh, coming, last)
            if more:
                await asyncio.sleep(0)  # others have their turn
        if last is not None:
            self._observe(decode_json(last.clock))

    def _fold_some(
        self, fresh: dict[bytes, Resident], coming: Iterator[Fold], last: Fold | None
    ) -> tuple[Fold | None, bool]:
        """A slice of what comes: its last one, and whether there may be more."""
        work = 0
        aggregate = b"" if last is None else last.aggregate_id
        resident = fresh.get(aggregate)
        if resident is not None:
            self._at(resident.source)
        for fold in coming:
            if resident is None or fold.aggregate_id != aggregate:
                if last is not None:
                    # An actor's last event is causally after all its earlier ones.
                    self._observe(decode_json(last.clock))
                aggregate = fold.aggregate_id
                resident = fresh[aggregate]
                self._at(resident.source)
            last = fold
            if fold.source != resident.source_field:
                resident.shares(fold)
            if fold.version > resident.version:
                self.folded += 1
                fold_into(resident, fold)
                if resident.broken:
                    self.work.check()
            work += 1 + len(fold.data) // 1024
            if work >= self.SLICE:
                return last, True
        return last, False

    def _made(self, sources: list[str]) -> dict[bytes, Resident]:
        """New ones, by aggregate, without their past."""
        fresh: dict[bytes, Resident] = {}
        for source in sources:
            known = self._types.get(actor_type_of(source))
            self._at(source)
            resident = Resident(source, known, self.work.blocked.hook(source, REBUILDING))
            fresh[resident.aggregate_id] = resident
        return fresh

    def _restore(self, fresh: dict[bytes, Resident], snapshots: Mapping[bytes, Snapshot]) -> None:
        for aggregate, snapshot in snapshots.items():
            self._at(fresh[aggregate].source)
            if not restore(fresh[aggregate], snapshot):
                self._without_theirs.append(fresh[aggregate])

    def _at(self, source: str) -> None:
        """From now on this one is rebuilt."""
        self.work.at = at = hook_of(source, REBUILDING)
        if self.work.blocked.at_hand.note is not None:
            self.work.blocked.at_hand.note(at)


def _not_needed(coming: "asyncio.Future[bytes | None]") -> None:
    """Whatever became of what was read ahead: this load has ended, and says why itself."""
    if not coming.cancelled():
        coming.exception()
