"""Partitions of one system: what they know of one another, what cannot be launched, and that
nothing of their face is of one alone."""

import ast
import inspect
from typing import Any

import pytest

from runtime.face import Face
from runtime.partitioned_face import PartitionedFace
from runtime.process.partitioning import (
    check_partitioned,
    node_ids_of,
    of_partition,
    sibling,
    whole_namespace,
)
from runtime.settings.configuration import ConfigurationError
from runtime.settings.settings import Settings
from runtime.topology.names import possible_nodes
from store.postgres.partition_database import url_of_partition


def settings(**sections: Any) -> Settings:
    """Those of a system of four partitions."""
    store = {"partitions": 4, "connection_string": "postgres://u:p@h/log", **sections}
    return Settings.load(
        environ={}, event_store=store, actor_system={"hosts": 6, "namespace": "fleet"},
        event_bus={"node_id": "site"}, metrics={"port": 9_090},
    )  # fmt: skip


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


def test_nothing_of_the_face_is_left_to_one_partition_by_mistake() -> None:
    """Whatever an ActorSystem does by its one connection, a PartitionedSystem does by all."""
    tree = _class_of(Face)
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
    assert by_connection - private <= set(vars(PartitionedFace))
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
