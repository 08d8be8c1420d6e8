"""One actor in memory: how it is rebuilt from snapshot and log, and what a snapshot is."""

import logging
from typing import Any

from pydantic import ValidationError

from actors.actor_type import ActorType, Applier
from actors.folding import Unapplied, applier_of, begun
from actors.lifecycle import ERASED, LIFECYCLE, STARTED, STOPPED
from actors.naming import aggregate_key_of
from actors.pending_timers import decode_pending, encode_pending, fold_stored_timer
from actors.snapshot_mark import SnapshotParts, snapshot_parts
from actors.timer_events import TIMER_TYPES
from runtime.host.blocked import Found
from runtime.host.past_events import misfit
from runtime.wire.error_codec import message_of_error, text_of_error
from store.erasures import ERASED_SNAPSHOT
from store.event_store import Snapshot
from store.rows.decoding import Fold
from store.rows.encoding import text_field
from store.rows.json_text import decode_json
from store.rows.tombstones import TOMBSTONE_TEXT

logger = logging.getLogger("thornback.host")

#: What code of an actor may raise without harm to its neighbours: anything. A CancelledError is
#: its own doing, because a task that is cancelled hears of it where it awaits, and nothing is
#: awaited where this code runs. So is a KeyboardInterrupt, which a signal raises in the main
#: thread alone: Ray runs an async actor's loop in another one. And so are a SystemExit and the
#: panic of an extension in Rust, which is no Exception either.
FAILURES = (BaseException,)

_LIFECYCLE = frozenset(name.encode() for name in LIFECYCLE)
_STOPPED, _STARTED, _ERASED = STOPPED.encode(), STARTED.encode(), ERASED.encode()


class KnownType:
    """An actor type as one host knows it, until a later class of its name replaces it."""

    __slots__ = ("handlers", "type")

    def __init__(self, type: ActorType) -> None:
        self.type = type
        #: By message type. Emptied when the type is replaced: its residents then decide
        #: nothing any more, however many they are, and whoever meets one rebuilds it.
        self.handlers = dict(type.handlers)


class Resident:
    """One actor in memory. Its state may be ahead of the log by appends in flight.

    More than fifteen fields: there may be a hundred thousand of them, and an object in each for
    some of these would cost more than all of them do.
    """

    __slots__ = (
        "actor",
        "aggregate_id",
        "batch",
        "blocked",
        "broken",
        "erased",
        "handlers",
        "known",
        "marked",
        "ready",
        "shared_with",
        "source",
        "source_field",
        "stopped",
        "type",
        "version",
    )  # fmt: skip

    def __init__(self, source: str, known: KnownType | None, blocked: Found | None = None) -> None:
        """`blocked` says that its code took too long when it was rebuilt, so that none is run."""
        type = known.type if known else None
        self.source = source
        self.known = known
        self.type = type  # None: a source that events are published under, without an actor
        self.aggregate_id = aggregate_key_of(source)
        self.source_field = text_field(source)
        self.version = 0
        self.batch = 0  # number of the last batch that touched it
        self.handlers = known.handlers if known else {}
        self.ready = type is not None  # False: ask why before any message is decided
        self.stopped = ""  # why it takes no commands
        self.erased = False  # that is why
        self.marked = 0  # the version at which its snapshot said that it is forgotten
        self.broken = ""  # why its state could not be rebuilt
        self.blocked = blocked is not None  # none of its code is run, whatever the log says
        self.shared_with = ""  # another source whose events its aggregate has
        self.actor: Any = None
        if blocked is not None:
            self.is_broken(f"it is not rebuilt: {blocked.failure}")
            return
        self.begin()

    def begin(self) -> None:
        """Have an actor without a past."""
        try:
            self.actor = begun(self.type, self.source) if self.type else None
        except FAILURES as error:
            self.is_broken(f"it cannot be made: {text_of_error(error)}", error)

    @property
    def forgotten(self) -> bool:
        """Has it been found that its last erasure has its receipt? The marker in the place of its
        snapshot is written with that, at the version before actor-erased."""
        return self.erased and self.marked == self.version - 1

    def shares(self, event: Fold) -> None:
        """Its aggregate has an event of another source: somebody has published under its id. Other
        spellings of one UUID are one source."""
        other = event.source[4:].decode()
        if "/" in self.source or "/" in other:
            self.shared_with = other

    def is_broken(self, problem: str, error: BaseException | None = None) -> None:
        """It takes no messages, and says why, until it is rebuilt."""
        self.ready, self.broken = False, problem
        logger.error("%s: %s", self.source, problem, exc_info=error)


