"""What a caller makes of an answer: events, a state, or the error that was raised."""

from typing import Any, NamedTuple

from actors.event import Event
from runtime.wire.commands import Answer
from runtime.wire.error_codec import decode_error
from runtime.wire.values import unpack_value
from store.rows.decoding import Decoder

#: Shared by all that read answers here, so that its texts are decoded once.
_decoder = Decoder()


def raise_error(answer: Answer, index: int) -> None:
    """Raise what command `index` was answered with, if that is an error."""
    if answer.turned_away is not None:
        raise decode_error(answer.turned_away)
    if index in answer.errors:
        raise decode_error(answer.errors[index])


def events_of(answer: Answer, index: int = 0) -> list[Event]:
    """The events of command `index`, of its first run if it was a repeat."""
    if index in answer.elsewhere:
        events = _decoder.events(answer.elsewhere[index])
        return sorted(events, key=lambda event: event.version or 0)
    return _decoder.events(
        answer.rows[answer.offsets[index] : answer.offsets[index + 1]],
        first_position=answer.first_position + answer.numbers[index],
        recorded_us=answer.recorded_us,
    )


class AnsweredRows(NamedTuple):
    """Rows of an answer, as they came. What the rows do not carry yet stands beside them."""

    data: bytes
    first_position: int | None
    recorded_us: int | None


def read_rows(answer: Answer, index: int) -> AnsweredRows:
    """The rows of command `index`, of its first run if it was a repeat, which may come in any
    order; raises what it was answered with instead. Only of an answer that has events."""
    raise_error(answer, index)
    if index in answer.elsewhere:
        return AnsweredRows(answer.elsewhere[index], None, None)
    return AnsweredRows(
        answer.rows[answer.offsets[index] : answer.offsets[index + 1]],
        answer.first_position + answer.numbers[index],
        answer.recorded_us,
    )


def unpack_state(answer: Answer, index: int = 0) -> dict[str, Any]:
    """`{"version": ..., "state": ...}` of a state query."""
    state: dict[str, Any] = unpack_value(answer.values[index])
    return state


def read_events(answer: Answer, index: int) -> list[Event]:
    """The events of command `index`; raises what it was answered with instead."""
    raise_error(answer, index)
    return events_of(answer, index)
