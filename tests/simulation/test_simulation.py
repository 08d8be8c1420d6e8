"""A fixed set of simulations, and what makes a simulation worth anything: a seed replays
exactly, a failing one is reduced to the faults that matter, and faults are found."""

import gc
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.simulation.history import Call, Seen
from tests.simulation.judging_lives import judge_stopped
from tests.simulation.plan import ACTIVE_S, Fault, Step
from tests.simulation.planning import plan_of
from tests.simulation.simulation import Simulation, simulate
from thornback.simulation.processes import Cluster
from thornback.simulation.reducing import fewest
from thornback.simulation.scheduler import Owner, SimulatedLoop
from thornback.simulation.sockets import Network

#: Seeds from here on, this many in each test: enough to meet every kind of step and fault.
FIRST, SEEDS, GROUPS = 0, 25, 6

#: Seeds that have found something, for as long as their plans stay what they were; the mutation of
#: it stays anyway.
KEPT = (
    664_022_292_747,  # who asks replaces who runs: and the database is away then, so nobody runs
    5346,  # timers of actors that a silent host had given away waited for it
    5350,  # and those that were under way to it as it did
    60_226,  # what a worker had raised came to a driver as Ray's double of it
    567_443_145_427,  # a stopped actor's source is anybody's, once the system was launched anew
)

_DIGESTS = """
import sys
from tests.simulation.planning import plan_of
from tests.simulation.simulation import simulate
for seed in map(int, sys.argv[1:]):
    print(simulate(plan_of(seed)).digest)
"""


@pytest.mark.parametrize("group", range(GROUPS))
def test_nothing_is_wrong_with_any_history(group: int) -> None:
    first = FIRST + group * SEEDS
    for seed in range(first, first + SEEDS):
        problems = simulate(plan_of(seed)).problems
        assert not problems, f"make simulate ARGS='--seed {seed}'"


@pytest.mark.parametrize("seed", KEPT)
def test_what_a_seed_has_found_is_not_there_again(seed: int) -> None:
    assert not simulate(plan_of(seed)).problems, f"make simulate ARGS='--seed {seed}'"


def test_a_host_that_ends_too_often_beside_moves_is_found_again() -> None:
    """Seed 30588: each of two hosts was stopped for the other's sake, and a driver knew no host
    that was left."""
    plan = plan_of(30588)
    assert {"ends too often", "move", "scale"} <= {fault.kind for fault in plan.faults}
    assert simulate(plan).problems == []


def test_a_seed_is_the_same_history_in_every_process() -> None:
    seeds = [str(seed) for seed in (*range(15), 91)]  # 91: two selections, and two event types
    digests = {_run(_DIGESTS, *seeds, PYTHONHASHSEED=hashes) for hashes in ("1", "77")}
    assert len(digests) == 1


def test_a_seed_is_the_same_history_after_others() -> None:
    plan = plan_of(7)
    first = simulate(plan).digest
    simulate(plan_of(8))
    assert simulate(plan).digest == first


def test_nothing_of_a_simulation_is_left_when_it_is_over() -> None:
    """Or an hour of them grows slower and slower; and what is left is some process's leak."""
    for seed in (6000, 6001, 6002):
        simulate(plan_of(seed))
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Simulation)]


def test_a_fault_more_is_another_history() -> None:
    plan = plan_of(7)
    more = Fault(99, 1.0, "crash", "host-0", amount=1.0)
    assert simulate(replace(plan, faults=[*plan.faults, more])).digest != simulate(plan).digest


def test_what_goes_wrong_at_the_last_moment_does_so_no_more_when_it_is_quiet() -> None:
    plan = plan_of(7)
    hosts = [f"host-{number}" for number in range(plan.setup.hosts)]
    lost = [Fault(99, ACTIVE_S - 0.001, "calls lost", host, amount=1000) for host in hosts]
    assert not simulate(replace(plan, faults=[*plan.faults, *lost])).problems


def test_a_dedicated_host_whose_callers_have_all_been_told_rests_until_it_is_called() -> None:
    plan = plan_of(10_245_172_559)  # it has a vault with a host of its own
    ask = Step(1, 0.5, "ask", "vault/0", "Note", {"token": 1, "times": 1})
    strands = [[[ask]], *([] for _ in plan.strands[1:])]
    away = Fault(0, 0.3, "database away", "database", seconds=5.0)
    assert not simulate(replace(plan, strands=strands, faults=[away])).problems


def test_a_process_that_is_found_anew_is_not_each_time_as_far_away() -> None:
    loop = SimulatedLoop(1)
    cluster = Cluster("", loop, Network(loop), lambda *_: None)
    cluster.spawn(object, "directory", ())
    caller = Owner(loop, "caller")
    found = [cluster.handle("directory", caller) for _ in range(3)]
    assert len({handle.draw.random() for handle in found}) == 3
    loop.end()


@pytest.mark.parametrize(
    ("replaced", "heard_by", "wrong"),
    [(False, "another", True), (True, "another", False), (True, "the same", True)],
)
def test_who_is_with_a_system_that_was_taken_over_may_be_refused_out_of_an_old_state(
    replaced: bool, heard_by: str, wrong: bool
) -> None:
    def call(number: int, driver: str, kind: str, message: str, moment: int) -> Call:
        return Call(
            number, driver, kind, "tenant/0", message, {}, bytes([number] * 16), 0.0, None, moment
        )  # fmt: skip

    start, refused = call(1, heard_by, "life", "Start", 1), call(2, "the same", "ask", "Rent", 3)
    start.events, start.ended = [Seen(b"", "tenant/0", 3, 156, "actor-started", {}, {}, 0)], 2
    refused.error = "ActorErased"
    history: Any = SimpleNamespace(calls=[start, refused], replaced=replaced)
    erased = SimpleNamespace(event_type="actor-erased", position=114)
    log: Any = SimpleNamespace(by_source={"tenant/0": [erased]})
    assert bool(judge_stopped(log, refused, history)) is wrong


def test_of_many_faults_those_are_left_that_matter() -> None:
    faults = [Fault(number, float(number), "crash") for number in range(12)]

    def fails(tried: list[Fault]) -> bool:
        return {3, 8} <= {fault.number for fault in tried}

    assert [fault.number for fault in fewest(faults, fails)] == [3, 8]


def _run(code: str, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return ran.stdout
