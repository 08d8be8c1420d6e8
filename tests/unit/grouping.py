"""Members of a group over a partition that a test plays, all of them in one loop, in virtual
time."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, ParamSpec

from runtime.driver.connection import Connection
from runtime.processing.group_subscription import GroupSubscription
from runtime.topology.status import Topology
from store.event_store import EventStore
from store.selection import EVERYTHING, Selection
from store.slots import SLOTS, slot_of_key
from store.subscriptions import SubscriptionRecord
from tests.unit.connecting import OwnLoop
from tests.unit.feeding import Partition
from tests.virtual_time import settled, virtual_time

P = ParamSpec("P")

#: A source of each slot.
SOURCES = tuple(
    next(f"meter/{n}" for n in range(1_000) if slot_of_key(f"meter/{n}") == slot)
    for slot in range(SLOTS)
)


_groups: list["Grouping"] = []


def with_groups(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in virtual time, and end its groups."""

    @functools.wraps(test)
    async def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await test(*args, **kwargs)
        finally:
            while _groups:
                await _groups.pop().end()

    return virtual_time(run)


class Grouping:
    """The partition, and whoever is a member of the group "mail"."""

    def __init__(self) -> None:
        self.partition = Partition()
        self.members: list[Member] = []
        _groups.append(self)

    async def end(self) -> None:
        """Every program ends."""
        for member in self.members:
            if not member.dead:
                await member.go_on()
            member.connection.close()
        await asyncio.sleep(10.0)

    async def join(self, after: int = 0, selection: Selection = EVERYTHING) -> "Member":
        """Another member, in a program of its own."""
        member = Member(self.partition, after, selection)
        self.members.append(member)
        await asyncio.wrap_future(member.stream._inlet.begun)
        return member

    async def commit(self, *slots: int) -> None:
        """An event of the source of each of these slots."""
        await self.partition.commit(*(SOURCES[slot] for slot in slots))

    async def records(self) -> dict[int, SubscriptionRecord]:
        """What the store has of its slots."""
        records = await self.partition.log.subscriptions()
        return {
            int(record.name.partition("/")[2]): record
            for record in records
            if record.name.startswith("mail/")
        }

    async def agrees(self) -> int:
        """Is the receipt of each slot that of the log? How many events are finished in all."""
        total = 0
        for slot, record in (await self.records()).items():
            by_the_log = await self.partition.log.recount(
                record.selection, record.began, record.position, slot
            )
            assert record.receipt == by_the_log, slot
            total += record.receipt.count
        return total


class Member:
    """One, with what it was given."""

    def __init__(self, partition: Partition, after: int, selection: Selection) -> None:
        topology = Topology(settings_json=partition.settings.model_dump_json(), hosts=())
        self.connection = Connection(topology, partition.world, OwnLoop())
        self.stream = GroupSubscription(self.connection, "mail", selection, after)
        self.given: list[int] = []
        self.dead = False
        self._ask = self.connection.log.ask_at_once
        self._may_ask = asyncio.Event()

    async def read(self, patience_s: float = 0.5) -> list[int]:
        """All that comes within a time: positions. All of it is finished, because the next one was
        asked for."""
        found: list[int] = []
        with suppress(TimeoutError):
            while True:
                event = await asyncio.wait_for(anext(self.stream), patience_s)
                found.append(event.position or 0)
        self.given += found
        return found

    async def finish(self) -> int:
        """All that was given is finished, and the log knows."""
        return await self.stream.finish()

    async def close(self) -> None:
        """Leave."""
        self.stream.close()
        await settled()

    async def die(self) -> None:
        """As by kill -9: nothing is said any more."""
        self.dead = True
        self.hang()
        membership = self.stream._checkpoint
        assert membership._looking is not None
        membership._looking.cancel()
        await settled()

    def hang(self) -> None:
        """It says nothing to the log, until it goes on."""

        async def asks(question: Callable[[EventStore], Awaitable[Any]]) -> Any:
            await self._may_ask.wait()
            return await self._ask(question)

        self._may_ask.clear()
        self.connection.log.ask_at_once = asks  # type: ignore[method-assign]

    async def go_on(self) -> None:
        """What it had to say is said now."""
        self._may_ask.set()
        self.connection.log.ask_at_once = self._ask  # type: ignore[method-assign]
        await settled()


def by_slot(positions: Sequence[int], slots: Sequence[int]) -> dict[int, list[int]]:
    """Positions by the slots of their events; `slots` are those of the log, from position 1 on."""
    found: dict[int, list[int]] = {}
    for position in positions:
        found.setdefault(slots[position - 1], []).append(position)
    return found
