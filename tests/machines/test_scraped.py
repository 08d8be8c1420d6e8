"""A real Prometheus sums what machines show to what the log has, whoever was killed or moved.

Two minutes and more, so it is no part of `make test`: `make machines-test` runs it. Each machine is
a network namespace, with an address and a temporary folder of its own.
"""

import json
import os
import sys
from dataclasses import asdict

import pytest

from tests.e2e.place import place
from tests.machines.namespaces import impossible, machines
from tests.machines.prometheus import missing

PATIENCE_S = 900.0  #: with four raylets, on a slow machine
#: A raylet on a busy machine takes longer to start than Ray waits by itself.
SLOWLY = {"RAY_raylet_start_wait_time_s": "120"}
ADDRESSES = {
    name: f"10.77.0.{number}"
    for number, name in enumerate(("head", "core", "hosts", "other"), start=1)
}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.chaos,
    pytest.mark.skipif("MACHINES_TEST" not in os.environ, reason="`make machines-test` runs it"),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


def test_a_prometheus_sums_what_machines_show_to_what_the_log_has() -> None:
    if why := impossible():
        pytest.skip(why)
    with machines(ADDRESSES) as there, place(**SLOWLY) as here:
        described = json.dumps([asdict(each) for each in there])
        program = [sys.executable, "-m", "tests.machines.scraped", str(here.folder), described]
        with here.start(*there[0].inside, *program) as running:
            printed, _ = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 0, printed
        said = json.loads(next(line for line in printed.splitlines() if line[:1] == "{"))
    for what in ("quiet", "host killed", "core moved", "bus killed"):
        assert said[what]["prometheus"] == [said[what]["log"]] * 2, what
    assert said["by_node"]["prometheus"] == said["by_node"]["log"]
    assert said["promtool"] == ["", ""]
    named = {each["expected"]: each["named"] for each in said["logs"]}
    assert any(named.values())
    assert all(said in ([], [node]) for node, said in named.items()), named
