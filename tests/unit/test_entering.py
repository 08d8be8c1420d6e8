"""What callers give is checked where it enters: at the call, and at the host once more."""

import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgpack
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
from runtime.errors import InvalidMessage, PublishRefused
from runtime.wire.answers import read_events
from runtime.wire.commands import (
    AT_US,
    DATA,
    ID,
    MAX_COMMAND_BYTES,
    PUBLISH,
    CommandPacker,
    pack_request,
)
from runtime.wire.reading import unpack_request
from store.errors import InvalidData
from store.rows.decoding import folds
from tests.unit.connecting import HOST, OwnLoop, PlayedWorld, connection, ref
from tests.unit.hosting import Add, Hosting, command, versions
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


def packed(*fields: Any) -> bytes:
    """What any program may send."""
    sent: bytes = msgpack.packb(list(fields))
    return sent


GOOD = ("counter/a", "add", bytes(16), 0, {"times": 1}, None, None)


def of_good(**changes: Any) -> bytes:
    places = ("source", "message_type", "id", "at_us", "data", "correlation", "causation")
    return packed(*(changes.get(place, GOOD[at]) for at, place in enumerate(places)))


@pytest.mark.parametrize(
    "bad",
    [
        of_good(at_us=LAST_US + 1),
        of_good(at_us=2**63),
        of_good(at_us="now"),
        of_good(id=b"short"),
        of_good(id="a text of sixteen"),
        of_good(correlation=b"x" * 17),
        of_good(source=7),
        of_good(source=""),
        of_good(source="x" * 1025),
        of_good(source="é" * 1000),
        of_good(source="a\0b"),
        of_good(message_type=None),
        packed(*GOOD[:6]),
        packed(*GOOD, "one more"),
        packed(),
        msgpack.packb("no list at all"),
        packed(*GOOD[:4]) .replace(b"\x94", b"\x97", 1) + b"\x81\x81\xa1a\x01\x02\xc0\xc0",
        packed(*GOOD[:4]).replace(b"\x94", b"\x97", 1) + b"\xd4\x07\x00\xc0\xc0",
        packed(*GOOD[:4]).replace(b"\x94", b"\x97", 1) + b"\xa1\xff\xc0\xc0",
    ],
)  # fmt: skip
def test_a_bad_command_costs_its_sender_an_answer_and_its_neighbours_nothing(bad: bytes) -> None:
    good = CommandPacker().pack(GOOD)
    request = unpack_request(pack_request(b"driver", 1, 2, {"n": 3}, True, [good, bad, good]))
    assert (request.driver, request.generation, request.sequence) == (b"driver", 1, 2)
    assert (request.clock, request.want_events) == ({"n": 3}, True)
    first, invalid, last = request.commands
    assert tuple(first) == tuple(last) == GOOD
    assert (invalid[0], invalid[1], len(invalid[ID])) == ("$invalid", "$invalid", 16)
    assert invalid[DATA][-1]


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"no request",
        packed(b"driver", 0, 0, {}, True),
        packed(b"driver", 0, 0, {}, True, 7),
        packed(b"driver", -1, 0, {}, True, []),
        packed(b"driver", 0, 0, {"n": 2**64 - 1}, True, []),
        packed(b"driver", 0, 0, {"n": -1}, True, []),
        packed(b"driver", 0, 0, {"n\0": 1}, True, []),
        packed(b"driver", 0, 0, {7: 1}, True, []),
        packed(b"driver", 0, 0, {str(n): 1 for n in range(MAX_NODES + 1)}, True, []),
        packed(b"driver", 0, 0, {}, True, [[]])[:-1],
        packed(b"driver", 0, 0, {}, True, [], 7),
    ],
)
def test_what_is_no_request_or_has_a_bad_clock_is_refused_alone(request_: bytes) -> None:
    with pytest.raises(InvalidMessage, match="cannot be read"):
        unpack_request(request_)


@pytest.mark.parametrize("bad", [False, True])
def test_a_request_says_whether_it_was_sent_before(bad: bool) -> None:
    commands = [of_good(id=b"short")] if bad else []
    for again in (False, True):
        packed_ = pack_request(b"driver", 1, 2, {}, True, commands, again)
        assert unpack_request(packed_).again is again


