"""The rest of a driver's API: await, tell, bulk calls, subscriptions, events from outside."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from examples.thermostat import ReportTemperature, Thermostat
from thornback import ActorSystem, DeviceEvent, Event


class GatewayConnected(DeviceEvent):
    firmware: str


async def tour(system: ActorSystem) -> None:
    """One call of each kind."""
    hall, attic = system.actor(Thermostat, "hall"), system.actor(Thermostat, "attic")

    # Replies can be awaited. An id of one's own makes a retry harmless: a repeat is
    # answered with the events of the first run.
    command_id = uuid4()
    first = await hall.ask(ReportTemperature(celsius=19.0), id=command_id)
    again = await hall.ask(ReportTemperature(celsius=19.0), id=command_id)
    print("a repeat is answered with the first events:", first == again)

    # The log from a position on (0: all of it), then live, until it is closed.
    attic.tell(ReportTemperature(celsius=12.5))  # sent and not waited for
    with system.subscribe("temperature-*", sources="thermostat/attic", after=0) as subscription:
        event = await anext(aiter(subscription))
        print("subscribed:", event.source, event.data)

    # Many at once, read from the iterable as fast as the hosts answer.
    readings = ((attic, ReportTemperature(celsius=step / 100)) for step in range(1_000))
    told = await asyncio.to_thread(system.tell_many, readings)
    print(f"told {told.commands:,} commands, {told.events:,} events, {told.failed} failed")

    # A fact from something that is no actor.
    connected = Event.of(
        GatewayConnected(firmware="1.4.2"),
        source="gateway/7",
        id=uuid4(),
        timestamp=datetime.now(UTC),
    )
    (published,) = await system.publish(connected)
    print("published", published.event_type, "as version", published.version)

    print("attic:", await attic.state())


if __name__ == "__main__":
    with ActorSystem.connect() as system:
        asyncio.run(tour(system))
