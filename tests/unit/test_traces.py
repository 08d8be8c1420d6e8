"""What the traces of another system tell a launch that is near."""

import subprocess
import sys

import msgspec
import psutil

from runtime.process import traces
from runtime.process.presence import began_s_of
from runtime.settings.settings import Settings

SETTINGS = Settings.model_validate({})


def left_by(process: psutil.Process, head: str) -> str:
    """The traces of a system of another Ray on this machine, under a raylet of that process."""
    left = traces.Traces(
        session="another", head=head, machine=traces._machine(), raylet=process.pid,
        raylet_began_s=began_s_of(process.pid),
    )  # fmt: skip
    return msgspec.json.encode(left).decode()


def test_a_system_has_ended_for_certain_when_its_raylet_and_its_head_are_gone() -> None:
    nobody = "127.0.0.1:1"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as raylet:
        process = psutil.Process(raylet.pid)
        left = left_by(process, nobody)
        assert not traces.have_ended(left, SETTINGS, "n")
    assert traces.have_ended(left, SETTINGS, "n") == bool(traces._machine())
    elsewhere = left.replace(traces._machine(), "another machine")
    assert not traces.have_ended(elsewhere, SETTINGS, "n")
