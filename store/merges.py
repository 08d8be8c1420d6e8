"""The merge of several logs into one order, which is written down before anybody goes by it.

A stream program over several partitions reads their logs as one: a merge says in which order. It is
made of legs, each a piece of one log behind the piece before. An event has its place in the merge,
counted through all legs, as it has its position in its log; so whoever reads a merge again meets
the same events in the same order, and one number says how far he is. The order of each log is kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """That of one program: it begins behind a position of each log. Its `number` is of no other
    one, nor of one of the same name that was there before."""

    number: int
    program: str
    began: tuple[int, ...]

    @property
    def start(self) -> int:
        """The place behind which its first leg comes. As places count the events of all logs, each
        place is the sum of how far it is in them."""
        return sum(self.began)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A piece of one log: `length` positions of it behind `log_after` have the places behind
    `after`."""

    after: int
    partition: int
    log_after: int
    length: int
    merged_us: int  #: when it was put there, Unix microseconds; no earlier than the leg before
    #: The newest event time of what the program selects of that log, up to the end of this leg,
    #: and when the last leg was put there that has anything of it. None: there is nothing yet.
    newest_us: int | None = None
    heard_us: int | None = None

    @property
    def through(self) -> int:
        """The place of its last event."""
        return self.after + self.length

    @property
    def log_through(self) -> int:
        """The position of that in its log."""
        return self.log_after + self.length


def reached(merge: Merge, place: int, legs: Iterable[Leg]) -> tuple[int, ...]:
    """How far in each log a place is, by the last legs that begin before it, one of each log that
    has any (EventStore.last_legs)."""
    found = list(merge.began)
    for leg in legs:
        found[leg.partition] = leg.log_after + min(leg.length, place - leg.after)
    return tuple(found)


def check_consecutive(legs: Sequence[Leg]) -> None:
    """Does each begin where the one before ends? Raises ValueError."""
    if not legs or any(leg.length < 1 for leg in legs):
        raise ValueError("a merge is extended by legs of at least one position each")
    for leg, following in pairwise(legs):
        if following.after != leg.through:
            raise ValueError(f"a leg behind {leg.through} begins behind {following.after}")
