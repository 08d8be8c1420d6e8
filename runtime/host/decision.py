"""Deciding an attempt: each command through its actor, each event encoded once.

Nothing here waits or does I/O: the host loads actors before, and appends rows after.
State runs ahead of the log here; nothing of it leaves the host before it is durable.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from actors.actor_type import ActorType
from actors.errors import Rejected, ThornbackError
from actors.event import Payload
from actors.event_shape import Shape, shape_of
from actors.ids import event_id
from actors.messages import MessageSent
from actors.pending_timers import cancels_nothing
from actors.schema import metadata_of, version_of
from actors.state_form import NotGivenBack
from actors.tell import Tell
from actors.timer_events import TimerCancelled
from runtime.clocks import NodeClock
from runtime.errors import (
    ActorErased,
    ActorStopped,
    HandlerBlocked,
    HandlerFailed,
    InvalidMessage,
    InvalidState,
    NotPossible,
    PublishRefused,
    UnknownMessage,
)
from runtime.host.at_hand import SNAPSHOT, hook_of
from runtime.host.batch import Attempt
from runtime.host.failing_code import own_frames
from runtime.host.firing import YIELDED, Timers, applying
from runtime.host.lifecycle import change_life, clean, write_rest
from runtime.host.misfits import misfit_message
from runtime.host.publishing import publish_row
from runtime.host.recent import Recent
from runtime.host.resident import FAILURES, Resident, plain_state, take_snapshot
from runtime.host.residents import Residents
from runtime.host.supervision import Supervisor
from runtime.host.type_checks import EventTypesMet
from runtime.process.no_waiting import allow_waiting, forbid_waiting
from runtime.wire.commands import (
    DATA,
    ERASE,
    FIRE,
    ID,
    INVALID,
    MESSAGE_TYPE,
    PUBLISH,
    START,
    STATE,
    STOP,
    message_type_of,
    told,
)
from runtime.wire.error_codec import text_of_error
from runtime.wire.values import pack_value
from store.errors import InvalidData
from store.rows.encoding import decided_encoder, type_fields
from store.rows.json_text import encode_payload
from store.rows.read_back import open_events
from store.rows.tells import check_yielded, stored_tell, written_tell

logger = logging.getLogger("thornback.host")


#: Bytes of the rows of one command: beyond that it is invalid, long before its append would be
#: too large for a frame of 4 GiB.
COMMAND_BYTES = 256 * 1024 * 1024
#: Bytes of the rows of one attempt, a command more or less: what is left of its batch then
#: runs in another one.
ATTEMPT_BYTES = 64 * 1024 * 1024
#: About as many bytes has a row beside its data and its clock.
_ROW_BYTES = 300
#: What somebody asks of an actor's own life.
_ASKED = (START, STOP, ERASE)
_TOO_MUCH = f"the events of its command take more than {COMMAND_BYTES:,} bytes"


class _EventType:
    """What is constant about a payload class, per actor type."""

    __slots__ = ("actor", "apply", "encode", "fields", "idle", "name", "open", "schema")

    def __init__(self, actor: ActorType, payload: type[Payload]) -> None:
        self.actor = actor
        self.name = payload.event_type
        self.fields = type_fields(payload.event_type, payload.kind.value)
        self.schema = version_of(payload)
        self.encode = decided_encoder(metadata_of(self.schema))
        applier = actor.appliers.get(payload.event_type)
        self.apply = applier.apply if applier else None
        #: For an open class: what is stored of an event, and the event that it gives back.
        self.open: Any = open_events(payload, applier.payload if applier else payload)
        #: Of what is opened: would this one, behind these events of its command, change nothing?
        self.idle: Callable[[Any, Sequence[Any], Any], bool] | None = None

    @classmethod
    def of_tells(cls, actor: ActorType) -> "_EventType":
        """Of what a Tell becomes."""
        made = cls(actor, MessageSent)
        made.open = stored_tell if made.apply is not None else written_tell
        return made

    @classmethod
    def of_timers(cls, actor: ActorType, event: type[Payload], opening: Any) -> "_EventType":
        """Of events of timers: what an actor yields becomes one by `opening`, if any does."""
        made = cls(actor, event)
        made.open, made.apply = opening, applying(made.apply)
        made.idle = cancels_nothing if event is TimerCancelled else None
        return made


class Decider:
    """Runs batches of commands against resident actors, one batch at a time."""

    #: Failures of one batch that are logged, with their tracebacks, a millisecond each; the others
    #: are told to their callers alone.
    FAILURES_SHOWN = 10

    def __init__(
        self,
        clock: NodeClock,
        residents: Residents,
        recent: Recent,
        *,
        supervisor: Supervisor,
        snapshot_frequency: int,
        now_us: Callable[[], int],
    ) -> None:
        self.clock = clock
        self._residents = residents
        self._recent = recent
        self.supervisor = supervisor
        self._snapshot_frequency = snapshot_frequency
        self._now_us = now_us
        self.met = EventTypesMet()
        #: Is told the source of each actor that somebody starts.
        self.on_started: Callable[[str], None] = lambda source: None
        self._timers = Timers(self, self._failed, now_us, most_bytes=COMMAND_BYTES)
        self.work = residents.work
        self._event_types: dict[type, _EventType] = {}  # of whichever actor type was last
        self._by_actor: dict[tuple[ActorType, type], _EventType] = {}
        self._without_snapshots: set[ActorType | None] = set()  #: of which that was said

    def decide(self, attempt: Attempt) -> None:
        """Run the commands of an attempt; every outcome is left in it.

        A command for an actor that must be rebuilt first is left in `attempt.deferred`. Raises
        HandlerBlocked where code of an actor was interrupted: the attempt is to be undone.
        """
        forbid_waiting()
        try:
            self.work.run(None, self._decide_all, attempt)
        finally:
            allow_waiting()

    @property
    def at(self) -> Sequence[Any] | None:
        """The command that is being decided; any thread may look who it is for."""
        return self.work.at

    def _decide_all(self, attempt: Attempt) -> None:
        self._decide_each(attempt)
        if attempt.lifecycle:
            self.work.at = None  # of a large group it takes long, and no command blocks in it
            write_rest(attempt, self.clock, self.met, self._now_us)

    def _decide_each(self, attempt: Attempt) -> None:
        recent, known, batch, effects = self._recent, attempt.known, attempt.batch, attempt.effects
        get, number, frequency = self._residents.get, batch.number, self._snapshot_frequency
        clock, event_types = self.clock, self._event_types
        commands, rows, counts, names = batch.commands, attempt.rows, effects.counts, attempt.types
        kinds = effects.message_types
        remembered = recent.in_vain.of if batch.request.again else None
        standing = attempt.standing
        work, blocked, note = self.work, self.work.blocked.commands, self.work.blocked.at_hand.note
        total = 0
        for index in attempt.indexes:
            work.at = command = commands[index]
            source, message_type, command_id, at_us, data, correlation, causation = command
            if command_id in recent or command_id in known:
                attempt.repeats[index] = recent.get(command_id)
                continue
            outcome = remembered and remembered(command_id, source, message_type)
            if standing and not outcome and (outcome := standing.get(command_id)):
                attempt.vain.append(index)  # to be remembered from now on
            if outcome:
                attempt.in_vain.append(index)
                if outcome.error is not None:
                    attempt.errors[index] = outcome.error
                continue
            resident: Resident = get(source)  # type: ignore[assignment]
            handler = resident.handlers.get(message_type)
            if note is not None:
                note(command)
            if (
                handler is None
                or not resident.ready
                or (blocked and command_id in blocked and work.blocked.command(command))
            ):
                before = len(rows)
                self._unusual(attempt, index, resident)
                total += sum(map(len, rows[before:]))  # of a publication
                if total > ATTEMPT_BYTES:
                    attempt.deferred += attempt.indexes[attempt.indexes.index(index) + 1 :]
                    return
                continue
            resident.batch = number
            actor = resident.actor
            actor.at_us = at_us
            made: list[bytes] = []
            events: list[tuple[_EventType, Payload]] = []
            version, ticks, prefix = resident.version, clock.ticks, clock.prefix
            size, overhead = total, _ROW_BYTES + len(prefix)
            message = None
            try:
                message = handler.read(data)
                for yielded in handler.decide(actor, message) or ():
                    payload = yielded
                    event_type = event_types.get(payload.__class__)
                    if event_type is None or event_type.actor is not resident.type:
                        event_type = self.event_type(resident, payload)
                    if event_type.open is None:
                        text = encode_payload(event_type.name, payload)
                    elif event_type.idle is not None and event_type.idle(actor, events, payload):
                        continue
                    else:
                        text, payload = event_type.open(payload)
                    size += len(text) + overhead
                    if size - total > COMMAND_BYTES:
                        raise InvalidData(event_type.name, _TOO_MUCH)
                    version += 1
                    ticks += 1
                    made.append(
                        event_type.encode(
                            event_id(command_id, len(made)),
                            resident.aggregate_id,
                            version,
                            at_us,
                            event_type.fields,
                            resident.source_field,
                            text,
                            prefix,
                            ticks,
                            correlation or command_id,
                            causation or command_id,
                        )
                    )
                    events.append((event_type, payload))
            except (Rejected, InvalidData) as rejection:
                attempt.without_effect(index, rejection)
                attempt.vain.append(index)
                if len(attempt.raised) < self.FAILURES_SHOWN and isinstance(rejection, Rejected):
                    attempt.raised[index] = own_frames(rejection)
                continue
            except FAILURES as error:
                if message is None and isinstance(error, ValidationError):
                    attempt.without_effect(index, misfit_message(error, source, message_type))
                    attempt.vain.append(index)
                else:  # also where it cannot make an event of its own
                    self._failed(attempt, index, resident, error)
                continue
            if not made:
                attempt.in_vain.append(index)
                attempt.vain.append(index)
                continue
            try:
                for event_type, payload in events:
                    names.append(event_type.name)
                    if event_type.apply is not None:
                        event_type.apply(actor, payload)
            except FAILURES as error:
                del names[len(rows) :]
                self._failed(attempt, index, resident, error, state_spoilt=True)
                continue
            rows += made
            clock.ticks, resident.version = ticks, version
            if version % frequency < len(made):
                self.snapshot(attempt, resident)
            counts[command_id] = len(made)
            kinds.append(handler.message_type)
            recent[command_id] = effects
            total = size
            if total > ATTEMPT_BYTES:
                attempt.deferred += attempt.indexes[attempt.indexes.index(index) + 1 :]
                return

    def forget_fresh(self) -> None:
        """An attempt could not be decided: whatever event types it met first are to be met by
        those that have them, so that none stands in the way of an attempt without it."""
        self.met.forget_fresh()
        self._event_types.clear()
        self._by_actor.clear()

    def forget_type(self, actor_type: ActorType) -> None:
        """An actor type was replaced: keep nothing that was made for it."""
        self._event_types.clear()
        self.work.blocked.forget_type(actor_type.name)
        self._without_snapshots.discard(actor_type)
        for key in [key for key in self._by_actor if key[0] is actor_type]:
            del self._by_actor[key]

    def event_type(self, resident: Resident, payload: Any) -> _EventType:
        """What there is to know of the events of a class, for one actor type. Raises TypeError for
        what no handler may yield."""
        assert resident.type is not None
        key = (resident.type, type(payload))
        shape: Shape | None = None  # of a class that is met for the first time
        if isinstance(payload, Tell):
            found = self._by_actor.get(key) or _EventType.of_tells(resident.type)
        elif (event := YIELDED.get(type(payload))) is not None:
            opening = self._timers.opening(resident.type, type(payload))
            found = self._by_actor.get(key) or _EventType.of_timers(resident.type, event, opening)
        else:
            check_yielded(resident.type, payload)
            known = self._by_actor.get(key)
            if known is None:
                shape = shape_of(type(payload))
            found = known or _EventType(*key)
        self.met.meet(resident.type.name, found.name, found.schema, shape)
        self._by_actor[key] = self._event_types[type(payload)] = found
        return found

    def timer_type(self, resident: Resident, event: type[Payload]) -> _EventType:
        """The same for events of timers that no handler yields."""
        assert resident.type is not None
        key = (resident.type, event)
        found = self._by_actor.get(key) or _EventType.of_timers(resident.type, event, None)
        self.met.meet(resident.type.name, found.name)
        self._by_actor[key] = found
        return found

    def stored(self, attempt: Attempt, index: int, resident: Resident, count: int) -> None:
        """The last rows of an attempt, so many, are the events of a command: remember that, and
        have a snapshot where one is due."""
        command = attempt.batch.commands[index]
        attempt.effects.counts[command[ID]] = count
        attempt.effects.message_types.append(command[MESSAGE_TYPE])
        self._recent[command[ID]] = attempt.effects
        if resident.version % self._snapshot_frequency < count and resident.ready:
            self.snapshot(attempt, resident)

    def _unusual(self, attempt: Attempt, index: int, resident: Resident) -> None:
        source, message_type, *_ = attempt.batch.commands[index]
        if message_type == INVALID:
            attempt.failed(index, InvalidMessage(*attempt.batch.commands[index][DATA]))
        elif source in attempt.rebuild and not resident.broken:
            attempt.deferred.append(index)
        elif message_type in _ASKED and source in attempt.stopped:
            attempt.rebuild.add(source)  # behind the row that says so, which is still to come
            attempt.deferred.append(index)
        elif message_type == START and resident.erased and not resident.forgotten:
            self._start_unforgotten(attempt, index, resident)
        elif message_type == ERASE or (resident.erased and message_type == START):
            # Whatever is wrong with it, and whether or not anybody has its class.
            self._change_life(attempt, index, resident)
        elif resident.erased:
            attempt.refused(index, ActorErased(source, resident.stopped))
        elif resident.stopped and message_type not in (*_ASKED, PUBLISH):
            attempt.refused(index, ActorStopped(source, resident.stopped))
        elif message_type not in (*_ASKED, PUBLISH) and (
            refusal := self.supervisor.refusal(attempt.batch, resident)
        ):
            attempt.refused(index, refusal)
        elif self._residents.outdated(source, resident):
            attempt.rebuild.add(source)
            attempt.deferred.append(index)
        elif resident.broken:
            attempt.without_effect(
                index, HandlerFailed(source, told(message_type), resident.broken, "not run")
            )
            attempt.rebuild.add(source)
        elif message_type == PUBLISH:
            self._publish(attempt, index, resident)
        elif resident.type is None:
            attempt.without_effect(index, self._residents.why_unknown(source.partition("/")[0]))
        elif message_type in _ASKED:
            self._change_life(attempt, index, resident)
        elif not resident.ready:  # its rest is over, or its group was restarted
            attempt.rebuild.add(source)
            attempt.deferred.append(index)
        elif message_type == FIRE:
            self._timers.fire(attempt, index, resident)
        elif found := self.work.blocked.command(attempt.batch.commands[index]):
            resident.batch = attempt.batch.number
            self._failed(attempt, index, resident, found.error())
            self.work.blocked.judged(found)
        elif message_type == STATE:
            self._state(attempt, index, resident)
        else:
            known = ", ".join(resident.type.commands) or "no messages: mark a method @handles"
            attempt.without_effect(index, UnknownMessage(source, message_type, known))

    def _change_life(self, attempt: Attempt, index: int, resident: Resident) -> None:
        if change_life(attempt, index, resident, self.clock, self.met):
            self._recent[attempt.batch.commands[index][ID]] = attempt.effects
            if attempt.batch.commands[index][MESSAGE_TYPE] == START:
                self.on_started(resident.source)

    def _start_unforgotten(self, attempt: Attempt, index: int, resident: Resident) -> None:
        """Where it began anew, the store could not tell what is to go from what is to stay. Whoever
        is resident may have been loaded before the end of its erasure: so it is loaded anew."""
        source, unforgotten = resident.source, attempt.batch.unforgotten
        if unforgotten.setdefault(source, resident) is resident:
            attempt.rebuild.add(source)
            attempt.deferred.append(index)
        else:  # loaded behind the arrival of this command
            attempt.refused(index, NotPossible(
                f"{source} was erased, and that has not come to its end: call system.erase(ref, "
                "reason) again, and start it when that has returned"
            ))  # fmt: skip

    def _state(self, attempt: Attempt, index: int, resident: Resident) -> None:
        source = resident.source
        try:
            state = {"version": resident.version, "state": plain_state(resident)}
            attempt.values[index] = pack_value(state)
        except NotGivenBack as error:
            attempt.failed(index, InvalidState(source, f"would arrive as another: {error}"))
        except FAILURES as error:
            problem = f"cannot be written as JSON: {text_of_error(error)}"
            attempt.failed(index, InvalidState(source, problem))

    def snapshot(self, attempt: Attempt, resident: Resident) -> None:
        """To be saved when the attempt is durable. The log can do without it."""
        try:
            attempt.snapshots.append(take_snapshot(resident))
        except NotGivenBack as error:
            if resident.type not in self._without_snapshots:
                self._without_snapshots.add(resident.type)
                logger.error(
                    "%s: no snapshots, its state would not come back: %s", resident.source, error
                )
        except FAILURES as error:
            logger.warning(
                "%s: no snapshot, its state has no JSON: %s", resident.source, text_of_error(error)
            )

    def snapshot_of_loaded(self, attempt: Attempt, resident: Resident) -> None:
        """The same while nothing else is decided. None of whoever blocks at that."""
        at, blocked = hook_of(resident.source, SNAPSHOT), self.work.blocked
        before = len(attempt.snapshots)
        if blocked.hook(resident.source, SNAPSHOT):
            return
        if blocked.at_hand.note is not None:
            blocked.at_hand.note(at)
        try:
            self.work.run(at, self.snapshot, attempt, resident)
        except HandlerBlocked as error:
            del attempt.snapshots[before:]
            logger.error("%s: no snapshot: %s", resident.source, error.failure)

    def _publish(self, attempt: Attempt, index: int, resident: Resident) -> None:
        command = attempt.batch.commands[index]
        if found := self.work.blocked.command(command):
            attempt.without_effect(index, PublishRefused(resident.source, found.failure))
            return
        try:
            row, name, schema = publish_row(command, resident, self.clock)
        except ThornbackError as error:
            attempt.without_effect(index, error)
            return
        except FAILURES as error:
            attempt.without_effect(index, PublishRefused(resident.source, text_of_error(error)))
            return
        self.met.meet_published(resident.source, name, schema)
        attempt.rows.append(row)
        attempt.types.append(name)
        resident.batch = attempt.batch.number
        if resident.version % self._snapshot_frequency == 0:
            self.snapshot(attempt, resident)
        attempt.effects.counts[command[ID]] = 1
        attempt.effects.message_types.append(PUBLISH)
        self._recent[command[ID]] = attempt.effects

    def _failed(
        self,
        attempt: Attempt,
        index: int,
        resident: Resident,
        error: BaseException,
        *,
        state_spoilt: bool = False,
    ) -> None:
        self.work.check()
        batch, source = attempt.batch, resident.source
        # A timer fires a message, and that is what it fails at.
        message_type = message_type_of(batch.commands[index])
        batch.failures += 1
        if batch.failures <= self.FAILURES_SHOWN:
            logger.error("%s failed at %s", source, message_type, exc_info=error)
        elif batch.failures == self.FAILURES_SHOWN + 1:
            logger.error("more commands of that batch fail; their callers are told why")
        self.supervisor.tell_failure(resident, error)
        self.work.check()
        kind, failure, frames = _told_as(error)
        decision = self.supervisor.failed(
            attempt, attempt.batch.commands[index], resident, clean(failure), spoilt=state_spoilt
        )
        attempt.without_effect(index, kind(source, told(message_type), failure, decision, frames))
        attempt.vain.append(index)


def _told_as(error: BaseException) -> tuple[type[HandlerFailed], str, Sequence[str]]:
    """What a caller is told of what a handler has raised: the error, why, and where."""
    if isinstance(error, HandlerBlocked):
        return HandlerBlocked, error.failure, error.frames
    return HandlerFailed, text_of_error(error), own_frames(error)
