"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write what is to become the file at `path`: beside it, under a name that nobody
    takes for it. When the block has ended well, what was written takes that place, also after a
    loss of power; when it has not, it goes, and whatever was there before stays. Raises OSError."""
    folder = path.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{path.name}.{token_hex(4)}.part"
    try:
        yield part
        _to_disk(part)
        part.replace(path)
        _to_disk(folder)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
