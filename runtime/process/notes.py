"""What one incarnation of a process leaves for the next one on the same machine.

Three files in Ray's folder for logs, which goes with Ray's session: what is **kept**, and is read
at the next start; what is **at hand**, in memory that the file shares, so that it is there whatever
ends the process, and costs no call to the system; and what was **told** by whoever ended a process
that could not say anything itself any more. An incarnation on another machine finds none of them.
"""

import logging
import mmap
import os
from pathlib import Path

logger = logging.getLogger("thornback.process")

#: Bytes of what is at hand; what is longer is cut.
_AT_HAND = 4_096
#: Bytes that are read of what was told.
_TOLD = 16_384


class Notes:
    """Those of one process. Nothing of it raises where a disk is full or gone: that is logged, and
    the next incarnation knows less."""

    def __init__(self, path: Path) -> None:
        """`path` is the same for all incarnations, and for no other process."""
        self._kept = path.with_name(path.name + ".kept")
        self._at_hand = path.with_name(path.name + ".at_hand")
        self._told = path.with_name(path.name + ".told")
        self._map: mmap.mmap | None = None

    def kept(self) -> bytes:
        """What an earlier incarnation kept last; empty for nothing."""
        return _read(self._kept)

    def keep(self, what: bytes) -> None:
        """Have later ones know this instead."""
        beside = self._kept.with_name(self._kept.name + ".new")
        try:
            beside.write_bytes(what)
            beside.replace(self._kept)
        except OSError:
            logger.exception("what later incarnations are to know could not be kept")

    def was_at_hand(self) -> bytes:
        """What was at hand when the one before ended; empty for nothing."""
        said = _read(self._at_hand)
        return said[4 : 4 + int.from_bytes(said[:4], "big")]

    def was_told(self) -> str:
        """What was told by whoever ended the one before; empty where that has ended otherwise."""
        return _read(self._told)[:_TOLD].decode(errors="replace")

    def telling(self) -> int | None:
        """The number of a file, open as long as this process lives, in which whoever ends it can
        tell something; None where there is no such place."""
        try:
            return os.open(self._told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError:
            logger.exception("whoever ends this process could tell nothing")
            return None

    def put_at_hand(self, what: bytes) -> None:
        """This is at hand from now on; empty for nothing."""
        if self._map is None:
            self._map = self._mapped()
        if self._map is not None:
            size = min(len(what), _AT_HAND - 4)
            self._map[: 4 + size] = size.to_bytes(4, "big") + what[:size]

    def _mapped(self) -> mmap.mmap | None:
        try:
            with self._at_hand.open("w+b") as file:
                file.write(bytes(_AT_HAND))
                file.flush()
                return mmap.mmap(file.fileno(), _AT_HAND)
        except (OSError, ValueError):
            logger.exception("what is at hand could not be noted")
            return None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError:
        logger.exception("what an earlier incarnation left could not be read")
        return b""
