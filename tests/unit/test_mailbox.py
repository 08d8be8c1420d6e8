"""A host's mailbox: bounded, in each driver's order, and with an end to every wait."""

import asyncio

import pytest

from runtime.errors import HostUnavailable, MailboxFull
from runtime.host.batch import Batch
from runtime.host.mailbox import Mailbox
from runtime.wire.answers import raise_error
from runtime.wire.commands import Request, unpack_answer
from tests.virtual_time import now_s, settled, virtual_time


def request(sequence: int, *, driver: bytes = b"d", generation: int = 0, size: int = 1) -> Request:
    """A batch of so many commands."""
    commands = [["counter/a", "add", b"", 0, {}, None, None]] * size
    return Request(driver, generation, sequence, {}, True, commands)


async def taken(mailbox: Mailbox, number: int) -> list[tuple[bytes, int]]:
    """The next batches, as (driver, sequence)."""
    found = []
    for _ in range(number):
        batch = await mailbox.take()
        while batch is None:
            batch = await mailbox.take()
        found.append((batch.request.driver, batch.request.sequence))
    return found


async def turned_away(batch: Batch) -> None:
    """The batch was answered with its host's being unavailable to it."""
    answer = unpack_answer(await batch.answer)
    with pytest.raises(HostUnavailable, match="turned away"):
        raise_error(answer, 0)


@virtual_time
async def test_batches_that_overtook_one_another_are_put_back_in_order() -> None:
    mailbox = Mailbox("host", 100)
    for sequence in (0, 3, 1, 4, 2):
        mailbox.put(request(sequence))
    assert await taken(mailbox, 5) == [(b"d", n) for n in range(5)]


@virtual_time
async def test_a_driver_that_waits_for_an_earlier_batch_holds_up_no_other() -> None:
    mailbox = Mailbox("host", 100)
    for driver, sequence in ((b"a", 0), (b"a", 2), (b"b", 0), (b"b", 1), (b"a", 1)):
        mailbox.put(request(sequence, driver=driver))
    assert await taken(mailbox, 5) == [(b"a", 0), (b"b", 0), (b"b", 1), (b"a", 1), (b"a", 2)]


@virtual_time
async def test_a_full_mailbox_refuses_a_batch_and_the_rest_of_its_generation() -> None:
    mailbox = Mailbox("host", 10)
    mailbox.put(request(0, size=6))
    with pytest.raises(MailboxFull, match="mailbox of 10 commands is full"):
        mailbox.put(request(1, size=5))
    with pytest.raises(HostUnavailable):
        mailbox.put(request(2, size=1))
    mailbox.put(request(0, driver=b"other", size=4))
    assert mailbox.unanswered == 10
    assert await taken(mailbox, 2) == [(b"d", 0), (b"other", 0)]
    mailbox.put(request(0, generation=1, size=0))


@virtual_time
async def test_an_empty_mailbox_admits_a_batch_of_any_size() -> None:
    mailbox = Mailbox("host", 10)
    mailbox.put(request(0, size=50))
    with pytest.raises(MailboxFull):
        mailbox.put(request(1))


@virtual_time
async def test_answers_make_room() -> None:
    mailbox = Mailbox("host", 2)
    first = mailbox.put(request(0, size=2))
    assert mailbox.unanswered == 2
    first.answer.set_result(b"")
    await settled()
    assert mailbox.unanswered == 0
    mailbox.put(request(1, size=2))


@virtual_time
async def test_a_new_generation_turns_away_what_the_old_one_still_waits_for() -> None:
    mailbox = Mailbox("host", 100)
    mailbox.put(request(0))
    early = [mailbox.put(request(sequence)) for sequence in (2, 3)]
    mailbox.put(request(0, generation=1))
    for batch in early:
        await turned_away(batch)
    with pytest.raises(HostUnavailable):
        mailbox.put(request(1))
    mailbox.put(request(1, generation=1))
    assert await taken(mailbox, 3) == [(b"d", 0), (b"d", 0), (b"d", 1)]


@virtual_time
async def test_a_generation_that_does_not_begin_at_its_beginning_is_refused() -> None:
    """Its first batches went to a process that is gone: nobody must wait for them."""
    mailbox = Mailbox("host", 100)
    with pytest.raises(HostUnavailable, match="restarted"):
        mailbox.put(request(4))
    assert mailbox.unanswered == 0


