"""Actors in memory: at most so many, the rest come back from snapshot and log unnoticed."""

import heapq
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError

from actors.actor import Actor, ActorType
from actors.naming import actor_type_of, aggregate_id_of
from runtime.errors import UnknownActorType
from store.codec import Fold, folds, text_field
from store.event_store import EventStore, Snapshot
from store.json_text import decode_json

logger = logging.getLogger("thornback.host")


class Resident:
    """One actor in memory. Its state may be ahead of the log by appends in flight."""

    __slots__ = (
        "actor", "aggregate_id", "batch", "broken", "handlers", "ready", "source_field",
        "stopped", "type", "version",
    )  # fmt: skip

    def __init__(self, source: str, type: ActorType | None) -> None:
        self.type = type  # None: a source that events are published under, without an actor
        self.actor: Any = type.actor(source.partition("/")[2]) if type else None
        self.aggregate_id = aggregate_id_of(source).bytes
        self.source_field = text_field(source)
        self.version = 0
        self.batch = 0  # number of the last batch that touched it
        self.handlers = type.handlers if type else {}
        self.ready = type is not None  # False: ask why before any message is decided
        self.stopped = False
        self.broken = ""  # why its state could not be rebuilt


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


def fold_into(resident: Resident, event: Fold) -> None:
    """Apply one past event. An event that cannot be applied breaks this actor alone: it
    takes no messages, and says why, until it is rebuilt."""
    resident.version = event.version
    if resident.type is None or resident.broken:
        return
    applier = resident.type.appliers.get(event.event_type.decode())
    if applier is None:
        return
    try:
        payload = applier.payload.__pydantic_validator__.validate_json(event.data)
        resident.actor.at_us = event.timestamp_us
        applier.apply(resident.actor, payload)
    except Exception as error:
        resident.ready = False
        resident.broken = f"its event {event.version} cannot be applied: {error}"
        logger.exception("%s: event %d cannot be applied", resident.actor.source, event.version)


def take_snapshot(resident: Resident) -> Snapshot | None:
    """The state as it is now, encoded; None for a source without an actor."""
    if resident.type is None:
        return None
    header = b"%d\n" % resident.type.actor.snapshot_format
    # json.dumps, not dump_json: an infinity in a state is legal and must come back.
    state = json.dumps(plain_state(resident)).encode()
    return Snapshot(
        aggregate_id=resident.aggregate_id, version=resident.version, data=header + state
    )


def plain_state(resident: Resident) -> Any:
    """The state in JSON's types."""
    assert resident.type is not None
    return resident.type.state_adapter.dump_python(resident.actor.state, mode="json")


def restore(resident: Resident, snapshot: Snapshot) -> None:
    """Take the state of a snapshot. One of another format, or that the state's type does
    not fit any more, is ignored: the log then tells."""
    if resident.type is None:
        resident.version = snapshot.version
        return
    header, _, state = snapshot.data.partition(b"\n")
    if header != b"%d" % resident.type.actor.snapshot_format:
        return
    try:
        resident.actor.state = resident.type.state_adapter.validate_json(state)
    except ValidationError as error:
        logger.warning("%s: snapshot ignored: %s", resident.actor.source, error)
        return
    resident.version = snapshot.version
