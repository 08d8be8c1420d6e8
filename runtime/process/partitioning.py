"""The settings of one partition of a system, made of those of the whole."""

import json
import logging

from runtime.errors import LaunchFailed, NotPossible
from runtime.settings.configuration import ConfigurationError, Problem
from runtime.settings.settings import BUILT_IN, Settings
from runtime.topology.partitions import namespace_of, node_id_of, node_ids
from runtime.topology.status import Topology
from store.postgres.partition_database import url_of_partition

logger = logging.getLogger("thornback.driver")

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
    url = store.connection_string.get_secret_value()
    if store.partitions > 1 and url:
        try:
            url_of_partition(url, 1)
        except ValueError as error:
            raise ConfigurationError(
                Problem(
                    settings.origin("event_store", "connection_string"),
                    "event_store.connection_string",
                    str(error),
                    "the name of a database, beside which the other partitions have theirs",
                )
            ) from error
    if system.hosts < store.partitions:
        raise ConfigurationError(
            Problem(
                settings.origin("actor_system", "hosts"),
                "actor_system.hosts",
                str(system.hosts),
                f"at least {store.partitions}: each of event_store.partitions has hosts of its own",
            )
        )
    if store.partitions == 1 or not settings.gateway.enabled:
        return
    if (origin := settings.origin("gateway", "enabled")) != BUILT_IN:
        raise ConfigurationError(Problem(origin, "gateway.enabled", "true", _NO_GATEWAY))
    logger.warning("gateway.enabled: %s", _NO_GATEWAY)


#: It asks one log, and whoever asked it would take that for all of them.
_NO_GATEWAY = "false: a system of several partitions (event_store.partitions) answers no HTTP"


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
    if first.origin("gateway", "enabled") == _ORIGIN.format(0):
        changes["gateway", "enabled"] = True
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
    PostgreSQL of its own. Metrics are served by each, at a port of its own, and HTTP by none.
    """
    store, system = settings.event_store, settings.actor_system
    changes: Changes = {
        ("actor_system", "hosts"): share_of(system.hosts, partition, store.partitions),
    }
    if settings.gateway.enabled:
        changes["gateway", "enabled"] = False
    if partition:
        changes |= {
            ("event_store", "partition"): partition,
            ("event_store", "data_folder"): str(store.data_folder / f"partition-{partition}"),
            ("event_bus", "node_id"): node_id_of(settings.event_bus.node_id, partition),
            ("actor_system", "namespace"): namespace_of(system.namespace, partition),
        }
        if url := store.connection_string.get_secret_value():
            changes["event_store", "connection_string"] = url_of_partition(url, partition)
        if settings.metrics.port:
            changes["metrics", "port"] = settings.metrics.port + partition
    return _changed(settings, changes, partition)


def _changed(settings: Settings, changes: Changes, partition: int) -> Settings:
    plain = json.loads(settings.model_dump_json())
    for (section, key), value in changes.items():
        plain[section][key] = value
        plain["origins"][f"{section}.{key}"] = _ORIGIN.format(partition)
    return Settings.model_validate_json(json.dumps(plain))
