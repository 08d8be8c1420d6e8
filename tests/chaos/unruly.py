"""A way from a driver to hosts on which requests come twice, late and in another order.

TCP does none of that, and yet it happens: whoever has heard nothing sends again, and of two ways to
one host one is the slower. It is done to whole requests, above connections and below all that is to
keep order, so nothing of what is judged is different because of it.
"""

import asyncio
from collections.abc import Iterator
from enum import StrEnum
from random import Random

from ray.exceptions import RayError

from runtime.process.world import Calls, World
from tests.chaos.records import Record


class Unruliness(StrEnum):
    """What befalls a request."""

    HELD = "held"  #: it comes later, and others overtake it
    TWICE = "twice"  #: two of it are under way, and what comes back first is its answer
    AGAIN = "again"  #: it comes once more long after it was answered, and nobody hears the answer


#: How often each befalls one, and the shortest and the longest time by which it comes later.
_CHANCES: dict[Unruliness, tuple[float, float, float]] = {
    Unruliness.HELD: (0.10, 0.001, 0.08),
    Unruliness.TWICE: (0.05, 0.0, 0.02),
    Unruliness.AGAIN: (0.02, 0.1, 5.0),
}
#: What batches of commands are called. Questions travel as they always do.
_METHOD = "deliver"


def make_unruly(world: World, draw: Random, record: Record) -> None:
    """Have all ways that begin in this world from now on be like that; what befalls requests is
    written down."""
    ways = world.caller

    async def caller(name: str) -> Calls:
        return _Unruly(await ways(name), draw, record)

    world.__dict__["caller"] = caller


class _Unruly:
    """The way to one process."""

    def __init__(self, calls: Calls, draw: Random, record: Record) -> None:
        self._calls, self._draw, self._record = calls, draw, record
        self._copies: set[asyncio.Task[bytes | None]] = set()

    async def call(self, method: str, request: bytes) -> bytes:
        """As it is promised; what befalls the request is written down first."""
        if method != _METHOD:
            return await self._calls.call(method, request)
        late_s = {each: self._draw.uniform(*_CHANCES[each][1:]) for each in self._drawn()}
        for each in late_s:
            self._record.write(unruly=each)
        if (again_s := late_s.pop(Unruliness.AGAIN, None)) is not None:
            self._copy(method, request, again_s)
        twice_s = late_s.pop(Unruliness.TWICE, None)
        copy = None if twice_s is None else self._copy(method, request, twice_s)
        await asyncio.sleep(late_s.pop(Unruliness.HELD, 0.0))
        if copy is None:
            return await self._calls.call(method, request)
        return await self._first(asyncio.ensure_future(self._calls.call(method, request)), copy)

    def look_again(self) -> None:
        """Find the process anew at the next call."""
        self._calls.look_again()

    def close(self) -> None:
        """End the connection, and all copies under way."""
        for copy in self._copies:
            copy.cancel()
        self._calls.close()

    def _drawn(self) -> Iterator[Unruliness]:
        for each, (chance, _, _) in _CHANCES.items():
            if self._draw.random() < chance:
                yield each

    def _copy(self, method: str, request: bytes, late_s: float) -> "asyncio.Task[bytes | None]":
        copy = asyncio.ensure_future(self._sent_later(method, request, late_s))
        self._copies.add(copy)
        copy.add_done_callback(self._copies.discard)
        return copy

    async def _sent_later(self, method: str, request: bytes, late_s: float) -> bytes | None:
        """The answer to a copy; None where it has come to nobody."""
        await asyncio.sleep(late_s)
        try:
            return await self._calls.call(method, request)
        except (RayError, ConnectionError):
            return None

    @staticmethod
    async def _first(sent: "asyncio.Task[bytes]", copy: "asyncio.Task[bytes | None]") -> bytes:
        """What is answered first; where the copy came to nobody, what the request comes to."""
        try:
            await asyncio.wait({sent, copy}, return_when=asyncio.FIRST_COMPLETED)
            if not sent.done() and (answer := copy.result()) is not None:
                sent.add_done_callback(_unheard)
                return answer
            return await sent
        except asyncio.CancelledError:
            sent.cancel()
            raise


def _unheard(sent: "asyncio.Task[bytes]") -> None:
    """Whatever it came to, somebody else has answered."""
    if not sent.cancelled():
        sent.exception()
