"""The disk of the suite's PostgreSQL is full when it is said to be, and free again afterwards."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.disk import Disk, disk_of_own

_MORE = b"x" * 200_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = disk_of_own(tmp_path / "disk")
    if made is None:
        pytest.skip("only root mounts a disk in memory")
    yield made
    made.end()
    assert not made.folder.exists()


def test_what_is_on_it_stays_and_nothing_more_goes_on_it(disk: Disk) -> None:
    (disk.folder / "there").write_bytes(_MORE)
    disk.fill()
    with pytest.raises(OSError, match="No space left") as full:
        (disk.folder / "more").write_bytes(_MORE)
    assert full.value.errno == errno.ENOSPC
    disk.free()
    (disk.folder / "more").write_bytes(_MORE)
    assert (disk.folder / "there").read_bytes() == _MORE
