"""A reply is as good as a task, and a ref travels."""

import asyncio
import pickle
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from actors.devices import DeviceTwin
from runtime.system import ActorSystem
from tests.unit.chargers import Charger, Plug
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


@pytest.fixture(scope="module")
def system() -> Iterator[ActorSystem]:
    """A system in this process; what is wrong with a call is told before it travels."""
    with InProcessSystem(small_settings({}, type="memory")) as system:
        yield system


def test_a_reply_can_be_made_a_task(system: ActorSystem) -> None:
    async def main() -> None:
        charger = system.actor(Charger, "c")
        reply = charger.ask(Plug())
        first, second = asyncio.create_task(reply), asyncio.create_task(reply)
        async with asyncio.TaskGroup() as group:
            third = group.create_task(charger.ask(Plug()))
        versions = [(await task)[0].version for task in (first, second)]
        assert versions == [1, 1]
        assert (await reply)[0].version == 1
        assert third.result()[0].version == 2
        given_up = asyncio.create_task(never_answered(system))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up

    asyncio.run(main())


def never_answered(system: ActorSystem) -> Coroutine[Any, Any, Any]:
    async def never() -> None:
        await asyncio.Event().wait()

    return system.connection.errand("never", never)


def test_a_ref_that_was_pickled_speaks_by_the_connection_of_its_process(
    system: ActorSystem,
) -> None:
    arrived = pickle.loads(pickle.dumps(system.actor(DeviceTwin, "a")))
    assert (arrived.source, arrived.actor) == ("device-twin/a", DeviceTwin)
    assert arrived.connection is system.connection
    assert arrived.state().result().properties == {}