@virtual_time
async def test_the_end_of_a_generation_turns_away_all_that_its_driver_has_waiting() -> None:
    mailbox = Mailbox("host", 100)
    failed = mailbox.put(request(0))
    assert await taken(mailbox, 1) == [(b"d", 0)]
    due, early = mailbox.put(request(1)), mailbox.put(request(3))
    other = mailbox.put(request(0, driver=b"other"))
    mailbox.end_generation(failed)
    await turned_away(due)
    await turned_away(early)
    with pytest.raises(HostUnavailable):
        mailbox.put(request(4))
    assert await mailbox.take() is other


@virtual_time
async def test_the_end_of_an_old_generation_leaves_the_new_one_alone() -> None:
    mailbox = Mailbox("host", 100)
    old = mailbox.put(request(0))
    assert await taken(mailbox, 1) == [(b"d", 0)]
    new = mailbox.put(request(0, generation=1)), mailbox.put(request(1, generation=1))
    mailbox.end_generation(old)
    assert await taken(mailbox, 2) == [(b"d", 0), (b"d", 1)]
    assert not any(batch.answer.done() for batch in new)


@virtual_time
async def test_a_batch_turned_away_takes_along_what_followed_it_before_a_newer_generation() -> None:
    """The driver began anew because of a third batch, and has not sent the two again yet:
    the second must not be run before the first."""
    mailbox = Mailbox("host", 3)
    mailbox.put(request(0, size=0))
    first, second = mailbox.put(request(1)), mailbox.put(request(2))
    assert await taken(mailbox, 2) == [(b"d", 0), (b"d", 1)]
    with pytest.raises(MailboxFull):
        mailbox.put(request(3, size=2))
    hello = mailbox.put(request(0, generation=1, size=0))
    mailbox.end_generation(first)
    await turned_away(second)
    assert await mailbox.take() is hello


@virtual_time
async def test_a_batch_without_room_takes_along_what_had_come_before_it_was_due() -> None:
    mailbox = Mailbox("host", 3)
    mailbox.put(request(0, size=2))
    early = mailbox.put(request(2))
    with pytest.raises(MailboxFull):
        mailbox.put(request(1))
    await turned_away(early)


@virtual_time
async def test_a_batch_that_comes_twice_is_taken_once_and_ends_nothing() -> None:
    mailbox = Mailbox("host", 100)
    mailbox.put(request(0))
    early = mailbox.put(request(2))
    for sequence in (0, 2):
        with pytest.raises(HostUnavailable, match="came before"):
            mailbox.put(request(sequence))
    mailbox.put(request(1))
    assert await taken(mailbox, 3) == [(b"d", 0), (b"d", 1), (b"d", 2)]
    assert not early.answer.done()
    assert mailbox.unanswered == 3


@virtual_time
async def test_batches_are_numbered_in_the_order_in_which_they_become_due() -> None:
    """Batches that have to be run again are, by these numbers."""
    mailbox = Mailbox("host", 100)
    mailbox.put(request(0))
    third, second = mailbox.put(request(2)), mailbox.put(request(1))
    assert second.number < third.number


@virtual_time
async def test_a_generation_begins_also_where_there_is_no_room() -> None:
    mailbox = Mailbox("host", 1)
    mailbox.put(request(0, size=5))
    hello = mailbox.put(request(0, driver=b"other", size=0))
    assert await taken(mailbox, 2) == [(b"d", 0), (b"other", 0)]
    assert not hello.answer.done()


@virtual_time
async def test_a_wake_lets_the_host_look_around_also_when_it_comes_first() -> None:
    mailbox = Mailbox("host", 100)
    taking = asyncio.ensure_future(mailbox.take())
    await settled()
    mailbox.wake()
    assert await taking is None
    mailbox.wake()
    assert await mailbox.take() is None
    taking = asyncio.ensure_future(mailbox.take())
    await settled()
    assert not taking.done(), "a wake counts once"


@virtual_time
async def test_emptied_waits_for_the_last_answer() -> None:
    mailbox = Mailbox("host", 100)
    await mailbox.wait_answered()
    batches = [mailbox.put(request(0)), mailbox.put(request(1))]
    emptied = asyncio.ensure_future(mailbox.wait_answered())
    batches[1].answer.set_result(b"")
    await settled()
    assert not emptied.done()
    batches[0].answer.set_result(b"")
    await emptied


