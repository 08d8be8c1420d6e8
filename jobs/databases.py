"""Where the database of some settings is, for programs that ask it without a system, and whether it
is the one that they mean: the log itself says which of how many partitions it is."""

from typing import Any

import asyncpg

from runtime.cluster.embedded_database import folder_of
from runtime.errors import NotPossible
from runtime.process.partitioning import check_one_partition, each_partition
from runtime.settings.settings import Settings
from store.embedded.server import EmbeddedPostgres
from store.postgres.queries import QUERIES


class NoDatabase(NotPossible):
    """There is no database to ask."""


_PARTITION, _PARTITIONS = (
    "THORNBACK_EVENT_STORE__PARTITION",
    "THORNBACK_EVENT_STORE__PARTITIONS",
)

#: What is asked of a database is not asked of others.
_ONE = (
    "this asks one database, and each partition has its own: name one of them (DATABASE_URL, that "
    "of partition 1 has the name of the first one with _partition_1 behind it; the data_folder of "
    f"an embedded one ends in partition-1), and say which one it is with {_PARTITION}, here alone"
)


def asked_alone(settings: Settings) -> bool:
    """Do they say, beside how many partitions there are, which one they are of? A file that has
    all settings says 0 for the whole, the environment says it of the first one, too."""
    return settings.event_store.partition > 0 or _PARTITION in settings.origin(
        "event_store", "partition"
    )


def address_of(settings: Settings) -> str:
    """The URL of the database of these settings. Raises NoDatabase, and NotPossible where each
    partition has its own and they do not say which: see addresses_of."""
    if not asked_alone(settings):
        check_one_partition(settings, _ONE)
    return _address_of(settings)


def addresses_of(settings: Settings) -> list[tuple[str, Settings]]:
    """The URLs of the databases of all partitions, each with the settings of that one, in their
    order; of settings that say which one they are of, its own. Raises NoDatabase."""
    each = [settings] if asked_alone(settings) else each_partition(settings)
    return [(_address_of(theirs), theirs) for theirs in each]


async def check_partition(connection: Any, settings: Settings) -> None:
    """Raises NotPossible where the log is not of the partition that these settings are of: whoever
    asked it would take a part of the system for the whole. A log that does not say it is of one
    partition, and a role that may read views alone is not asked."""
    try:
        found = await connection.fetch(QUERIES["partition_of_log"])
    except asyncpg.UndefinedTableError:  # of an earlier release
        found = []
    except asyncpg.InsufficientPrivilegeError:
        return
    [(number, partitions)] = found or [(0, 1)]
    store = settings.event_store
    if (number, partitions) == (store.partition, store.partitions):
        return
    alone = f", and {_PARTITION}={number} beside it to ask this one alone" if partitions > 1 else ""
    raise NotPossible(
        f"the log in this database is partition {number} of {partitions}, and the settings here "
        f"are those of {store.partition} of {store.partitions}: the database and the settings have "
        f"to be of one system; for this one it is {_PARTITIONS}={partitions}{alone}"
    )


def _address_of(settings: Settings) -> str:
    store = settings.event_store
    if store.type == "memory":
        raise NoDatabase(
            'event_store.type is "memory": that log is in a process of the system, and no '
            "database; see `thornback history` and `thornback tail`"
        )
    given = store.connection_string.get_secret_value()
    if given:
        return given
    server = EmbeddedPostgres(folder_of(settings))
    if not server.running():
        raise NoDatabase(
            f"the embedded PostgreSQL in {store.data_folder} does not run: `thornback up` starts it"
        )
    return server.url
