"""Why an event is in the log: what has caused it, what it has caused, and what happened beside it.

An event names its cause by an id: of the event that it follows from, or of a command. The id of a
command's first event says which command that is (actors/ids.py), so a command stands for that event
wherever it is named as a cause. The events of one command are no causes of one another, and what
comes later in the log is no cause of what was there before.

Causes are what senders have said; how two events stand in time is read off their vector clocks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from actors.clock import CausalRelation
from actors.event import Event
from actors.ids import event_id
from actors.moments import checked_us
from store.errors import UnknownEvent
from store.event_store import Found
from store.rows.decoding import Decoder

#: An explanation has so many ancestors, so many descendants and so many events of the correlation,
#: unless somebody wants more.
LIMIT, LARGEST_LIMIT = 1_000, 10_000
#: Causes that one query asks for.
_CAUSES = 500


class Traced(Protocol):
    """What is asked of a log. What EventStore is, and whatever reads several of them."""

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        """See EventStore."""

    async def find_caused(self, causes: Sequence[bytes], limit: int) -> Found:
        """See EventStore."""

    async def find_correlated(self, correlation_id: bytes, limit: int) -> Found:
        """See EventStore."""


#: Which of several logs an event is in; None where its source does not say it.
LogOf = Callable[[Event], int | None]

_APART = (CausalRelation.CONCURRENT, CausalRelation.CAUSALLY_INDEPENDENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One event between its causes and its effects. Whatever was left out, because there was too
    much of it, is said in `cuts`."""

    event: Event
    ancestors: tuple[Event, ...]  #: each the cause of the next, and the last one of the event
    #: What the first of that chain names as its cause and is no event in the log: mostly the
    #: command that began it all. None where it names nothing.
    origin: UUID | None
    descendants: tuple[Event, ...]  #: what it has caused, and what these have, by position
    correlated: tuple[Event, ...]  #: all events of its correlation, itself among them, by position
    causes: Mapping[UUID, UUID]  #: of each event here whose cause is here: the id of that
    cuts: tuple[str, ...]  #: what is left out, a sentence each
    #: Is it of several logs? Their events then stand in the order in which they were committed, by
    #: their writers' clocks, where it says "by position" here.
    across: bool = False

    @property
    def events(self) -> tuple[Event, ...]:
        """All that are here, by position."""
        parts = (self.ancestors, (self.event,), self.descendants, self.correlated)
        found = {event.id: event for part in parts for event in part}
        return _in_order(found.values(), across=self.across)

    @property
    def concurrent(self) -> tuple[Event, ...]:
        """Those of its correlation that neither are in its past nor have it in theirs."""
        return tuple(other for other in self.correlated if self.event.relation_to(other) in _APART)

    def effects_of(self, event: Event) -> tuple[Event, ...]:
        """What an event has caused directly, as far as that is here, by position."""
        return tuple(one for one in self.events if self.causes.get(one.id) == event.id)

    def relation(self, one: Event | UUID, other: Event | UUID) -> CausalRelation:
        """How one of the events here stands to another, read off their vector clocks. Raises
        ValueError for an id that none of them has."""
        return self._event(one).relation_to(self._event(other))

    def _event(self, given: Event | UUID) -> Event:
        if isinstance(given, Event):
            return given
        for event in self.events:
            if event.id == given:
                return event
        raise ValueError(f"{given} is none of the events of this explanation")


async def explain(
    store: Traced, id: UUID, limit: int = LIMIT, log_of: LogOf | None = None
) -> Explanation:
    """Explain the event of this id, or the first event of the command of this id. `log_of` says
    which of several logs has an event, where `store` reads several. Raises UnknownEvent where
    there is neither, and StoreUnavailable."""
    explained = _Explaining(store, limit, log_of)
    event = await explained.find(id)
    await explained.look_back(event)
    await explained.look_ahead(event)
    await explained.look_around(event)
    return explained.explanation(event)


