"""The mistakes of a first day at the call: each is told in one line, with what to do."""

import asyncio
import gc
import logging
import pickle
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.devices import DeviceTwin
from actors.errors import InvalidActor, InvalidName
from actors.event import DeviceEvent, Event, Payload
from runtime.driver.bulk import Send
from runtime.errors import (
    AskTimeout,
    ConnectionClosed,
    HandlerFailed,
    InvalidMessage,
    PublishRefused,
    StartFailed,
)
from runtime.host.handler_watch import HandlerWatch, _looking
from runtime.host.host import Host
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.wire.answers import read_events
from store.errors import InvalidData
from tests.unit.hosting import Add, Counter, Hosting, command
from tests.unit.sending import Sending
from tests.unit.test_host import OneWriter, deliver
from tests.unit.writing import Writing
from tests.virtual_time import virtual_time
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


class Plug(Command):
    """A car is plugged in."""


class Plugged(DeviceEvent):
    """It is plugged in."""


class Arrived(DeviceEvent):
    kwh: float


MOMENT = datetime(2013, 1, 1, tzinfo=UTC)


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


Call = Callable[[Any], object]


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
            "Charger: pass the class Charger, not an actor of it",
        ),
        (
            lambda system: system.actor(Charger(), "a"),
            InvalidActor,
            r"Charger: a host makes its actors: pass the class, system\.actor\(Charger, name\)",
        ),
        (lambda system: system.actor(Actor, "a"), InvalidActor, "Actor: it is no actor class"),
        (lambda system: system.actor(Charger, 7), InvalidName, r"'7': .* is a text: str\(7\)"),
        (asks(Command()), InvalidMessage, "a bare Command for charger/a: derive a class"),
        (
            lambda system: system.tell_many([Send(system.actor(Charger, "a"), Plugged())]  # type: ignore[arg-type]
            ),
            InvalidMessage,
            "the event Plugged for charger/a: .* send a command that it handles",
        ),
        (
            lambda system: system.tell_many((system.actor(Charger, "a"), Plug())),
            InvalidMessage,
            r"give it a list of pairs, \[\(ref, message\)\]",
        ),
        (
            lambda system: list(system.ask_many(system.actor(Charger, "a"))),
            InvalidMessage,
            r"give it a list of pairs, \[\(ref, message\)\]",
        ),
        (
            lambda system: system.actor(Charger, "a").state().result(timeout=1),
            TypeError,
            r"a reply waits for seconds: result\(timeout_s=1\.5\), not timeout=1",
        ),
        (
            lambda system: system.actor(Charger, "a").state().result("1"),
            TypeError,
            r"a reply waits for seconds: result\(timeout_s=1\.5\), not '1'",
        ),
        (
            lambda system: system.actor(Charger, "a").state().cars,
            AttributeError,
            r"a reply has no \.cars: .* is what \.result\(\) returns, or await",
        ),
        (
            lambda system: [*system.actor(Charger, "a").state()],
            TypeError,
            r"a reply has no \[0\]: .* is what \.result\(\) returns, or await",
        ),
        (
            lambda system: system.actor(Charger, "a").plug(Plug()),
            AttributeError,
            r"its ref has no 'plug': send it a command, \.ask\(\.\.\.\)",
        ),
        (lambda system: system.subscribe(Plugged), InvalidName, "say its event type, 'plugged'"),
        (lambda system: system.subscribe([Plugged]), InvalidName, "its event type, 'plugged'"),
        (lambda system: system.subscribe(Charger), InvalidName, r"say sources='charger/\*'"),
        (
            lambda system: system.subscribe(sources=system.actor(Charger, "a")),
            InvalidName,
            "it is not a source: say sources='charger/a'",
        ),
        (lambda system: system.subscribe(None), InvalidName, "it is not an event type: say a text"),
        (lambda system: system.subscribe(after="0"), ValueError, "a position is a number .* '0'"),
        (lambda system: system.subscribe(after=True), ValueError, "a position is .* not True"),
        (lambda system: system.subscribe(after=1.5), ValueError, "a position is a n.* not 1.5"),
        (lambda system: system.subscribe(after=system.head()), ValueError, "a position is a nu"),
        (lambda system: system.subscribe(timeout_s="1"), ValueError, "timeout_s= is a number of s"),
        (
            lambda system: system.subscribe("plugged", "unplugged"),
            TypeError,
            r"several event types are a list, subscribe\(\['a', 'b'\]\)",
        ),
        (
            lambda system: system.subscribe(source="charger/a"),
            TypeError,
            "'source': .*; whose events, says sources='type/name'",
        ),
        (
            lambda system: system.tell_many(system.actor(Charger, "a"), Plug()),
            TypeError,
            r"it takes a list of pairs, tell_many\(\[\(ref, message\)\]\)",
        ),
        (
            lambda system: system.ask_many(system.actor(Charger, "a"), Plug()),
            TypeError,
            r"it takes a list of pairs, ask_many\(\[\(ref, message\)\]\)",
        ),
        (lambda system: system.publish(Plugged()), InvalidData, r"Plugged is a payload.*Event\.of"),
        (lambda system: system.publish("plugged"), InvalidData, r"not a str: Event\.of\("),
    ],
    ids=[
        "event", "text", "dict", "class", "id", "at", "swapped pair", "no pair", "no actor class",
        "an actor", "an actor of nothing", "the base of actors", "a number for a name",
        "a bare command", "an event in a bulk call", "one pair", "a ref for a list", "timeout",
        "seconds as a text", "a value's attribute", "a value's items", "a handler of a ref",
        "an event class", "an event class in a list", "an actor class to subscribe to",
        "a ref for a source", "nothing to subscribe to", "a text for a position",
        "a truth for a position", "a fraction for a position", "a reply for a position",
        "a text for a timeout", "two event types", "one source", "a ref and a message to tell",
        "a ref and a message to ask", "a payload to publish", "a text to publish",
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


@virtual_time
async def test_a_refused_class_of_a_module_of_actors_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(Actor[Charge]):
        @handles
        async def plug(self, message: Plug) -> None: ...

    fleet = ModuleType("fleet")
    fleet.Broken = Broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fleet", fleet)
    settings = Settings.model_validate({"actor_system": {"actor_modules": ["fleet"]}})
    host = Host("host-0", settings.model_dump_json(), None, world=OneWriter(await Writing.begin()))
    with pytest.raises(
        StartFailed,
        match=r"actor_modules names 'fleet', whose class Broken is refused "
        r"\(broken: plug is async: .* make it a plain `def`\): correct it, and launch again",
    ):
        await host.ready()


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


def test_a_subscription_to_an_event_type_that_nobody_knows_says_so(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    system.actor(Charger, "b").ask(Plug()).result()
    with caplog.at_level(logging.WARNING), system.subscribe(["pluged", "plugged", "plug*"]):
        pass  # it was said before anybody could begin to wait
    assert "waits for 'pluged'" in caplog.text
    assert "did you mean 'plugged'?" in caplog.text
    assert "waits for 'plugged'" not in caplog.text
    with system.subscribe("charger/b", after=0):
        assert "waits for 'charger/b'" in caplog.text
    assert "a source is named so: sources='charger/b'" in caplog.text


def test_a_subscription_after_a_position_beyond_the_log_says_where_that_ends(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    [event] = system.actor(Charger, "beyond").ask(Plug()).result()
    ends = event.position or 0
    with caplog.at_level(logging.WARNING), system.subscribe(after=ends):
        assert "the log ends at" not in caplog.text
    with caplog.at_level(logging.WARNING), system.subscribe(after=ends + 1):
        pass
    said = f"begins after position {ends + 1}, and the log ends at {ends}: nothing comes before"
    assert caplog.text.count(said) == 1


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


@virtual_time
async def test_an_ask_that_nobody_waits_for_before_the_end_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sending = Sending()
    sending.host.swallowing = ["heard", "unheard"]
    heard, unheard = sending.ask("heard"), sending.ask("unheard")
    sending.channel.close(ConnectionClosed("here"))
    with pytest.raises(ConnectionClosed):
        await heard
    del heard, unheard
    gc.collect()
    assert "an ask of counter/a was unanswered when its connection was closed" in caplog.text
    assert "Say .result() or await, or flush() before you close" in caplog.text


ENDS = """
import threading
from dataclasses import dataclass

from thornback import Actor, Command, handles
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


class Plug(Command):
    pass


@dataclass
class Charge:
    cars: int = 0


class Stuck(Actor[Charge]):
    @handles
    def plug(self, message: Plug) -> None:
        threading.Event().wait()


system = InProcessSystem(small_settings({}, type="memory"))
failed = system.actor("charger", "a").ask(Plug())
system.flush().result()
lost = system.actor(Stuck, "b").ask(Plug())
"""


def test_a_program_that_ends_says_whom_it_has_not_heard() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=120, check=True
    )
    assert "an ask of charger/a failed, and nobody looked at its reply: no actor" in ended.stderr
    assert (
        "the program ends with unanswered commands (1), first plug for stuck/b: they may never "
        "have been sent. Say .result() or await, or flush() before it ends"
    ) in ended.stderr


@virtual_time
async def test_a_timeout_names_actor_command_and_host_and_what_that_is_at() -> None:
    sending = Sending()
    sending.host.swallowing = ["stuck"]
    stuck = sending.ask("stuck")
    await asyncio.sleep(1)  # it has left, so the next one travels behind it
    sending.host.swallowing.append("behind")
    behind = sending.ask("behind")
    with pytest.raises(AskTimeout, match=r"counter/a: no answer within .* to 'echo': host has it"):
        await stuck
    with pytest.raises(AskTimeout, match="has it, and echo for counter/a before it; where a hand"):
        await behind

    unreachable = Sending()
    unreachable.found.clear()
    with pytest.raises(AskTimeout, match="to 'echo': host was not reached"):
        await unreachable.ask("lost")


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
    watch = HandlerWatch(host.decider, threading.get_ident())
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

    host.register(Slow)
    await host.deliver(command("slow/a", Block()))
    [record] = caplog.records
    assert record.getMessage().startswith("slow/a has been at block for 3 s, and nobody else")
    assert "test_mistaken_calls.py" in record.getMessage()
    watch.look(7.0)  # nothing is being decided
    assert len(caplog.records) == 1
