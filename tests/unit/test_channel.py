"""A driver's channel to a host that takes its time: who travels with whom, and until when."""

import asyncio

import pytest

from actors.devices import DeviceTwin
from actors.errors import InvalidActor
from runtime.errors import AskTimeout
from tests.unit.sending import TIMEOUT_S, Sending
from tests.virtual_time import now_s, settled, virtual_time


@virtual_time
async def test_asks_made_while_a_batch_is_under_way_travel_together_in_the_next() -> None:
    sending = Sending()
    sending.host.answering.clear()
    replies = [sending.ask("first")]
    await settled()
    replies += [sending.ask("second"), sending.ask("third")]
    sending.host.answering.set()
    assert [await reply for reply in replies] == ["first", "second", "third"]
    assert sending.host.batches == [["first"], ["second", "third"]]


@virtual_time
async def test_an_ask_made_after_a_batch_was_given_up_leaves_in_a_new_one() -> None:
    sending = Sending()
    sending.host.answering.clear()
    sending.ask("hangs")
    await settled()
    given_up = sending.ask("given up")  # in a batch that waits behind the one that hangs
    with pytest.raises(AskTimeout):
        await given_up
    later = sending.ask("later")
    sending.host.answering.set()
    assert await later == "later"
    assert sending.host.batches[-1] == ["later"]


@virtual_time
async def test_an_ask_joins_a_batch_within_a_twentieth_of_its_time_and_no_later() -> None:
    sending = Sending()
    sending.host.answering.clear()
    sending.ask("hangs")
    await settled()
    replies = [sending.ask("begins")]
    await asyncio.sleep(TIMEOUT_S / 20)
    replies.append(sending.ask("joins"))
    await asyncio.sleep(TIMEOUT_S / 20)
    replies.append(sending.ask("comes late"))
    sending.host.answering.set()
    assert [await reply for reply in replies] == ["begins", "joins", "comes late"]
    assert sending.host.batches[-2:] == [["begins", "joins"], ["comes late"]]


@virtual_time
async def test_every_ask_of_a_host_that_hangs_ends_at_its_deadline() -> None:
    sending = Sending()
    sending.host.answering.clear()
    for number in range(1, 4):
        with pytest.raises(AskTimeout):
            await sending.ask("hangs")  # nobody but the ask itself sees to its end
        assert now_s() == number * TIMEOUT_S


@virtual_time
async def test_a_hello_whose_answer_is_lost_is_followed_by_one_of_a_new_generation() -> None:
    sending = Sending()
    assert await sending.ask("first") == "first"
    sending.host.losing = 3  # of a batch, and of the next two hellos
    assert await sending.ask("second") == "second"
    hellos = [each.generation for each in sending.host.requests if not each.commands]
    assert hellos == [0, 1, 2, 3]
    assert sending.host.batches == [["first"], ["second"], ["second"]]


@virtual_time
async def test_flushed_waits_also_for_what_waits_for_the_first_hello() -> None:
    sending = Sending()
    sending.host.answering.clear()
    reply = sending.ask("first")
    await settled()
    flushed = asyncio.ensure_future(sending.channel.flushed())
    await settled()
    assert not flushed.done()
    sending.host.answering.set()
    await flushed
    assert reply.done()


@virtual_time
async def test_a_class_that_cannot_be_sent_costs_those_who_use_it_and_nobody_else() -> None:
    sending = Sending()
    sending.unpicklable = True
    with pytest.raises(InvalidActor, match="cannot be sent: cannot pickle"):
        await sending.ask("first", DeviceTwin)
    assert await sending.ask("second") == "second"
