"""Processes run on the machines that are meant for their kind."""

import json
import sys

import pytest

from tests.e2e.place import place

pytestmark = [pytest.mark.e2e, pytest.mark.long]


HOSTS = {f"host-{number}" for number in range(4)}


@pytest.fixture(scope="module")
def said() -> dict[str, dict[str, str]]:
    """By system: the nodes of its processes; and the roles of the nodes."""
    with place() as here:
        done = here.run(sys.executable, "-m", "tests.e2e.labelled_machines")
        assert done.returncode == 0, done.stdout
        found: dict[str, dict[str, str]] = json.loads(
            next(line for line in done.stdout.splitlines() if line[:1] == "{")
        )
        return found


def test_hosts_and_the_core_run_on_the_nodes_of_ray_that_have_their_labels(
    said: dict[str, dict[str, str]],
) -> None:
    roles = {name: said["roles"][node] for name, node in said["labelled"].items()}
    assert roles == {name: "host" if name in HOSTS else "core" for name in roles}
    assert [name for name in roles if name.startswith("exporter-")], "one with the core"
    assert roles.keys() > HOSTS | {"directory", "writer", "bus"}


def test_hosts_are_spread_over_the_nodes_that_are_for_them(
    said: dict[str, dict[str, str]],
) -> None:
    nodes = [said["labelled"][host] for host in HOSTS]
    assert sorted(map(nodes.count, set(nodes))) == [2, 2]


def test_a_system_with_an_embedded_database_is_on_the_node_where_it_was_launched(
    said: dict[str, dict[str, str]],
) -> None:
    assert {said["roles"][node] for node in said["plain"].values()} == {"core"}
    assert said["plain"].keys() >= HOSTS | {"directory", "writer", "bus", "gateway-0"}
