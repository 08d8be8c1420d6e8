"""Events from outside any actor, on their way to the host of their source."""

from typing import Any

from actors.event import Event
from actors.moments import microseconds
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from runtime.wire.answers import read_events
from runtime.wire.commands import PUBLISH
from store.rows.json_text import encode_json


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


def publish(connection: Connection, event: Event) -> Reply[list[Event]]:
    """See ActorSystem.publish."""
    source, message_type, event_id, data = publish_command(event)
    correlation, causation = event.correlation_id, event.causation_id
    fields = (
        source,
        message_type,
        event_id,
        microseconds(event.timestamp),
        data,
        correlation.bytes if correlation else None,
        causation.bytes if causation else None,
    )
    outgoing, index = connection.channel_of(source, None).add(fields, None, want_events=True)
    return Reply(outgoing, index, read_events)