@virtual_time
async def test_a_host_answers_a_bad_command_and_runs_its_neighbours() -> None:
    host = await Hosting.begin()
    good = CommandPacker().pack(tuple(command("counter/a", Add())))
    bad = of_good(id=b"short")
    request = unpack_request(pack_request(b"driver", 0, 0, {}, True, [good, bad]))
    answer = await host.deliver(*map(list, request.commands))
    assert versions(read_events(answer, 0)) == [1]
    with pytest.raises(InvalidMessage, match=r"add for counter/a: .*16"):
        read_events(answer, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"a": "x\0"}},
        {"metadata": {"a": 7}},
        {"clock": {"n": 2**64 - 1}},
        {"clock": {"n\0": 1}},
        {"event_type": "a\0b"},
        {"kind": "telepathic"},
        {"data": b"no JSON"},
        {"data": b"[1]"},
        {"data": b'{"a":"\\u0000"}'},
        {"data": "a text"},
        {"data": b'{"a":1e5000}'},
        {"data": b'{"a":-1E400}'},
        {"data": b'{"a":NaN}'},
        {"data": b'{"a":' + b"1" * 400 + b".5}"},
        {"data": b'{"a":' + b"[" * 600 + b"]" * 600 + b"}"},
    ],
)
@virtual_time
async def test_a_refused_publish_leaves_no_gap_in_versions_and_no_mark_on_the_clock(
    changes: dict[str, Any],
) -> None:
    host = await Hosting.begin()
    data = {"event_type": "seen", "kind": "system", "data": b"{}", "metadata": {}, "clock": {}}
    answers = [
        await host.deliver(command("tower/jfk", PUBLISH, data=sent))
        for sent in (data, {**data, **changes}, data)
    ]
    with pytest.raises((InvalidData, PublishRefused)):
        read_events(answers[1], 0)
    (event,) = read_events(answers[2], 0)
    assert event.version == 2
    assert dict(event.vector_clock) == {"host": 2}
    assert versions(await host.log("tower/jfk")) == [1, 2]


@pytest.mark.parametrize("number", [b"1e23", b"1E23", b"123456789e15", b"-2.5e+30", b"1e-7"])
@virtual_time
async def test_a_number_that_any_program_publishes_is_stored_as_what_it_is_read_as(
    number: bytes,
) -> None:
    """PostgreSQL writes an exponent out, and what has no point then is an integer."""
    host = await Hosting.begin()
    sent = {"event_type": "seen", "kind": "system", "data": b'{"a":%b}' % number}
    await host.deliver(command("tower/jfk", PUBLISH, data={**sent, "metadata": {}, "clock": {}}))
    (event,) = await host.log("tower/jfk")
    (fold,) = folds((await host.store.read(0, 1)).rows)
    exact = format(Decimal(re.findall(rb"[-+.0-9eE]+", fold.data)[0].decode()), "f")
    assert type(json.loads(exact)) is type(event.data["a"])


def published(clock: dict[str, int]) -> list[Any]:
    data = {"event_type": "seen", "kind": "system", "data": b"{}", "metadata": {}, "clock": clock}
    return command("tower/jfk", PUBLISH, data=data)


@virtual_time
async def test_nodes_that_somebody_made_up_are_in_the_event_that_names_them_and_in_no_other() -> (
    None
):
    host = await Hosting.begin()
    named = {f"made-up-{number}": 1 for number in range(MAX_NODES - 1)} | {"elsewhere": 7}
    first = await host.deliver(published(named))
    second = await host.deliver(published({"another": 2}), clock=named)
    third = await host.deliver(command("counter/a", Add()), clock=named)
    host = await Hosting.begin(host.store)  # which loads the last published event
    fourth = await host.deliver(published({}))
    clocks = [dict(read_events(one, 0)[0].vector_clock) for one in (first, second, third, fourth)]
    assert clocks == [
        {**named, "host": 1},
        {"another": 2, "elsewhere": 7, "host": 2},
        {"elsewhere": 7, "host": 3},
        {"elsewhere": 7, "host": 4},
    ]
    assert second.clock == third.clock | {"host": 2} == {"elsewhere": 7, "host": 2}


@virtual_time
async def test_an_answer_that_repeats_a_published_event_does_not_pass_its_made_up_nodes_on() -> (
    None
):
    host = await Hosting.begin()
    await host.deliver(sent := published({"made-up": 1}))
    host = await Hosting.begin(host.store)
    again = await host.deliver(sent)
    assert dict(read_events(again, 0)[0].vector_clock) == {"made-up": 1, "host": 1}
    assert again.clock == {"host": 1}


@virtual_time
async def test_a_clock_of_as_many_events_as_one_counts_shuts_no_driver_out() -> None:
    host = await Hosting.begin()
    await host.deliver(published({"host": MAX_COUNT}))
    answer = await host.deliver(command("counter/a", Add()), clock={"host": MAX_COUNT})
    assert answer.clock == {"host": 2}
    pack = pack_request(b"driver", 0, 0, answer.clock, True, [])
    assert unpack_request(pack).clock == {"host": 2}
