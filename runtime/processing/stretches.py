"""Stretches of event time that were read from the log again: kept for a while, because who is late
once is late again, and mostly about the same time.

A stretch that is kept grows with what arrives, so it is read once however many come late in it.
"""

from bisect import insort
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actors.event import Event
from streams.program import Stretch

Item = tuple[Any, Event]


def _order(item: Item) -> tuple[int, int]:
    return item[1].timestamp_us, item[1].position or 0


class _Kept:
    """One stretch: its items by key, each in the order of event time, up to a position."""

    __slots__ = ("by_key", "size", "through")

    def __init__(self, through: int) -> None:
        self.by_key: dict[str, list[Item]] = defaultdict(list)
        self.size = 0
        self.through = through

    def add(self, key: str, item: Item) -> None:
        """One more."""
        insort(self.by_key[key], item, key=_order)
        self.size += 1


class Stretches:
    """Those that were wanted last: at most so many, and of so many items."""

    #: Stretches that are kept; what arrives is held against each of them.
    MOST = 64
    #: Items that are kept, unless one stretch alone has more.
    ITEMS = 200_000

    def __init__(
        self,
        read: Callable[[Stretch, int], Awaitable[Sequence[Event]]],
        route: Callable[[Event], Sequence[tuple[str, Any]]],
    ) -> None:
        """`read` has the selected events of a stretch up to a position, and `route` says which
        items of an event go to which of the keys that are worked on."""
        self._read, self._route = read, route
        self._kept: dict[Stretch, _Kept] = {}  # who was wanted last is last

    async def items(self, key: str, stretch: Stretch, event: Event) -> Sequence[Item]:
        """Those of a key, up to an event that was told to have arrived; nobody changes them."""
        kept = self._kept.pop(stretch, None)
        if kept is None:
            kept = _Kept(event.position or 0)
            for each in await self._read(stretch, kept.through):
                for name, item in self._route(each):
                    kept.add(name, (item, each))
        self._kept[stretch] = kept
        self._make_room()
        return tuple(kept.by_key.get(key, ()))

    def arrived(self, event: Event, items: Sequence[tuple[str, Any]]) -> None:
        """The next event of the log, and what goes to the keys that are worked on."""
        if not self._kept:
            return
        at_us, position = event.timestamp_us, event.position or 0
        for stretch, kept in self._kept.items():
            if stretch.start_us <= at_us < stretch.end_us and position > kept.through:
                for key, item in items:
                    kept.add(key, (item, event))
                kept.through = position

    def _make_room(self) -> None:
        while len(self._kept) > 1 and (
            len(self._kept) > self.MOST
            or sum(kept.size for kept in self._kept.values()) > self.ITEMS
        ):
            del self._kept[next(iter(self._kept))]
