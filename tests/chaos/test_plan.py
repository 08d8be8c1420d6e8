"""What a seed says is done is the same wherever it is asked."""

import pytest

from tests.chaos.plan import FaultKind, clock_off_s, plan_of


def test_a_seed_repeats_its_schedule() -> None:
    assert plan_of(7, 45.0) == plan_of(7, 45.0)
    assert [str(fault) for fault in plan_of(7, 45.0).faults] != [
        str(fault) for fault in plan_of(8, 45.0).faults
    ]


def test_a_schedule_that_ends_earlier_begins_the_same() -> None:
    longer, shorter = plan_of(7, 45.0).faults, plan_of(7, 15.0).faults

    assert list(longer[: len(shorter)]) == list(shorter)


def test_every_kind_of_fault_and_every_process_comes_up() -> None:
    faults = [fault for seed in range(50) for fault in plan_of(seed, 45.0).faults]

    assert {fault.kind for fault in faults} == set(FaultKind)
    assert {fault.target for fault in faults if fault.kind is FaultKind.KILL} >= {
        "host-0", "host-1", "writer", "bus", "directory", "deliverer", "timekeeper",
        "worker-0-of-tallies",
    }  # fmt: skip


def test_a_clock_is_set_back_by_up_to_an_hour_and_ahead_by_seconds() -> None:
    off = [clock_off_s(number / 1000) for number in range(1000)]

    assert min(off) == pytest.approx(-3600.0, rel=0.05)
    assert max(off) == pytest.approx(10.0, rel=0.05)
    assert min(map(abs, off)) == pytest.approx(0.02, rel=0.05)
    assert sum(each < 0 for each in off) == 500
