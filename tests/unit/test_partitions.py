"""Partitions: where an actor belongs, what each is called, and what its settings are."""

import ast
import inspect
from collections import Counter
from typing import Any

import pytest

from actors.event import Event
from runtime.errors import NotPossible
from runtime.partitioned_system import PartitionedSystem
from runtime.process.partitioning import (
    check_partitioned,
    node_ids_of,
    of_partition,
    sibling,
    whole_namespace,
)
from runtime.processing.partitioned_programs import check_for_partitions
from runtime.settings.configuration import ConfigurationError
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import possible_nodes
from runtime.topology.partitions import home_of, named_partition, namespace_of, partition_of
from runtime.topology.placement import shard_of
from runtime.topology.positions import Positions
from store.postgres.partition_database import url_of_partition
from streams.handler import Handler
from streams.pipeline import EventPipeline
from streams.projection import Projection

COUNTS = (2, 4, 8, 16)


def settings(**sections: Any) -> Settings:
    """Those of a system of four partitions."""
    store = {"partitions": 4, "connection_string": "postgres://u:p@h/log", **sections}
    return Settings.load(
        environ={}, event_store=store, actor_system={"hosts": 6, "namespace": "fleet"},
        event_bus={"node_id": "site"}, metrics={"port": 9_090},
    )  # fmt: skip


# ------------------------------------------------------------------ where an actor belongs


def test_what_a_partition_has_is_for_ever() -> None:
    """Whoever changes this has actors begin anew in another log."""
    sources = ["meter/1", "meter/2", "aircraft/N12345", "alerts/meter/1", "a/b/c/d", "alone"]
    assert [partition_of(source, 16) for source in sources] == [3, 10, 1, 3, 14, 9]
    assert [partition_of(source, 2) for source in sources] == [1, 0, 1, 1, 0, 1]
    assert [partition_of(source, 1) for source in sources] == [0] * 6


@pytest.mark.parametrize("count", COUNTS)
def test_partitions_have_about_as_many_actors_each_and_these_are_of_all_shards(count: int) -> None:
    sources = [f"meter/{number}" for number in range(20_000)]
    found = Counter(partition_of(source, count) for source in sources)
    assert sorted(found) == list(range(count))
    assert max(found.values()) < 1.15 * 20_000 / count
    hosts = Counter(shard_of(one) % 2 for one in sources if partition_of(one, count) == 0)
    assert max(hosts.values()) < 0.55 * found[0]


def test_what_a_program_makes_of_an_actor_is_at_home_with_it() -> None:
    assert home_of("alerts/meter/5") == home_of("more/alerts/meter/5") == "meter/5"
    assert home_of("meter/5") == "meter/5"
    assert home_of("alone") == "alone"
    for count in COUNTS:
        assert partition_of("alerts/meter/5", count) == partition_of("meter/5", count)


def test_a_partition_is_named_by_its_namespace() -> None:
    assert namespace_of("fleet", 0) == "fleet"
    assert named_partition(namespace_of("fleet", 12)) == ("fleet", 12)
    assert named_partition("fleet.partition-0") == ("fleet", 0)
    assert named_partition("fleet") is None
    assert named_partition("fleet.partition-007") is None


# ------------------------------------------------------------------ its settings


def test_each_partition_has_its_share_of_the_hosts_and_a_log_of_its_own() -> None:
    parts = [of_partition(settings(), number) for number in range(4)]
    assert [part.actor_system.hosts for part in parts] == [2, 2, 1, 1]
    assert [part.event_store.partition for part in parts] == [0, 1, 2, 3]
    assert [part.event_store.connection_string.get_secret_value() for part in parts] == [
        "postgres://u:p@h/log", *(f"postgres://u:p@h/log_partition_{one}" for one in (1, 2, 3)),
    ]  # fmt: skip
    for distinct in (
        [part.actor_system.namespace for part in parts],
        [part.event_bus.node_id for part in parts],
        [part.metrics.port for part in parts],
        [part.event_store.data_folder for part in parts],
    ):
        assert len(set(distinct)) == 4
    assert not any(part.gateway.enabled for part in parts)  # one would answer from its log alone


