"""The partitions of the system that a gateway is of: a way to each (docs/decisions/0104).

Whatever is for one source goes to its partition alone, so that one that is away holds up nobody
else; what is asked of the whole is asked of all, and one that is away fails it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from gateways.web.log_store import LogStore
from runtime.driver.connection import Connection
from runtime.driver.hosts import Hosts
from runtime.topology.partitions import is_of_each, partition_of
from runtime.topology.positions import Positions
from store.event_store import EventStore

T = TypeVar("T")


class Part(NamedTuple):
    """The way to one partition."""

    connection: Connection
    store: LogStore
    hosts: Hosts


class Parts:
    """Those of one gateway, in their order. Immutable."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._all = tuple(Part(one, LogStore(one), Hosts(one)) for one in connections)

    @property
    def first(self) -> Part:
        """The one that has what the whole system has once: its tokens."""
        return self._all[0]

    @property
    def several(self) -> bool:
        """Is there more than one?"""
        return len(self._all) > 1

    def __getitem__(self, number: int) -> Part:
        return self._all[number]

    def __iter__(self) -> Iterator[Part]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def of(self, source: str) -> Part:
        """That of an actor, or of whatever else has a source."""
        return self._all[self.number_of(source)]

    def number_of(self, source: str) -> int:
        """Which one that is."""
        return partition_of(source, len(self._all))

    def of_all(self, sources: Sequence[str]) -> int | None:
        """The only one in which there can be anything of these patterns of sources; None where
        there may be several."""
        if not self.several:
            return 0
        if not sources or any("*" in each or is_of_each(each) for each in sources):
            return None
        found = {self.number_of(each) for each in sources}
        return found.pop() if len(found) == 1 else None

    async def ask(
        self, question: Callable[[EventStore], Awaitable[T]], limit_s: float | None = None
    ) -> list[T]:
        """What the logs answer to a question, side by side, in their order. Raises
        StoreUnavailable where one does not."""
        return await asyncio.gather(*(each.store.ask(question, limit_s) for each in self._all))

    def position(self, found: Sequence[int]) -> "int | Positions":
        """A position of each, as answers say it: a number where there is one partition."""
        return Positions(found) if self.several else found[0]
