"""Whose database it is: the row by which a system owns it.

A system claims its database when it is launched, says every few seconds that it lives, and gives
the claim up when it is drained. Whether a claim may be taken from a system that has not given it up
is for the caller to judge: by whether its sign of life changes, never by what time it is. What a
system that lost its claim still commits is refused by the fence of epochs, and it opens no epoch
any more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from store.errors import AnotherPartition, DatabaseClaimed
from store.postgres.queries import QUERIES

#: The first schema that knows of claims.
SINCE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """A system, as its claim has it."""

    holder: str  #: no two systems have the same
    system: str
    namespace: str
    place: str  #: who launched it and where, for people
    traces: str  #: by which a launch that is near can tell that it has ended
    partition: int = 0  #: which of its partitions it has the log of
    partitions: int = 1  #: of how many


class Sign(NamedTuple):
    """A sign of life: any other than the one before it is a new one. It says nothing of when."""

    beat: datetime  #: as the claim was renewed last
    head: int  #: how far the log has come


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Claimant):
    """A claim as it was found."""

    claimed_at: datetime
    beat: datetime  #: when its system last said that it lives, by the database's clock
    head: int  #: of the log
    silent_s: float  #: how long ago the beat was, for people: a clock may have been set since
    given_up: bool  #: is its system drained?

    @property
    def sign(self) -> Sign:
        """What changes while its system lives."""
        return Sign(self.beat, self.head)

    def __str__(self) -> str:
        ended = "drained since" if self.given_up else f"last seen {self.silent_s:.0f} s ago"
        return (
            f"system {self.system!r} in namespace {self.namespace!r}, launched "
            f"{self.claimed_at:%Y-%m-%d %H:%M:%S} UTC by {self.place}, {ended}"
        )


#: May a claim of somebody else be taken?
MayTake = Callable[[Claim], bool]


async def take(connection: Any, claimant: Claimant, may_take: MayTake, schema: int) -> None:
    """In a transaction that keeps others from claiming: take the claim, if it is free or ours
    or may be taken. Raises DatabaseClaimed."""
    if schema >= SINCE:
        found = await find(connection)
        if found is not None and found.holder != claimant.holder and not may_take(found):
            raise DatabaseClaimed(str(found))


async def hold(connection: Any, claimant: Claimant) -> None:
    """In the same transaction, once the schema has the table: it is ours from now on. Raises
    AnotherPartition where the log is that of another one than the claimant's."""
    ours = claimant.partition, claimant.partitions
    await connection.fetch(QUERIES["note_partition"], *ours)
    [found] = await connection.fetch(QUERIES["partition_of_log"])
    if (there := (found["number"], found["partitions"])) != ours:
        raise AnotherPartition(*("{} of {}".format(*each) for each in (there, ours)))
    await connection.execute(
        QUERIES["claim"],
        claimant.holder,
        claimant.system,
        claimant.namespace,
        claimant.place,
        claimant.traces,
    )


async def find(connection: Any) -> Claim | None:
    """The claim, if anybody ever made one. `connection` is anything with asyncpg's `fetch`."""
    rows = await connection.fetch(QUERIES["find_claim"])
    return Claim(**rows[0]) if rows else None
