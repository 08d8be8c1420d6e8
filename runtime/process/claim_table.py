"""The way of a directory to the claim on its database: the row, and the traces that stand in it."""

import getpass
import os
import socket
from collections.abc import Callable
from typing import Protocol

import msgspec

from runtime.process.partitioning import database_of
from runtime.process.traces import have_ended, own_traces
from runtime.settings.settings import Settings
from store.postgres.claims import Claim, Claimant, MayTake, find
from store.postgres.connections import Connections
from store.postgres.migrations import Telling, migrate
from store.postgres.moving_address import MovingAddress
from store.postgres.partition_database import ensure_database, note_database
from store.postgres.queries import QUERIES


class ClaimTable(Protocol):
    """One database's claim, for one directory. Whatever asks the database raises StoreUnavailable
    while that is away, within a bound of time."""

    @property
    def where(self) -> str:
        """Which database it is, for people."""

    async def take(self, holder: str, may_take: MayTake, tell: Telling) -> None:
        """Claim the database, and bring its schema up to date, or change nothing: raises
        DatabaseClaimed when somebody else has it and it may not be taken, and SchemaMismatch.
        `tell` hears of each migration, which takes the time that it takes."""

    async def log(self) -> str:
        """What tells the log from any other: when its database got its first schema."""

    async def renew(self, holder: str) -> bool:
        """Give a sign of life, if the claim is this holder's and was not given up; is it?"""

    async def find(self) -> Claim | None:
        """The claim as it is now. A database that has no schema yet has none."""

    async def give_up(self, holder: str) -> None:
        """Leave the database free, if the claim is this holder's."""

    def has_ended(self, found: Claim) -> bool:
        """Has the system that claims it certainly ended, as far as can be seen from here?"""

    def close(self) -> None:
        """Give the connection back."""


class PostgresClaimTable:
    """The real one. `settings` tells them as they are now: an embedded database may move."""

    #: A sign of life that does not get through within this long is given up for the next one, so
    #: that one that is stuck does not use up the time that there is for ten.
    BEAT_LIMIT_S = 5.0

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._connections: Connections | None = None  #: from the first question on

    @property
    def where(self) -> str:
        return str(MovingAddress(self._url()))

    async def take(self, holder: str, may_take: MayTake, tell: Telling) -> None:
        settings, traces = self._settings(), own_traces()
        timeout_s = settings.actor_system.actor_timeout_ms / 1000
        database = database_of(settings)
        unknown = await ensure_database(database, timeout_s)
        await migrate(
            self._url(),
            timeout_s=timeout_s,
            claimant=Claimant(
                holder=holder,
                system=settings.event_bus.node_id,
                namespace=settings.actor_system.namespace,
                place=f"{_user()}@{socket.gethostname()} on the Ray at {traces.head}",
                traces=msgspec.json.encode(traces).decode(),
                partition=settings.event_store.partition,
                partitions=settings.event_store.partitions,
            ),
            may_take=may_take,
            tell=tell,
        )
        if unknown:
            await note_database(database, timeout_s)

    async def log(self) -> str:
        [born] = await (await self._opened()).fetch(QUERIES["log_born"])
        return str(born["applied_at"])

    async def renew(self, holder: str) -> bool:
        return bool(await (await self._opened()).fetch(QUERIES["renew_claim"], holder))

    async def find(self) -> Claim | None:
        connections = await self._opened()
        [there] = await connections.fetch(QUERIES["knows_claims"])
        return await find(connections) if there["knows"] else None

    async def give_up(self, holder: str) -> None:
        await (await self._opened()).fetch(QUERIES["give_up_claim"], holder)

    def has_ended(self, found: Claim) -> bool:
        return have_ended(found.traces, self._settings(), found.namespace)

    def close(self) -> None:
        if self._connections is not None:
            self._connections.close()
            self._connections = None

    async def _opened(self) -> Connections:
        if self._connections is None:
            self._connections = await Connections.open(
                MovingAddress(self._url(), self._whereabouts),
                pool_size=1,
                timeout_s=min(
                    self._settings().actor_system.actor_timeout_ms / 1000, self.BEAT_LIMIT_S
                ),
                operation_s=self.BEAT_LIMIT_S,
            )
        return self._connections

    async def _whereabouts(self) -> str:
        return self._url()

    def _url(self) -> str:
        return self._settings().event_store.connection_string.get_secret_value()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number alone
        return f"uid {os.getuid()}"
