"""What attends to `ray start --block` passes SIGTERM on, and says whether Ray ended in time."""

import subprocess
import sys

import pytest

ENDS = "trap 'exit 1' TERM; echo up; while :; do sleep 0.05; done"


def attended(within_s: int, script: str) -> "subprocess.Popen[str]":
    """A program in the place of Ray; what it prints comes through."""
    command = [sys.executable, "-m", "jobs.node", f"--within={within_s}", "sh", "-c", script]
    return subprocess.Popen([*command, "--block"], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("within_s", "code"), [(600, 0), (0, 1)], ids=["in-time", "too-late"])
def test_sigterm_is_passed_on_and_the_exit_code_says_whether_it_was_in_time(
    within_s: int, code: int
) -> None:
    with attended(within_s, ENDS) as node:
        assert node.stdout is not None
        assert node.stdout.readline() == "up\n"
        node.terminate()
        assert node.wait(60) == code


def test_one_that_ends_by_itself_has_its_own_exit_code() -> None:
    with attended(600, "exit 3") as node:
        assert node.wait(60) == 3


def test_one_that_would_not_block_is_refused() -> None:
    said = subprocess.run([sys.executable, "-m", "jobs.node", "true"], check=False, timeout=60)
    assert said.returncode == 2


def test_ray_is_told_how_long_it_has() -> None:
    with attended(42, "echo $RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S") as node:
        assert node.communicate(timeout=60)[0] == "42\n"
