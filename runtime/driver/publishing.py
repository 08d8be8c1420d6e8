"""Events from outside any actor, on their way to the host of their source."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from actors.clock import checked_counts
from actors.event import Event, Kind, Payload
from actors.naming import checked_event_type, checked_new_source
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from runtime.driver.validation import id_bytes, moment_us
from runtime.errors import InvalidMessage, PublishRefused
from runtime.wire.answers import read_events
from runtime.wire.commands import DATA, PUBLISH, Answer
from runtime.wire.publications import Publication
from store.errors import InvalidData
from store.rows.json_text import decode_json, encode_data, encode_json


def publish_fields(event: Any) -> tuple[Any, ...]:
    """The command that travels to the host of the event's source.

    What the log cannot hold is refused here, at the caller: raises InvalidName for source
    and event type, InvalidData for data, metadata and what is no event, InvalidMessage for
    ids, moment, kind and clock.
    """
    if not isinstance(event, Event):
        raise InvalidData("publish", _no_event(event))
    source = checked_new_source(event.source)
    event_type = checked_event_type(event.event_type)
    _check_metadata(event.metadata)
    publication = Publication(
        event_type=event_type,
        kind=_kind(event.kind, source, event_type),
        data=encode_data(event_type, event.data),
        metadata=dict(event.metadata),
        clock=_clock(event.vector_clock, source, event_type),
    )
    correlation, causation = event.correlation_id, event.causation_id
    return (
        source,
        PUBLISH,
        id_bytes(event.id, source, event_type),
        moment_us(event.timestamp, source, event_type),
        msgspec.structs.asdict(publication),
        id_bytes(correlation, source, event_type, "correlation id") if correlation else None,
        id_bytes(causation, source, event_type, "causation id") if causation else None,
    )


def publish(connection: Connection, event: Event) -> Reply[list[Event]]:
    """See ActorSystem.publish."""
    fields = publish_fields(event)
    outgoing, index = connection.channels.add(fields, None, want_events=True)
    return Reply(outgoing, index, partial(_read_published, event.event_type, fields[DATA]["data"]))


def _read_published(event_type: str, data: bytes, answer: Answer, index: int) -> list[Event]:
    """The event as committed. Raises what the publication was answered with, and PublishRefused
    where its id was that of another event, which the log keeps."""
    events = read_events(answer, index)
    if index in answer.repeats:
        for event in events:
            if event.event_type != event_type or event.data != decode_json(data):
                there = event.event_type if event.event_type != event_type else "other data"
                raise PublishRefused(
                    event.source,
                    f"its id {event.id} is that of an event which is in the log with {there}: "
                    "give each event an id of its own",
                )
    return events


def _no_event(given: Any) -> str:
    """What is said of something that is no event with its envelope."""
    made = "Event.of(payload, source=..., id=uuid4(), timestamp=datetime.now(UTC)) makes one"
    if isinstance(given, type):
        return f"an Event is published, not the class {given.__name__}: {made} of a payload"
    name = type(given).__name__
    if isinstance(given, Payload):
        return f"{name} is a payload, which has no source yet: {made}"
    return f"an Event is published, not a {name}: {made} of a payload"


def _check_metadata(metadata: Mapping[Any, Any]) -> None:
    for name, text in metadata.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise InvalidData("metadata", f"texts by name are expected, not {name!r}: {text!r:.80}")
    encode_json("metadata", dict(metadata))  # looks at every character, and at the size


def _kind(kind: Kind, source: str, event_type: str) -> Any:
    try:
        return Kind(kind).value
    except ValueError as error:
        raise InvalidMessage(source, event_type, f"its kind: {error}") from error


def _clock(counts: Mapping[str, int], source: str, event_type: str) -> dict[str, int]:
    try:
        return checked_counts(counts)
    except ValueError as error:
        raise InvalidMessage(source, event_type, f"its clock: {error}") from error
