"""A message has an effect or comes back, whatever its receiver says and whoever is late."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.errors import InvalidName, Rejected
from actors.event import BusinessEvent, Event, Payload
from actors.messages import MessageRefused
from actors.tell import Tell
from runtime.driver.host_link import HostLink
from runtime.driver.selecting import checked_subscription_name
from runtime.system import ActorSystem
from store.rows.json_text import MAX_EVENT_BYTES
from tests.unit.test_messages_between_actors import known_everywhere, take
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

LIMIT_S = 30.0


class Say(Command):
    what: str
    to: str = "ear/a"


class Word(Command):
    what: str


class Open(Command):
    pass


class Said(BusinessEvent):
    pass


class Opened(BusinessEvent):
    pass


class Heard(BusinessEvent):
    letters: int


class GotBack(BusinessEvent):
    reason: str
    letters: int


class Speaker(Actor[dict[str, int]]):
    ignores = (Said, GotBack)

    @handles
    def say(self, message: Say) -> Iterator[Payload | Tell]:
        # What is too large with a reason beside it, and not without.
        large = MAX_EVENT_BYTES - 110
        yield Said()
        yield Tell(message.to, Word(what="x" * large if message.what == "large" else message.what))

    @handles
    def back(self, message: MessageRefused) -> Iterator[GotBack]:
        yield GotBack(reason=message.reason, letters=len(message.message.get("what", "")))


class Ear(Actor[dict[str, int]]):
    """Hears what is fine, and that only when it is open."""

    ignores = (Heard,)

    @handles
    def open(self, message: Open) -> Iterator[Opened]:
        yield Opened()

    @handles
    def word(self, message: Word) -> Iterator[Heard]:
        if message.what == "NUL":
            raise Rejected("not \0 this")
        if message.what == "boom":
            raise ValueError("embedded \0 byte")
        if message.what == "much":
            raise Rejected("sorry " * 100_000)
        if message.what == "surrogate":
            raise Rejected("\udc80")
        if len(message.what) > 1_000 or not self.state.get("open"):
            raise Rejected("closed, " + "sorry " * 30)
        yield Heard(letters=len(message.what))

    @applies
    def opened(self, event: Opened) -> None:
        self.state["open"] = 1


@pytest.fixture
def system() -> Iterator[ActorSystem]:
    with InProcessSystem(small_settings({"actor_system": {"hosts": 1}}, type="memory")) as system:
        yield system


@pytest.mark.parametrize(
    ("what", "reason", "letters"),
    [
        ("NUL", "not \N{REPLACEMENT CHARACTER} this", 3),
        ("boom", "\N{REPLACEMENT CHARACTER} byte", 4),
        ("much", "sorry sorry", 4),
        ("surrogate", "udc80", 9),
        ("large", "closed", 0),
    ],
)
def test_whatever_a_receiver_says_its_refusal_can_be_kept_and_stops_nobody(
    system: ActorSystem, what: str, reason: str, letters: int
) -> None:
    known_everywhere(system, Ear)
    system.actor(Ear, "b").ask(Open()).result()
    system.actor(Speaker, "s").ask(Say(what=what)).result()
    system.actor(Speaker, "t").ask(Say(what="fine", to="ear/b")).result()
    assert take(system, "heard", 1)[0].source == "ear/b"
    (back,) = take(system, "got-back", 1)
    assert reason in back.data["reason"]
    assert len(back.data["reason"]) < 3_000
    assert back.data["letters"] == letters


def test_what_was_returned_has_no_effect_however_late_its_command_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[bytes] = []
    there = threading.Event()
    deliver = HostLink.deliver

    async def slow(self: HostLink, request: bytes, held_back: Any) -> Any:
        if b"word" in request and not held:
            held.append(request)  # it stands in a socket, or its sender is stopped
            there.set()
            await asyncio.Event().wait()
        return await deliver(self, request, held_back)

    with InProcessSystem(small_settings({"actor_system": {"hosts": 1}}, type="memory")) as system:
        system.actor(Ear, "a").state().result()
        monkeypatch.setattr(HostLink, "deliver", slow)
        system.actor(Speaker, "ann").ask(Say(what="hello")).result()
        assert there.wait(LIMIT_S)
        processes: Any = system._processes
        processes.end("deliverer")  # as a kill does
        processes._courier.run(processes.deliver_messages()).result(LIMIT_S)
        take(system, "got-back", 1)
        system.actor(Ear, "a").ask(Open()).result()  # from now on it would hear
        (host,) = (name for name in processes._named if name.startswith("host"))
        processes._courier.run(processes._named[host].deliver(held[0])).result(LIMIT_S)
        seen = [event.event_type for event in _log(system)]
    assert "heard" not in seen
    assert seen.count("message-returned") == 1


def _log(system: ActorSystem) -> list[Event]:
    head = system.head().result()
    with system.subscribe(after=0) as stream:
        found: list[Event] = []
        for page in stream.pages():
            found += page
            if stream.position >= head:
                return found
    raise AssertionError("closed by somebody else")


def test_the_name_of_the_deliverer_is_nobody_else_s() -> None:
    with pytest.raises(InvalidName, match="messages between actors are delivered under this name"):
        type("Messages", (Actor,), {})
    with pytest.raises(InvalidName, match="messages between actors are delivered under this name"):
        checked_subscription_name("messages")
