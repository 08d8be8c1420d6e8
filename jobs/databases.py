"""Where the database of some settings is, for programs that ask it without a system."""

from runtime.cluster.embedded_database import folder_of
from runtime.errors import NotPossible
from runtime.process.partitioning import check_one_partition
from runtime.settings.settings import Settings
from store.embedded.server import EmbeddedPostgres


class NoDatabase(NotPossible):
    """There is no database to ask."""


#: What is asked of a database is not asked of others.
_ONE = (
    "this asks one database, and each partition has its own: name one of them (DATABASE_URL, that "
    "of partition 1 has the name of the first one with _partition_1 behind it; the data_folder of "
    "an embedded one ends in partition-1) with THORNBACK_EVENT_STORE__PARTITIONS=1, here alone"
)


def address_of(settings: Settings) -> str:
    """The URL of the database of these settings. Raises NoDatabase."""
    store = settings.event_store
    check_one_partition(settings, _ONE)
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
