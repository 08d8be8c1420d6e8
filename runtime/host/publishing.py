"""Events from outside any actor: who may put them into the log, and as what."""

from typing import Any

from runtime.clocks import NodeClock
from runtime.errors import PublishRefused
from runtime.host.resident import Resident
from store.rows.encoding import CLOCK, cause_fields, encode_row, type_fields


def publish_row(command: list[Any], resident: Resident, clock: NodeClock) -> tuple[bytes, str]:
    """The row of a published event, as its source's next version. Raises PublishRefused for
    a source that has an actor; whatever it raises, nothing has changed."""
    source, _, event_id, at_us, data, correlation, causation = command
    if resident.type is not None:
        raise PublishRefused(source, "its events are decided by its actor alone")
    tail = cause_fields(correlation, causation, data["metadata"])
    types = type_fields(data["event_type"], data["kind"])
    clock.observe(data["clock"])
    row = encode_row(
        event_id,
        resident.aggregate_id,
        resident.version + 1,
        at_us,
        types,
        resident.source_field,
        data["data"],
        CLOCK % (clock.prefix, clock.ticks + 1),
        tail,
    )
    # Only now: what cannot be encoded takes no version and no tick.
    clock.ticks += 1
    resident.version += 1
    return row, data["event_type"]
