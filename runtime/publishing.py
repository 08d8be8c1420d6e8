"""Events from outside any actor: who may put them into the log, and as what."""

from typing import TYPE_CHECKING, Any

from actors.event import Event
from runtime.errors import PublishRefused
from runtime.resident import Resident
from runtime.wire import PUBLISH
from store.codec import CLOCK, cause_fields, encode_row, type_fields
from store.json_text import encode_json

if TYPE_CHECKING:
    from runtime.decision import NodeClock


def publish_command(event: Event) -> tuple[str, str, bytes, dict[str, Any]]:
    """What travels to the host of the event's source: source, message type, id, data.

    Encoding here refuses, at the caller, what the log cannot hold: raises InvalidData.
    """
    data = {
        "event_type": event.event_type,
        "kind": event.kind.value,
        "data": encode_json(event.event_type, event.data),
        "metadata": dict(event.metadata),
        "clock": dict(event.vector_clock),
    }
    return event.source, PUBLISH, event.id.bytes, data


def publish_row(command: list[Any], resident: Resident, clock: "NodeClock") -> tuple[bytes, str]:
    """The row of a published event, as its source's next version."""
    source, _, event_id, at_us, data, correlation, causation = command
    if resident.type is not None:
        raise PublishRefused(source, "its events are decided by its actor alone")
    clock.observe(data["clock"])
    clock.ticks += 1
    resident.version += 1
    tail = cause_fields(correlation, causation, data["metadata"])
    row = encode_row(
        event_id,
        resident.aggregate_id,
        resident.version,
        at_us,
        type_fields(data["event_type"], data["kind"]),
        resident.source_field,
        data["data"],
        CLOCK % (clock.prefix, clock.ticks),
        tail,
    )
    return row, data["event_type"]
