"""What is parked of the slots that a worker has: keys and sources whose events wait
(store/dead_letters.py), and why."""

from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

from runtime.host.failing_code import own_frames
from runtime.wire.error_codec import text_of_error
from store.dead_letters import Parked
from store.event_store import EventStore

#: Where a program fails: the position of an event, and the key; "" before there is one.
Place = tuple[int, str]

#: Characters of a reason that are kept; the log lines of the worker have it all.
_REASON = 2_000


class StillParked(Exception):
    """An event that waits for its source is for a key that is parked itself."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"it is for the key {self.key!r}, which is parked: replay or drop that first"


class Failure(NamedTuple):
    """What a program has failed with for good at one place, and what becomes of that."""

    reason: str
    frames: tuple[str, ...] = ()
    tries: int = 0
    skip: bool = False

    @classmethod
    def of(cls, error: BaseException, tries: int, *, skip: bool = False) -> "Failure":
        """In texts that a database holds."""
        frames = tuple(_storable(frame) for frame in own_frames(error))
        return cls(_storable(text_of_error(error))[:_REASON], frames, tries, skip)


@dataclass(slots=True)
class ParkedHere:
    """The keys that are parked, each with the moment at which it would be looked at again; and the
    sources, each with the slots that owe its events, and from which position on."""

    program: str
    keys: dict[str, int | None]
    sources: dict[str, dict[int, int]]

    def __init__(self, program: str) -> None:
        self.program = program
        self.keys, self.sources = {}, {}

    def __len__(self) -> int:
        return len(self.keys) + len(self.sources)

    async def load(self, store: EventStore, slots: Set[int]) -> None:
        """What there is of these slots, as the store has it. Raises StoreUnavailable."""
        for by_source, name, position, owed in await store.parked_heads(self.program):
            theirs = [slot for slot in slots if owed >> slot & 1]
            if theirs and by_source:
                first = self.sources.setdefault(name, {})
                for slot in theirs:
                    first[slot] = min(position, first.get(slot, position))
            elif theirs:
                self.keys[name] = None

    def copied(self) -> "ParkedHere":
        """The same, to be changed by itself."""
        other = ParkedHere(self.program)
        other.keys = dict(self.keys)
        other.sources = {source: dict(owed) for source, owed in self.sources.items()}
        return other

    def all(self) -> list[Parked]:
        """Everything, keys first: an event of a source may be for a key that is parked."""
        keys = [Parked(self.program, False, key) for key in self.keys]
        return keys + [Parked(self.program, True, source) for source in self.sources]


def _storable(text: str) -> str:
    """Without what no text of a database has: halves of surrogate pairs, and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\\0")
