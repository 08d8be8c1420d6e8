"""The bus's buffer: the last commits, selected from without decoding payloads."""

from array import array
from collections import deque
from dataclasses import dataclass

from store.appends import Commit
from store.rows.layout import event_type_at, source_at
from store.selection import Selection, pattern

#: What a poll brings at most, in bytes of rows (one commit may be larger).
POLL_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    first: int
    rows: bytes
    lengths: "array[int]"
    types: frozenset[bytes]  #: of all its events

    @property
    def last(self) -> int:
        return self.first + len(self.lengths) - 1


class Buffer:
    """The last events of the log, by position: at most so many, and so many bytes."""

    MAX_BYTES = 256 * 1024 * 1024

    def __init__(self, head: int, capacity: int) -> None:
        self.head = head
        self._capacity = capacity
        self._kept: deque[Kept] = deque()
        self._events = 0
        self._bytes = 0

    def add(self, commit: Commit) -> None:
        """The next commit. One that does not follow on the last means that commits were
        missed: the buffer starts anew, and readers find the rest in the log. One that
        was seen before changes nothing."""
        first, lengths = commit.first_position, commit.rows.lengths
        if first + len(lengths) - 1 <= self.head:
            return
        if first != self.head + 1:
            self._kept.clear()
            self._events = self._bytes = 0
        if lengths:
            rows = bytes(commit.rows.data)
            types = frozenset(name.encode() for name in commit.types)
            self._kept.append(Kept(first, rows, lengths, types))
            self._events += len(lengths)
            self._bytes += len(rows)
        self.head = first + len(lengths) - 1
        while self._kept and (self._events > self._capacity or self._bytes > self.MAX_BYTES):
            oldest = self._kept.popleft()
            self._events -= len(oldest.lengths)
            self._bytes -= len(oldest.rows)

    def covers(self, after: int) -> bool:
        """Does the buffer hold all that comes after this position?"""
        return after >= self.head or (bool(self._kept) and self._kept[0].first <= after + 1)

    def after(self, after: int, matcher: "Matcher") -> tuple[bytes, int]:
        """The matching rows after a position that is covered, and how far they reach."""
        rows: list[bytes] = []
        size, through = 0, after
        for kept in self._kept:
            if kept.last <= after:
                continue
            if size > POLL_BYTES:
                break
            piece = matcher.select(kept, after)
            rows.append(piece)
            size += len(piece)
            through = kept.last
        return (rows[0] if len(rows) == 1 else b"".join(rows)), through


class Matcher:
    """Selects rows by event type and source without decoding payloads."""

    def __init__(self, selection: Selection) -> None:
        self._types = pattern(selection.event_types)
        self._sources = pattern(selection.sources)
        self._verdicts: dict[bytes, bool] = {}

    def select(self, kept: Kept, after: int) -> bytes:
        """The rows of a commit above a position that are wanted."""
        skipped = max(after + 1 - kept.first, 0)
        at = sum(kept.lengths[:skipped])
        if self._sources is None:
            verdicts = set(map(self._wants_type, kept.types))
            if verdicts == {True}:
                return kept.rows[at:] if at else kept.rows
            if verdicts == {False}:
                return b""
        wanted: list[bytes] = []
        for length in kept.lengths[skipped:]:
            if self._wants(kept.rows, at):
                wanted.append(kept.rows[at : at + length])
            at += length
        return b"".join(wanted)

    def _wants(self, rows: bytes, at: int) -> bool:
        if self._types is not None and not self._wants_type(event_type_at(rows, at)):
            return False
        return self._sources is None or self._sources.fullmatch(source_at(rows, at)) is not None

    def _wants_type(self, event_type: bytes) -> bool:
        if self._types is None:
            return True
        verdict = self._verdicts.get(event_type)
        if verdict is None:
            verdict = self._types.fullmatch(event_type) is not None
            self._verdicts[event_type] = verdict
        return verdict
