"""What a forked process has of its parent's sockets: nothing that anybody would take for it."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from runtime.transport.caller import Caller
from runtime.transport.loopback import Server
from store.own_sockets import keep_from_children
from tests.forked import forked

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


async def _called() -> tuple[Server, Caller, "asyncio.Task[bytes]"]:
    """A process that is at work on a call, and who waits for it."""
    begun = asyncio.Event()

    async def ask(_: bytes) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return b""

    server = Server({"ask": ask}, lambda: "here")
    address = SimpleNamespace(remote=server.address)
    caller = Caller(SimpleNamespace(address=address), lambda: "here")
    waiting = asyncio.ensure_future(caller.call("ask", b""))
    await begun.wait()
    return server, caller, waiting


class Broken:
    """Somebody who cannot tell which sockets are open."""


def _fail(_: Any) -> list[int]:
    raise OSError("a connection that was released")


@pytest.mark.parametrize("make_loop", LOOPS)
def test_that_a_process_ended_is_heard_although_one_lives_that_it_had_forked(
    make_loop: Callable[[], Any],
) -> None:
    broken = Broken()

    async def run() -> None:
        server, caller, waiting = await _called()
        keep_from_children(broken, _fail)  # whose trouble is not that of others
        with forked():
            server.close()
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(waiting, 30)
        caller.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("make_loop", LOOPS)
def test_the_parent_goes_on(make_loop: Callable[[], Any]) -> None:
    async def run() -> None:
        async def same(request: bytes) -> bytes:
            return request

        server = Server({"same": same}, lambda: "here")
        address = SimpleNamespace(remote=server.address)
        caller = Caller(SimpleNamespace(address=address), lambda: "here")
        assert await caller.call("same", b"before") == b"before"
        with forked():
            assert await caller.call("same", b"meanwhile") == b"meanwhile"
        assert await caller.call("same", b"after") == b"after"
        caller.close()
        server.close()
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(run())
