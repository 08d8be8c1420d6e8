"""The bus's buffer: the last commits, selected from without decoding payloads.

A commit is looked through once for all subscriptions: the first that needs it notes which
rows each matcher of the time wants. A matcher that came later has it looked through again,
for all that came meanwhile.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import attrgetter

from runtime.partition.matching import Matcher, Matchers
from store.appends import Commit
from store.rows.layout import topic_parts, topics

#: What a poll brings at most, in bytes of rows, and one row beyond it.
POLL_BYTES = 2 * 1024 * 1024

_NONE: Sequence[int] = ()
_last = attrgetter("last")


class Kept:
    """One commit, or what followed of it on the head."""

    __slots__ = (
        "_by_type", "_matched", "_starts", "_topics", "_wanted",
        "first", "last", "rows", "size", "types",
    )  # fmt: skip

    def __init__(
        self, first: int, rows: bytes, lengths: "array[int]", types: Iterable[str]
    ) -> None:
        self.first = first
        self.last = first + len(lengths) - 1
        self.rows = rows
        self.types = tuple(name.encode() for name in types)  #: of its events, at least; each once
        self._starts = array("I", accumulate(lengths, initial=0))  #: of its rows, and their end
        # The index, made when it is first needed:
        self._topics: list[bytes] | None = None  #: by row
        self._by_type: dict[bytes, array[int]] | None = None  #: rows
        self._wanted: dict[Matcher, array[int]] = {}  #: rows, by matchers that look at topics
        self._matched = 0  #: the last matcher that was there then
        self.size = len(rows) + 4 * len(self._starts)  #: bytes in memory, about

    def __len__(self) -> int:
        return len(self._starts) - 1

    def interested(self, matchers: Matchers) -> Iterable[Matcher]:
        """The matchers that may want some of it, now that it is new."""
        found: dict[Matcher, None] = {}
        for event_type in self.types:
            found.update(dict.fromkeys(matchers.of_type(event_type)))
        if matchers.by_topic:
            self._match(matchers)
            found.update(dict.fromkeys(self._wanted))
        return found

    def select(
        self, after: int, matcher: Matcher, matchers: Matchers, room: int, pieces: list[bytes]
    ) -> tuple[int, int]:
        """Add the wanted rows above a position to `pieces`, until they fill the room or go
        beyond it; the size of what was added, and the position that it reaches."""
        rows, starts = self.rows, self._starts
        wanted = self._rows_of(matcher, matchers)
        begin = bisect_left(wanted, after + 1 - self.first)
        size = 0
        if len(wanted) == len(self):
            offset = starts[begin]
            end = min(bisect_left(starts, offset + room, lo=begin), len(self))
            piece = rows[offset : starts[end]] if end - begin < len(self) else rows
            pieces.append(piece)
            return len(piece), self.first + end - 1
        for number in wanted[begin:]:
            if size >= room:
                return size, self.first + number - 1
            piece = rows[starts[number] : starts[number + 1]]
            pieces.append(piece)
            size += len(piece)
        return size, self.last

    def _rows_of(self, matcher: Matcher, matchers: Matchers) -> Sequence[int]:
        if matcher.by_topic:
            if matcher.number > self._matched:
                self._match(matchers)
            return self._wanted.get(matcher, _NONE)
        wanted = [name for name in self.types if matcher.wants_type(name)]
        if len(wanted) == len(self.types):
            return range(len(self))
        return self._rows_of_types(wanted)

    def _rows_of_types(self, wanted: list[bytes]) -> Sequence[int]:
        if self._by_type is None:
            self._by_type = {}
            for number, topic in enumerate(self._indexed()):
                self._by_type.setdefault(topic_parts(topic)[0], array("I")).append(number)
            self.size += 4 * len(self) + 200 * len(self._by_type)
        found = [self._by_type[name] for name in wanted if name in self._by_type]
        if len(found) > 1:
            return sorted(number for numbers in found for number in numbers)
        return found[0] if found else _NONE

    def _match(self, matchers: Matchers) -> None:
        """Note which rows every matcher wants that looks at topics."""
        wanted: dict[Matcher, array[int]] = {}
        of_topic = matchers.of_topic
        for number, topic in enumerate(self._indexed()):
            for matcher in of_topic(topic):
                numbers = wanted.get(matcher)
                if numbers is None:
                    wanted[matcher] = array("I", (number,))
                else:
                    numbers.append(number)
        self.size += _size_of(wanted) - _size_of(self._wanted)
        self._wanted, self._matched = wanted, matchers.latest

    def _indexed(self) -> list[bytes]:
        if self._topics is None:
            self._topics = topics(self.rows, self._starts[:-1])
            distinct = {id(topic): len(topic) for topic in self._topics}
            self.size += 8 * len(self) + sum(distinct.values()) + 50 * len(distinct)
        return self._topics


def _size_of(wanted: "dict[Matcher, array[int]]") -> int:
    return sum(200 + 4 * len(numbers) for numbers in wanted.values())


class Buffer:
    """The last events of the log, by position: at most so many, and so many bytes."""

    MAX_BYTES = 256 * 1024 * 1024
    #: Events that one look goes through at most, so that none keeps the others waiting.
    MAX_LOOK = 10_000

    def __init__(self, head: int, capacity: int, matchers: Matchers) -> None:
        self.head = head
        self._capacity = capacity
        self.matchers = matchers
        self._kept: list[Kept] = []  #: the first `_gone` of them left
        self._gone = 0
        self.events = 0  #: kept
        self.size = 0  #: bytes

    def add(self, commit: Commit) -> Iterable[Matcher]:
        """The next commit; the matchers that may want some of it. One that was seen before
        changes nothing, of one that was seen in part the rest is new. One that does not
        follow on the head means that commits were missed: the buffer starts anew, and
        readers find the rest in the log."""
        first, lengths, data = commit.first_position, commit.rows.lengths, commit.rows.data
        last = first + len(lengths) - 1
        if last <= self.head:
            return ()
        if first > self.head + 1:
            self._forget(len(self._kept))
        elif (seen := self.head + 1 - first) > 0:
            data = data[sum(lengths[:seen]) :]
            first, lengths = self.head + 1, lengths[seen:]
        self.head = last
        if not lengths:
            return ()
        kept = Kept(first, bytes(data), lengths, commit.types)
        interested = kept.interested(self.matchers)
        self._kept.append(kept)
        self.events += len(kept)
        self.size += kept.size
        self._trim()
        return interested

    def empty(self) -> None:
        """Keep nothing of what came so far; the head stays where it is."""
        self._forget(len(self._kept))

    def covers(self, after: int) -> bool:
        """Does the buffer hold all that comes after this position?"""
        if after >= self.head:
            return True
        return self._gone < len(self._kept) and self._kept[self._gone].first <= after + 1

    def after(self, after: int, matcher: Matcher) -> tuple[bytes, int]:
        """The matching rows after a position that is covered, and how far they reach."""
        pieces: list[bytes] = []
        room, through = POLL_BYTES, after
        begin = bisect_right(self._kept, after, lo=self._gone, key=_last)
        for kept in self._kept[begin : begin + self.MAX_LOOK]:
            before = kept.size
            size, through = kept.select(through, matcher, self.matchers, room, pieces)
            self.size += kept.size - before
            room -= size
            if room <= 0 or through < kept.last or through - after >= self.MAX_LOOK:
                break
        self._trim()
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), through

    def _trim(self) -> None:
        """Let the oldest leave while there is too much."""
        going = self._gone
        while going < len(self._kept) and (
            self.events > self._capacity or self.size > self.MAX_BYTES
        ):
            self.events -= len(self._kept[going])
            self.size -= self._kept[going].size
            self._kept[going] = _GONE
            going += 1
        self._gone = going
        if 2 * going > len(self._kept):
            del self._kept[:going]
            self._gone = 0

    def _forget(self, count: int) -> None:
        del self._kept[:count]
        self._gone = self.events = self.size = 0


_GONE = Kept(0, b"", array("I"), ())
