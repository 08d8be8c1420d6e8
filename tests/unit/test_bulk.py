"""Bulk calls, driven from an event loop in virtual time: no thread takes part."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest

from actors.actor import Command
from actors.errors import Rejected
from actors.event import Event
from runtime.driver.blocking import tell_many
from runtime.driver.bulk import BulkCall, BulkResult, Item
from runtime.driver.bulk_steps import asking, telling
from runtime.driver.connection import Connection
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.errors import AskTimeout, ConnectionClosed, HostUnavailable, InvalidMessage
from runtime.topology.status import Topology
from runtime.wire.commands import MAX_COMMANDS, Answer, Request, pack_answer
from runtime.wire.error_codec import encode_error
from tests.unit.connecting import HOST, OwnLoop, PlayedWorld, connection, ref
from tests.unit.sending import PlayedHost
from tests.virtual_time import now_s, settled, virtual_time


class Note(Command):
    """Anything at all."""

    data: Any


class RejectingHost(PlayedHost):
    """Rejects every command, and counts no events."""

    def answer(self, request: Request) -> bytes:
        if not request.commands:
            return super().answer(request)
        errors = {index: encode_error(Rejected("no")) for index in range(len(request.commands))}
        return pack_answer(Answer({}, 0, set(), 0, 0, [], [], b"", {}, {}, errors))


class Driving:
    """A bulk call at work over a played host."""

    def __init__(self, host: type[PlayedHost] = PlayedHost, *, want_events: bool = False) -> None:
        self.world = PlayedWorld(host)
        self.connection: Connection = connection(self.world, OwnLoop())
        self.changed = asyncio.Event()
        self.call = BulkCall(30.0, want_events=want_events, changed=self.changed.set)
        self.taken = 0

    @property
    def host(self) -> PlayedHost:
        return self.world.host(HOST)

    def items(self, data: Iterable[Any]) -> Iterator[Item]:
        """A command each; `taken` counts how many were asked for."""
        for one in data:
            self.taken += 1
            yield ref(self.connection), Note(data=one)

    async def told(
        self, items: Iterable[Item], progress: Callable[[BulkResult], None] | None = None
    ) -> BulkResult:
        """tell_many, without a thread."""
        steps = telling(items, self.call, progress)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: BulkResult = end.value
                return result
            await self.changed.wait()
            self.changed.clear()

    async def asked(
        self, items: Iterable[Item], ahead: int = 20_000
    ) -> AsyncIterator[Reply[list[Event]]]:
        """ask_many, without a thread."""
        for reply in asking(items, self.call, ahead):
            if reply is not None:
                yield reply
                continue
            await self.changed.wait()
            self.changed.clear()


@virtual_time
async def test_everything_that_was_taken_is_told_in_full_batches_and_counted() -> None:
    driving = Driving()
    told = await driving.told(driving.items(range(2 * MAX_COMMANDS + 1)))
    assert (told.commands, told.failed) == (2 * MAX_COMMANDS + 1, 0)
    assert [len(batch) for batch in driving.host.batches] == [MAX_COMMANDS, MAX_COMMANDS, 1]
    assert driving.call.idle


@virtual_time
async def test_no_more_is_read_than_may_be_under_way() -> None:
    driving = Driving()
    driving.host.answering.clear()
    telling = asyncio.ensure_future(driving.told(driving.items(range(100 * MAX_COMMANDS))))
    await settled()
    # All but the last of these are in batches; the last one waits for room.
    assert driving.taken == (BulkCall.WINDOW + 1) * MAX_COMMANDS + 1
    driving.host.answering.set()
    assert (await telling).commands == 100 * MAX_COMMANDS


@virtual_time
async def test_progress_that_raises_is_raised_when_all_that_was_taken_is_settled() -> None:
    driving = Driving()
    seen: list[int] = []

    def progress(told: BulkResult) -> None:
        seen.append(told.commands)
        raise RuntimeError("progress")

    with pytest.raises(RuntimeError, match="progress"):
        await driving.told(driving.items(range(20 * MAX_COMMANDS)), progress)
    assert len(seen) == 1  # and not again
    assert driving.taken < 20 * MAX_COMMANDS  # nor is anything else read
    assert driving.call.idle
    assert await ref(driving.connection).ask(Note(data="later")) == []  # nobody else is hurt


@virtual_time
async def test_progress_hears_of_the_last_batch_too_and_may_raise_there() -> None:
    driving = Driving()

    def progress(told: BulkResult) -> None:
        if told.commands == 3:
            raise RuntimeError("at the end")

    with pytest.raises(RuntimeError, match="at the end"):
        await driving.told(driving.items(range(3)), progress)


@virtual_time
async def test_failures_of_commands_whose_data_has_numbers_for_keys_are_told() -> None:
    driving = Driving(RejectingHost)
    told = await driving.told(driving.items([{1: 2}, {1: {2: 3}}]))
    assert (told.commands, told.failed) == (2, 2)
    assert [source for source, _ in told.errors] == ["counter/a"] * 2


@virtual_time
async def test_what_the_iterable_raises_is_raised_when_all_that_was_taken_is_settled() -> None:
    driving = Driving()

    def items() -> Iterator[Item]:
        yield from driving.items(range(3))
        raise LookupError("the source is broken")

    with pytest.raises(LookupError):
        await driving.told(items())
    assert driving.host.batches == [[{"data": 0}, {"data": 1}, {"data": 2}]]
    assert driving.call.idle


@virtual_time
async def test_a_host_that_hangs_ends_a_bulk_call_with_its_patience() -> None:
    driving = Driving()
    driving.host.answering.clear()
    told = await driving.told(driving.items(range(3)))
    assert (told.failed, now_s()) == (3, 30.0)
    assert {type(error) for _, error in told.errors} == {AskTimeout}


@virtual_time
async def test_closing_the_connection_ends_a_bulk_call_with_a_typed_error() -> None:
    driving = Driving()
    driving.host.answering.clear()
    telling = asyncio.ensure_future(driving.told(driving.items(range(100 * MAX_COMMANDS))))
    await settled()
    driving.connection.close()
    with pytest.raises(ConnectionClosed):
        await telling
    assert now_s() == 0.0
    assert driving.call.idle


@virtual_time
async def test_replies_come_in_the_order_of_the_items_each_of_them_done() -> None:
    driving = Driving(want_events=True)
    replies = [reply async for reply in driving.asked(driving.items(range(5)), ahead=2)]
    assert all(reply.done() for reply in replies)
    assert [await reply for reply in replies] == [[]] * 5


@virtual_time
async def test_asking_reads_no_further_ahead_than_it_may() -> None:
    driving = Driving(want_events=True)
    replies = driving.asked(driving.items(range(100)), ahead=10)
    await anext(replies)
    assert driving.taken == 10
    await replies.aclose()  # type: ignore[attr-defined]


@virtual_time
async def test_closing_the_connection_answers_every_ask_with_a_typed_error() -> None:
    driving = Driving(want_events=True)
    driving.host.answering.clear()

    async def outcomes() -> list[type[Exception]]:
        found: list[type[Exception]] = []
        async for reply in driving.asked(driving.items(range(3))):
            with pytest.raises(ConnectionClosed) as raised:
                reply.result()
            found.append(raised.type)
        return found

    asking = asyncio.ensure_future(outcomes())
    await settled()
    driving.connection.close()
    assert await asking == [ConnectionClosed] * 3


@virtual_time
async def test_an_item_that_cannot_be_sent_is_raised_and_costs_no_other() -> None:
    driving = Driving()
    with pytest.raises(InvalidMessage):
        await driving.told(driving.items(["good", "\ud800"]))
    assert driving.host.batches == [[{"data": "good"}]]


@virtual_time
async def test_a_host_that_is_away_is_told_again_until_it_is_back() -> None:
    driving = Driving()
    driving.host.losing = 3
    assert (await driving.told(driving.items(range(3)))).failed == 0
    driving.host.losing = 10**6
    told = await driving.told(driving.items(range(3)))
    assert {type(error) for _, error in told.errors} == {HostUnavailable}


async def noted(replies: AsyncIterator[Reply[list[Event]]], answered: list[bool]) -> None:
    """Take note of the replies, each of which is done when it comes."""
    async for reply in replies:
        assert reply.done()
        answered.append(True)


@pytest.mark.parametrize("ahead", [1, 20_000])
@virtual_time
async def test_what_the_iterable_of_asks_raises_is_raised_when_all_that_was_taken_is_answered(
    ahead: int,
) -> None:
    driving = Driving(want_events=True)

    def items() -> Iterator[Item]:
        yield from driving.items(range(3))
        raise OSError("the file ends here")

    answered: list[bool] = []
    with pytest.raises(OSError, match="ends here"):
        await noted(driving.asked(items(), ahead), answered)
    assert answered == [True] * 3
    assert sum(map(len, driving.host.batches)) == 3


@virtual_time
async def test_an_ask_that_cannot_be_sent_is_raised_when_those_before_it_are_answered() -> None:
    driving = Driving(want_events=True)
    answered: list[bool] = []
    with pytest.raises(InvalidMessage):
        await noted(driving.asked(driving.items(["good", "\ud800", "never taken"])), answered)
    assert (answered, driving.taken) == ([True], 2)


@virtual_time
async def test_of_asks_that_are_left_it_is_said_how_many_were_not_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driving = Driving(want_events=True)
    steps = asking(driving.items(range(10)), driving.call, 3)
    while next(steps) is None:
        await driving.changed.wait()
    assert next(steps) is not None, "the second of three that were sent"
    assert driving.taken == 4
    steps.close()
    assert "1 of the commands that it had taken were not sent" in caplog.text
    assert "note for counter/a" in caplog.text
    await settled()
    assert sum(map(len, driving.host.batches)) == 3


@virtual_time
async def test_of_a_bulk_call_that_is_left_while_it_waits_for_room_all_that_was_taken_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driving = Driving()
    driving.host.answering.clear()
    steps = telling(driving.items(range(100 * MAX_COMMANDS)), driving.call, None)
    next(steps)
    sent = BulkCall.WINDOW * MAX_COMMANDS
    steps.close()
    assert f"{driving.taken - sent:,} of the commands" in caplog.text
    caplog.clear()
    driving.host.losing = 10**6
    driving.host.answering.set()
    await asyncio.sleep(100)
    said = "a command of a bulk call that was left, for counter/a failed, and nobody looked at its"
    assert caplog.text.count(said) == BulkCall.WINDOW


@virtual_time
async def test_a_bulk_call_that_comes_to_its_end_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driving = Driving()
    await driving.told(driving.items(range(MAX_COMMANDS + 1)))
    assert not caplog.text


def move(driving: Driving) -> None:
    """The system was launched anew, with other hosts."""
    to = driving.connection
    to._adopt(Topology(settings_json=to.settings.model_dump_json(), hosts=("host-1", "host-2")))


@virtual_time
async def test_what_was_not_sent_when_the_hosts_changed_has_failed_and_the_rest_counts() -> None:
    driving = Driving()
    one = ref(driving.connection)

    def items() -> Iterator[tuple[ActorRef[Any], Note]]:
        yield one, Note(data=1)
        move(driving)
        yield one, Note(data=2)

    told = await driving.told(items())
    assert (told.commands, told.failed) == (2, 1)


@virtual_time
async def test_a_bulk_call_ends_where_the_hosts_change_while_a_batch_is_filled_up() -> None:
    driving = Driving()
    one, commands, now_us = ref(driving.connection), 0, driving.world.now_us

    def move_at_the_last() -> int:
        nonlocal commands
        commands += 1
        if commands == MAX_COMMANDS:
            move(driving)
        return now_us()

    driving.world.now_us = move_at_the_last  # type: ignore[method-assign]
    told = await driving.told((one, Note(data=number)) for number in range(MAX_COMMANDS))
    assert told.failed == MAX_COMMANDS


@pytest.mark.parametrize("patience_s", [None, "60", -1.0, float("nan"), True])
def test_a_patience_that_is_none_is_refused_at_once(patience_s: Any) -> None:
    taken: list[Item] = []
    with pytest.raises(ValueError, match="a number of seconds"):
        tell_many((taken.append(None) for _ in range(3)), patience_s=patience_s, progress=None)  # type: ignore[misc, func-returns-value, arg-type]
    assert not taken


class TakenMeanwhile(deque[Any]):
    """What was answered, of which the loop takes the last just when somebody has seen that there
    is one."""

    def __bool__(self) -> bool:
        there = len(self) > 0
        self.clear()
        return there


@virtual_time
async def test_who_leaves_just_when_the_loop_takes_what_was_answered_is_told_nothing_of_it() -> (
    None
):
    driving = Driving()
    for item in driving.items(range(MAX_COMMANDS)):
        driving.call.offer(item)
    await settled()
    assert driving.call.answered
    driving.call._answered = TakenMeanwhile(driving.call._answered)
    assert driving.call.leave() == []
