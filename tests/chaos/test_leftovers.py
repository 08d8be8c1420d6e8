"""What a run leaves behind is found: processes, shared memory, files."""

import ctypes
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.chaos.leftovers import MARK, Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

#: Has a segment of shared memory, which it does not delete, until it is told to end.
HOLDER = """
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

held = SharedMemory(sys.argv[1])
resource_tracker.unregister(held._name, "shared_memory")  # whoever made it deletes it
print("there", flush=True)
sys.stdin.read()
"""


def test_a_process_with_the_mark_and_what_it_shares_are_left_until_they_have_gone(
    tmp_path: Path,
) -> None:
    mark = uuid4().hex
    watch = Watch(mark, tmp_path)
    segment = SharedMemory(create=True, size=4096)
    try:
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, segment.name],
            env={MARK: mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"there\n"
            watch.look()
            left = watch.left()
            assert [each for each in left if each.startswith(f"process {process.pid}:")]
            tracker = psutil.Process(process.pid).children()  # Python's, of shared memory
            process.kill()
        assert not psutil.wait_procs(tracker, timeout=60)[1]
        assert watch.left() == [f"shared memory /dev/shm/{segment.name}"]
    finally:
        segment.close()
        segment.unlink()
    assert watch.left() == []


#: Makes a segment of System V's that it does not remove, and tells its number.
MAKER = """
import ctypes, sys

made = ctypes.CDLL(None).shmget(0, 4096, 0o600)
print(made, flush=True)
sys.stdin.read()
"""


def test_a_segment_of_system_v_is_the_run_s_if_it_was_made_in_it_and_by_it(tmp_path: Path) -> None:
    """Numbers of processes come back: one that was there before is somebody else's."""
    mark = uuid4().hex
    watch = Watch(mark, tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", MAKER],
        env={MARK: mark},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        later = Watch(mark, tmp_path)
        watch.look()
        later.look()
        process.kill()
    try:
        assert watch.left() == [f"shared memory {number} (System V)"]
        assert later.left() == []
    finally:
        assert ctypes.CDLL(None).shmctl(number, 0, None) == 0  # IPC_RMID


def test_a_file_that_nobody_deletes_is_left_and_logs_of_ray_are_not(tmp_path: Path) -> None:
    (tmp_path / "thornback-ray-0").mkdir()
    (tmp_path / "records").mkdir()
    (tmp_path / "forgotten").touch()

    assert Watch(uuid4().hex, tmp_path).left() == [f"file {tmp_path / 'forgotten'}"]
