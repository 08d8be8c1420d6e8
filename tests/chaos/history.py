"""What a run leaves behind, as plain rows: the log, what drivers and subscribers wrote down, and
what was made of the log.

The checker's own: nothing here, and in what judges it, is imported from what is checked.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One row of the log."""

    position: int
    id: bytes
    aggregate_id: bytes
    source: str
    version: int
    event_type: str
    kind: str
    data: Mapping[str, Any]
    causation_id: bytes | None
    recorded_us: int
    at_us: int  #: when it happened, as its host says


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event as a driver was told of it."""

    id: bytes
    position: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One time that a driver sent a command, and what it heard."""

    driver: str  #: and which of its incarnations: an order between them is nobody's promise
    number: int  #: in the order in which this incarnation sent
    id: bytes
    source: str
    message_type: str
    data: Mapping[str, Any]
    sent_ns: int  #: by the machine's monotonic clock, before it was sent
    outcome: str | None = None  #: "acknowledged", "rejected", the name of an error; None: no answer
    answered_ns: int | None = None
    events: Sequence[Told] = ()

    @property
    def acknowledged(self) -> bool:
        """Has the driver been told that it is durable?"""
        return self.outcome == "acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One event as a subscriber had it."""

    position: int
    id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSet:
    """A machine's clock was set."""

    machine: str
    by_us: int  #: by so much it is off from then on
    from_ns: int  #: by the machine's monotonic clock: not before
    until_ns: int  #: and not after


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    """How far a subscription, or a slot of a program, has come, and its receipt."""

    name: str
    event_types: Sequence[str]
    sources: Sequence[str]
    kinds: Sequence[str]
    began: int
    position: int
    finished: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyRow:
    """A row of the projection: what is known of a counter."""

    key: str
    events: int
    amount: int
    through: int


@dataclass(frozen=True, kw_only=True)
class History:
    """All of a run."""

    events: Sequence[EventRow]  #: by position
    sendings: Sequence[Sending]
    #: By the subscription's name: what each of its readers saw, one reader after the other.
    seen: Mapping[str, Sequence[Sequence[Seen]]] = field(default_factory=dict)
    checkpoints: Sequence[CheckpointRow] = ()
    tallies: Sequence[TallyRow] = ()
    #: The time of day when the monotonic clock was at 0, by the right clock; None: nobody knows.
    zero_us: int | None = None
    clocks: Sequence[ClockSet] = ()  #: as they were set, one after the other

    @cached_property
    def by_cause(self) -> Mapping[bytes, Sequence[EventRow]]:
        """The events that name each cause, by position."""
        found: dict[bytes, list[EventRow]] = defaultdict(list)
        for row in self.events:
            if row.causation_id is not None:
                found[row.causation_id].append(row)
        return found

    @cached_property
    def by_id(self) -> Mapping[bytes, EventRow]:
        """The events by id."""
        return {row.id: row for row in self.events}

    @cached_property
    def by_command(self) -> Mapping[bytes, Sequence[Sending]]:
        """All times that each command was sent."""
        found: dict[bytes, list[Sending]] = defaultdict(list)
        for sending in self.sendings:
            found[sending.id].append(sending)
        return found

    @cached_property
    def spread_us(self) -> int:
        """By how much the clocks of two machines were apart at the most."""
        off = [0, *(each.by_us for each in self.clocks)]
        return max(off) - min(off)

    def effects(self, cause: bytes, source: str) -> Sequence[EventRow]:
        """What a command, or a message, has led to at who it was for. Ids that are made in one
        millisecond count up, and the first event of a command has the id of another command then
        (docs/semantics.md, G3): so what others have made of that event is no effect of the command.
        """
        return [row for row in self.by_cause.get(cause, ()) if row.source == source]

    def of_sources(self, prefix: str) -> Iterable[EventRow]:
        """Those whose source begins so, by position."""
        return (row for row in self.events if row.source.startswith(prefix))


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a history."""

    #: loss, duplicate, gap, reordering, altered, stranger, early, moment, receipt, projection,
    #: limit
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"
