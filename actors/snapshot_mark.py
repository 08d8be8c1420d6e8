"""What a snapshot says of the schemas that it was made with, and whether it may be taken.

A snapshot hides the log behind it. One of a state with other fields may be read without an error
and be wrong all the same: a new field would have its default, and not what the log says. So it
names the schema of its state; and of each event type the schema, so that a class which cannot read
the events that are in it does not go on from it either, but meets them in the log, and says so.

A snapshot is its mark, a blank and the pending timers where there are any, a newline, and the
state. A release that knows no timers takes them for a part of the mark, and ignores it.
"""

from collections.abc import Mapping
from typing import NamedTuple

#: Between the parts of a mark; no name of an event type has it, nor has a digest.
_SEPARATOR = b";"


class SnapshotParts(NamedTuple):
    """What a snapshot is made of, as bytes."""

    mark: bytes
    timers: bytes  #: empty where none is pending
    state: bytes

    def joined(self) -> bytes:
        """The snapshot."""
        header = self.mark + b" " + self.timers if self.timers else self.mark
        return header + b"\n" + self.state


def snapshot_parts(data: bytes) -> SnapshotParts:
    """The parts of a snapshot: the inverse of `joined`."""
    header, _, state = data.partition(b"\n")
    mark, _, timers = header.partition(b" ")
    return SnapshotParts(mark, timers, state)


class SnapshotMark:
    """The beginning of the snapshots of one actor type. `text` is that of those made now."""

    __slots__ = ("_bare", "_begin", "_reads", "text")

    def __init__(self, snapshot_format: int, digest: str, reads: Mapping[str, int]) -> None:
        """`reads` has the schema version that the class reads, by event type."""
        self._reads = {name.encode(): version for name, version in reads.items()}
        self._bare = b"%d" % snapshot_format
        self._begin = b"%d;schema=%b" % (snapshot_format, digest.encode())
        later = sorted((name, version) for name, version in self._reads.items() if version > 1)
        parts = (b"%b=%d" % each for each in later)
        self.text = _SEPARATOR.join((self._begin, *parts))

    def fits(self, text: bytes) -> bool:
        """May a snapshot with this mark be taken? One of a release that knew no schemas says its
        format alone, and is taken where its state can be read."""
        if text in (self.text, self._bare):
            return True
        begin, later = text[: len(self._begin)], text[len(self._begin) :]
        if begin != self._begin or (later and not later.startswith(_SEPARATOR)):
            return False
        return all(map(self._reads_part, filter(None, later.split(_SEPARATOR))))

    def _reads_part(self, part: bytes) -> bool:
        name, _, version = part.partition(b"=")
        return version.isdigit() and int(version) <= self._reads.get(name, 0)