@virtual_time
async def test_who_waits_for_the_answers_does_not_wait_for_what_comes_meanwhile() -> None:
    mailbox = Mailbox("host", 100)
    first = mailbox.put(request(0))
    answered = asyncio.ensure_future(mailbox.wait_answered())
    await settled()
    later = mailbox.put(request(1))
    first.answer.set_result(b"")
    await answered
    assert not later.answer.done()


@virtual_time
async def test_the_drivers_that_have_been_idle_longest_are_forgotten() -> None:
    mailbox = Mailbox("host", 100, max_drivers=2)
    mailbox.put(request(0, driver=b"a"))
    waiting = mailbox.put(request(0, driver=b"b")), mailbox.put(request(2, driver=b"b"))
    mailbox.put(request(1, driver=b"a"))
    mailbox.put(request(0, driver=b"c"))
    await turned_away(waiting[1])
    mailbox.put(request(2, driver=b"a"))
    with pytest.raises(HostUnavailable, match="forgotten this driver"):
        mailbox.put(request(1, driver=b"b"))
    assert not waiting[0].answer.done()


@virtual_time
async def test_a_closed_mailbox_answers_everything_and_admits_no_more_of_it() -> None:
    mailbox = Mailbox("host-0", 100)
    due, early = mailbox.put(request(0)), mailbox.put(request(2))
    mailbox.close(HostUnavailable("host-0", "turned away: it was replaced"))
    for batch in (due, early):
        await turned_away(batch)
    await mailbox.wait_answered()
    with pytest.raises(HostUnavailable):
        mailbox.put(request(1))


@virtual_time
async def test_a_batch_whose_predecessor_never_comes_gives_its_room_back() -> None:
    """Its driver was killed in between: nobody sends the one before, or begins anew."""
    mailbox = Mailbox("host", 3)
    mailbox.put(request(0, size=0))
    early = mailbox.put(request(2, size=2)), mailbox.put(request(3))
    with pytest.raises(MailboxFull):
        mailbox.put(request(0, driver=b"other"))
    await mailbox.wait_answered()
    assert now_s() == Mailbox.EARLY_S
    for batch in early:
        await turned_away(batch)
    mailbox.put(request(0, driver=b"other", generation=1, size=3))


@virtual_time
async def test_a_batch_that_becomes_due_in_time_is_not_turned_away_later() -> None:
    mailbox = Mailbox("host", 100)
    mailbox.put(request(0))
    second = mailbox.put(request(2))
    await asyncio.sleep(Mailbox.EARLY_S / 2)
    first = mailbox.put(request(1))
    await asyncio.sleep(Mailbox.EARLY_S * 2)
    assert not any(batch.answer.done() for batch in (first, second))
    mailbox.put(request(3))
    assert await taken(mailbox, 4) == [(b"d", n) for n in range(4)]


@virtual_time
async def test_large_commands_fill_a_mailbox_although_they_are_few() -> None:
    mailbox = Mailbox("host", 100)
    large = Mailbox.MAX_BYTES
    first = mailbox.put(request(0), large + 1)
    with pytest.raises(MailboxFull):
        mailbox.put(request(1), 1)
    hello = mailbox.put(request(0, generation=1, size=0), 50)
    for batch in (first, hello):
        batch.answer.set_result(b"")
    await settled()
    mailbox.put(request(1, generation=1), large - 100)
    mailbox.put(request(2, generation=1), 100)
    with pytest.raises(MailboxFull):
        mailbox.put(request(3, generation=1), 1)


@virtual_time
async def test_empty_batches_that_came_early_take_room_in_a_mailbox() -> None:
    """Any program may send any number of them; each has a clock of 10,000 nodes."""
    mailbox = Mailbox("host", 1_000)
    size = 1024 * 1024
    mailbox.put(Request(b"driver", 0, 0, {}, False, []), 10)
    for sequence in range(2, 65):
        mailbox.put(Request(b"driver", 0, sequence, {}, False, []), size)
    with pytest.raises(MailboxFull):  # 64 MiB are allowed
        mailbox.put(Request(b"driver", 0, 65, {}, False, []), size)


@virtual_time
async def test_an_empty_batch_that_came_early_takes_the_room_of_a_command() -> None:
    mailbox = Mailbox("host", 10)
    mailbox.put(request(0, size=0))
    for sequence in range(2, 12):
        mailbox.put(request(sequence, size=0))
    with pytest.raises(MailboxFull):
        mailbox.put(request(12, size=0))
