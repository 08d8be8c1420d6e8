"""A driver's channel and a host's mailbox, end to end: its order holds through retries."""

import asyncio
from typing import Any

from runtime.clocks import DriverClock
from runtime.driver.channel import Channel
from runtime.driver.host_link import HostLink
from runtime.driver.outgoing import Outgoing
from runtime.errors import HostUnavailable, MailboxFull
from runtime.host.batch import Batch
from runtime.host.mailbox import Mailbox
from runtime.wire.commands import Answer, CommandPacker, pack_answer, turned_away
from runtime.wire.error_codec import encode_error
from runtime.wire.reading import unpack_request
from store.errors import StoreUnavailable
from tests.virtual_time import settled, virtual_time

CAPACITY = 3
TIMEOUT_S = 20.0
DONE = pack_answer(Answer({}, 0, set(), 0, 0, [], [], b"", {}, {}, {}))


class HostByHand:
    """A host whose batches a test takes and answers itself."""

    def __init__(self) -> None:
        self.mailbox = Mailbox("host", CAPACITY)
        self.ran: list[Any] = []  #: the data of the commands that took effect

    async def call(self, method: str, packed: bytes) -> bytes:
        """What a channel calls."""
        assert method == "deliver"
        try:
            batch = self.mailbox.put(unpack_request(packed))
        except (HostUnavailable, MailboxFull) as error:
            return turned_away(encode_error(error))
        return await batch.answer

    def look_again(self) -> None:
        """It is where it was."""

    def close(self) -> None:
        """Nothing is open."""

    async def take(self) -> Batch:
        """The next batch that has commands; hellos are answered on the way."""
        while True:
            batch = await self.mailbox.take()
            if batch is not None and not batch.commands:
                batch.answer.set_result(DONE)
            elif batch is not None:
                return batch

    def run(self, batch: Batch) -> None:
        """Let a batch take effect."""
        self.ran += [command[4] for command in batch.commands]
        batch.answer.set_result(DONE)

    async def run_all(self) -> None:
        """Take and run whatever comes."""
        while True:
            self.run(await self.take())


def bulk(*data: str) -> Outgoing:
    """A batch of a bulk call: sent again until it is answered."""
    outgoing = Outgoing(TIMEOUT_S, bulk=True, want_events=False)
    for number, each in enumerate(data):
        fields = ("counter/a", "echo", f"{each}{number}".encode().ljust(16), 0, each, None, None)
        outgoing.add(CommandPacker().pack(fields))
    return outgoing


@virtual_time
async def test_a_batch_that_is_turned_away_after_a_full_mailbox_is_not_overtaken() -> None:
    """The third batch finds the mailbox full, so the driver begins anew. Only then is the
    first one turned away, which the host works on; the second one waits behind it."""
    host = HostByHand()

    async def reach() -> HostByHand:
        return host

    channel = Channel(
        HostLink("host", _nobody, reach, _nobody),
        b"driver",
        asyncio.get_running_loop(),
        DriverClock(),
        timeout_s=TIMEOUT_S,
    )
    sent = [bulk("first"), bulk("second"), bulk("third", "third")]
    taking = asyncio.ensure_future(host.take())
    for outgoing in sent:
        channel.submit(outgoing)
    first = await taking
    await settled()
    assert host.mailbox.unanswered == 2, "the third found no room"
    host.mailbox.end_generation(first)
    first.turn_away(StoreUnavailable("the log", "on cue"))
    running = asyncio.ensure_future(host.run_all())
    for outgoing in sent:
        if (finished := outgoing.future()) is not None:
            await finished
    running.cancel()
    assert host.ran == ["first", "second", "third", "third"]


async def _nobody(_: object) -> None:
    return None
