"""The event algebra: handlers over streams of events."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from actors.event import Event

State = TypeVar("State")

#: The event algebra's handler: from an event and a state, the next state and new events.
EventHandler = Callable[[Event, State], tuple[State, list[Event]]]


def process_stream(
    handler: EventHandler[State], events: Iterable[Event], state: State
) -> tuple[State, list[Event]]:
    """Run `handler` over a stream; return the last state and the processed stream.

    The processed stream keeps every event, followed by the events it gave rise to, so
    it is never shorter than the input (the theorem `event_stream_monotonic`). New
    events are not handled again. Pure whenever `handler` is.
    """
    processed: list[Event] = []
    for event in events:
        state, emitted = handler(event, state)
        processed.append(event)
        processed.extend(emitted)
    return state, processed
