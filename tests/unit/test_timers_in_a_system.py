"""Timers in a whole system inside this process: set by handlers, fired by the timekeeper."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from actors.actor import Actor, handles
from actors.command import Command
from actors.event import DeviceEvent, Event, Payload
from actors.timer_events import TimerCancelled
from actors.timers import Cancel, Schedule
from runtime.driver.subscription import Subscription
from runtime.errors import PublishRefused
from runtime.host.firing import Timers
from runtime.process.world import World
from runtime.processing.timekeeping import Timekeeping
from runtime.processing.timer_window import Window
from runtime.system import ActorSystem
from runtime.topology.names import host_name
from runtime.topology.placement import shard_of
from runtime.topology.status import ProcessStatus, TimekeeperFacts
from store.timers import TimerChanges
from streams.handler import Handler
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

#: How long something may take here that takes a moment.
SOON_S = 30.0


class Wind(Command):
    key: str = "k"
    after_s: float = 0.0
    every_s: float | None = None
    times: int = 1
    breaks: bool = False


class Unwind(Command):
    key: str


class Ring(Command):
    key: str
    times: int
    breaks: bool


class Rang(DeviceEvent):
    key: str


class Wound(DeviceEvent):
    pass


class Bell(Actor[dict[str, int]]):
    """Rings, and stops itself by and by."""

    state_type = dict
    ignores = (Rang, Wound)

    @handles
    def wind(self, message: Wind) -> Iterator[Payload | Schedule]:
        yield Wound()
        yield Schedule(
            after=message.after_s,
            every=message.every_s,
            key=message.key,
            message=Ring(key=message.key, times=message.times, breaks=message.breaks),
        )

    @handles
    def unwind(self, message: Unwind) -> Iterator[Payload | Cancel]:
        yield Wound()
        yield Cancel(message.key)

    @handles
    def ring(self, message: Ring) -> Iterator[Payload | Schedule]:
        if message.breaks:
            raise RuntimeError("broken")
        yield Rang(key=message.key)
        if message.times > 1:
            less = message.model_copy(update={"times": message.times - 1})
            yield Schedule(after=0.001, message=less, key=message.key)


def settings_of(**actor_system: Any) -> Any:
    return small_settings({"actor_system": {"hosts": 2, **actor_system}}, type="memory")


@pytest.fixture
def system() -> Iterator[ActorSystem]:
    with InProcessSystem(settings_of()) as system:
        yield system


def facts(system: ActorSystem) -> TimekeeperFacts | None:
    """What the timekeeper says of itself, if there is one."""
    statuses = system.status().result()
    found = [one.facts for one in statuses if isinstance(one, ProcessStatus)]
    return next((one for one in found if isinstance(one, TimekeeperFacts)), None)


def take(system: ActorSystem, event_type: str, count: int, **subscribed: Any) -> list[Event]:
    """So many events of the log, from its beginning, which come within SOON_S."""

    async def taken() -> list[Event]:
        async with asyncio.timeout(SOON_S):
            return [event async for event in _some(stream, count)]

    with system.subscribe(event_type, after=0, **subscribed) as stream:
        return asyncio.run(taken())


async def _some(stream: Subscription, count: int) -> AsyncIterator[Event]:
    number = 0
    async for event in stream:
        number += 1
        yield event
        if number == count:
            return


def wait_until(holds: Any) -> None:
    """Until it holds; SOON_S at the most."""
    until_s = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_a_timer_fires_with_its_cause_and_a_system_without_has_no_timekeeper(
    system: ActorSystem,
) -> None:
    bell = system.actor(Bell, "b")
    bell.ask(Unwind(key="k")).result()
    assert facts(system) is None
    set_ = bell.ask(Wind(after_s=0.01)).result()[1]
    [rang] = take(system, "rang", 1)
    [fired] = take(system, "timer-fired", 1)
    assert rang.causation_id == fired.causation_id == set_.id
    assert rang.correlation_id == set_.correlation_id
    assert set_.vector_clock < fired.vector_clock < rang.vector_clock
    assert fired.timestamp >= set_.timestamp + timedelta(seconds=0.01)
    wait_until(lambda: facts(system).pending == 0)  # type: ignore[union-attr]
    found = facts(system)
    assert found is not None
    assert found.fired == 1
    assert found.trouble is None


def test_a_timer_may_set_the_next_one_and_all_come_in_order(system: ActorSystem) -> None:
    names = [f"b-{number}" for number in range(5)]
    for name in names:
        system.actor(Bell, name).ask(Wind(times=20)).result()
    rang = take(system, "rang", 100)
    for name in names:
        theirs = [event for event in rang if event.source == f"bell/{name}"]
        assert len(theirs) == 20
        assert all(one.timestamp < other.timestamp for one, other in pairwise(theirs))


def test_every_goes_on_until_it_is_cancelled(system: ActorSystem) -> None:
    bell = system.actor(Bell, "b")
    bell.ask(Wind(every_s=0.02)).result()
    fired = take(system, "timer-fired", 5)
    passed = [event.data["occurrence"] + event.data["missed"] + 1 for event in fired]
    assert [event.data["occurrence"] for event in fired] == [0, *passed[:-1]]
    assert all(event.data["due_us"] == before.data["next_us"] for before, event in pairwise(fired))
    cancelled = bell.ask(Unwind(key="k")).result()[1]
    assert cancelled.event_type == TimerCancelled.event_type
    wait_until(lambda: facts(system).pending == 0)  # type: ignore[union-attr]
    system.actor(Bell, "other").ask(Wind()).result()
    take(system, "rang", 1, sources="bell/other")
    last = take(system, "timer-cancelled", 1)[0].position
    assert all(
        (event.position or 0) < (last or 0)
        for event in take(system, "timer-fired", len(fired), sources="bell/b")
    )


def test_what_was_pending_when_the_timekeeper_died_fires(system: ActorSystem) -> None:
    processes: Any = system._processes  # type: ignore[attr-defined]
    system.actor(Bell, "first").ask(Wind()).result()
    take(system, "rang", 1)
    processes.end("timekeeper")  # as a kill does
    for number in range(20):
        system.actor(Bell, f"b-{number}").ask(Wind(key=f"k{number % 3}")).result()
    processes._courier.run(processes.keep_timers()).result(SOON_S)
    rang = take(system, "rang", 21)
    assert len({event.source for event in rang}) == 21
    wait_until(lambda: facts(system).pending == 0)  # type: ignore[union-attr]


def test_more_timers_than_may_be_in_memory_fire_in_time(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.processing.timer_window.Window.MOST", 7)
    monkeypatch.setattr("runtime.processing.timer_window.Window.AT_WORK", 3)
    monkeypatch.setattr(Timekeeping, "PAGE", 5)
    refs = [system.actor(Bell, f"b-{number}") for number in range(200)]
    system.tell_many((ref, Wind(after_s=0.3 * (number % 3))) for number, ref in enumerate(refs))
    assert len({event.source for event in take(system, "rang", 200)}) == 200


def test_the_timer_of_an_actor_that_is_stopped_waits_and_holds_up_nobody() -> None:
    with InProcessSystem(settings_of(supervisor_strategy="stop")) as system:
        stopped = system.actor(Bell, "stopped")
        stopped.ask(Wind(key="break", breaks=True)).result()
        take(system, "timer-fired", 1)
        # It takes nothing any more, so this one was set before: by a command in the same batch.
        other = system.actor(Bell, "other")
        system.tell_many(
            [(other, Wind(key="wait", after_s=0.5)), (other, Wind(key="break", breaks=True))]
        )
        wait_until(lambda: facts(system).put_off > 0)  # type: ignore[union-attr]
        system.actor(Bell, "third").ask(Wind()).result()
        take(system, "rang", 1, sources="bell/third")
        wait_until(lambda: facts(system).pending == 1)  # type: ignore[union-attr]


HOUR_US = 3_600_000_000


def test_the_timer_of_an_actor_that_is_stopped_fires_as_soon_as_it_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Timekeeping, "REST_US", HOUR_US)  # nobody else has it fire
    monkeypatch.setattr(Timekeeping, "LONGEST_US", HOUR_US)
    with InProcessSystem(settings_of(supervisor_strategy="stop")) as system:
        first, stopped = system.actor(Bell, "first"), system.actor(Bell, "stopped")
        first.ask(Wind()).result()
        take(system, "rang", 1)
        stopped.ask(Wind(after_s=0.3)).result()
        system.stop(stopped).result()
        wait_until(lambda: facts(system).put_off == 1)  # type: ignore[union-attr]
        assert facts(system).pending == 1  # type: ignore[union-attr]
        system.start(first).result()  # another one; it changes nothing
        system.start(stopped).result()
        take(system, "rang", 1, sources="bell/stopped")
        wait_until(lambda: facts(system).pending == 0)  # type: ignore[union-attr]


def test_a_host_that_had_no_timer_wakes_those_that_came_with_its_shards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Timekeeping, "REST_US", HOUR_US)  # nobody else has it fire
    monkeypatch.setattr(Timekeeping, "LONGEST_US", HOUR_US)
    with InProcessSystem(settings_of(supervisor_strategy="stop")) as system:
        for number in range(10):  # both hosts begin before the log has any timer
            system.actor(Bell, f"b-{number}").ask(Unwind(key="k")).result()
        stopped = system.actor(Bell, "stopped")
        stopped.ask(Wind(after_s=0.3)).result()
        system.stop(stopped).result()
        wait_until(lambda: facts(system).put_off == 1)  # type: ignore[union-attr]
        shard = shard_of("bell/stopped")
        [other] = {0, 1} - {shard % 2}
        system.move_shards([shard], to=host_name(other)).result()
        system.start(stopped).result()
        take(system, "rang", 1, sources="bell/stopped")


class DeafBell(Actor[dict[str, int]]):
    """Another class of bells, of which none rings."""

    actor_type = "bell"
    replaces = (Bell.class_name(),)
    state_type = dict
    ignores = (Rang, Wound)

    @handles
    def unwind(self, message: Unwind) -> Iterator[Payload]:
        yield Wound()


class LoudBell(Bell):
    """And one that rings again."""

    actor_type = "bell"
    replaces = (DeafBell.class_name(),)


def test_the_timer_whose_class_was_away_fires_as_soon_as_that_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, us in (("REST_US", HOUR_US), ("LONGEST_US", HOUR_US), ("PATIENT_US", -HOUR_US)):
        monkeypatch.setattr(Timekeeping, name, us)
    with InProcessSystem(settings_of(hosts=1)) as system:
        system.actor(Bell, "b").ask(Wind(after_s=1.0)).result()
        system.actor(DeafBell, "b").ask(Unwind(key="other")).result()
        wait_until(lambda: facts(system).put_off == 1)  # type: ignore[union-attr]
        loud = system.actor(LoudBell, "another")
        loud.ask(Wind(after_s=3600)).result()
        take(system, "rang", 1, sources="bell/b")


class Shifted:
    """A world whose clock is not that of the others."""

    ahead_us = 0

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def now_us(self) -> int:
        return self._world.now_us() + Shifted.ahead_us


def test_what_a_clock_put_off_that_was_ahead_fires_when_it_is_set_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks_us: list[int] = []
    init, filed = Timekeeping.__init__, Window.filed

    def shifted(self: Timekeeping, world: World, *others: Any) -> None:
        init(self, Shifted(world), *others)  # type: ignore[arg-type]

    def noted(self: Window, changes: TimerChanges) -> None:
        looks_us.extend(move.look_us for move in changes.moved)
        filed(self, changes)

    monkeypatch.setattr(Window, "filed", noted)
    monkeypatch.setattr(Timekeeping, "__init__", shifted)
    monkeypatch.setattr(Shifted, "ahead_us", 3_600_000_000)
    with InProcessSystem(settings_of()) as system:
        system.actor(Bell, "b").ask(Wind(after_s=6.0)).result()
        wait_until(lambda: looks_us)
        assert looks_us[0] > time.time() * 1e6 + 3_000_000_000
        monkeypatch.setattr(Shifted, "ahead_us", 0)
        [rang] = take(system, "rang", 1)
        assert rang.source == "bell/b"


def test_what_a_host_is_done_with_is_sent_again_unless_the_log_says_so(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be one that was replaced and lives on, and has nothing of what was set since."""
    fire = Timers.fire
    in_vain: list[int] = []

    def once_in_vain(self: Timers, attempt: Any, index: int, resident: Any) -> None:
        if in_vain:
            fire(self, attempt, index, resident)
            return
        in_vain.append(index)
        attempt.in_vain.append(index)

    monkeypatch.setattr(Timers, "fire", once_in_vain)
    monkeypatch.setattr(Timekeeping, "HEARD_S", 0.1)
    system.actor(Bell, "b").ask(Wind()).result()
    [rang] = take(system, "rang", 1)
    assert rang.source == "bell/b"
    assert in_vain