def fold_into(resident: Resident, event: Fold) -> None:
    """Apply one past event. An event that cannot be applied breaks this actor alone: it
    takes no messages, and says why, until it is rebuilt."""
    resident.version = event.version
    type = resident.type
    applier = None if type is None else type.own_appliers.get(event.event_type)
    if applier is None:
        if (applier := _unusual(resident, event)) is None:
            return
    elif resident.broken or event.source != resident.source_field or event.data == TOMBSTONE_TEXT:
        return
    payload = None
    try:
        if event.schema == applier.version:
            payload = applier.read(event.data)
        else:
            payload = applier.schema.read_stored(event.data, event.schema)
        resident.actor.at_us = event.timestamp_us  # what `apply_past` does, and no call more
        applier.apply(resident.actor, payload)
    except FAILURES as error:
        why = message_of_error(error)
        if payload is None and isinstance(error, ValidationError):
            why = misfit(applier.payload, error)
        problem = f"its event {event.version} cannot be applied: {why}"
        resident.is_broken(problem, error)


def _unusual(resident: Resident, event: Fold) -> Applier | None:
    """An event that means something for every actor, or that its class does not apply: what else is
    to apply it, if anything does."""
    if event.data == TOMBSTONE_TEXT:
        return None
    if event.event_type in _LIFECYCLE and event.source == resident.source_field:
        fold_lifecycle(resident, event.event_type, event.data)
    if resident.type is None or resident.broken or event.source != resident.source_field:
        return None
    event_type = event.event_type.decode()
    if event_type in TIMER_TYPES:
        fold_stored_timer(resident.actor, event_type, event.data)
    try:
        return applier_of(resident.type, event_type)
    except Unapplied as error:
        resident.is_broken(f"its event {event.version} is a {error}")
        return None


def fold_lifecycle(resident: Resident, event_type: bytes, data: bytes) -> None:
    """Take from the log whether the actor is stopped. No snapshot says so: none is taken at such
    an event, or of an actor that is stopped, so the log behind the last one does."""
    if event_type in (_STOPPED, _ERASED):
        resident.stopped = str(decode_json(data).get("reason") or "stopped")
        resident.ready, resident.erased = False, event_type == _ERASED
        if resident.erased and not resident.blocked:
            resident.broken = ""  # whatever it was
            resident.begin()
    elif event_type == _STARTED:
        resident.stopped, resident.erased = "", False
        resident.ready = resident.type is not None and not resident.broken


def take_snapshot(resident: Resident) -> Snapshot:
    """The state as it is now, encoded; of a source without an actor its version alone.
    Raises NotGivenBack for a state that its text does not give back, and what its serializer
    does."""
    data = b""
    if resident.type is not None:
        pending = resident.actor._pending_timers
        data = SnapshotParts(
            mark=resident.type.snapshots.text,
            timers=encode_pending(pending) if pending else b"",
            state=resident.type.states.snapshot(resident.actor.state).encode(),
        ).joined()
    return Snapshot(aggregate_id=resident.aggregate_id, version=resident.version, data=data)


def plain_state(resident: Resident) -> Any:
    """The state in JSON's types. Raises NotGivenBack where that would be another state."""
    assert resident.type is not None
    return resident.type.states.plain(resident.actor.state)


def restore(resident: Resident, snapshot: Snapshot) -> bool:
    """Take the state of a snapshot. One of another format or of other schemas, or that the state's
    type does not fit any more, is ignored: the log then tells. False for such a one."""
    if resident.type is None or snapshot.data == ERASED_SNAPSHOT:
        resident.version = snapshot.version
        resident.marked = snapshot.version if snapshot.data == ERASED_SNAPSHOT else 0
        return True
    if resident.broken:
        return True
    mark, timers, state = snapshot_parts(snapshot.data)
    if not resident.type.snapshots.fits(mark):
        logger.debug("%s: snapshot ignored, of other schemas: %r", resident.source, mark)
        return False
    try:
        pending = decode_pending(timers) if timers else None
        resident.actor.state = resident.type.states.read(state)
    except FAILURES as error:
        logger.warning("%s: snapshot ignored: %s", resident.source, text_of_error(error))
        return False
    resident.actor._pending_timers = pending
    resident.version = snapshot.version
    return True
