"""A process that is forked has its parent's connection, and not the thread in which that works."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from actors.actor import Command
from runtime.driver.connection import Connection, open_connection
from runtime.driver.subscription import Subscription
from runtime.errors import ConnectionClosed
from store.selection import Selection
from tests.forked import in_a_fork
from tests.unit.connecting import HOST, PlayedWorld, connection, ref
from tests.unit.sending import PlayedHost


class Ping(Command):
    """Whatever."""


class Played(PlayedHost):
    """A host, or a bus that has nothing to say."""

    async def call(self, method: str, packed: bytes) -> bytes:
        if method == "poll":
            await asyncio.Event().wait()
        return b"" if method == "leave" else await super().call(method, packed)


CALLS: dict[str, Callable[[Connection], Any]] = {
    "ask": lambda connected: ref(connected).ask(Ping()),
    "ask an actor anew": lambda connected: ref(connected, "counter/z").ask(Ping()),
    "tell": lambda connected: ref(connected).tell(Ping()),
    "flush": lambda connected: connected.flush(),
    "head": lambda connected: connected.head(),
    "check": lambda connected: connected.check_open(),
    "subscribe": lambda connected: Subscription(connected, Selection(), 0),
}


@pytest.mark.parametrize("name", CALLS)
def test_in_a_forked_process_calls_end_at_once(name: str) -> None:
    connected = connection(PlayedWorld(Played))
    ref(connected).ask(Ping()).result()
    outcome = in_a_fork(lambda: CALLS[name](connected))
    assert outcome.endswith("by the method spawn")
    assert ref(connected).ask(Ping()).result() is not None, "the parent goes on"
    connected.close()


def test_what_was_unanswered_at_a_fork_is_the_parent_s() -> None:
    world = PlayedWorld(Played)
    connected = connection(world)
    ref(connected).ask(Ping()).result()
    world.hosts[HOST].swallowing = [{}]
    reply = ref(connected).ask(Ping())
    stream = Subscription(connected, Selection(), 0)
    # Whatever a thread of the parent has in hand at that moment is never given back.
    for lock in (connected._lock, stream._lock, connected.clock._lock):
        lock.acquire()
    try:
        outcomes = [
            in_a_fork(reply.result),
            in_a_fork(lambda: next(iter(stream))),
            in_a_fork(lambda: stream.wait_begun(1.0)),
            in_a_fork(connected.close),
            in_a_fork(lambda: open_connection(connected.namespace)),
        ]
    finally:
        for lock in (connected._lock, stream._lock, connected.clock._lock):
            lock.release()
    assert all(one.endswith("by the method spawn") for one in outcomes[:3]), outcomes
    assert outcomes[3:] == ["None", "None"]
    connected.close()
    with pytest.raises(ConnectionClosed):
        reply.result()
