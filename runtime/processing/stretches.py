"""What was read from the log again, by event time: kept for a while, because who is late once is
late again, and mostly about the same time.

It is read and kept in blocks, whose length is a power of two and whose places follow from that: so
stretches that are a little apart share them. A block that is kept grows with what arrives, and is
read once however many come late in it.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from actors.event import Event
from streams.program import Stretch

Item = tuple[Any, Event]


def _order(item: Item) -> tuple[int, int]:
    return item[1].timestamp_us, item[1].position or 0


class _Block:
    """One of them: its items by key, each in the order of event time, up to a position."""

    __slots__ = ("by_key", "size", "stretch", "through")

    def __init__(self, stretch: Stretch, through: int) -> None:
        self.by_key: dict[str, list[Item]] = defaultdict(list)
        self.size = 0
        self.stretch = stretch
        self.through = through

    def add(self, key: str, item: Item) -> None:
        """One more."""
        insort(self.by_key[key], item, key=_order)
        self.size += 1

    def within(self, key: str, stretch: Stretch) -> Sequence[Item]:
        """Those of a key in a stretch."""
        items = self.by_key.get(key, [])
        first, last = (bisect_left(items, (at_us, 0), key=_order) for at_us in stretch)
        return items[first:last]


class Stretches:
    """The blocks that were wanted last: at most so many, and of so many items."""

    #: What arrives is held against each of them.
    MOST = 64
    #: Each has an event, of a kilobyte or two; unless one block alone has more.
    ITEMS = 50_000

    def __init__(
        self,
        read: Callable[[Stretch, int], Awaitable[Sequence[Event]]],
        route: Callable[[Event], Sequence[tuple[str, Any]]],
    ) -> None:
        """`read` has the selected events of a stretch up to a position, and `route` says which
        items of an event go to which of the keys that are worked on."""
        self._read, self._route = read, route
        self._kept: dict[Stretch, _Block] = {}  # who was wanted last is last

    async def items(self, key: str, stretch: Stretch, event: Event) -> Sequence[Item]:
        """Those of a key in a stretch, in the order of event time, and of positions where that is
        the same: up to an event that was told to have arrived."""
        found: list[Item] = []
        for place in _blocks(stretch):
            block = self._kept.pop(place, None) or await self._loaded(place, event.position or 0)
            self._kept[place] = block
            found += block.within(key, stretch)
        self._make_room()
        return found

    def arrived(self, event: Event, items: Sequence[tuple[str, Any]]) -> None:
        """The next event of the log, and what goes to the keys that are worked on."""
        if not self._kept:
            return
        at_us, position = event.timestamp_us, event.position or 0
        for (start_us, end_us), block in self._kept.items():
            if start_us <= at_us < end_us and position > block.through:
                for key, item in items:
                    block.add(key, (item, event))
                block.through = position

    async def _loaded(self, place: Stretch, through: int) -> _Block:
        block = _Block(place, through)
        for event in await self._read(place, through):
            for key, item in self._route(event):
                block.add(key, (item, event))
        return block

    def _make_room(self) -> None:
        kept = self._kept
        items = sum(block.size for block in kept.values())
        while len(kept) > 1 and (len(kept) > self.MOST or items > self.ITEMS):
            items -= kept.pop(next(iter(kept))).size


def _blocks(stretch: Stretch) -> Iterator[Stretch]:
    """The one or two blocks that have all of a stretch: as long as that, or up to twice."""
    length_us = 1 << max(stretch.end_us - stretch.start_us - 1, 0).bit_length()
    for number in range(stretch.start_us // length_us, (stretch.end_us - 1) // length_us + 1):
        yield Stretch(number * length_us, (number + 1) * length_us)
