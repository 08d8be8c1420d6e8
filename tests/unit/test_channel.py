"""A driver's channel to a host that takes its time: who travels with whom, and until when."""

import asyncio

import pytest

from actors.devices import DeviceTwin
from actors.errors import InvalidActor
from runtime.driver.channel import Channel
from runtime.driver.deadlines import Deadlines
from runtime.driver.host_link import HostLink
from runtime.driver.outbox import Outbox
from runtime.driver.outgoing import Outgoing
from runtime.errors import (
    AskTimeout,
    ChannelFailed,
    ConnectionClosed,
    HostUnavailable,
    MailboxFull,
    UnknownActorType,
)
from runtime.wire.commands import DATA, CommandPacker
from runtime.wire.reading import unpack_request
from store.errors import StoreUnavailable
from tests.unit.sending import HOST, TIMEOUT_S, PlayedHost, Sending
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
async def test_what_waits_for_the_first_hello_is_unanswered_too() -> None:
    sending = Sending()
    sending.host.answering.clear()
    reply = sending.ask("first")
    await settled()
    assert [len(one.commands) for one in sending.channel.unanswered()] == [1]
    sending.host.answering.set()
    await reply
    assert not sending.channel.unanswered()


@virtual_time
async def test_what_goes_wrong_with_finding_the_host_passes_or_ends_at_the_deadline() -> None:
    sending = Sending()
    sending.failing = KeyError("nobody thought of this one")
    assert await sending.ask("first") == "first"


@virtual_time
async def test_asks_end_at_their_deadlines_while_the_host_is_being_started_for_ever() -> None:
    sending = Sending()
    sending.found.clear()
    for number in range(1, 3):
        with pytest.raises(AskTimeout):
            await sending.ask("hangs")
        assert now_s() == number * TIMEOUT_S
    sending.found.set()
    assert await sending.ask("later") == "later"
    assert sending.host.batches == [["later"]]  # what was given up before it left stays here


@virtual_time
async def test_a_question_that_is_never_answered_is_put_again() -> None:
    sending = Sending()
    sending.lost_questions = 1
    with pytest.raises(AskTimeout):
        await sending.ask("hangs")
    await asyncio.sleep(HostLink.SILENCE_S)
    assert await sending.ask("later") == "later"


@virtual_time
async def test_an_answer_that_cannot_be_read_costs_those_who_asked() -> None:
    sending = Sending()
    assert await sending.ask("first") == "first"
    sending.host.garbling = 1
    with pytest.raises(ChannelFailed, match="host"):
        await sending.ask("second")
    assert await sending.ask("third") == "third"


@virtual_time
async def test_a_lost_request_ends_its_generation_and_those_behind_it_are_served() -> None:
    """In a hole of the sequence the host would keep all that follow, for ever."""
    sending = Sending()
    assert await sending.ask("first") == "first"
    sending.host.answering.clear()
    with pytest.raises(AskTimeout):
        await sending.ask("lost")
    sending.host.answering.set()
    assert await sending.ask("later") == "later"
    assert sending.host.requests[-1].generation > sending.host.requests[1].generation


