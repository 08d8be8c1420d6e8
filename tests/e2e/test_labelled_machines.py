"""Processes run on the machines that are meant for their kind."""

import json
import sys

import pytest

from tests.e2e.place import place

pytestmark = pytest.mark.e2e


def test_hosts_and_the_core_run_on_the_nodes_of_ray_that_have_their_labels() -> None:
    with place() as here:
        done = here.run(sys.executable, "-m", "tests.e2e.labelled_machines")
        assert done.returncode == 0, done.stdout
        roles = json.loads(next(line for line in done.stdout.splitlines() if line[:1] == "{"))
    hosts = {f"host-{number}" for number in range(4)}
    assert roles == {name: "host" if name in hosts else "core" for name in roles}
    assert [name for name in roles if name.startswith("exporter-")], "one with the core"
    assert roles.keys() > hosts | {"directory", "writer", "bus"}
