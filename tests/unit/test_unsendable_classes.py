"""Classes that travelled once, and do not travel a second time."""

import threading
from typing import Any

from pydantic import BaseModel

from actors.actor import Actor, Command
from runtime.driver.ref import ActorRef
from runtime.settings.settings import Settings
from runtime.topology.status import Topology
from tests.unit.connecting import HOST, OwnLoop, PlayedWorld, connection, ref
from tests.virtual_time import settled, virtual_time


class Ping(Command):
    number: int = 0


class Nothing(BaseModel):
    pass


class Changing(Actor[Nothing]):
    """Can be sent at first."""

    cache: Any = None


def _topology() -> Topology:
    settings = Settings.model_validate({"actor_system": {"actor_timeout_ms": 20_000}})
    return Topology(settings_json=settings.model_dump_json(), hosts=(HOST,))


@virtual_time
async def test_a_class_that_cannot_be_sent_again_costs_those_who_use_it_and_nobody_else() -> None:
    """The system is launched anew, and the driver sends its classes again: one has by now
    something in it that does not travel."""
    world = PlayedWorld()
    connected = connection(world, OwnLoop())
    changing = ActorRef(connected, Changing, "changing/a")
    await changing.ask(Ping())
    outcomes = []
    try:
        Changing.cache = threading.Lock()
        connected._adopt(_topology())  # the system was launched anew
        host = world.hosts[HOST]
        host.incarnation, host.losing = 2, 1  # and its host is another process
        failing = changing.ask(Ping(number=1))
        neighbour = ref(connected, "counter/b").state()
        await settled()
        for reply in (failing, neighbour):
            try:
                outcomes.append(await reply)
            except Exception as error:
                outcomes.append(type(error))
        try:
            outcomes.append(await ref(connected, "counter/c").state())
        except Exception as error:
            outcomes.append(type(error))
    finally:
        Changing.cache = None
        connected.close()
    assert "ChannelFailed" not in [getattr(one, "__name__", "") for one in outcomes[1:]]
