"""The settings of one partition of a system, made of those of the whole."""

import json

from runtime.errors import LaunchFailed, NotPossible
from runtime.settings.configuration import ConfigurationError, Problem
from runtime.settings.settings import Settings
from runtime.topology.partitions import namespace_of, node_id_of, node_ids
from runtime.topology.status import Topology
from store.postgres.moving_address import address_of
from store.postgres.partition_database import (
    PartitionDatabase,
    name_of,
    twice_used,
    url_of_partition,
)

LAST_PORT = 65_535

#: Values by section and key.
Changes = dict[tuple[str, str], object]

_ORIGIN = "the settings of the system, for its partition {}"


def check_partitioned(settings: Settings) -> None:
    """Raises ConfigurationError where a system cannot be launched with so many partitions."""
    store, system = settings.event_store, settings.actor_system
    if store.partition:
        raise ConfigurationError(
            Problem(
                settings.origin("event_store", "partition"),
                "event_store.partition",
                str(store.partition),
                "0: a launch is one of all partitions, and sets it for each",
            )
        )
    if system.hosts < store.partitions:
        raise ConfigurationError(
            Problem(
                settings.origin("actor_system", "hosts"),
                "actor_system.hosts",
                str(system.hosts),
                f"at least {store.partitions}: each of event_store.partitions has hosts of its own",
            )
        )
    _check_databases(settings)
    if store.partitions > 1:
        _check_metrics(settings)


def _check_databases(settings: Settings) -> None:
    """Has each partition a database of its own?"""
    store = settings.event_store
    url, count = store.connection_string.get_secret_value(), store.partitions
    if store.partition_urls:
        expected = f"{count - 1}: one for each partition but the first, which connection_string is"
        if (given := len(store.partition_urls)) != count - 1:
            raise _wrong(settings, "partition_urls", f"{given} URLs", expected)
        if not url:
            expected = "the URL of the first partition, as event_store.partition_urls is given"
            raise _wrong(settings, "connection_string", "nothing", expected)
    try:
        urls = urls_of(settings) if url else []
    except ValueError as error:
        expected = "the name of a database, beside which the other partitions have theirs"
        raise _wrong(settings, "connection_string", str(error), expected) from error
    if not all(map(name_of, urls)) and count > 1:
        raise _wrong(settings, "partition_urls", "a URL without a database", "HOST/NAME in each")
    if (twice := twice_used(urls)) is not None:
        found = f"partitions {twice[0]} and {twice[1]} with {address_of(urls[twice[0]])}"
        raise _wrong(settings, "partition_urls", found, "a database of its own for each")


def _check_metrics(settings: Settings) -> None:
    """Is there a port for the metrics of each?"""
    metrics, gateway = settings.metrics, settings.gateway
    if not (settings.event_bus.metrics_enabled and metrics.port):
        return
    last = metrics.port + settings.event_store.partitions - 1
    if last > LAST_PORT:
        expected = f"at most {LAST_PORT - settings.event_store.partitions + 1}: each partition "
        expected += "serves metrics at a port of its own, this one and those that follow"
        raise _wrong(settings, "port", str(metrics.port), expected, section="metrics")
    if gateway.enabled and metrics.port <= gateway.port <= last:
        expected = f"another one than {metrics.port} to {last}, where the partitions serve metrics"
        raise _wrong(settings, "port", str(gateway.port), expected, section="gateway")


def _wrong(
    settings: Settings, key: str, found: str, expected: str, *, section: str = "event_store"
) -> ConfigurationError:
    origin = settings.origin(section, key)
    return ConfigurationError(Problem(origin, f"{section}.{key}", found, expected))


def urls_of(settings: Settings) -> list[str]:
    """The URLs of the databases of all partitions, in their order, of settings that name the one of
    the first. Raises ValueError for a name beside which there can be no others."""
    store = settings.event_store
    url = store.connection_string.get_secret_value()
    others = [each.get_secret_value() for each in store.partition_urls] or [
        url_of_partition(url, each) for each in range(1, store.partitions)
    ]
    return [url, *others]


def database_of(settings: Settings) -> PartitionDatabase:
    """Where the log of a partition is, by its settings."""
    store = settings.event_store
    first = store.partition_urls[0].get_secret_value() if store.partition_urls else ""
    url = store.connection_string.get_secret_value()
    return PartitionDatabase(url, store.partition, first if store.partition else "")