class _Explaining:
    """An explanation on its way."""

    def __init__(self, store: Traced, limit: int, log_of: LogOf | None) -> None:
        self._store = store
        self._log_of = log_of
        self._limit = limit
        self._decoder = Decoder()
        self._ancestors: list[Event] = []  # the nearest first
        self._origin: UUID | None = None
        self._descendants: dict[UUID, Event] = {}
        self._correlated: dict[UUID, Event] = {}
        self._cuts: list[str] = []

    async def find(self, id: UUID) -> Event:
        """The event that is asked for."""
        named = await self._named(id)
        found = named.get(id) or named.get(first_event_of(id))
        if found is None:
            raise UnknownEvent(str(id))
        return found

    async def look_back(self, event: Event) -> None:
        """The chain of its causes."""
        seen = {event.id}
        while True:
            cause = await self._cause_of(event)
            if cause is None or cause.id in seen:  # publishers may name one another
                self._origin = event.causation_id
                return
            if len(self._ancestors) == self._limit:
                self._origin = event.causation_id
                self._cuts.append(
                    f"the chain of causes is longer than {self._limit:,}: what {event.id} follows "
                    "from is left out"
                )
                return
            self._ancestors.append(cause)
            seen.add(cause.id)
            event = cause

    async def look_ahead(self, event: Event) -> None:
        """Its effects, generation by generation."""
        generation, complete, asked = [event], True, event.id
        while generation and complete:
            causes = {each.id: each for each in generation}
            fresh: dict[UUID, Event] = {}
            for start in range(0, len(generation), _CAUSES):
                found, whole = await self._caused_by(generation[start : start + _CAUSES])
                complete = complete and whole
                for effect in found:
                    if effect.id == asked or effect.id in self._descendants:
                        continue
                    if cause_among(effect, causes, self._log_of) is not None:
                        fresh[effect.id] = effect
            room = self._limit - len(self._descendants)
            complete = complete and len(fresh) <= room
            generation = list(self._ordered(fresh.values())[:room])
            self._descendants |= {effect.id: effect for effect in generation}
        if not complete:
            self._cuts.append(
                f"of its effects only {len(self._descendants):,} are here: others of the last "
                "generation, and what they have caused, are left out"
            )

    async def look_around(self, event: Event) -> None:
        """The events of its correlation."""
        correlation = event.correlation_id
        self._correlated = {event.id: event}
        if correlation is None:
            return
        page = await self._store.find_correlated(correlation.bytes, self._limit + 1)
        events = self._ordered(self._decoder.events(page.rows))
        found = events[: self._limit]
        self._correlated |= {each.id: each for each in found}
        if page.more or len(events) > len(found):
            self._cuts.append(
                f"of the events of the correlation {correlation} only the first {len(found):,} are "
                f"here, up to {self._place(found[-1])}"
            )

    def explanation(self, event: Event) -> Explanation:
        """What was found."""
        ancestors = tuple(reversed(self._ancestors))
        known = {
            each.id: each for each in (*ancestors, event)
        } | self._descendants | self._correlated  # fmt: skip
        causes = {
            effect.id: cause
            for effect in known.values()
            if (cause := cause_among(effect, known, self._log_of)) is not None
        }
        return Explanation(
            event=event,
            ancestors=ancestors,
            origin=self._origin,
            descendants=self._ordered(self._descendants.values()),
            correlated=self._ordered(self._correlated.values()),
            causes=causes,
            cuts=tuple(self._cuts),
            across=self._log_of is not None,
        )

    def _place(self, event: Event) -> str:
        if self._log_of is None or event.recorded_at is None:
            return f"position {event.position:,}"
        return f"what was committed at {event.recorded_at.isoformat()}"

    def _ordered(self, events: Iterable[Event]) -> tuple[Event, ...]:
        return _in_order(events, across=self._log_of is not None)

    async def _cause_of(self, event: Event) -> Event | None:
        if event.causation_id is None:
            return None
        named = await self._named(event.causation_id)
        cause = cause_among(event, named, self._log_of)
        return None if cause is None else named[cause]

    async def _named(self, id: UUID) -> dict[UUID, Event]:
        """The events that an id may stand for."""
        wanted = [id.bytes, first_event_of(id).bytes]
        found: dict[UUID, Event] = {}
        while wanted:
            page = await self._store.find_rows(wanted)
            found |= {event.id: event for event in self._decoder.events(page.rows)}
            wanted = [each for each in wanted if UUID(bytes=each) not in found] if page.more else []
        return found

    async def _caused_by(self, events: Sequence[Event]) -> tuple[list[Event], bool]:
        """What names one of them, or its command, as its cause; and is that all of it?"""
        # An event's command has it as its first one, or there is no command of that id.
        ids = [each for event in events for each in (event.id, first_event_of(event.id))]
        causes = [each.bytes for each in ids]
        # They are among what is found, where their commands named nothing else.
        asked = self._limit + len(events) + 1
        page = await self._store.find_caused(causes, asked)
        found = self._decoder.events(page.rows)
        return found, len(found) < asked and not page.more


def first_event_of(command: UUID) -> UUID:
    """The id of a command's first event; and of the command whose first event has that id."""
    return UUID(bytes=event_id(command.bytes, 0))


def cause_among(
    effect: Event, known: Mapping[UUID, Event], log_of: LogOf | None = None
) -> UUID | None:
    """The one of the known events, by its id, that has caused another one."""
    named = effect.causation_id
    if named is None:
        return None
    if (cause := known.get(named)) is not None and _before(cause, effect, log_of):
        return cause.id
    first = known.get(first_event_of(named))
    if first is None or not _before(first, effect, log_of) or _of_one_command(first, effect, named):
        return None
    return first.id


#: By the clocks of two events of different logs, the one may have caused the other.
_MAY_CAUSE = (
    CausalRelation.HAPPENED_BEFORE,
    CausalRelation.CONCURRENT,
    CausalRelation.CAUSALLY_INDEPENDENT,
)


def _before(cause: Event, effect: Event, log_of: LogOf | None) -> bool:
    """By their positions in one log; what is in two, or may be, only their clocks can tell. These
    say nothing of an event that was published with a clock of its own: there it counts what the
    effect says, unless its clock says that it came first."""
    if log_of is not None:
        log = log_of(cause)
        if log is None or log != log_of(effect):
            return cause.relation_to(effect) in _MAY_CAUSE
    return (cause.position or 0) < (effect.position or 0)


def _of_one_command(first: Event, other: Event, command: UUID) -> bool:
    """Is it another event of the command whose first event that is? They have versions that follow
    on one another."""
    number = (other.version or 0) - (first.version or 0)
    return (
        first.aggregate_id == other.aggregate_id
        and number > 0
        and other.id_bytes == event_id(command.bytes, number)
    )


def _in_order(events: Iterable[Event], *, across: bool) -> tuple[Event, ...]:
    if not across:
        return tuple(sorted(events, key=lambda event: event.position or 0))
    return tuple(sorted(events, key=_committed))


def _committed(event: Event) -> tuple[int, int]:
    at = event.recorded_at
    return 0 if at is None else checked_us(at), event.position or 0