class Forger(Handler):
    """Puts out what actors alone may."""

    event_types = ("wound",)
    tries = 1

    def handle(self, event: Event) -> Iterator[Payload]:
        yield TimerCancelled(key="k")


def test_no_program_puts_out_events_of_timers(system: ActorSystem) -> None:
    system.run(Forger).result()
    system.actor(Bell, "b").ask(Wind(after_s=3600)).result()
    system.actor(Bell, "b").ask(Unwind(key="k")).result()
    wait_until(lambda: "made by actors alone" in str(letters_of(system, "forger")))
    assert len(take(system, "timer-cancelled", 1)) == 1


def letters_of(system: ActorSystem, program: str) -> list[Any]:
    """What it could not process, or what it stands at."""
    statuses = system.status().result()
    troubles = [one.trouble for one in statuses if isinstance(one, ProcessStatus)]
    return [*troubles, *system.dead_letters(program).result()]


class TimerSet(DeviceEvent):
    """Of an oven, say: of another kind than those of timers."""

    minutes: int


@pytest.mark.parametrize("payload", [TimerCancelled(key="k"), TimerSet(minutes=3)])
def test_nobody_publishes_events_of_timers(system: ActorSystem, payload: Any) -> None:
    event = Event.of(
        payload,
        source="somebody/else",
        id=uuid4(),
        timestamp=datetime.now(UTC),
    )
    with pytest.raises(PublishRefused, match="timers are yielded"):
        system.publish(event).result()
