"""The mistakes of a first day at the call: each is told in one line, with what to do."""

from collections.abc import Iterator
from typing import Any

import pytest

from actors.actor import Actor, Command
from actors.errors import InvalidActor, InvalidName
from runtime.driver.bulk import Send
from runtime.errors import (
    InvalidMessage,
)
from runtime.settings.settings import ConfigurationError, Settings
from runtime.system import ActorSystem
from store.errors import InvalidData
from store.scenario import Scenario
from tests.unit.chargers import Call, Charger, Plug, Plugged
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


@pytest.fixture(scope="module")
def system() -> Iterator[ActorSystem]:
    """A system in this process; what is wrong with a call is told before it travels."""
    with InProcessSystem(small_settings({}, type="memory")) as system:
        yield system


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
        (lambda system: system.drain(timeout_s="1"), ValueError, "timeout_s= is a number of s"),
        (lambda system: system.actor(Charger, "a\nb"), InvalidName, "it has '.n': a name is one"),
        (
            lambda system: Settings.load(actor_system={"placement": {Charger: "dedicated"}}),
            ConfigurationError,
            r"placement: found .*\.Charger'>\": .*, expected a table of actor types \(Charger.act",
        ),
        (
            lambda system: Scenario(Charger).when(Plug(), at="2013"),  # type: ignore[arg-type]
            ValueError,
            "a moment is an aware datetime, not '2013'",
        ),
        (lambda system: system.publish(Plugged()), InvalidData, r"Plugged is a payload.*Event\.of"),
        (lambda system: system.publish("plugged"), InvalidData, r"not a str: Event\.of\("),
        (lambda system: system.publish(Plugged), InvalidData, "not the class Plugged: Event"),
        (
            asks(Plug(), id="4c8f1c1e-0d5b-4d6e-9a3c-0f6f5d1c2b3a"),
            InvalidMessage,
            r"not '4c8f1c1e-.*: uuid\.UUID\('4c8f1c1e-0d5b-4d6e-9a3c-0f6f5d1c2b3a'\)",
        ),
        (
            lambda system: system.actor("a", Charger),
            InvalidName,
            "the class Charger.*: the class comes first, and then the name",
        ),
        (lambda _: ActorSystem(), TypeError, r"ActorSystem\.connect\(\) connects to"),  # type: ignore[call-arg]
        (
            lambda system: ActorSystem.connect(settings={"a": 1}),  # type: ignore[arg-type]
            TypeError,
            r"settings= takes Settings, not \{'a': 1\}: Settings\.load\(",
        ),
        (
            lambda system: ActorSystem.launch({"a": 1}),  # type: ignore[arg-type]
            TypeError,
            r"settings= takes Settings, not \{'a': 1\}: Settings\.load\(",
        ),
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
        "a ref and a message to ask", "a text to drain", "a name of two lines",
        "a class for an actor type", "a text for a moment", "a payload to publish",
        "a text to publish", "an event class to publish", "a UUID as a text",
        "a class for a name", "a system of nothing", "a dict of settings to connect by",
        "a dict of settings to launch by",
    ],
)  # fmt: skip
def test_a_mistaken_call_is_told_with_what_to_do(
    system: ActorSystem, call: Call, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as told:
        call(system)
    assert "\n" not in str(told.value)