def check_same_partition(running: Topology, wanted: Settings) -> None:
    """Raises LaunchFailed where a system that runs already has another number of partitions than is
    wanted: who took it for his would find a part of it, or make actors anew in other logs."""
    there = Settings.model_validate_json(running.settings_json).event_store
    if there.partitions != wanted.event_store.partitions:
        raise LaunchFailed(
            f"the system that runs in namespace {wanted.actor_system.namespace!r} has "
            f"{there.partitions} partitions, and event_store.partitions is "
            f"{wanted.event_store.partitions} here: connect to it, or launch with its number"
        )


def node_ids_of(settings: Settings) -> list[str]:
    """The first parts of node names in vector clocks, of all partitions."""
    store = settings.event_store
    return node_ids(settings.event_bus.node_id, store.partition, store.partitions)


def sibling(settings: Settings, partition: int) -> Settings:
    """About those of another partition than the one that these are of: enough to speak to its
    actors, whose hosts correct what is not so. Where its log is, they do not say."""
    changes: Changes = {
        ("event_store", "connection_string"): "",
        ("event_store", "partition_urls"): [],
        ("event_store", "partition"): partition,
        ("event_bus", "node_id"): node_ids_of(settings)[partition],
        ("actor_system", "namespace"): namespace_of(whole_namespace(settings), partition),
    }
    return _changed(settings, changes, partition)


def whole_namespace(settings: Settings) -> str:
    """The namespace of the system that a partition is of."""
    namespace, partition = settings.actor_system.namespace, settings.event_store.partition
    return namespace.removesuffix(namespace_of("", partition)) if partition else namespace


def share_of(hosts: int, partition: int, partitions: int) -> int:
    """So many of the pooled hosts of a system are those of one of its partitions."""
    return hosts // partitions + (partition < hosts % partitions)


def whole_of(first: Settings, hosts: int) -> Settings:
    """Those of a system, by those of its first partition and how many pooled hosts all of them
    have: as it was launched."""
    changes: Changes = {("actor_system", "hosts"): hosts}
    return _changed(first, changes, 0)


def check_one_partition(settings: Settings, what: str) -> None:
    """Raises NotPossible for settings of several partitions, where `what` works on one."""
    if (count := settings.event_store.partitions) > 1:
        raise NotPossible(f"{what}, and event_store.partitions is {count}")


def each_partition(settings: Settings) -> list[Settings]:
    """Those of all its partitions, in their order; of a system of one, its own as they are."""
    count = settings.event_store.partitions
    return [settings] if count == 1 else [of_partition(settings, each) for each in range(count)]


def of_partition(settings: Settings, partition: int) -> Settings:
    """Those of one of its partitions, of which it has several. Each has its share of the hosts, and
    its own namespace, node names and log: a database beside the one that is named, or an embedded
    PostgreSQL of its own. Metrics are served by each, at a port of its own, and HTTP by the first
    one, for all.
    """
    store, system = settings.event_store, settings.actor_system
    changes: Changes = {
        ("actor_system", "hosts"): share_of(system.hosts, partition, store.partitions),
    }
    if partition:
        changes |= {
            ("event_store", "partition"): partition,
            ("event_store", "data_folder"): str(store.data_folder / f"partition-{partition}"),
            ("event_bus", "node_id"): node_id_of(settings.event_bus.node_id, partition),
            ("actor_system", "namespace"): namespace_of(system.namespace, partition),
        }
        if settings.gateway.enabled:
            changes["gateway", "enabled"] = False
        if store.connection_string.get_secret_value():
            urls = urls_of(settings)
            changes["event_store", "connection_string"] = urls.pop(partition)
            if store.partition_urls:  # of the others, of which the first one comes first now
                changes["event_store", "partition_urls"] = urls
        if settings.metrics.port:
            changes["metrics", "port"] = settings.metrics.port + partition
    return _changed(settings, changes, partition)


def _changed(settings: Settings, changes: Changes, partition: int) -> Settings:
    plain = json.loads(settings.model_dump_json())
    for (section, key), value in changes.items():
        plain[section][key] = value
        plain["origins"][f"{section}.{key}"] = _ORIGIN.format(partition)
    return Settings.model_validate_json(json.dumps(plain))
