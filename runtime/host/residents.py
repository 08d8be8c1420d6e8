"""The actors of one host, and the actor types it knows."""

import heapq
from collections.abc import Callable, Iterable
from typing import Any

from actors.actor import Actor, ActorType
from actors.naming import actor_type_of
from runtime.errors import UnknownActorType
from runtime.host.resident import Resident, fold_into, restore
from store.event_store import EventStore
from store.rows.decoding import folds
from store.rows.json_text import decode_json


class ActorTypes:
    """The actor types this host knows, by name."""

    def __init__(self) -> None:
        self._types: dict[str, ActorType] = {}

    def register(self, actor: type[Actor[Any]]) -> None:
        """Know a class; a later class of the same name replaces it. Raises InvalidActor."""
        self._types[actor.actor_type] = actor.described()

    def get(self, name: str) -> ActorType | None:
        """The type of that name, if it is known."""
        return self._types.get(name)

    def of(self, source: str) -> ActorType:
        """The type of a source's actor. Raises UnknownActorType."""
        name = actor_type_of(source)
        found = self._types.get(name)
        if found is None:
            raise UnknownActorType(name)
        return found

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._types)


class Residents:
    """The actors of one host, by source. At most `capacity` stay between batches."""

    def __init__(
        self,
        store: EventStore,
        types: ActorTypes,
        *,
        capacity: int,
        observe: Callable[[dict[str, int]], None],
    ) -> None:
        self._store = store
        self._types = types
        self._capacity = capacity
        self._observe = observe  # merges a vector clock into the host's
        self._by_source: dict[str, Resident] = {}
        self.get = self._by_source.get
        self.evicted = 0
        self.folded = 0

    def __len__(self) -> int:
        return len(self._by_source)

    def sources(self) -> list[str]:
        """Who is resident."""
        return list(self._by_source)

    async def load(self, sources: Iterable[str]) -> None:
        """Make those resident that are not; sources of an unknown type become residents
        without an actor. One query for all their snapshots, one for all their events."""
        fresh: dict[bytes, Resident] = {}
        names: dict[bytes, str] = {}
        for source in sources:
            resident = Resident(source, self._types.get(actor_type_of(source)))
            fresh[resident.aggregate_id] = resident
            names[resident.aggregate_id] = source
        await self._rebuild(fresh)
        for aggregate, resident in fresh.items():
            self._by_source[names[aggregate]] = resident

    def drop(self, sources: Iterable[str]) -> None:
        """Forget actors: their state is rebuilt from the log on the next message. A
        stopped one stays, and stays stopped."""
        for source in sources:
            resident = self._by_source.get(source)
            if resident is not None and not resident.stopped:
                del self._by_source[source]

    def evict(self, settled: int) -> None:
        """Back to capacity: the least recently used leave, of those that no batch above
        `settled` has touched."""
        surplus = len(self._by_source) - self._capacity
        if surplus <= 0:
            return
        idle = (
            (resident.batch, source)
            for source, resident in self._by_source.items()
            if resident.batch <= settled and not resident.stopped
        )
        # A tenth more than needed, so that the scan is not paid again at the next batch.
        leaving = heapq.nsmallest(surplus + self._capacity // 10, idle)
        for _, source in leaving:
            del self._by_source[source]
        self.evicted += len(leaving)

    async def _rebuild(self, fresh: dict[bytes, Resident]) -> None:
        snapshots = await self._store.load_snapshots(list(fresh))
        for aggregate, snapshot in snapshots.items():
            restore(fresh[aggregate], snapshot)
        # From a snapshot's own event on: a snapshot has no clock, its event has.
        rows = await self._store.load_rows(
            {aggregate: max(resident.version - 1, 0) for aggregate, resident in fresh.items()}
        )
        self._fold(fresh, rows)

    def _fold(self, fresh: dict[bytes, Resident], rows: bytes) -> None:
        previous, clock = b"", b""
        for fold in folds(rows):
            aggregate = fold.aggregate_id
            if aggregate != previous and clock:
                # An actor's last event is causally after all its earlier ones.
                self._observe(decode_json(clock))
            previous, clock = aggregate, fold.clock
            if fold.version > fresh[aggregate].version:
                self.folded += 1
                fold_into(fresh[aggregate], fold)
        if clock:
            self._observe(decode_json(clock))
