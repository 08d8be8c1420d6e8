"""What a class would make of a log that others have written: each event is read, and applied.

It is what a host does with an actor that comes into memory, but that nothing ends with the first
problem: an event that cannot be read says so for its type and schema, and those behind it are read
all the same. No applier runs behind a problem of its actor, whose state is wrong from there on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from actors.actor_type import ActorType, Applier
from actors.folding import Unapplied, applier_of, apply_past, begun
from actors.lifecycle import ERASED
from actors.naming import aggregate_key_of
from actors.pending_timers import fold_stored_timer
from actors.snapshot_mark import snapshot_parts
from actors.timer_events import TIMER_TYPES
from runtime.host.past_events import misfit
from runtime.host.resident import FAILURES
from runtime.wire.error_codec import message_of_error, text_of_error
from store.erasures import ERASED_SNAPSHOT
from store.event_store import Snapshot
from store.rows.decoding import Fold, folds
from store.rows.encoding import text_field
from store.rows.tombstones import TOMBSTONE_TEXT


@dataclass(slots=True)
class Misfit:
    """What is wrong with events of one type and schema, and the first one that showed it."""

    event_type: str
    schema: int
    reason: str
    source: str
    version: int
    position: int
    events: int = 0
    actors: int = 0


class _Folded:
    """One actor on its way."""

    __slots__ = ("actor", "broken", "seen", "source")

    def __init__(self, source: str, actor: Any, *, broken: bool) -> None:
        self.source, self.actor, self.broken = source, actor, broken
        self.seen: set[tuple[str, int, str]] = set()


class HistoryCheck:
    """Of one actor type; `begin` says which actors come, `fold` has their rows, whole ones, in the
    order of their versions."""

    def __init__(self, described: ActorType) -> None:
        self._described = described
        self._folded: dict[bytes, tuple[bytes, _Folded]] = {}
        self._misfits: dict[tuple[str, int, str], Misfit] = {}
        self.actors = self.events = 0
        self.snapshots = 0  #: that there are of these actors
        self.snapshots_ignored = 0  #: of these: by their format or schema, or because they misfit

    @property
    def misfits(self) -> list[Misfit]:
        """What was found, by event type and schema."""
        return [self._misfits[key] for key in sorted(self._misfits)]

    def begin(self, sources: Iterable[str]) -> dict[bytes, int]:
        """These actors are next; what is to be loaded of them."""
        self._folded = {}
        for source in sources:
            made = self._made(source)
            self._folded[aggregate_key_of(source)] = text_field(source), made
            self.actors += 1
        return dict.fromkeys(self._folded, 0)

    def look_at(self, snapshot: Snapshot) -> None:
        """Would it be taken?"""
        if snapshot.data == ERASED_SNAPSHOT:
            return
        mark, _, state = snapshot_parts(snapshot.data)
        self.snapshots += 1
        if self._described.snapshots.fits(mark):
            try:
                self._described.states.read(state)
                return
            except FAILURES:  # it is ignored, and the log tells
                pass
        self.snapshots_ignored += 1

    def fold(self, rows: bytes) -> None:
        """Read these events, and apply them."""
        for event in folds(rows):
            column, folded = self._folded[event.aggregate_id]
            if event.source == column:
                self.events += 1
                self._fold(folded, event)

    def _made(self, source: str) -> _Folded:
        try:
            return _Folded(source, begun(self._described, source), broken=False)
        except FAILURES as error:
            folded = _Folded(source, None, broken=True)
            self._note(folded, "", 0, f"it cannot be made: {text_of_error(error)}", 0, 0)
            return folded

    def _fold(self, folded: _Folded, event: Fold) -> None:
        if event.data == TOMBSTONE_TEXT:
            return
        name = event.event_type.decode()
        if name == ERASED and folded.actor is not None:  # it begins anew, whatever it was
            folded.broken = False
            folded.actor = begun(self._described, folded.source)
        if name in TIMER_TYPES and not folded.broken:
            fold_stored_timer(folded.actor, name, event.data)
        try:
            applier = applier_of(self._described, name)
        except Unapplied as error:
            self._is_wrong(folded, event, str(error))
            return
        if applier is None:
            return
        payload = None
        try:
            payload = applier.schema.read_stored(event.data, event.schema)
            if folded.broken:
                return
            apply_past(applier, folded.actor, payload, event.timestamp_us)
        except FAILURES as error:
            self._is_wrong(folded, event, _why(applier, error, was_read=payload is not None))

    def _is_wrong(self, folded: _Folded, event: Fold, reason: str) -> None:
        folded.broken = True
        name = event.event_type.decode()
        self._note(folded, name, event.schema, reason, event.version, event.position)

    def _note(
        self, folded: _Folded, name: str, schema: int, reason: str, version: int, position: int
    ) -> None:
        key = name, schema, reason
        found = self._misfits.get(key)
        if found is None:
            found = Misfit(name, schema, reason, folded.source, version, position)
            self._misfits[key] = found
        found.events += 1
        if key not in folded.seen:
            folded.seen.add(key)
            found.actors += 1


def _why(applier: Applier, error: BaseException, *, was_read: bool) -> str:
    if was_read:
        return f"{applier.apply.__name__} fails: {text_of_error(error)}"
    if isinstance(error, ValidationError):
        return misfit(applier.payload, error)
    return message_of_error(error)
