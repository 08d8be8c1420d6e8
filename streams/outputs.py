"""What leaves a program: payloads, facts, messages to actors, and events as facts of their own type
and data."""

from typing import Any

from actors.event import Event, Payload
from actors.tell import Tell
from streams.errors import InvalidProgram
from streams.program import Fact, Output

WHAT_LEAVES = "a payload (a DeviceEvent, SystemEvent or BusinessEvent), a Fact, an Event or a Tell"


def output_of(program: str, item: Any, at_us: int) -> Output:
    """The output that an item is. Raises InvalidProgram for what is none."""
    if isinstance(item, Event):
        fact = Fact(item.event_type, item.kind, item.data, item.schema_version)
        return Output(fact, at_us)
    if isinstance(item, Fact | Tell) or (isinstance(item, Payload) and hasattr(item, "kind")):
        return Output(item, at_us)
    raise InvalidProgram(program, f"puts out {item!r:.120}; what leaves it is {WHAT_LEAVES}")
