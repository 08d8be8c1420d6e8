"""What the test was answered: each command that came to an end, as its driver knows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgpack

from runtime.driver.outgoing import Outgoing
from runtime.wire.answers import events_of
from runtime.wire.commands import ID, MESSAGE_TYPE, SOURCE, STATE, Answer
from runtime.wire.error_codec import decode_error


@dataclass(frozen=True, slots=True)
class Answered:
    """One command, and how it ended."""

    source: str
    message_type: str
    id: bytes
    error: str  #: the name of the error's class; empty where it has succeeded
    #: Id, version and position of each of its events; None where nobody wanted to see them.
    events: list[tuple[bytes, int, int]] | None


@contextmanager
def noted() -> Iterator[list[Answered]]:
    """Have all that drivers are answered noted, in the order in which they are."""
    found: list[Answered] = []
    finish = Outgoing.finish

    def noting(outgoing: Outgoing, answer: Answer | None, error: Exception | None) -> None:
        first = not outgoing.finished
        finish(outgoing, answer, error)
        if first and answer is not None and outgoing.whole is None:
            found.extend(_answered(outgoing, answer))

    Outgoing.finish = noting  # type: ignore[method-assign,assignment]
    try:
        yield found
    finally:
        Outgoing.finish = finish  # type: ignore[method-assign]


def _answered(outgoing: Outgoing, answer: Answer) -> Iterator[Answered]:
    for index, packed in enumerate(outgoing.commands):
        fields: Any = msgpack.unpackb(packed)
        if index in outgoing.without_answer or fields[MESSAGE_TYPE] == STATE:
            continue
        error, events = "", None
        if index in answer.errors:
            error = type(decode_error(answer.errors[index])).__name__
        elif outgoing.want_events:
            events = [
                (event.id.bytes, event.version or 0, event.position or 0)
                for event in events_of(answer, index)
            ]
        yield Answered(fields[SOURCE], fields[MESSAGE_TYPE], fields[ID], error, events)
