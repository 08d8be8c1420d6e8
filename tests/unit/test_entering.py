"""What callers give is checked where it enters: at the call."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from actors.actor import Command
from actors.clock import MAX_COUNT, MAX_NODES, VectorClock
from actors.errors import InvalidName
from actors.event import Event, Kind
from actors.moments import FIRST_US, LAST_US, microseconds, moment_of
from actors.naming import aggregate_id_of
from runtime.driver.bulk import BulkCall, Item, Send
from runtime.driver.publishing import publish
from runtime.driver.ref import ActorRef
from runtime.driver.validation import check_message
from runtime.errors import InvalidMessage
from runtime.wire.commands import (
    AT_US,
    DATA,
    ID,
    MAX_COMMAND_BYTES,
    CommandPacker,
)
from store.errors import InvalidData
from tests.unit.connecting import HOST, OwnLoop, PlayedWorld, connection, ref
from tests.virtual_time import virtual_time

MOMENT = datetime(2013, 1, 1, tzinfo=UTC)


class Note(Command):
    """Anything at all."""

    data: Any = None


def target() -> ActorRef[Any]:
    return ref(connection(PlayedWorld(), OwnLoop()))


def sent_by(to: ActorRef[Any]) -> list[Any]:
    """The last command that arrived at the host."""
    world = to.connection.world
    assert isinstance(world, PlayedWorld)
    return list(world.hosts[HOST].requests[-1].commands[-1])


BAD_MOMENTS: list[Any] = [
    LAST_US + 1,
    FIRST_US - 1,
    1_700_000_000_000_000_000,  # nanoseconds
    datetime(2013, 1, 1),  # noqa: DTZ001 - what is refused here
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),  # before the year 1 in UTC
    1.5,
    True,
    "2013-01-01",
]


BAD_IDS: list[Any] = [b"", b"x" * 15, b"x" * 17, "x" * 16, 7, bytearray(16)]


def test_plain_data_without_a_form_or_with_too_much_of_it_is_refused() -> None:
    for data, problem in (("\ud800", "surrogates"), ("x" * MAX_COMMAND_BYTES, "16,777,216")):
        fields = ("counter/a", "note", bytes(16), 5, {"data": data}, None, None)
        with pytest.raises(InvalidMessage, match=rf"note for counter/a: .*{problem}"):
            CommandPacker().pack_plain(fields)


class Flat(Command):
    """Of plain fields alone."""

    text: str
    number: int


class Dated(Command):
    """Of a field that is plain in Python, but not on the wire."""

    on: date


def test_it_is_known_of_a_class_of_messages_whether_its_data_is_plain() -> None:
    for _ in range(2):
        assert check_message(Flat(text="a", number=1), "counter/a")
        assert not check_message(Dated(on=date(2013, 1, 1)), "counter/a")
        assert not check_message(Note(), "counter/a")


@pytest.mark.parametrize("at", BAD_MOMENTS)
@virtual_time
async def test_a_moment_that_is_none_is_refused_at_the_call(at: Any) -> None:
    to = target()
    for call in (to.ask, to.tell):
        with pytest.raises(
            InvalidMessage, match=r"note for counter/a: when it happened: .*1970|zone"
        ):
            call(Note(), at=at)
    with pytest.raises(InvalidMessage, match="when it happened"):
        offer(Send(to, Note(), None, at))


@pytest.mark.parametrize("id", BAD_IDS)
@virtual_time
async def test_an_id_that_is_none_is_refused_at_the_call(id: Any) -> None:
    to = target()
    for name in ("id", "correlation_id", "causation_id"):
        with pytest.raises(InvalidMessage, match=r"note for counter/a: its .*id is a UUID or 16"):
            to.ask(Note(), **{name: id})
    with pytest.raises(InvalidMessage, match="its id is a UUID or 16 bytes"):
        offer(Send(to, Note(), id))


def offer(item: Item) -> None:
    BulkCall(9.0, want_events=False, changed=lambda: None).offer(item)


@pytest.mark.parametrize("at", [MOMENT, microseconds(MOMENT)])
@virtual_time
async def test_a_moment_travels_in_unix_microseconds(at: Any) -> None:
    to = target()
    await to.ask(Note(), at=at, id=UUID(int=5).bytes)
    arrived = sent_by(to)
    assert (arrived[AT_US], arrived[ID]) == (1_356_998_400_000_000, UUID(int=5).bytes)
    assert moment_of(FIRST_US).year == 1
    assert moment_of(LAST_US).year == 9999


@pytest.mark.parametrize(
    "data", [{(1, 2): 3}, {"deep": [{(1, 2): 3}]}, {frozenset((1,)): 2}, {Note(): 1}]
)
@virtual_time
async def test_keys_that_are_no_texts_and_no_numbers_are_refused_at_the_call(data: Any) -> None:
    with pytest.raises(InvalidMessage, match="the key of a mapping is a text or a number, not"):
        target().ask(Note.model_construct(data=data))


@virtual_time
async def test_keys_that_are_numbers_or_have_a_text_arrive_as_these() -> None:
    to = target()
    keys = {1: "a", 2.5: "b", UUID(int=1): "c", Kind.DEVICE: "d", 2**70: "e"}
    await to.ask(Note(data=keys))
    assert sent_by(to)[DATA] == {
        "data": {1: "a", 2.5: "b", str(UUID(int=1)): "c", "device": "d", 2**70: "e"}
    }


@virtual_time
async def test_a_command_of_more_than_it_may_have_is_refused_at_the_call() -> None:
    with pytest.raises(InvalidMessage, match="bytes, 16,777,216 are allowed"):
        target().ask(Note(data="x" * MAX_COMMAND_BYTES))


@virtual_time
async def test_a_nest_without_an_end_is_refused_at_the_call() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidMessage):
        target().ask(Note.model_construct(data=endless))


def nested(levels: int) -> dict[str, Any]:
    """Objects in one another."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value  # type: ignore[no-any-return]


