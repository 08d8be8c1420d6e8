"""A clock that is set is off for all Python of its machine, while it runs, and for nobody else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.clocks import MACHINE, Clocks
from tests.chaos.reading import clocks_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

#: Says by how many seconds each of its clocks is off, whenever it is asked.
TELLS = """
import sys, time
from time import time_ns
print("up", flush=True)
for line in sys.stdin:
    true = int(line)
    told = (time.time() * 1e9, time_ns(), time.clock_gettime_ns(time.CLOCK_REALTIME),
            time.clock_gettime(time.CLOCK_REALTIME) * 1e9)
    steady = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - time.monotonic_ns()
    print(*(round((each - true) / 100e9) for each in (*told, true + steady)), flush=True)
"""


def test_a_clock_is_set_and_right_again(tmp_path: Path) -> None:
    records, next_ones = tmp_path / "records", tmp_path / "next"
    records.mkdir()
    next_ones.mkdir()
    clocks = Clocks(tmp_path / "clocks")
    clocks.begin(records)
    environment = {**os.environ, **clocks.environment(), MACHINE: "mine"}
    with subprocess.Popen(
        [sys.executable, "-c", TELLS], env=environment, text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as telling:  # fmt: skip
        assert telling.stdin is not None
        assert telling.stdout is not None
        assert telling.stdout.readline() == "up\n"

        def told() -> list[str]:
            assert telling.stdin is not None
            assert telling.stdout is not None
            telling.stdin.write(f"{_now_ns()}\n")
            return telling.stdout.readline().split()

        assert told() == ["0"] * 5
        assert clocks.set("mine", -3600.0)
        assert told() == ["-36"] * 4 + ["0"]
        assert not clocks.set("nobody's", 10.0)
        clocks.begin(next_ones)  # of the next seed
        assert told() == ["0"] * 5
        telling.stdin.close()

    zero_us, changes = clocks_in(records)
    assert zero_us is not None
    assert next(each.by_us for each in changes if each.machine == "mine") == -3_600_000_000
    assert [each.by_us for each in clocks_in(next_ones)[1]] == [0]
    assert all(each.from_ns <= each.until_ns for each in changes)


def test_a_program_that_is_no_machine_of_the_suite_has_the_right_time(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path / "clocks")
    environment = {**os.environ, **clocks.environment()}
    environment.pop(MACHINE, None)
    code = "import time; print(time.time_ns.__module__ if hasattr(time.time_ns, '__code__') else 0)"

    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, check=True, capture_output=True
    ).stdout

    assert said == "0\n"
    assert list((tmp_path / "clocks").iterdir()) == []


def _now_ns() -> int:
    return time.time_ns()
