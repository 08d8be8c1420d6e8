"""An id belongs to one command of one actor, or to one published event."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from msgspec.structs import replace

from actors.event import DeviceEvent, Event
from runtime.errors import InvalidMessage, PublishRefused
from runtime.system import ActorSystem
from runtime.wire.answers import read_events
from tests.unit.hosting import Add, Hosting, command
from tests.virtual_time import virtual_time
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


class Arrived(DeviceEvent):
    kwh: float


MOMENT = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def system() -> Iterator[ActorSystem]:
    """A system in this process; what is wrong with a call is told before it travels."""
    with InProcessSystem(small_settings({}, type="memory")) as system:
        yield system


@pytest.mark.parametrize("remembered", [True, False], ids=["remembered", "in the log"])
@virtual_time
async def test_the_id_of_another_actors_command_is_refused(remembered: bool) -> None:
    host = await Hosting.begin(recent=20_000 if remembered else 0)
    used = command("counter/a", Add())
    await host.deliver(used)
    stray = ["counter/b", *used[1:]]
    for _ in range(2):  # at first by the conflict, then because repeats are looked for
        with pytest.raises(InvalidMessage, match="took effect at another actor: give each command"):
            read_events(await host.deliver(stray), 0)
    [event] = read_events(await host.deliver(used), 0)
    assert (event.source, event.version) == ("counter/a", 1)
    assert not await host.log("counter/b")


@virtual_time
async def test_the_id_of_another_command_of_the_same_actor_is_refused_as_long_as_it_is_known() -> (
    None
):
    host = await Hosting.begin()
    used = command("counter/a", Add())
    other = ["counter/a", "add-once", *used[2:]]
    both = await host.deliver(used, other)  # the first is not durable yet
    again = await host.deliver(other)
    for answer, index in ((both, 1), (again, 0)):
        with pytest.raises(
            InvalidMessage,
            match=r"add-once for counter/a: its id .* took effect as 'add': give each command",
        ):
            read_events(answer, index)
    [event] = read_events(await host.deliver(used), 0)
    assert event.version == 1

    forgetful = await Hosting.begin(recent=0)
    await forgetful.deliver(used)
    [event] = read_events(await forgetful.deliver(["counter/a", "add-up-to", *used[2:]]), 0)
    assert event.event_type == "counted"  # the log does not know of which command an event is


def test_another_event_under_the_id_of_a_published_one_is_refused(system: ActorSystem) -> None:
    event = Event.of(Arrived(kwh=1.5), source="tower/jfk", id=uuid4(), timestamp=MOMENT)
    (first,) = system.publish(event).result()
    assert system.publish(event).result() == [first]
    later = replace(event, timestamp=MOMENT + timedelta(seconds=1))
    assert system.publish(later).result() == [first]  # who reports again may not know when

    for another, there in (
        ({"data": {"kwh": 2}}, "other data"),
        ({"event_type": "departed"}, "arrived"),
    ):
        with pytest.raises(
            PublishRefused,
            match=f"tower/jfk: its id {event.id} is that of an event which is in the log with "
            f"{there}: give each event an id of its own",
        ):
            system.publish(replace(event, **another)).result()
    with pytest.raises(InvalidMessage, match="took effect at another actor"):
        system.publish(replace(event, source="tower/lga")).result()