@virtual_time
async def test_four_batches_that_are_never_answered_do_not_stop_the_channel() -> None:
    sending = Sending()
    assert await sending.ask("first") == "first"
    sending.host.swallowing = ["lost"]
    lost = []
    for _ in range(Channel.WINDOW):
        lost.append(sending.ask("lost"))
        await settled()
    outcomes = await asyncio.gather(*lost, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [AskTimeout] * Channel.WINDOW
    assert await sending.ask("later") == "later"


@virtual_time
async def test_every_batch_is_of_a_generation_that_was_begun() -> None:
    sending = Sending()
    assert await sending.ask("first") == "first"
    sending.host.losing = 10**6
    with pytest.raises(HostUnavailable):
        await sending.ask("second")
    await asyncio.sleep(1.0)  # nothing is left to be sent
    sending.host.losing = 0
    assert await sending.ask("third") == "third"
    begun = [each.generation for each in sending.host.requests if not each.commands]
    assert sending.host.requests[-1].generation in begun


@virtual_time
async def test_single_callers_hear_at_once_that_the_store_is_away() -> None:
    sending = Sending()
    assert await sending.ask("first") == "first"
    sending.host.refusing_hellos = StoreUnavailable("the log", "on cue")
    sending.host.losing = 1
    second = sending.ask("second")
    await settled()
    joined = sending.ask("while a new generation cannot be begun")
    for reply in (second, joined):
        with pytest.raises(StoreUnavailable):
            await reply
    assert now_s() < TIMEOUT_S / 20
    last = sending.ask("last")
    sending.host.refusing_hellos = None
    assert await last == "last"


@virtual_time
async def test_what_is_beyond_its_patience_is_not_sent_again() -> None:
    sending = Sending()
    assert await sending.ask("first") == "first"
    sending.host.losing = 10**6
    outgoing = Outgoing(5.0, bulk=True, want_events=True)
    fields = ("counter/a", "echo", bytes(16), 0, "impatient", None, None)
    outgoing.add(CommandPacker().pack(fields))
    sending.channel.submit(outgoing)
    await asyncio.sleep(6.0)
    sending.host.losing = 0
    await asyncio.sleep(1.0)
    assert isinstance(outgoing.error, HostUnavailable)
    assert sending.host.batches == [["first"], ["impatient"]]


@virtual_time
async def test_a_batch_that_breaks_every_connection_is_sent_at_ever_longer_intervals() -> None:
    sending = Sending()
    assert await sending.ask("first") == "first"
    sending.host.breaking = "poison"
    with pytest.raises(HostUnavailable):
        await sending.ask("poison")
    assert len(sending.host.batches) < 25  # at 0.1, 0.2, 0.4 ... 1.6 s
    assert now_s() == TIMEOUT_S
    assert await sending.ask("later") == "later"


@virtual_time
async def test_a_fault_of_the_channel_fails_all_of_it_at_once_and_what_comes_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sending = Sending()
    sending.host.answering.clear()
    first = sending.ask("first")
    await settled()
    waiting = sending.ask("waiting")

    def fault(*_: object) -> bytes:
        raise RuntimeError("a fault")

    monkeypatch.setattr("runtime.driver.channel.pack_request", fault)
    sending.host.answering.set()
    for reply in (first, waiting):
        with pytest.raises(ChannelFailed, match="RuntimeError: a fault"):
            await reply
    with pytest.raises(ChannelFailed):
        sending.ask("later")
    assert now_s() == 0.0
    assert "has ended by a fault" in caplog.text


@virtual_time
async def test_whoever_fails_at_being_told_of_an_answer_hurts_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sending = Sending()
    outgoing = Outgoing(5.0, bulk=True, want_events=True)

    def told(_: object) -> None:
        raise RuntimeError("a listener")

    outgoing.on_finish = told
    sending.channel.submit(outgoing)
    assert await sending.ask("first") == "first"
    assert outgoing.answer is not None
    assert "a listener" in caplog.text
    sending.host.answering.clear()
    overdue = [Outgoing(TIMEOUT_S, bulk=True, want_events=True) for _ in range(2)]
    overdue[0].on_finish = told
    for each in overdue:
        sending.channel.submit(each)
    await asyncio.sleep(TIMEOUT_S)
    await settled()
    assert [type(each.error) for each in overdue] == [AskTimeout] * 2


@virtual_time
async def test_a_loop_that_was_closed_under_the_channel_is_a_connection_that_is_closed() -> None:
    other = asyncio.new_event_loop()
    outbox = Outbox("host", other, Deadlines(other, print), print, timeout_s=5.0)
    other.close()
    fields = "a", "b", bytes(16), 0, None, None, None
    for _ in range(2):
        with pytest.raises(ConnectionClosed):
            outbox.add(fields, None, want_events=True, routed=0)
    assert not outbox.unfinished()


@virtual_time
async def test_a_class_is_told_to_an_incarnation_once_however_often_its_mailbox_is_full() -> None:
    sending = Sending()
    assert await sending.ask("first", DeviceTwin) == "first"
    sending.host.refusing = [MailboxFull(HOST, 10)] * 3
    for _ in range(3):
        with pytest.raises(MailboxFull):
            await sending.ask("full", DeviceTwin)
    assert await sending.ask("second", DeviceTwin) == "second"
    assert sending.registered == [b"DeviceTwin"]
    sending.host.incarnation += 1
    sending.host.losing = 1
    assert await sending.ask("third", DeviceTwin) == "third"
    assert sending.registered == [b"DeviceTwin"] * 2


@virtual_time
async def test_a_class_that_another_process_was_told_is_told_again_to_who_answers() -> None:
    """A host was replaced and lives on: Ray leads to its successor, a connection to it."""
    sending = Sending()
    sending.host.unknown = ["first"]
    first = sending.ask("first", DeviceTwin)
    sending.host.when_looked_for = sending.host.unknown.clear
    assert await first == "first"
    assert sending.registered == [b"DeviceTwin"] * 2
    sending.host.unknown = ["second"]
    with pytest.raises(UnknownActorType):
        await sending.ask("second", DeviceTwin)  # after it was told once more
    assert sending.registered == [b"DeviceTwin"] * 3


@virtual_time
async def test_a_class_that_the_host_refuses_costs_those_who_use_it_and_nobody_else() -> None:
    sending = Sending()
    sending.unloadable = ["DeviceTwin"]
    first, second = sending.ask("first", DeviceTwin), sending.ask("second")
    with pytest.raises(InvalidActor, match=r"^device-twin: it lacks a module"):
        await first
    assert await second == "second"
    [batch] = sending.host.batches  # they travelled together
    assert ("first" in batch, "second" in batch) == (False, True)  # nobody is to decide it


@virtual_time
async def test_of_asks_that_are_answered_nothing_is_kept_until_their_deadline() -> None:
    """What a driver keeps does not grow with rate times timeout."""
    sending = Sending()
    for number in range(2_000):
        await sending.ask(str(number))
    assert len(sending.channel._deadlines._heap) < 200


@virtual_time
async def test_a_batch_that_never_came_costs_those_who_ask_on_and_on_one_deadline_and_not_all() -> (
    None
):
    """A request never comes to its host (its way was being looked for until its deadline). The
    host keeps what follows in that generation for it; a driver that goes on asking goes on
    sending into that generation, as long as anything of it is under way."""

    class InOrder(PlayedHost):
        """Waits for a batch that is lost, as a mailbox does, until a generation begins."""

        holed = -1

        async def call(self, method: str, packed: bytes) -> bytes:
            request = unpack_request(packed)
            if any(one[4] == "lost" for one in request.commands):
                self.holed = request.generation
            if request.commands and request.generation == self.holed:
                await asyncio.Event().wait()
            return await super().call(method, packed)

    sending = Sending()
    sending.host = InOrder()
    replies = [sending.ask("lost")]
    for number in range(100):
        await asyncio.sleep(1.0)
        replies.append(sending.ask(str(number)))
    outcomes: list[str | None] = []
    for reply in replies:
        try:
            outcomes.append(await reply)
        except AskTimeout:
            outcomes.append(None)
    assert outcomes[50] is not None, outcomes


@virtual_time
async def test_a_batch_that_the_host_may_have_had_says_so_when_it_is_sent_again() -> None:
    sending = Sending()
    sending.host.losing = 2  # the first hello, and so nothing that has commands
    await sending.ask("first")
    sending.host.losing = 1
    await sending.ask("second")
    sent = [(one.commands[0][DATA], one.again) for one in sending.host.requests if one.commands]
    assert sent == [("first", False), ("second", False), ("second", True)]
