"""Calls over loopback: answered in any order, of any size, and only among our own.

Real sockets, no Ray: what Ray is asked here is a process's address, and who this is.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import ActorUnavailableError

from runtime.transport import caller, loopback
from runtime.transport.loopback import Server, _Answering
from tests.unit.calling import Held, Machine


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has a name without a Ray that gives it one."""
    for end in (loopback, caller):
        monkeypatch.setattr(end, "this_machine", lambda: "here")


async def echo(request: bytes) -> bytes:
    return request


async def backwards(request: bytes) -> bytes:
    return request[::-1]


async def fails(request: bytes) -> bytes:
    raise ZeroDivisionError


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    """A machine for processes and callers."""
    machine = Machine()
    yield machine
    await machine.end()


async def test_calls_of_several_methods_share_one_connection(machine: Machine) -> None:
    process = machine.process(echo=echo, backwards=backwards)
    caller = machine.caller(process)
    same, turned = await asyncio.gather(
        caller.call("echo", b"abc"), caller.call("backwards", b"abc")
    )
    assert (same, turned) == (b"abc", b"cba")
    assert (process.looked_up, len(process.server.connections)) == (1, 1)
    assert process.through_ray == []


async def test_answers_come_in_the_order_in_which_they_are_ready(machine: Machine) -> None:
    held = Held()
    caller = machine.caller(machine.process(ask=held))
    first, second = (asyncio.ensure_future(caller.call("ask", ask)) for ask in (b"1", b"2"))
    await held.has(b"1", b"2")
    held.called[b"2"].set_result(b"two")
    assert await second == b"two"
    assert not first.done()
    held.called[b"1"].set_result(b"one")
    assert await first == b"one"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 5_000_000])
