"""States of the past: an actor's events folded again, up to a moment or to a position of the log.

The fold is that of a host, with the class that is here. By a moment means: by when things happened
(`timestamp`), as far as the log knows by now. So an event that came late counts at the moment at
which it happened, and is left out of no earlier question than that; what was known at some time is
another question, and a position asks it. Versions give the order in both.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from actors.actor_type import ActorType
from actors.folding import Unapplied, applier_of, apply_past, begun
from actors.lifecycle import ERASED
from actors.moments import checked_us
from actors.naming import aggregate_key_of
from actors.snapshot_mark import snapshot_parts
from runtime.driver.connection import Connection
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.driver.selecting import checked_position
from runtime.errors import InvalidState, NotPossible
from store.event_store import EventStore, Snapshot
from store.rows.decoding import Fold, folds
from store.rows.encoding import text_field
from store.rows.tombstones import TOMBSTONE_TEXT

logger = logging.getLogger("thornback.driver")

#: Nobody asks for a moment before, in microseconds since 1970: it is a position, in its place.
_FIRST_DAYS_US = 10**12

_ERASED = ERASED.encode()

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class AsOf:
    """Which events count: those that happened up to a moment, or stand up to a position."""

    when_us: int | None = None  #: Unix microseconds
    position: int | None = None

    @classmethod
    def of(cls, when: Any, position: Any) -> "AsOf":
        """One of both, checked. Raises ValueError."""
        if (when is None) == (position is None):
            raise ValueError("say either when= or position=")
        if when is not None:
            if isinstance(when, int) and 0 <= when < _FIRST_DAYS_US:
                raise ValueError(
                    f"when={when} is a moment of January 1970, in microseconds; a position of the "
                    f"log is position={when}"
                )
            return cls(when_us=checked_us(when))
        return cls(position=checked_position(position))

    def counts(self, event: Fold) -> bool:
        """Is it one of them?"""
        if self.position is not None:
            return event.position <= self.position
        assert self.when_us is not None
        return event.timestamp_us <= self.when_us


class PastState(NamedTuple):
    """A state, the version of the last event in it (0: none), and when that happened."""

    version: int
    state: Any
    happened_us: int | None
    in_log: bool  #: has the log any event of it at all?


def state_as_of(
    connection: Connection, ref: ActorRef[S], when: datetime | int | None, position: int | None
) -> Reply[S]:
    """See ActorSystem.state_as_of."""
    if not isinstance(ref, ActorRef):
        raise TypeError(f"state_as_of takes a ref, system.actor(CLASS, name), not {ref!r:.80}")
    if ref.actor is None:
        raise ValueError(
            f"a state of the past is folded here, which takes the class of {ref.source}: "
            "system.actor(CLASS, name)"
        )
    described, as_of, source = ref.actor.described(), AsOf.of(when, position), ref.source

    async def ask(store: EventStore) -> S:
        await check_in_log(store, as_of)
        found = (await past_states(store, described, [source], as_of))[source]
        if isinstance(found, InvalidState):
            raise found
        if not found.in_log:
            logger.warning("the log has no event of %s: this is the state of a new one", source)
        state: S = found.state
        return state

    return connection.errand("state_as_of", lambda: connection.log.ask(ask), connection.log.READ_S)


async def check_in_log(store: EventStore, as_of: AsOf) -> None:
    """A state as of a position that is still to come may become another one. Raises NotPossible."""
    if as_of.position is not None and as_of.position > (head := await store.head()):
        raise NotPossible(
            f"the log ends at position {head:,}: what it is at {as_of.position:,} nobody knows yet"
        )


async def past_states(
    store: EventStore, described: ActorType, sources: Iterable[str], as_of: AsOf
) -> Mapping[str, PastState | InvalidState]:
    """The states of these actors, each by its source; in the place of one that cannot be folded,
    what is wrong with it. Raises StoreUnavailable."""
    past = {aggregate_key_of(source): _Past(described, source, as_of) for source in sources}
    begin = dict.fromkeys(past, 0)
    if as_of.position is not None:  # by a moment, no snapshot tells whether all in it counts
        snapshots = await store.load_snapshots(list(past))
        begin |= {key: one.version - 1 for key, one in snapshots.items() if past[key].takes(one)}
    rest: Mapping[bytes, int] = begin
    again: dict[bytes, int] = {}
    while rest:
        load = await store.load_rows(rest)
        await asyncio.to_thread(_fold, load.rows, past, again)
        rest = load.rest
        if not rest:
            rest, again = again, {}
    return {one.source: one.found() for one in past.values()}


def _fold(rows: bytes, past: Mapping[bytes, "_Past"], again: dict[bytes, int]) -> None:
    """Apply rows. The actors whose snapshot is too new go into `again`: they begin anew."""
    for event in folds(rows):
        if event.aggregate_id not in again and not past[event.aggregate_id].apply(event):
            again[event.aggregate_id] = 0


class _Past:
    """One actor on its way through its past."""

    def __init__(self, described: ActorType, source: str, as_of: AsOf) -> None:
        self.source = source
        self._described = described
        self._as_of = as_of
        self._source_field = text_field(source)
        self._snapshot: Snapshot | None = None  # that was not judged yet
        self._problem: InvalidState | None = None
        self._erased = False  # tombstones came, and their actor-erased not yet
        self._version = 0
        self._happened_us: int | None = None
        self._in_log = False
        self._actor = self._made()

    def takes(self, snapshot: Snapshot) -> bool:
        """May its snapshot be begun with? Its own event tells whether it is old enough, and is read
        for that."""
        fits = self._described.snapshots.fits(snapshot_parts(snapshot.data).mark)
        self._snapshot = snapshot if fits else None
        return fits

    def apply(self, event: Fold) -> bool:
        """The next event; False where the snapshot that was begun with is too new, or cannot be
        read: then all of them are to come again."""
        self._in_log = self._in_log or event.source == self._source_field
        if self._snapshot is not None:
            snapshot, self._snapshot = self._snapshot, None
            return self._as_of.counts(event) and self._restored(snapshot, event)
        if event.source == self._source_field:
            ends = event.event_type == _ERASED
            self._erased = not ends and (self._erased or event.data == TOMBSTONE_TEXT)
            if self._as_of.counts(event):
                if ends:  # it begins anew, whatever it was
                    self._problem = None
                    self._actor = self._made()
                if self._problem is None:
                    self._version, self._happened_us = event.version, event.timestamp_us
                    self._problem = self._applied(event)
        return True

    def found(self) -> PastState | InvalidState:
        """What came of it."""
        if self._problem is not None:
            return self._problem
        return PastState(self._version, self._actor.state, self._happened_us, self._in_log)

    def _restored(self, snapshot: Snapshot, event: Fold) -> bool:
        try:
            state = snapshot_parts(snapshot.data).state
            self._actor.state = self._described.states.read(state)
        except ValidationError:
            return False
        self._version, self._happened_us = event.version, event.timestamp_us
        return True

    def _made(self) -> Any:
        try:
            return begun(self._described, self.source)
        except Exception as error:
            self._problem = InvalidState(self.source, f"cannot be made: {_text(error)}")
            return None

    def _applied(self, event: Fold) -> InvalidState | None:
        if event.data == TOMBSTONE_TEXT:
            return None
        if self._erased:  # what was before is gone, and this is to go
            return InvalidState(self.source, "is being erased: ask again when that is done")
        try:
            if (applier := applier_of(self._described, event.event_type.decode())) is not None:
                payload = applier.schema.read_stored(event.data, event.schema)
                apply_past(applier, self._actor, payload, event.timestamp_us)
        except Unapplied as error:
            return self._broken(event, f"is a {error}")
        except Exception as error:
            return self._broken(event, f"cannot be applied: {_text(error)}")
        return None

    def _broken(self, event: Fold, problem: str) -> InvalidState:
        return InvalidState(
            self.source, f"cannot be folded by {self._described.actor.__name__}: its event "
            f"{event.version} {problem}",
        )  # fmt: skip


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
