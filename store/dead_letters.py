"""Dead letters: what a stream program could not process, with the reason, and what queues behind.

A program that fails at an event of a key, and is to park it, goes on without that key: the event is
a dead letter, and later events of the key queue behind it. Where no key is known, because it failed
before it could say one, the source of the event is parked instead.

Each letter names the slots that owe the event. Of a key that is one; of a source all slots do, and
each of them pays by itself, because an event may come to keys of any slot.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple


class Parked(NamedTuple):
    """What waits: a key of a program, or a source of events."""

    program: str
    by_source: bool
    name: str  #: the key, or the source

    def __str__(self) -> str:
        return f"the source {self.name!r}" if self.by_source else f"the key {self.name!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterChange:
    """An event that waits from now on, or `gone`: that does so no longer.

    `slots` has a bit of each slot that owes it, or has paid. Without a `reason` it queues behind
    one that has one. `watermark_us` is that of the program before the event.
    """

    parked: Parked
    position: int
    event_id: bytes
    slots: int
    watermark_us: int
    reason: str | None = None
    frames: tuple[str, ...] = ()
    tries: int = 0
    gone: bool = False

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return 64 + len(self.parked.name) + len(self.reason or "") + sum(map(len, self.frames))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that waits, as a store has it."""

    parked: Parked
    position: int
    event_id: bytes
    slots: int
    watermark_us: int
    reason: str | None
    frames: tuple[str, ...]
    tries: int
    #: By the clock of the store, and for people alone.
    parked_at: datetime = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedQueue:
    """Something that waits: the first of its letters that has a reason, and how many there are."""

    first: DeadLetter
    letters: int


class ParkedHead(NamedTuple):
    """A letter that has a reason, as a worker that begins has to know of it."""

    by_source: bool
    name: str
    position: int
    slots: int


def merged(changes: Iterable[LetterChange]) -> list[LetterChange]:
    """At most one of each letter that waits, of slots of several workers, and one that is gone."""
    found: dict[tuple[Parked, int, bool], LetterChange] = {}
    for change in changes:
        key = change.parked, change.position, change.gone
        there = found.get(key, change)
        told = change if change.reason is not None else there
        slots, tries = there.slots | change.slots, max(there.tries, change.tries)
        found[key] = replace(told, slots=slots, tries=tries)
    return [found[key] for key in sorted(found)]


def slots_mask(slots: Iterable[int]) -> int:
    """Slots as bits."""
    return sum(1 << slot for slot in set(slots))
