"""What is posted to actors, and what an answer says of each of the messages."""

import asyncio
from dataclasses import dataclass
from typing import Any

from runtime.driver.outgoing import Outgoing
from runtime.errors import ChannelFailed
from runtime.processing.mailing import Mailing, Message
from runtime.processing.posting import Posting
from runtime.wire.commands import Answer, CommandPacker
from runtime.wire.error_codec import EncodedError, encode_error
from tests.contracts.appending import made_event


@dataclass(frozen=True)
class Facts:
    """How it fares."""

    trouble: str | None = None


class Posted(Posting):
    """Remembers what was refused."""

    REST_S = 0.0

    def __init__(self) -> None:
        self.name, self.facts = "posted", Facts()
        self._mailing: Mailing[Any] = Mailing(0)
        self._resting: set[str] = set()
        self._woken: set[str] = set()
        self._unknown: set[str] = set()
        self._changed = asyncio.Event()
        self.refused: list[str] = []

    def _refused(self, message: Message, encoded: EncodedError) -> None:
        self.refused.append(message.receiver)
        message.finished = True

    def _count(self, answered: int) -> None:
        """Nobody looks."""


async def test_what_no_host_has_answered_is_sent_again_though_others_of_its_batch_were() -> None:
    posting, outgoing = Posted(), Outgoing(1.0, bulk=True, want_events=False)
    for position, receiver in enumerate(("counter/a", "counter/b", "counter/c"), 1):
        packed = CommandPacker().pack((receiver, "say", bytes(16), 0, "", None, None))
        event = made_event("sensor/s", position)
        posting._mailing.add(Message(event, receiver, packed), "way")
    messages = posting._mailing.take("way", outgoing)
    failed = ChannelFailed("host-1", "a fault")
    outgoing.without_answer[1] = failed
    errors = {1: encode_error(failed), 2: encode_error(ValueError("no"))}
    outgoing.finish(Answer({}, 1, set(), 0, 0, [], [], b"", {}, {}, errors), None)
    posting._judge(outgoing, messages)
    assert posting.refused == ["counter/c"]
    assert [one.finished for one in messages] == [True, False, True]
    assert posting.facts.trouble is not None
    await posting._changed.wait()
    again = posting._mailing.take("way", Outgoing(1.0, bulk=True, want_events=False))
    assert [one.receiver for one in again] == ["counter/b"]
