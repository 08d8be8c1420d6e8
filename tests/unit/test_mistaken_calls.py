"""The mistakes of a first day at the call: each is told in one line, with what to do."""

import asyncio
import gc
import logging
import pickle
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.devices import DeviceTwin
from actors.errors import InvalidActor
from actors.event import DeviceEvent, Payload
from runtime.errors import InvalidMessage, StartFailed
from runtime.host.decision import Decider
from runtime.host.handler_watch import HandlerWatch
from runtime.host.host import Host
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.wire.answers import read_events
from tests.unit.hosting import Add, Counter, Hosting, command
from tests.unit.sending import Sending
from tests.unit.test_host import OneWriter
from tests.unit.writing import Writing
from tests.virtual_time import virtual_time
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


class Plug(Command):
    """A car is plugged in."""


class Plugged(DeviceEvent):
    """It is plugged in."""


class Charge(BaseModel):
    cars: int = 0


class Charger(Actor[Charge]):
    @handles
    def plug(self, message: Plug) -> Iterator[Plugged]:
        yield Plugged()

    @applies
    def plugged(self, event: Plugged) -> None:
        self.state.cars += 1


@pytest.fixture(scope="module")
def system() -> Iterator[ActorSystem]:
    """A system in this process; what is wrong with a call is told before it travels."""
    with InProcessSystem(small_settings({}, type="memory")) as system:
        yield system


Call = Callable[[ActorSystem], object]


def asks(message: Any, **named: Any) -> Call:
    """A call of `ask`."""
    return lambda system: system.actor(Charger, "a").ask(message, **named)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (asks(Plugged()), InvalidMessage, "the event Plugged for charger/a: .* send a command"),
        (asks("plug"), InvalidMessage, "a str for charger/a: send an instance of a class .*'plug'"),
        (asks({"a": 1}), InvalidMessage, "a dict for charger/a: send an instance of a class"),
        (asks(Plug), InvalidMessage, r"the class Plug for charger/a: .*instance of it: Plug\("),
        (asks(Plug(), id="abc"), InvalidMessage, "its id is a UUID or 16 bytes, not 'abc': uuid"),
        (asks(Plug(), at="2013-01-01"), InvalidMessage, "a moment is an aware datetime .*2013-01"),
        (
            lambda system: system.tell_many([(Plug(), system.actor(Charger, "a"))]),
            InvalidMessage,
            r"the other way round: an item is \(ref, message\)",
        ),
        (
            lambda system: system.tell_many([Plug()]),
            InvalidMessage,
            r"an item is \(ref, message\) or Send",
        ),
        (
            lambda system: system.actor(Plug, "a"),
            InvalidActor,
            r"Plug: it is no actor class: derive it from Actor\[State\]",
        ),
        (
            lambda system: system.actor(Charger("a"), "a"),
            InvalidActor,
            "pass the class Charger, not an actor of it",
        ),
    ],
    ids=[
        "event", "text", "dict", "class", "id", "at", "swapped pair", "no pair", "no actor class",
        "an actor",
    ],
)  # fmt: skip
def test_a_mistaken_call_is_told_with_what_to_do(
    system: ActorSystem, call: Call, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as told:
        call(system)
    assert "\n" not in str(told.value)


@virtual_time
async def test_a_module_of_actors_that_is_not_there_is_named() -> None:
    settings = Settings.model_validate({"actor_system": {"actor_modules": ["flet.chargers"]}})
    world = OneWriter(await Writing.begin())
    host = Host("host-0", settings.model_dump_json(), None, world=world)
    with pytest.raises(StartFailed, match=r"actor_modules names 'flet\.chargers', which cannot be"):
        await host.ready()


def test_a_subscription_to_an_event_type_that_nobody_knows_says_so(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    system.actor(Charger, "b").ask(Plug()).result()
    with caplog.at_level(logging.WARNING), system.subscribe(["pluged", "plugged", "plug*"]):
        until_s = time.monotonic() + 10
        while "pluged" not in caplog.text and time.monotonic() < until_s:
            system.head().result()  # a round trip through the loop that looks
    assert "waits for 'pluged'" in caplog.text
    assert "did you mean 'plugged'?" in caplog.text
    assert "waits for 'plugged'" not in caplog.text


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


@virtual_time
async def test_an_ask_whose_failure_nobody_looks_at_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sending = Sending()
    sending.host.unknown = ["heard", "unheard", "also"]
    heard, _, _, fine = map(sending.ask, ("heard", "unheard", "also", "fine"))
    assert await fine == "fine"
    with pytest.raises(Exception, match="no actor type"):
        await heard
    assert "nobody looked" not in caplog.text
    del heard, fine, _
    gc.collect()
    assert re.search(
        r"an ask of counter/a failed, and nobody looked at its reply \(and 1 more .*\): no actor t",
        caplog.text,
    )


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


class Block(Command):
    """Its handler does not come back at once."""


@virtual_time
async def test_a_handler_that_blocks_is_said_with_actor_command_and_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = HandlerWatch(Decider.decide.__code__, threading.get_ident())
    seen_s = iter([0.0, 0.5, 3.0, 3.5, 7.0])

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
            assert not caplog.records
            looked()
            looked()
            yield from ()

    host = await Hosting.begin()
    host.register(Slow)
    await host.deliver(command("slow/a", Block()))
    [record] = caplog.records
    assert record.getMessage().startswith("slow/a has been at block for 3 s, and nobody else")
    assert "test_mistaken_calls.py" in record.getMessage()
    watch.look(7.0)  # nothing is being decided
    assert len(caplog.records) == 1
