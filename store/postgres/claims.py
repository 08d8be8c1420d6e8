"""Whose database it is: the row by which a system owns it.

A system claims its database when it is launched, says every few seconds that it lives, and gives
the claim up when it is drained. All by the database's own clock, so those of machines need not
agree. Whether a claim may be taken from a system that has not given it up is for the caller to
judge; what a system that lost its claim still commits is refused by the fence of epochs, and it
opens no epoch any more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from store.errors import DatabaseClaimed
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Claimant):
    """A claim as it was found."""

    claimed_at: datetime
    seen_at: datetime  #: when it last said that it lives, or committed
    silent_s: float  #: how long ago that is
    given_up: bool  #: is its system drained?

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
            raise DatabaseClaimed(str(found), found.seen_at.isoformat(), found.silent_s)


async def hold(connection: Any, claimant: Claimant) -> None:
    """In the same transaction, once the schema has the table: it is ours from now on."""
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
