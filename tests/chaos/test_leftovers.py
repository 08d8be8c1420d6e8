"""What a run leaves behind is found: processes, shared memory, files."""

import subprocess
import sys
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.chaos import leftovers
from tests.chaos.leftovers import MARK, Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

#: Has a segment of shared memory, which it does not delete, until it is told to end.
HOLDER = """
import sys
import time
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


def test_a_file_that_nobody_deletes_is_left_and_logs_of_ray_are_not(tmp_path: Path) -> None:
    (tmp_path / "thornback-ray-0").mkdir()
    (tmp_path / "records").mkdir()
    (tmp_path / "forgotten").touch()

    assert Watch(uuid4().hex, tmp_path).left() == [f"file {tmp_path / 'forgotten'}"]


def test_a_segment_is_left_that_was_made_meanwhile_and_none_of_before_by_the_same_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, table = uuid4().hex, tmp_path / "shm"
    watch = Watch(mark, tmp_path / "folder")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(leftovers, "_TABLE", table)
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], env={MARK: mark}, stdin=subprocess.PIPE
    ) as process:
        watch.look()
        now_s = int(time.time())
        rows = [(1, process.pid, now_s), (2, process.pid, now_s - 3600), (3, 0, now_s)]
        lines = ["key shmid cpid ctime", *(" ".join(map(str, (0, *row))) for row in rows)]
        table.write_text("\n".join(lines))
        process.communicate(b"\n")

    assert watch.left() == ["shared memory 1 (System V)"]