def outside(**changes: Any) -> Event:
    fields: dict[str, Any] = {
        "id": UUID(int=1),
        "event_type": "seen",
        "kind": Kind.SYSTEM,
        "source": "tower/jfk",
        "aggregate_id": aggregate_id_of("tower/jfk"),
        "timestamp": MOMENT,
        "data": {},
    }
    return Event(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"metadata": {"a": "x\0"}}, InvalidData),
        ({"metadata": {"a\0": "x"}}, InvalidData),
        ({"metadata": {"a": 1}}, InvalidData),
        ({"metadata": {"a": "\ud800"}}, InvalidData),
        ({"metadata": {"a": "x" * 2**20}}, InvalidData),
        ({"data": {"a": float("nan")}}, InvalidData),
        ({"data": nested(201)}, InvalidData),
        ({"source": "a\0b"}, InvalidName),
        ({"source": ""}, InvalidName),
        ({"event_type": "a\0b"}, InvalidName),
        ({"event_type": ""}, InvalidName),
        ({"event_type": "x" * 1025}, InvalidName),
        ({"kind": "telepathic"}, InvalidMessage),
        ({"id": "no id"}, InvalidMessage),
        ({"correlation_id": b"short"}, InvalidMessage),
        ({"timestamp": MOMENT.replace(tzinfo=None)}, InvalidMessage),
        ({"vector_clock": VectorClock.adopt({"n": 2**64})}, InvalidMessage),
        ({"vector_clock": VectorClock.adopt({"n": -1})}, InvalidMessage),
        ({"vector_clock": VectorClock.adopt({"n": 1.5})}, InvalidMessage),  # type: ignore[dict-item]
        ({"vector_clock": VectorClock.adopt({"n\0": 1})}, InvalidMessage),
        ({"vector_clock": VectorClock.adopt({"": 1})}, InvalidMessage),
        ({"vector_clock": VectorClock.adopt({"n" * 5000: 1})}, InvalidMessage),
        (
            {"vector_clock": VectorClock.adopt({str(n): 1 for n in range(MAX_NODES + 1)})},
            InvalidMessage,
        ),
    ],
)
@virtual_time
async def test_a_published_event_that_no_log_holds_is_refused_at_the_call(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    to = connection(PlayedWorld(), OwnLoop())
    with pytest.raises(error):
        publish(to, outside(**changes))
    assert await publish(to, outside(vector_clock=VectorClock({"n": MAX_COUNT}))) == []
