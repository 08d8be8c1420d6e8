"""A disk of its own for PostgreSQL, in memory, which can be made full."""

import os
import subprocess
from pathlib import Path

#: As much as a run may ever need; only what is written takes memory.
_SIZE_BYTES = 16 * 2**30
#: Of what is there this much stays free on a full one: less than a segment of any file that grows.
_LEFT_BYTES = 64 * 2**10


class Disk:
    """A tmpfs on a folder. Only root can have one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o711)
        _mount("-t", "tmpfs", "-o", f"size={_SIZE_BYTES},mode=711", "thornback-chaos", str(folder))

    def fill(self) -> None:
        """It has no room any more: it is as large as what is on it."""
        there = os.statvfs(self.folder)
        used = (there.f_blocks - there.f_bfree) * there.f_frsize
        self._resize(used + _LEFT_BYTES)

    def free(self) -> None:
        """It has room again."""
        self._resize(_SIZE_BYTES)

    def end(self) -> None:
        """It is gone, with all that is on it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self.folder.rmdir()

    def _resize(self, size: int) -> None:
        _mount("-o", f"remount,size={size}", str(self.folder))


def disk_of_own(folder: Path) -> Disk | None:
    """One on a new folder; None where this user, or this machine, has none to give."""
    if os.geteuid() != 0:
        return None
    try:
        return Disk(folder)
    except (OSError, subprocess.CalledProcessError):  # a container without the right to mount
        folder.rmdir()
        return None


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)
