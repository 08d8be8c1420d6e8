"""Evaluating a batch: what a stream program makes of some events, in the order of the log.

The batch has no say in the result: the watermark moves event by event, and what is due is looked at
in between. Nothing here is stored; that is for whoever asked (program_run.py).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from actors.event import Event, Kind, Payload
from actors.lifecycle import ERASED
from actors.messages import SENT
from actors.schema import metadata_of, version_of
from actors.tell import Tell
from actors.timer_events import is_timer_event
from runtime.clocks import NodeClock
from runtime.host.resident import FAILURES
from runtime.processing.key_table import Key, KeyTable
from runtime.processing.lanes import Lane
from runtime.processing.parked_here import Failure, ParkedHere, Place, StillParked
from runtime.processing.reading import Reading
from runtime.processing.stretches import Stretches
from store.appends import StateChange
from store.dead_letters import DeadLetter, LetterChange, Parked, slots_mask
from store.errors import InvalidData, StoreError
from store.event_store import EventStore
from store.projected import RowChange
from store.rows.decoding import Decoder
from store.rows.encoding import CLOCK, cause_fields, encode_row, type_fields
from store.rows.json_text import encode_data, encode_payload
from store.rows.tells import is_message_event, tell_text
from store.selection import Selection
from store.slots import SLOTS, slot_of_event, slot_of_key
from streams.actor_index import Unread
from streams.program import Change, Fact, Output, Program, Stretch

logger = logging.getLogger("thornback.processing")

#: What is no failure of the program's, where something is waited for.
_NOT_ITS_OWN = (StoreError, asyncio.CancelledError, GeneratorExit)

_OF_TELLS = SENT, type_fields(SENT, Kind.SYSTEM.value)

_slot_of_key = lru_cache(100_000)(slot_of_key)


def _type_of(payload: Any) -> Any:
    """The event type of what comes out; of what is none, anything."""
    return SENT if isinstance(payload, Tell) else getattr(payload, "event_type", None)


class StepFailed(Exception):
    """The code of a program has failed at an event."""

    def __init__(self, event: Event, key: str) -> None:
        super().__init__(event.position, key)
        self.event, self.key = event, key


@dataclass(slots=True)
class Effects:
    """What batches come to that are not committed yet."""

    rows: list[bytes] = field(default_factory=list)
    types: list[str] = field(default_factory=list)  #: of each row
    states: dict[str, StateChange] = field(default_factory=dict)  #: by key
    projected: dict[str, RowChange] = field(default_factory=dict)  #: in the place of states
    letters: list[LetterChange] = field(default_factory=list)
    put_away: int = 0  #: of these, those of events that did not wait before
    bytes: int = 0  #: of the rows, states and letters, about
    batch: int = 0  #: the last of them

    @property
    def any(self) -> bool:
        """Is there anything, beside the progress?"""
        return bool(self.rows or self.states or self.projected or self.letters)

    def add(self, other: "Effects") -> None:
        """With what another program comes to, which has no states."""
        self.rows += other.rows
        self.types += other.types
        self.letters += other.letters
        self.put_away += other.put_away
        self.bytes += other.bytes


class Evaluation:
    """One program, and the keys of the slots that are worked on here. Has one user at a time.

    More than fifteen fields: what it was made of and what it keeps from batch to batch are set
    once; of the batch under way are the last three.
    """

    #: So often may what a stretch comes to be another question to the log.
    DEEPEST = 100
    #: So many keys that are due by one event are looked at for one append.
    DUE_TOGETHER = 5_000

    def __init__(
        self,
        program: Program,
        selection: Selection,
        keys: KeyTable,
        store: EventStore,
        clock: NodeClock,
        *,
        reading: Reading,
        began: int,
        new_id: Callable[[], bytes],
        parked: ParkedHere | None = None,
        verdicts: Mapping[Place, Failure] | None = None,
        erased_keys: Mapping[tuple[str, int], Set[str]] | None = None,
        on_message: Callable[[], None] = lambda: None,
    ) -> None:
        """`erased_keys` are those of Reading; `on_message` is called when the log is about to
        have a message to an actor."""
        self._program, self._selection = program, selection
        self._parked = ParkedHere(program.name) if parked is None else parked
        self._verdicts = {} if verdicts is None else verdicts  #: on events at which it fails
        self._erased_keys = {} if erased_keys is None else erased_keys
        self._own = f"{program.name}/"  #: what the sources of its outputs begin with
        self._keys, self._store, self._clock = keys, store, clock
        self._reading, self._event_time = reading, reading.event_time
        self._began, self._new_id, self._on_message = began, new_id, on_message
        self._decoder = Decoder()
        # By class, and by (event type, kind); of a class its schema version, too.
        self._types: dict[Any, tuple[str, bytes, int]] = {}
        self._noted: set[str] = set()  #: event types that the log is known to have
        self._lane = Lane(0, None)  #: that is worked on
        self._stretches = Stretches(self._read_again, self._routed_again)
        self._batch = 0
        #: The last event, where there are more keys due by it.
        self.unfinished: Event | None = None
        # Of the batch under way:
        self._letters: dict[tuple[Parked, int], LetterChange] = {}
        self._made: list[tuple[Key, Output, Event]] = []
        self._touched: dict[str, tuple[Key, int | None, Event]] = {}

    async def evaluate(
        self, lane: Lane, events: Sequence[Event], through: int, effects: Effects
    ) -> int:
        """Add what these events come to, the next of the log up to the position `through`, and move
        the lane there; how many of them that were: one, where more keys may be due by then than go
        into one append, and what is left of these is `unfinished`. Raises StepFailed, after which
        this evaluation, its lane and the effects are worth nothing, and StoreUnavailable."""
        self._begin(lane)
        due = self._due_by(lane, events)
        if many := len(due) > self.DUE_TOGETHER:
            events, through = events[:1], events[0].position or 0
        routed = [self._routed(event) for event in events]
        await self._load(events, routed, () if many else due)
        stretches = self._stretches
        for event, items in zip(events, routed, strict=True):
            stretches.arrived(event, items)
            if items:
                await self._step(lane, event, items)
            self._advance(lane, event)
            if lane.is_due:
                await self._look_at_due(lane, event, many=many)
        await self._end(effects)
        self._finish(lane, events, through)
        effects.batch = self._batch
        return len(events)

    async def go_on(self, lane: Lane, event: Event, effects: Effects) -> None:
        """Add what the next keys come to that are due by an event which is finished but for them.
        Raises as `evaluate`."""
        self._begin(lane)
        await self._look_at_due(lane, event, many=True)
        await self._end(effects)
        effects.batch = self._batch

    async def replay_key(
        self,
        lane: Lane,
        key: str,
        letters: Sequence[tuple[DeadLetter, Event]],
        until_us: int | None,
        effects: Effects,
    ) -> None:
        """Add what a key comes to with events that it has waited behind: each with the watermark of
        when it came, and what has become due meanwhile before it; after the last one with the
        watermark `until_us`, where that is given. The lane is of the key alone, and what is parked
        beside it is of this evaluation alone. Raises StepFailed, as `evaluate`, with an event of
        these."""
        self._begin(lane)
        del self._parked.keys[key]
        await self._keys.load([key])
        for letter, event in letters:
            lane.watermark_us = letter.watermark_us
            await self._look_at_due(lane, event)
            items = [(name, item) for name, item in self._route(event, lane.slots) if name == key]
            self._stretches.arrived(event, items)
            await self._step(lane, event, items)
            self._advance(lane, event)
            await self._look_at_due(lane, event)
        if until_us is not None and letters:
            lane.watermark_us = max(lane.watermark_us, until_us)
            await self._look_at_due(lane, letters[-1][1])
        await self._end(effects)

    async def replay_source(
        self, lane: Lane, letters: Sequence[tuple[DeadLetter, Event]], effects: Effects
    ) -> None:
        """Add what events come to that have waited for their source: each as if it came now, for
        the slots that owe it. Nothing but what becomes of them is due in the lane. Raises
        StepFailed, as `evaluate`, with an event of these."""
        self._begin(lane)
        for letter, event in letters:
            slots = {slot for slot in lane.slots if letter.slots >> slot & 1}
            self._parked.sources[event.source] = dict.fromkeys(slots, letter.position + 1)
            items = self._route(event, slots)
            for key, _ in items:
                if key in self._parked.keys:
                    raise StepFailed(event, key) from StillParked(key)
            await self._load([event], [items], ())
            self._stretches.arrived(event, items)
            await self._step(lane, event, items)
            await self._look_at_due(lane, event)
        await self._end(effects)

    def forget_stretches(self) -> None:
        """What was read of the log again is no longer all that there is."""
        self._stretches = Stretches(self._read_again, self._routed_again)

    def _begin(self, lane: Lane) -> None:
        """A batch."""
        self._batch += 1
        self._made, self._touched, self._letters = [], {}, {}
        self.unfinished = None
        if lane is not self._lane:
            # What was read again has the keys of the lane that was worked on then, and no others.
            self._lane = lane
            self.forget_stretches()

    def _check_between(self, items: Sequence[tuple[str, Any]]) -> None:
        """What would be refused at the end of a batch is refused in the midst of one: results do
        not depend on where batches end. Raises StepFailed."""
        for key, _ in items:
            if (touched := self._touched.get(key)) is not None:
                try:
                    self._keys.kept.check(key, touched[0].state)
                except FAILURES as error:
                    raise StepFailed(touched[2], key) from error

    async def _step(self, lane: Lane, event: Event, items: Sequence[tuple[str, Any]]) -> None:
        self._check_between(items)
        key = ""
        parked, step = self._parked.keys, self._program.step
        try:
            for key, item in items:
                if parked and key in parked:
                    self._wait(lane, event, key)
                    continue
                if self._verdicts and self._judged(lane, event, key):
                    continue
                there = self._keys[key]
                try:
                    change = step(key, item, event, there.state, lane.watermark_us)
                except Unread as unread:  # events of before are missing here: once they are there
                    there.state = await self._keys.kept.mended(key, unread.version)
                    change = step(key, item, event, there.state, lane.watermark_us)
                self._take(lane, there, change, event)
                if change.again:
                    await self._answer(lane, there, change.again, event)
        except _NOT_ITS_OWN:
            raise
        except FAILURES as error:
            raise StepFailed(event, key) from error

    async def _look_at_due(self, lane: Lane, event: Event, *, many: bool = False) -> None:
        """`many`: at no more keys than go together; what is left is for `go_on`."""
        key, left = "", self.DUE_TOGETHER
        try:
            while (due := lane.next_due()) is not None:
                key, due_us = due
                if many and not left:
                    lane.plan(key, due_us)
                    self.unfinished = event
                    return
                left -= 1
                if many and key not in self._keys:
                    await self._keys.load([key, *lane.first_due(left)])
                if self._verdicts and self._judged(lane, event, key, due_us):
                    continue
                there = self._keys[key]
                change = self._program.due(key, there.state, lane.watermark_us)
                if change.due_us is not None and change.due_us <= due_us:
                    raise ValueError(
                        f"it was looked at because {due_us} has come, and asks for "
                        f"{change.due_us} again"
                    )
                self._take(lane, there, change, event)
                if change.again:
                    await self._answer(lane, there, change.again, event)
        except _NOT_ITS_OWN:
            raise
        except FAILURES as error:
            raise StepFailed(event, key) from error

    async def _end(self, effects: Effects) -> None:
        await self._keys.load_versions(key for key, _, _ in self._made)
        await self._note_types()
        self._encode(effects)
        effects.letters += self._letters.values()
        effects.put_away += len(self._letters)
        effects.bytes += sum(letter.size for letter in self._letters.values())

    def _judged(self, lane: Lane, event: Event, key: str, due_us: int | None = None) -> bool:
        """Is it known that it fails at this event of the key? It is parked there then, or passed
        over."""
        failure = self._verdicts.get((event.position or 0, key))
        if failure is None:
            return False
        if not failure.skip:
            self._parked.keys[key] = lane.unplan(key) if due_us is None else due_us
            self._wait(lane, event, key, failure)
        elif due_us is not None:
            # Kept as a key that waits for nothing, or whoever begins anew would look at it again:
            # its next event sees to it.
            self._keys[key].touched = self._batch
            self._touched[key] = self._keys[key], None, event
        return True

    def _wait(
        self,
        lane: Lane,
        event: Event,
        key: str | None,
        failure: Failure | None = None,
        slots: Iterable[int] = (),
    ) -> None:
        """An event waits for a key, or for its source where that is None."""
        name = event.source if key is None else key
        parked = Parked(self._program.name, key is None, name)
        letter = self._letters.get((parked, event.position or 0))
        if letter is None or failure is not None:
            self._letters[parked, event.position or 0] = LetterChange(
                parked=parked,
                position=event.position or 0,
                event_id=event.id_bytes,
                slots=slots_mask(slots) if key is None else 1 << _slot_of_key(key),
                watermark_us=lane.watermark_us,
                reason=failure.reason if failure else None,
                frames=failure.frames if failure else (),
                tries=failure.tries if failure else 0,
            )

    def pass_over(self, lane: Lane, event: Event, effects: Effects) -> None:
        """An event that is not evaluated is finished all the same."""
        for change in self._keys.kept.passed_over(event):
            if _slot_of_key(change.key) in lane.slots:
                effects.projected[change.key] = change
        self._advance(lane, event)
        self._finish(lane, [event], event.position or 0)

    def _routed(self, event: Event) -> list[tuple[str, Any]]:
        """The items of a new event, but for slots in which its source is parked."""
        lane = self._lane
        slots = lane.slots
        owed = self._parked.sources.get(event.source)
        if owed and (waiting := slots & owed.keys()):
            slots = slots - waiting
            self._wait(lane, event, None, slots=waiting)
        if not slots:
            return []
        failure = self._verdicts.get((event.position or 0, "")) if self._verdicts else None
        if failure is None:
            return self._route(event, slots)
        if not failure.skip:
            self._parked.sources.setdefault(event.source, {}).update(
                dict.fromkeys(slots, event.position or 0)
            )
            self._wait(lane, event, None, failure, slots | (owed or {}).keys() & lane.slots)
        return []

    def _routed_again(self, event: Event) -> list[tuple[str, Any]]:
        """The items of an event of before, but for slots that still owe it."""
        slots = self._lane.slots
        if owed := self._parked.sources.get(event.source):
            position = event.position or 0
            slots = slots - {slot for slot, first in owed.items() if first <= position}
        try:
            return self._route(event, slots) if slots else []
        except StepFailed as failed:  # else it would be parked: it was passed over, or dropped
            logger.warning(
                "%s has no part in what is computed again: %s", event.id, failed.__cause__
            )
            return []

    def _route(self, event: Event, slots: Set[int]) -> list[tuple[str, Any]]:
        if event.source.startswith(self._own):
            return []  # or who selects everything would never come to an end
        if event.erased:
            return []
        try:
            routed = list(self._program.route(event))
            for key, _ in routed:
                if not isinstance(key, str):
                    raise TypeError(f"a key is a text, not {key!r:.80}")
            if event.event_type == ERASED and self._program.keeps_state:
                # What is kept under its keys goes with it, whoever is first. Keys that somebody has
                # named are not in the log: who comes behind their receipt has begun anew since.
                gone = {
                    event.source,
                    *self._erased_keys.get((event.source, event.version or 0), ()),
                }
                routed = [(key, item) for key, item in routed if key not in gone]
            if len(slots) == SLOTS:
                return routed
            return [(key, item) for key, item in routed if _slot_of_key(key) in slots]
        except FAILURES as error:
            raise StepFailed(event, "") from error

    def _due_by(self, lane: Lane, events: Sequence[Event]) -> Sequence[str]:
        """The keys that may be due by the last of these events."""
        if not events or not self._program.keeps_state:
            return ()
        time = self._event_time
        newest_us = max(time(event) if time else event.timestamp_us for event in events)
        # An event that was passed over may have moved the watermark further than these do.
        until_us = max(newest_us - self._program.disorder_us, lane.watermark_us)
        return sorted(lane.due_until(until_us))

    async def _load(
        self,
        events: Sequence[Event],
        routed: Sequence[list[tuple[str, Any]]],
        due: Sequence[str],
    ) -> None:
        parked = self._parked.keys
        wanted = dict.fromkeys(key for items in routed for key, _ in items if key not in parked)
        wanted |= dict.fromkeys(due)
        try:
            await self._keys.load(wanted)
        except _NOT_ITS_OWN:
            raise
        except FAILURES:
            await self._find_bad_key(events, routed)
            raise

    async def _find_bad_key(
        self, events: Sequence[Event], routed: Sequence[list[tuple[str, Any]]]
    ) -> None:
        """Whose key it is that is none: raises StepFailed."""
        for event, items in zip(events, routed, strict=True):
            for key, _ in items:
                try:
                    await self._keys.load([key])
                except _NOT_ITS_OWN:
                    raise
                except FAILURES as error:
                    raise StepFailed(event, "") from error

    def _advance(self, lane: Lane, event: Event) -> None:
        time_us = event.timestamp_us if self._event_time is None else self._event_time(event)
        seen_us = time_us - self._program.disorder_us
        if seen_us > lane.watermark_us:
            lane.watermark_us = seen_us

    def _take(self, lane: Lane, key: Key, change: Change, event: Event) -> None:
        """What a key has come to, but for what it asks for again (`_answer`)."""
        key.touched = self._batch
        if change.state is None and change.due_us is not None:
            raise ValueError("a key of which nothing is kept is due at no moment")
        if self._program.keeps_state:
            key.state = change.state
            lane.plan(key.name, change.due_us)
            self._touched[key.name] = key, change.due_us, event
        elif change.state is not None or change.again:
            raise ValueError("it keeps no state, and comes to one")
        if change.outputs:
            self._made += [(key, output, event) for output in change.outputs]

    async def _answer(
        self, lane: Lane, key: Key, wanted: Sequence[Stretch], event: Event, depth: int = 1
    ) -> None:
        """Stretches that a key has asked for again."""
        if depth > self.DEEPEST:
            raise ValueError(f"it asks for stretches again, {self.DEEPEST} times for one event")
        for stretch in wanted:
            items = await self._stretches.items(key.name, stretch, event)
            more = self._program.again(key.name, stretch, items, key.state, lane.watermark_us)
            self._take(lane, key, more, event)
            if more.again:
                await self._answer(lane, key, more.again, event, depth + 1)

    async def _read_again(self, stretch: Stretch, through: int) -> list[Event]:
        """All that the log has in a stretch of event time, up to a position."""
        wanted = replace(self._selection, moments_us=(stretch.start_us, stretch.end_us))
        found: list[Event] = []
        after = self._began
        while after < through:
            page = await self._reading.read(after, through - after, wanted)
            found += self._decoder.events(page.rows)
            after = page.through
        return found

    async def _note_types(self) -> None:
        """The log is about to have events of these types."""
        named = (_type_of(output.payload) for _, output, _ in self._made)
        names = {name for name in named if isinstance(name, str)} - self._noted
        if names:
            await self._store.note_event_types([(self._program.name, name) for name in names])
            if SENT in names:
                self._on_message()
            self._noted |= names

    def _encode(self, effects: Effects) -> None:
        clock, before = self._clock, len(effects.rows)
        for key, output, event in self._made:
            try:
                name, types, data, schema = self._encoded(output)
                cause = event.id_bytes
                correlation = event.correlation_id
                row = encode_row(
                    self._new_id(),
                    key.aggregate_id,
                    (key.version or 0) + 1,
                    output.at_us,
                    types,
                    key.source_field,
                    data,
                    CLOCK % (clock.prefix, clock.ticks + 1),
                    # Without one of its own: the index of causes has no event that names one id
                    # twice (docs/decisions/0065).
                    cause_fields(
                        correlation.bytes if correlation else None, cause, metadata_of(schema)
                    ),
                )
            except FAILURES as error:
                self._take_back(len(effects.rows) - before)
                raise StepFailed(event, key.name) from error
            key.version = (key.version or 0) + 1
            clock.ticks += 1
            effects.rows.append(row)
            effects.types.append(name)
            effects.bytes += len(row)
        for key, due_us, event in self._touched.values():
            try:
                change, size = self._keys.kept.change(key.name, key.state, due_us)
            except FAILURES as error:
                raise StepFailed(event, key.name) from error
            if isinstance(change, RowChange):
                effects.projected[key.name] = change
            else:
                effects.states[key.name] = change
            effects.bytes += size

    def _take_back(self, count: int) -> None:
        """So many outputs of this batch have their versions and ticks, and come to nothing: of a
        program without states, the batch may be evaluated again up to where it fails."""
        self._clock.ticks -= count
        for key, _, _ in self._made[:count]:
            key.version = (key.version or 0) - 1

    def _encoded(self, output: Output) -> tuple[str, bytes, bytes, int]:
        """Its type's name and columns, its data, and of which schema that is."""
        payload = output.payload
        if isinstance(payload, Tell):
            return *_OF_TELLS, tell_text(payload, returns=False)[0], 1
        kind: Any = getattr(payload, "kind", "")
        if is_message_event(str(_type_of(payload)), kind):
            problem = "messages to actors are put out as a Tell((Type, name), message)"
            raise InvalidData(str(_type_of(payload)), problem)
        if is_timer_event(str(_type_of(payload)), kind):
            raise InvalidData(str(_type_of(payload)), "events of timers are made by actors alone")
        if isinstance(payload, Fact):
            known = self._types.get((payload.event_type, payload.kind))
            if known is None:
                known = payload.event_type, type_fields(payload.event_type, payload.kind), 1
                self._types[payload.event_type, payload.kind] = known
            data = encode_data(payload.event_type, dict(payload.data))
            return *known[:2], data, payload.schema_version
        if not isinstance(payload, Payload):
            raise InvalidData(
                f"{payload!r:.80}",
                "what comes out of a program is a payload of an event, a Fact or a Tell",
            )
        known = self._types.get(payload.__class__)
        if known is None:
            name, kind = type(payload).event_type, type(payload).kind
            version = version_of(type(payload))
            known = self._types[payload.__class__] = name, type_fields(name, kind), version
        return *known[:2], encode_payload(known[0], payload), known[2]

    def _finish(self, lane: Lane, events: Sequence[Event], through: int) -> None:
        """They are finished, each in the slot of its own source."""
        slots = lane.slots
        for event in events:
            slot = slot_of_event(event)
            if slot in slots:
                lane.finish(slot, event.id_bytes)
        lane.position = max(lane.position, through)
