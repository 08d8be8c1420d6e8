"""Subscriptions and published events: the log as one stream, whatever happens to the bus."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from actors.devices.device_twin import DeviceTwin
from actors.event import DeviceEvent, Event
from runtime.errors import PublishRefused
from runtime.system import ActorSystem
from store.errors import InvalidData
from tests.integration.devices import Add, Burst, Claim, Counter, Note
from tests.integration.systems import (
    LIMIT_S,
    Collector,
    Launcher,
    assert_each_once_in_order,
    back,
    bus_of,
    eventually,
    kill,
    log_of,
    stored,
    take,
)

pytestmark = pytest.mark.integration

AT = datetime(2013, 1, 1, tzinfo=UTC)


class Seen(DeviceEvent):
    where: str


def seen(source: str, where: str = "north") -> Event:
    return Event.of(Seen(where=where), source=source, id=uuid4(), timestamp=AT)


def test_a_live_subscription_gets_what_is_committed_from_now_on(system: ActorSystem) -> None:
    ref = system.actor(Counter, uuid4().hex)
    ref.ask(Add(amount=1)).result(timeout_s=LIMIT_S)
    with system.subscribe() as subscription:
        later = ref.ask(Burst(count=3)).result(timeout_s=LIMIT_S)
        assert take(subscription, 3) == later  # equal to what the asker and the log have


def test_iterating_again_goes_on_where_the_last_iteration_left(system: ActorSystem) -> None:
    with system.subscribe() as subscription:
        events = system.actor(Counter, uuid4().hex).ask(Burst(count=7)).result(timeout_s=LIMIT_S)
        taken = [event for count in (2, 1, 4) for event in take(subscription, count)]
        assert taken == events
        assert subscription.position == events[-1].position


async def test_a_subscription_can_be_iterated_asynchronously(system: ActorSystem) -> None:
    with system.subscribe() as subscription:
        events = await system.actor(Counter, uuid4().hex).ask(Burst(count=5))
        watchdog = threading.Timer(LIMIT_S, subscription.close)
        watchdog.start()
        taken: list[Event] = []
        async for event in subscription:
            taken.append(event)
            if len(taken) == 5:
                break
        watchdog.cancel()
    assert taken == events


async def test_who_gives_up_waiting_for_an_event_misses_none(system: ActorSystem) -> None:
    with system.subscribe() as subscription:
        waiting = asyncio.ensure_future(anext(aiter(subscription)))
        await asyncio.sleep(0)  # it waits for a page now
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        events = await system.actor(Counter, uuid4().hex).ask(Burst(count=3))
        async with asyncio.timeout(LIMIT_S):
            stream = aiter(subscription)
            assert [await anext(stream) for _ in events] == events


def test_closing_ends_the_iteration_of_another_thread(system: ActorSystem) -> None:
    collector = Collector(system.subscribe())
    assert collector.close() == []


def test_from_position_zero_it_catches_up_and_goes_live_while_a_writer_writes(
    launch: Launcher,
) -> None:
    system = launch(event_bus={"buffer_size": 500})
    refs = [system.actor(Counter, str(number)) for number in range(50)]
    halfway, enough = threading.Event(), 12_000

    def commands() -> Iterator[tuple[object, Add]]:
        for number in range(enough):
            if number == enough // 2:
                halfway.set()
            yield refs[number % 50], Add(amount=number)

    writer = threading.Thread(target=lambda: system.tell_many(commands()))  # type: ignore[arg-type]
    writer.start()
    assert halfway.wait(LIMIT_S)
    collector = Collector(system.subscribe(after=0))
    collector.wait_for(enough)
    writer.join(LIMIT_S)
    events = collector.close()
    assert len(events) == enough
    assert_each_once_in_order(events)
    for ref in refs:
        mine = [event.version for event in events if event.source == ref.source]
        assert mine == list(range(1, len(mine) + 1))


def test_an_event_read_live_equals_the_same_event_read_from_the_log(system: ActorSystem) -> None:
    live = system.subscribe()
    ref = system.actor(Counter, f"größe {uuid4().hex}")
    ref.ask(Note(text='☕ "x"')).result(timeout_s=LIMIT_S)
    ref.ask(Burst(count=3)).result(timeout_s=LIMIT_S)
    lively = take(live, 4)
    back(system, "bus", kill(system, "bus"))  # a new bus has nothing buffered
    with system.subscribe(sources=ref.source, after=0) as subscription:
        assert take(subscription, 4) == lively
    live.close()


def test_a_subscription_resumes_after_the_position_of_an_earlier_one(system: ActorSystem) -> None:
    ref = system.actor(Counter, uuid4().hex)
    with system.subscribe() as first:
        events = ref.ask(Burst(count=10)).result(timeout_s=LIMIT_S)
        assert take(first, 4) == events[:4]
        position = first.position
    with system.subscribe(after=position) as second:
        assert take(second, 6) == events[4:]


@pytest.mark.parametrize("after", ["live", "log"])
def test_event_types_and_sources_select_by_glob(launch: Launcher, after: str) -> None:
    system = launch()

    def write() -> None:
        for name in ("north-1", "north-2", "south%1", "southx1"):
            ref = system.actor(Counter, name)
            for message in (Add(), Note(text="x"), Claim(owner="me")):
                ref.ask(message).result(timeout_s=LIMIT_S)

    def selected(event_types: str | list[str], sources: str | list[str], count: int) -> set[str]:
        start = None if after == "live" else 0
        with system.subscribe(event_types, sources=sources, after=start) as subscription:
            if after == "live":
                write()
            # An end marker: were more selected than expected, it would not be the last.
            system.publish(seen("end")).result(timeout_s=LIMIT_S)
            with system.subscribe("seen", after=0) as ends:
                assert take(ends, 1)[0].source == "end"
            return {f"{one.source} {one.event_type}" for one in take(subscription, count)}

    if after == "log":
        write()
    notes_of_north = {"counter/north-1 noted", "counter/north-2 noted"}
    assert selected("note*", "counter/north-*", 2) == notes_of_north
    if after == "log":
        both = selected(["noted", "cl*d"], ["*/north-1", "*south%1"], 4)
        assert both == {
            f"counter/{name} {kind}"
            for name in ("north-1", "south%1")  # % and _ are no wildcards
            for kind in ("noted", "claimed")
        }


def test_a_selective_subscription_gets_nothing_else(system: ActorSystem) -> None:
    ref = system.actor(Counter, uuid4().hex)
    with system.subscribe("noted", sources=ref.source) as subscription:
        for number in range(20):
            ref.ask(Add()).result(timeout_s=LIMIT_S)
            if number % 5 == 4:
                ref.ask(Note(text=str(number))).result(timeout_s=LIMIT_S)
        texts = [event.data["text"] for event in take(subscription, 4)]
    assert texts == ["4", "9", "14", "19"]


def test_subscriptions_do_not_wait_for_one_another(system: ActorSystem) -> None:
    ref = system.actor(Counter, uuid4().hex)
    with system.subscribe(sources=ref.source) as slow, system.subscribe("noted") as quick:
        events = ref.ask(Burst(count=100)).result(timeout_s=LIMIT_S)
        note = ref.ask(Note(text="x")).result(timeout_s=LIMIT_S)
        assert take(quick, 1) == note  # while nobody reads the other one
        assert take(slow, 101) == events + note


def test_a_slow_subscriber_is_fed_from_the_log_once_the_buffer_has_moved_on(
    launch: Launcher,
) -> None:
    system = launch(event_bus={"buffer_size": 10})
    ref = system.actor(Counter, "a")
    slow = system.subscribe(after=0)
    told = system.tell_many((ref, Add()) for _ in range(60_000))
    assert told.events == stored(system) == 60_000
    events = take(slow, 60_000)  # 60 times what is fetched ahead
    assert_each_once_in_order(events)
    ref.ask(Note(text="live again")).result(timeout_s=LIMIT_S)
    assert take(slow, 1)[0].event_type == "noted"
    slow.close()


def test_a_subscription_goes_on_after_the_bus_was_killed(system: ActorSystem) -> None:
    ref = system.actor(Counter, uuid4().hex)
    subscription = system.subscribe()
    first = ref.ask(Burst(count=3)).result(timeout_s=LIMIT_S)
    assert take(subscription, 2) == first[:2]
    kill(system, "bus")
    second = ref.ask(Burst(count=3)).result(timeout_s=LIMIT_S)  # nobody waits for a bus
    assert take(subscription, 4) == first[2:] + second
    third = ref.ask(Burst(count=3)).result(timeout_s=LIMIT_S)
    assert take(subscription, 3) == third
    subscription.close()


def test_the_bus_counts_live_subscriptions(system: ActorSystem) -> None:
    one, two = system.subscribe(), system.subscribe(after=0)
    eventually(lambda: bus_of(system).subscriptions == 2)
    one.close()
    eventually(lambda: bus_of(system).subscriptions == 1)
    two.close()
    eventually(lambda: bus_of(system).subscriptions == 0)


def test_a_published_event_enters_the_log_and_the_bus_once(system: ActorSystem) -> None:
    source = f"gateway/{uuid4().hex}"
    event = seen(source)
    with system.subscribe(sources=source) as subscription:
        (committed,) = system.publish(event).result(timeout_s=LIMIT_S)
        assert system.publish(event).result(timeout_s=LIMIT_S) == [committed]
        (second,) = system.publish(seen(source, "south")).result(timeout_s=LIMIT_S)
        assert take(subscription, 2) == [committed, second]
    assert (committed.id, committed.data, committed.timestamp) == (event.id, event.data, AT)
    assert (committed.version, second.version) == (1, 2)
    rows = log_of(system, "SELECT id FROM events WHERE source = $1 ORDER BY version", source)
    assert [row["id"] for row in rows] == [committed.id, second.id]


def test_nobody_publishes_under_the_name_of_an_actor(system: ActorSystem) -> None:
    twin = system.actor(DeviceTwin, uuid4().hex)  # of a type that every host knows
    with pytest.raises(PublishRefused, match=twin.source):
        system.publish(seen(twin.source)).result(timeout_s=LIMIT_S)
    assert log_of(system, "SELECT 1 FROM events WHERE source = $1", twin.source) == []


def test_an_event_that_the_log_cannot_hold_is_refused_at_its_publisher(
    system: ActorSystem,
) -> None:
    with pytest.raises(InvalidData, match="NUL"):
        system.publish(seen("gateway/x", "a\x00b"))
