"""Nodes of a Ray on one machine: what ends with one of them."""

import subprocess
import sys

from runtime.cluster.local_nodes import workers_of

#: More than any process of Linux has for its number.
NOBODY = 2**22 + 7


def test_a_worker_is_found_by_the_raylet_that_has_started_it_though_it_has_ended() -> None:
    script = [sys.executable, "-c", "print(flush=True); input()"]
    begun = [
        subprocess.Popen(
            script, env={"RAY_RAYLET_PID": str(raylet)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for raylet in (NOBODY, NOBODY + 1)
    ]  # fmt: skip
    try:
        for each in begun:
            assert each.stdout is not None
            assert each.stdout.readline() == b"\n"
        assert [found.pid for found in workers_of(NOBODY)] == [begun[0].pid]
    finally:
        for each in begun:
            each.communicate(b"\n")
    assert workers_of(NOBODY) == []
