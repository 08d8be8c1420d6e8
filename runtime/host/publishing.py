"""Events from outside any actor: who may put them into the log, and as what."""

from actors.lifecycle import LIFECYCLE
from actors.naming import checked_new_source
from actors.schema import schema_of
from actors.timer_events import TIMER_TYPES
from runtime.clocks import NodeClock
from runtime.errors import PublishRefused
from runtime.host.resident import Resident
from runtime.wire.commands import Command
from runtime.wire.publications import read_publication
from store.rows.encoding import CLOCK, cause_fields, encode_row, type_fields
from store.rows.tells import is_message_event


def publish_row(command: Command, resident: Resident, clock: NodeClock) -> tuple[bytes, str, int]:
    """The row of a published event, as its source's next version, its type and its schema.
    Raises PublishRefused for a source that has an actor, InvalidName for another spelling of one,
    and InvalidData; whatever it raises, nothing has changed."""
    source, _, event_id, at_us, data, correlation, causation = command
    checked_new_source(source)
    publication = read_publication(source, data)
    # Whoever is stopped has an actor, also where nobody has brought its class since the launch.
    if resident.type is not None or resident.stopped:
        raise PublishRefused(source, "its events are decided by its actor alone")
    if resident.shared_with:
        raise PublishRefused(source, f"it is the id of {resident.shared_with}, which has events")
    if is_message_event(publication.event_type, publication.kind):
        raise PublishRefused(source, "messages between actors are yielded, as a Tell")
    if publication.event_type in TIMER_TYPES:
        raise PublishRefused(source, "timers are yielded, as a Schedule or a Cancel")
    if publication.event_type in LIFECYCLE:
        raise PublishRefused(source, "what becomes of an actor its host alone says")
    tail = cause_fields(correlation, causation, publication.metadata)
    types = type_fields(publication.event_type, publication.kind)
    clock.observe(publication.clock)
    row = encode_row(
        event_id,
        resident.aggregate_id,
        resident.version + 1,
        at_us,
        types,
        resident.source_field,
        publication.data,
        CLOCK % (clock.prefix_with(publication.clock), clock.ticks + 1),
        tail,
    )
    # Only now: what cannot be encoded takes no version and no tick.
    clock.ticks += 1
    resident.version += 1
    return row, publication.event_type, schema_of(publication.metadata)
