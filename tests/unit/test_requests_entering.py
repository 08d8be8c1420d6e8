"""What any program may send is checked where it enters: a bad command costs its sender an answer,
and its neighbours nothing."""

import json
import re
from decimal import Decimal
from typing import Any

import msgpack
import pytest

from actors.clock import MAX_NODES
from actors.moments import LAST_US
from runtime.errors import InvalidMessage, PublishRefused
from runtime.wire.answers import read_events
from runtime.wire.commands import (
    DATA,
    ID,
    MAX_COMMANDS,
    PUBLISH,
    CommandPacker,
    pack_request,
)
from runtime.wire.reading import LARGEST, unpack_request
from store.errors import InvalidData
from store.rows.decoding import folds
from tests.unit.hosting import Add, Hosting, command, versions
from tests.virtual_time import virtual_time


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


@pytest.mark.parametrize("levels", [201, 300, 100_000])
@virtual_time
async def test_what_any_program_publishes_is_not_nested_more_deeply_than_a_class_can_be_read(
    levels: int,
) -> None:
    host = await Hosting.begin()
    text = b'{"a":' * levels + b"1" + b"}" * levels
    sent = {"event_type": "seen", "kind": "system", "data": text, "metadata": {}, "clock": {}}
    answer = await host.deliver(command("tower/jfk", PUBLISH, data=sent))
    with pytest.raises(InvalidData):
        read_events(answer, 0)
    assert await host.log("tower/jfk") == []


def of_commands(count: int) -> bytes:
    good = CommandPacker().pack(GOOD)
    return pack_request(b"driver", 0, 0, {}, True, [good] * count)


@pytest.mark.parametrize(
    "packed_request", [of_commands(MAX_COMMANDS + 1), of_commands(1) + bytes(LARGEST)]
)
def test_a_request_of_more_than_drivers_send_at_a_time_is_refused_whole(
    packed_request: bytes,
) -> None:
    """Its host would do nothing else before all of it is decided."""
    assert len(unpack_request(of_commands(MAX_COMMANDS)).commands) == MAX_COMMANDS
    with pytest.raises(InvalidMessage, match="are allowed"):
        unpack_request(packed_request)
