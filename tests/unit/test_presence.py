"""Whether a process is there, told from others that had its pid."""

import os
import sys

import psutil
import pytest

from runtime.process.presence import began_s_of, process_alive


@pytest.mark.skipif(sys.platform != "linux", reason="only there psutil asks when the machine began")
@pytest.mark.parametrize("step_s", [-3600.0, 1.0])
def test_a_process_is_the_same_one_after_somebody_has_set_the_clock(
    step_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    began_s, machine_s = began_s_of(os.getpid()), psutil.boot_time()
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: machine_s + step_s)  # type: ignore[attr-defined]
    assert abs(psutil.Process().create_time() - (began_s + machine_s)) > abs(step_s) / 2  # it moved
    assert process_alive(os.getpid(), began_s) is not None


def test_a_process_that_began_at_another_time_is_another_one() -> None:
    began_s = began_s_of(os.getpid())
    assert process_alive(os.getpid(), began_s) is not None
    assert process_alive(os.getpid(), began_s - 0.02) is None
