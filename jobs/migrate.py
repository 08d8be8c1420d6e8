"""Bring the database's schema up to date, and nothing else; needs no Ray.

A launch does the same. Apart from it, a migration that takes long is not under a launch's deadline.
Nothing is changed while a system has the database, and nobody can launch on it meanwhile.
"""

import asyncio
import secrets
import socket

import msgspec

from jobs.command_line import console, parser, run, settings_of
from runtime.process.partitioning import check_one_partition
from runtime.process.traces import Traces
from runtime.settings.settings import ConfigurationError, Problem, Settings
from store.errors import SchemaMismatch
from store.postgres.claims import Claim, Claimant
from store.postgres.connections import Connections
from store.postgres.migrations import Step, check_schema, migrate
from store.postgres.moving_address import MovingAddress
from store.postgres.queries import QUERIES


async def migrate_alone(settings: Settings) -> bool:
    """Bring the schema up to date; was it not?

    Where it was, nothing is touched, and a system may have the database. Where it was not, the
    claim is held meanwhile, and given up: raises DatabaseClaimed while a system has it, also one
    that ended without giving it up, which a launch can tell. Raises ConfigurationError
    where no database is named, NotPossible where there are several partitions, StoreUnavailable,
    and SchemaMismatch for a newer schema.
    """
    check_one_partition(settings, "the partitions of a system are brought up to date by its launch")
    url = settings.event_store.connection_string.get_secret_value()
    if settings.event_store.type != "postgres" or not url:
        raise ConfigurationError(_no_database(settings))
    timeout_s = settings.actor_system.actor_timeout_ms / 1000
    connections = await Connections.open(MovingAddress(url), pool_size=1, timeout_s=timeout_s)
    try:
        if await _is_up_to_date(connections):
            return False
        claimant = claimant_of(settings, "migration")
        await migrate(url, timeout_s=timeout_s, claimant=claimant, may_take=is_given_up, tell=_tell)
        await connections.fetch(QUERIES["give_up_claim"], claimant.holder)
    finally:
        connections.close()
    return True


def _no_database(settings: Settings) -> Problem:
    return Problem(
        settings.origin("event_store", "connection_string"),
        "event_store.connection_string",
        "no database",
        "one that is there before a launch (DATABASE_URL): an embedded one is started and brought "
        "up to date by the launch, and type = 'memory' has none",
    )


async def _is_up_to_date(connections: Connections) -> bool:
    async with connections.use() as connection:
        try:
            await check_schema(connection)
        except SchemaMismatch:
            return False
    return True


def claimant_of(settings: Settings, what: str) -> Claimant:
    """Who has the claim on a database while something is done to it without a system."""
    nowhere = Traces(session="", head="", machine="", raylet=0, raylet_began_s=0.0)
    return Claimant(
        holder=f"{what}-{secrets.token_hex(8)}",
        system=settings.event_bus.node_id,
        namespace=settings.actor_system.namespace,
        place=f"a {what} on {socket.gethostname()}",
        traces=msgspec.json.encode(nowhere).decode(),
        partition=settings.event_store.partition,
        partitions=settings.event_store.partitions,
    )


def is_given_up(found: Claim) -> bool:
    """May the database be taken from who had it?"""
    return found.given_up


def _tell(step: Step | None) -> None:
    said = "waiting for another migration" if step is None else f"migration {step[0]} of {step[1]}"
    console.print(said, markup=False)


def main() -> int:
    settings = settings_of(parser(__doc__).parse_args())
    changed = asyncio.run(migrate_alone(settings))
    console.print("the schema is up to date now" if changed else "the schema was up to date")
    return 0


if __name__ == "__main__":
    run(main)
