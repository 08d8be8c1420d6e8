"""Events from outside any actor: who may put them into the log, and as what."""

from typing import Any

from runtime.clocks import NodeClock
from runtime.errors import PublishRefused
from runtime.host.resident import Resident
from store.rows.encoding import CLOCK, cause_fields, encode_row, type_fields


def publish_row(command: list[Any], resident: Resident, clock: NodeClock) -> tuple[bytes, str]:
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
