"""What a handler prints is its actor's; one that waits for its own system is refused, and one that
blocks its host is told."""

import logging
import threading
import weakref
from collections.abc import Iterator

import pytest

from actors.actor import Command, handles
from actors.event import Payload
from runtime.errors import (
    HandlerFailed,
)
from runtime.host.handler_watch import HandlerWatch, TimeLimits, _looking
from runtime.host.host import Host
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.wire.answers import read_events
from tests.unit.chargers import Call, Charger, Plug
from tests.unit.hosting import Counter, Hosting, command
from tests.unit.test_host import OneWriter, deliver
from tests.unit.writing import Writing
from tests.virtual_time import virtual_time
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


@pytest.fixture(scope="module")
def system() -> Iterator[ActorSystem]:
    """A system in this process; what is wrong with a call is told before it travels."""
    with InProcessSystem(small_settings({}, type="memory")) as system:
        yield system


class NoEnd:
    """A world whose processes go on."""

    def end(self) -> None:
        raise AssertionError("nothing is that bad")

    def end_unless_called(self, within_s: float, telling: int) -> None:
        raise AssertionError("there is no switch")


class Block(Command):
    """Its handler does not come back at once."""


@virtual_time
async def test_what_a_handler_prints_is_about_its_actor() -> None:
    host = Host(
        "host-0", Settings().model_dump_json(), None, world=OneWriter(await Writing.begin())
    )
    told: list[str | None] = []

    class Prints(Counter):
        actor_type = "prints"

        @handles
        def block(self, message: Block) -> Iterator[Payload]:
            told.append(host.about())
            other = threading.Thread(target=lambda: told.append(host.about()))
            other.start()
            other.join()
            yield from ()

    assert host.about() is None
    await host.ready()
    host._classes.types.register(Prints)
    await deliver(host, command("prints/a", Block()))
    assert told == ["prints/a", None]  # what other threads print, they say for nobody
    assert host.about() is None


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (lambda system: system.actor(Charger, "d").state().result(), "waits for charger/d, and"),
        (
            lambda system: system.tell_many([(system.actor(Charger, "d"), Plug())]),
            "waits for a bulk call, and",
        ),
        (
            lambda system: list(system.ask_many([(system.actor(Charger, "d"), Plug())])),
            "waits for a bulk call, and",
        ),
        (lambda system: system.subscribe("plugged"), "waits for a subscription, and"),
        (
            lambda system: next(iter(system.subscribe("plugged", after=1_000))),
            "waits for the events of a subscription, and",
        ),
    ],
    ids=["ask", "tell_many", "ask_many", "subscribe", "read"],
)
@virtual_time
async def test_a_handler_that_waits_for_its_own_system_is_refused_at_once(
    system: ActorSystem, wait: Call, said: str
) -> None:
    class Waits(Counter):
        actor_type = "waits"

        @handles
        def block(self, message: Block) -> Iterator[Payload]:
            wait(system)
            yield from ()

    host = await Hosting.begin()
    host.register(Waits)
    with pytest.raises(HandlerFailed, match=f"WaitInHandler: a handler {said} all actors of its"):
        read_events(await host.deliver(command("waits/a", Block())), 0)


def test_a_look_at_handlers_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    looks: list[float] = []

    class Failing:
        def look(self, now_s: float) -> None:
            looks.append(now_s)
            if len(looks) == 1:
                raise RuntimeError("a frame that is gone")
            raise SystemExit  # the end of this test

    failing = Failing()
    with pytest.raises(SystemExit):
        _looking(weakref.WeakMethod(failing.look), 0.0)
    assert len(looks) == 2
    assert "a frame that is gone" in caplog.text


@virtual_time
async def test_a_handler_that_blocks_is_said_with_actor_command_and_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = await Hosting.begin()
    limits = TimeLimits(host.types, 5.0)
    watch = HandlerWatch(host.decider.work, limits, host.metrics.actors, NoEnd(), None)
    seen_s = iter([0.0, 0.5, 3.0, 3.5])

    def said() -> list[logging.LogRecord]:
        """By hosts: the system of this module may have something to say, too."""
        return [record for record in caplog.records if record.name == "thornback.host"]

    def looked() -> None:
        """As the thread that watches would, while this handler runs."""
        looking = threading.Thread(target=watch.look, args=(next(seen_s),))
        looking.start()
        looking.join()

    class Slow(Counter):
        actor_type = "slow"

        @handles
        def block(self, message: Block) -> Iterator[Payload]:
            looked()
            looked()
            assert not said()
            looked()
            looked()
            yield from ()

    host.register(Slow)
    await host.deliver(command("slow/a", Block()))
    [record] = said()
    assert record.getMessage().startswith("slow/a has been at block for 3 s, and nobody else")
    assert "test_handlers_watched.py" in record.getMessage()
    assert host.metrics.actors.slow == 0
    watch.look(4.0)  # nothing is being decided
    assert len(said()) == 1
    assert host.metrics.actors.slow == 1