def test_partitions_know_the_nodes_of_one_another() -> None:
    parts = [of_partition(settings(), number) for number in range(4)]
    for part in parts:
        assert node_ids_of(part) == ["site", "site-p1", "site-p2", "site-p3"]
        assert whole_namespace(part) == "fleet"
        for number, other in enumerate(parts):
            found = sibling(part, number)
            assert found.actor_system.namespace == other.actor_system.namespace
            assert found.event_bus.node_id == other.event_bus.node_id
            assert found.event_store.partition == number
    nodes = possible_nodes(node_ids_of(parts[2]), 2, {})
    assert {"site.host-1", "site-p3.host-1", "site-p1.workers"} <= nodes


def test_a_url_says_which_database_or_is_refused() -> None:
    assert url_of_partition("postgres://h:1/a%20b?x=1", 3) == "postgres://h:1/a%20b_partition_3?x=1"
    with pytest.raises(ValueError, match="names no database"):
        url_of_partition("postgres://h", 1)


@pytest.mark.parametrize(
    ("store", "hosts", "problem"),
    [
        ({"partitions": 4}, 3, "at least 4"),
        ({"partitions": 2, "partition": 1}, 2, "a launch is one of all partitions"),
        ({"partition": 1}, 2, "a launch is one of all partitions"),
        ({"partitions": 2, "connection_string": "postgres://h"}, 2, "names no database"),
    ],
)
def test_what_cannot_be_launched_is_said_before_anything_is(
    store: dict[str, Any], hosts: int, problem: str
) -> None:
    made = Settings.load(environ={}, event_store=store, actor_system={"hosts": hosts})
    with pytest.raises(ConfigurationError, match=problem):
        check_partitioned(made)


# ------------------------------------------------------------------ positions


def test_positions_are_one_for_each_partition() -> None:
    assert Positions.of(0, 3) == (0, 0, 0)
    assert Positions.of([1, 2], 2).reaches(Positions([1, 2]))
    assert not Positions([2, 1]).reaches(Positions([1, 2]))
    for wrong in (7, True, [1], [1, -1], [1, True], ["1", 2], "12", None, {"a": 1}, 1.0):
        with pytest.raises(ValueError, match="partitions"):
            Positions.of(wrong, 2)


# ------------------------------------------------------------------ the face


class Sourced(Handler):
    event_types = ("added",)

    def handle(self, event: Event) -> None:
        """Nothing."""


class Keyed(Projection[dict[str, int]]):
    """Its key is none of the sources."""

    def key(self, event: Event) -> str:
        return event.event_type


def test_a_program_whose_keys_are_sources_runs_in_each_partition() -> None:
    check_for_partitions(Sourced)
    check_for_partitions(EventPipeline("counted", "added").map(len).emit("counted"))
    keyed = EventPipeline("counted", "added").key_by("place").fold(0, max).emit("counted")
    with pytest.raises(NotPossible, match=r"counted has other keys than the sources of events"):
        check_for_partitions(keyed)


def test_nothing_of_the_face_is_left_to_one_partition_by_mistake() -> None:
    """Whatever an ActorSystem does by its one connection, a PartitionedSystem does by all."""
    tree = _class_of(ActorSystem)
    by_connection = {
        method.name
        for method in tree.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(
            isinstance(node, ast.Attribute) and node.attr == "connection"
            for node in ast.walk(method)
        )
    }
    private = {name for name in by_connection if name.startswith("_") and name != "__repr__"}
    assert by_connection - private <= set(vars(PartitionedSystem))
    # What these do is asked for by the public ones, of one partition each.
    assert private <= {
        "__init__", "_drain", "_move_shards", "_progress", "_scaling_step", "_status",
    }  # fmt: skip


def _class_of(cls: type[Any]) -> ast.ClassDef:
    tree = ast.parse(inspect.getsource(inspect.getmodule(cls)))  # type: ignore[arg-type]
    [found] = [
        each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == cls.__name__
    ]
    return found