async def test_a_message_may_have_any_size(machine: Machine, size: int) -> None:
    caller = machine.caller(machine.process(backwards=backwards))
    request = bytes(index % 251 for index in range(size))
    answers = await asyncio.gather(*(caller.call("backwards", request) for _ in range(3)))
    assert answers == [request[::-1]] * 3


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 255), st.binary(max_size=40))),
    st.lists(st.integers(min_value=1, max_value=30), min_size=1),
)
def test_frames_arrive_whole_however_the_stream_is_cut(
    frames: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    class Wire:
        sent = b""

        def writelines(self, parts: tuple[bytes, ...]) -> None:
            self.sent += b"".join(parts)

    class Collecting(loopback.Frames):
        def received(self, number: int, method: int, payload: bytes) -> None:
            found.append((number, method, payload))

    found: list[tuple[int, int, bytes]] = []
    end, wire = Collecting(), Wire()
    end.transport = wire
    for frame in frames:
        end.send(*frame)
    stream, turn = wire.sent, 0
    while stream:
        size = cuts[turn % len(cuts)]
        end.data_received(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert found == frames


async def test_a_process_that_ends_fails_what_it_was_asked_and_is_found_again(
    machine: Machine,
) -> None:
    held = Held()
    process = machine.process(ask=held, echo=echo)
    caller = machine.caller(process)
    asked = asyncio.ensure_future(caller.call("ask", b"?"))
    await held.has(b"?")
    process.dies()
    with pytest.raises(ConnectionError):
        await asked
    assert await caller.call("echo", b"!") == b"!"
    assert (process.looked_up, process.through_ray) == (2, [])


async def test_a_process_that_is_away_is_said_to_be_until_it_is_back(machine: Machine) -> None:
    process = machine.process(echo=echo)
    caller = machine.caller(process)
    process.away = True
    for _ in range(2):
        with pytest.raises(ActorUnavailableError):
            await caller.call("echo", b"?")
    process.away = False
    assert await caller.call("echo", b"?") == b"?"


async def test_calls_to_another_machine_go_through_ray(machine: Machine) -> None:
    process = machine.process(echo=echo)
    process.changed = {"machine": "there"}
    caller = machine.caller(process)
    assert [await caller.call("echo", b"1"), await caller.call("echo", b"2")] == [
        b"through Ray: 1",
        b"through Ray: 2",
    ]
    assert (process.looked_up, process.server.connections) == (1, set())


async def test_a_process_that_moved_to_this_machine_is_called_over_loopback(
    machine: Machine,
) -> None:
    process = machine.process(echo=echo)
    process.changed = {"machine": "there"}
    caller = machine.caller(process)
    await caller.call("echo", b"1")
    process.away = True
    with pytest.raises(ActorUnavailableError):
        await caller.call("echo", b"2")
    process.away, process.changed = False, {}
    assert await caller.call("echo", b"3") == b"3"


@pytest.mark.parametrize("wrong", ["port", "token", "proof"])
async def test_where_a_stranger_listens_calls_go_through_ray(
    machine: Machine, wrong: str, unused_tcp_port: int
) -> None:
    process = machine.process(echo=echo)
    process.changed = {wrong: unused_tcp_port if wrong == "port" else b"x" * 16}
    caller = machine.caller(process)
    assert await caller.call("echo", b"1") == b"through Ray: 1"
    assert await caller.call("echo", b"2") == b"through Ray: 2"


async def test_a_stranger_is_not_served(machine: Machine) -> None:
    process = machine.process(ask=(held := Held()))
    address = await process.server.address()
    reader, writer = await asyncio.open_connection(loopback.LOOPBACK, address.port)
    writer.write(loopback.HEADER.pack(16, 0, 0) + b"x" * 16 + loopback.HEADER.pack(1, 1, 0) + b"?")
    with pytest.raises(asyncio.IncompleteReadError) as ended:
        await reader.readexactly(1)
    assert (ended.value.partial, held.called) == (b"", {})
    writer.close()
    await writer.wait_closed()


async def test_a_stranger_takes_no_memory_before_it_is_known(machine: Machine) -> None:
    """It says that four gigabytes are to come, and sends on."""
    process = machine.process(echo=echo)
    address = await process.server.address()
    reader, writer = await asyncio.open_connection(loopback.LOOPBACK, address.port)
    writer.write(loopback.HEADER.pack(2**32 - 1, 0, 0))
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert not process.server.connections


async def test_a_stranger_that_says_nothing_is_not_kept(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection takes a file of the process, which has not many."""
    monkeypatch.setattr(loopback, "STRANGE_S", 0.0)
    process = machine.process(echo=echo)
    caller = machine.caller(process)
    address = await process.server.address()
    reader, writer = await asyncio.open_connection(loopback.LOOPBACK, address.port)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    monkeypatch.setattr(loopback, "STRANGE_S", 60.0)
    assert await caller.call("echo", b"1") == b"1"


async def test_a_call_that_fails_ends_the_connection_and_no_other(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    process = machine.process(fails=fails, echo=echo)
    caller, other = machine.caller(process), machine.caller(process)
    await other.call("echo", b"1")
    with pytest.raises(ConnectionError):
        await caller.call("fails", b"")
    assert "ZeroDivisionError" in caplog.text
    assert await other.call("echo", b"2") == b"2"
    assert process.looked_up == 2


async def test_an_answer_that_no_frame_has_room_for_ends_the_connection_and_no_call_waits_for_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = machine.caller(machine.process(echo=echo))
    await caller.call("echo", b"1")

    def too_large(*_: object) -> None:
        raise struct.error("'I' format requires 0 <= number <= 4294967295")

    monkeypatch.setattr(_Answering, "send", too_large)
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(caller.call("echo", b"2"), 30.0)


async def test_a_caller_that_gives_up_leaves_the_connection_to_the_others(machine: Machine) -> None:
    held = Held()
    caller = machine.caller(machine.process(ask=held, echo=echo))
    asked = asyncio.ensure_future(caller.call("ask", b"?"))
    await held.has(b"?")
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    held.called[b"?"].set_result(b"too late")
    assert await caller.call("echo", b"!") == b"!"
    assert caller._near is not None
    assert caller._near._waiting == {}, "what nobody waits for is forgotten"


async def test_a_caller_that_is_closed_while_it_looks_for_the_process_keeps_no_connection(
    machine: Machine,
) -> None:
    process = machine.process(echo=echo)
    caller = machine.caller(process)
    looking = asyncio.ensure_future(caller.call("echo", b"?"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the question is put again and again, in a task each
    assert process.looked_up == 1
    caller.close()
    with pytest.raises(ConnectionError, match="closed"):
        await asyncio.wait_for(looking, 30.0)
    assert caller._near is not None
    assert caller._near.transport.is_closing()


async def test_flushed_means_that_every_answer_is_on_its_way(machine: Machine) -> None:
    held = Held()
    process = machine.process(ask=held)
    caller = machine.caller(process)
    asked = asyncio.ensure_future(caller.call("ask", b"?"))
    await held.has(b"?")
    flushed = asyncio.ensure_future(process.server.wait_flushed())
    await asyncio.sleep(0)
    assert not flushed.done()
    held.called[b"?"].set_result(b"!")
    await flushed
    process.dies()
    assert await asked == b"!"


async def test_flushed_does_not_wait_for_calls_that_come_meanwhile(machine: Machine) -> None:
    held = Held()
    process = machine.process(ask=held)
    caller = machine.caller(process)
    first = asyncio.ensure_future(caller.call("ask", b"1"))
    await held.has(b"1")
    flushed = asyncio.ensure_future(process.server.wait_flushed())
    await asyncio.sleep(0)
    later = asyncio.ensure_future(caller.call("ask", b"2"))
    await held.has(b"2")
    held.called[b"1"].set_result(b"!")
    await flushed
    assert await first == b"!"
    assert not later.done()
    later.cancel()


async def test_a_process_that_lives_on_beside_its_successor_is_left_for_it(
    machine: Machine,
) -> None:
    replaced, successor = machine.process(echo=echo), machine.process(echo=backwards)
    caller = machine.caller(replaced)
    assert await caller.call("echo", b"12") == b"12"
    before, replaced.server = replaced.server, successor.server  # what Ray means by that name
    assert await caller.call("echo", b"12") == b"12"
    caller.look_again()
    assert [await caller.call("echo", b"12"), await caller.call("echo", b"34")] == [b"21", b"43"]
    assert replaced.looked_up == 2
    before.close()


async def test_looking_again_keeps_a_connection_that_is_still_right(machine: Machine) -> None:
    held = Held()
    process = machine.process(ask=held, echo=echo)
    caller = machine.caller(process)
    asked = asyncio.ensure_future(caller.call("ask", b"?"))
    await held.has(b"?")
    caller.look_again()
    assert await caller.call("echo", b"!") == b"!"
    held.called[b"?"].set_result(b"kept")
    assert await asked == b"kept"
    assert (process.looked_up, len(process.server.connections)) == (2, 1)


async def test_a_process_that_is_closed_begins_to_listen_for_nobody() -> None:
    asked_later = Server({}, lambda: "here")
    asked_later.close()
    with pytest.raises(ConnectionError, match="answers no calls any more"):
        await asked_later.address()


async def test_what_begins_to_listen_while_the_process_is_closed_ends_with_it() -> None:
    server = Server({}, lambda: "here")
    loop = asyncio.get_running_loop()
    create, made = loop.create_server, list[asyncio.Server]()

    async def closed_meanwhile(*arguments: Any, **named: Any) -> asyncio.Server:
        made.append(await create(*arguments, **named))
        server.close()
        return made[0]

    loop.create_server = closed_meanwhile  # type: ignore[method-assign]
    with pytest.raises(ConnectionError, match="answers no calls any more"):
        await server.address()
    assert not made[0].is_serving()
