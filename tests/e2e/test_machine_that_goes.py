"""A machine that is ended in order is left, and one that comes gets what is meant for it."""

import json
import sys

import pytest

from tests.e2e.place import place

PATIENCE_S = 400.0  #: with three raylets, and all of a system twice, on a slow machine

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.long]


def test_a_system_leaves_the_node_that_sigterm_ends_and_loses_nothing_that_was_acknowledged(
    database: str,
) -> None:
    with place(DATABASE_URL=database) as here:
        with here.start(sys.executable, "-m", "tests.e2e.machine_that_goes") as program:
            printed, _ = program.communicate(timeout=PATIENCE_S)
        assert program.returncode == 0, printed
        said = json.loads(next(line for line in printed.splitlines() if line[:1] == "{"))
    assert said["one"], "its gateway answers"
    assert said["two"], "the gateways of both nodes answer"
    assert said["exit"] == 0
    assert said["gateways"], "that of the node which went has gone, too"
    assert said["still"], "the other one answers"
    assert said["acknowledged"] == said["stored"]
