"""Erasing an actor: what a store is asked to forget, and the receipt of that.

An actor is over by its event `actor-erased`, which its host has put into the log; nothing of it
comes behind that. What the store does then is the same however often it is done, so whoever finds
that event, and does not know whether all is done, does it (docs/decisions/0091).
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self, get_origin

from actors.naming import OURS, TIMERS
from store.errors import StoreError
from store.receipts import Receipt

#: In the place of the snapshot of an actor that was erased, at the version of its last tombstone:
#: whoever loads it reads none of them, and an older snapshot that comes late is not kept.
ERASED_SNAPSHOT = b"erased"

#: What stands in a dead letter in the place of a reason that may tell of what was erased.
REASON_ERASED = "what it failed at was erased"

#: Who works for these may have read what is erased, and not have said so to the store yet; beside
#: the slots of all programs.
READERS = (TIMERS, OURS)

#: What the name ends with under which messages are returned, which is an append without a
#: checkpoint: the epoch of that name is over, too.
RETURNER = f".workers/{OURS}"


class NotErased(StoreError):
    """The log does not say that this actor is over: there is nothing to be forgotten."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.source = source

    def __str__(self) -> str:
        return f"the log has no actor-erased of {self.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What is to be forgotten: an actor, and under which keys programs keep what they have of it.
    Its source is one of them."""

    source: str
    keys: tuple[str, ...]

    @classmethod
    def of(cls, source: str, more: Sequence[str] = ()) -> Self:
        """That of an actor; its source need not be among the keys."""
        return cls(source=source, keys=(source, *sorted(set(more) - {source})))


def outputs_of(keys: Iterable[str], programs: Sequence[str]) -> list[str]:
    """The sources under which programs may have put something out under these keys: PROGRAM/KEY.
    That of one is the key of the next, where that gives none of its own."""
    return sorted(f"{program}/{key}" for program in programs for key in keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a log has forgotten of an actor that is at home in another one: so many outputs of
    programs, states, rows and dead letters."""

    outputs: int
    states: int
    rows: int
    dead_letters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReceipt:
    """What was forgotten of an actor. `thornback verify --receipt` holds it against the database.

    The digest is that of the ids of all its events up to `actor-erased`, as in the receipt of a
    subscription: they are there still, each in its place.
    """

    source: str
    reason: str
    keys: tuple[str, ...]
    version: int  #: of actor-erased
    position: int  #: of it
    events: int  #: those before it that have no data any more
    digest: str  #: hexadecimal
    snapshots: int
    timers: int
    states: int  #: of keys of programs
    rows: int  #: of projections
    dead_letters: int
    outputs: int  #: events of programs, of its keys; and messages that were returned to it

    def plus(self, again: "ErasureReceipt") -> "ErasureReceipt":
        """Of what was done in two goes, the second one of which has found only the rest."""
        counted = {name: getattr(self, name) + getattr(again, name) for name in _COUNTED}
        keys = (self.source, *sorted({*self.keys, *again.keys} - {self.source}))
        return replace(again, keys=keys, **counted)

    def with_more(self, elsewhere: Forgotten) -> "ErasureReceipt":
        """With what was forgotten in another log."""
        counted = {name: getattr(self, name) + more for name, more in asdict(elsewhere).items()}
        return replace(self, **counted)

    def as_json(self) -> dict[str, Any]:
        """As values of JSON."""
        return asdict(self) | {"keys": list(self.keys)}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Back again. Raises ValueError for what is no receipt."""
        try:
            made = cls(**{**values, "keys": tuple(values["keys"])})
            wrong = [
                each.name
                for each in fields(cls)
                if type(getattr(made, each.name)) is not (get_origin(each.type) or each.type)
            ]
        except (TypeError, KeyError) as error:
            raise ValueError(f"this is no receipt of an erasure: {error}") from error
        if wrong or not all(isinstance(key, str) for key in made.keys):
            raise ValueError(f"this is no receipt of an erasure: look at {', '.join(wrong)}")
        return made


_COUNTED = ("snapshots", "timers", "states", "rows", "dead_letters", "outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What a database has of an actor that was erased: everything is zero where nothing is left."""

    events: int  #: with data, before its actor-erased
    snapshots: int
    timers: int
    states: int
    rows: int
    dead_letters: int
    outputs: int

    @property
    def none(self) -> bool:
        """Is nothing left?"""
        return not any(asdict(self).values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What was found when a receipt was held against the database."""

    remains: Remains
    ids: Receipt  #: of the events that are there, up to actor-erased
    since: int  #: events of it that stand behind that: it has begun anew
    kept: bool  #: does the database know of this erasure?

    def agrees(self, receipt: ErasureReceipt) -> bool:
        """Is every event in its place, and nothing of it left? Of an actor that has begun anew
        programs may have something again."""
        left = self.remains
        if self.since:
            left = replace(left, states=0, rows=0, dead_letters=0, outputs=0)
        return (
            self.kept
            and left.none
            and self.ids.count == receipt.version
            and self.ids.digest.hex() == receipt.digest
        )
