"""Files and folders that several processes share and that survive a crash."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO


def make_folder(folder: Path, mode: int) -> None:
    """Create it with this mode whatever the umask; leave an existing one alone."""
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(mode)


def private(path: str, flags: int) -> int:
    """An opener for `open`: what it makes is for its owner alone."""
    return os.open(path, flags, 0o600)


def delete(folder: Path) -> None:
    """Clear what an interrupted start left half made."""
    if folder.exists():
        shutil.rmtree(folder)


def sync_folder(folder: Path) -> None:
    """Make a rename in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is still what the path names."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
