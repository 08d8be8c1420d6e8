"""Actors in memory: at most so many, the rest come back from snapshot and log unnoticed."""

import json
import logging
from typing import Any

from pydantic import ValidationError

from actors.actor import ActorType
from actors.naming import aggregate_id_of
from store.event_store import Snapshot
from store.rows.decoding import Fold
from store.rows.encoding import text_field

logger = logging.getLogger("thornback.host")


class Resident:
    """One actor in memory. Its state may be ahead of the log by appends in flight."""

    __slots__ = (
        "actor", "aggregate_id", "batch", "broken", "handlers", "ready", "source_field",
        "stopped", "type", "version",
    )  # fmt: skip

    def __init__(self, source: str, type: ActorType | None) -> None:
        self.type = type  # None: a source that events are published under, without an actor
        self.actor: Any = type.actor(source.partition("/")[2]) if type else None
        self.aggregate_id = aggregate_id_of(source).bytes
        self.source_field = text_field(source)
        self.version = 0
        self.batch = 0  # number of the last batch that touched it
        self.handlers = type.handlers if type else {}
        self.ready = type is not None  # False: ask why before any message is decided
        self.stopped = False
        self.broken = ""  # why its state could not be rebuilt


def fold_into(resident: Resident, event: Fold) -> None:
    """Apply one past event. An event that cannot be applied breaks this actor alone: it
    takes no messages, and says why, until it is rebuilt."""
    resident.version = event.version
    if resident.type is None or resident.broken:
        return
    applier = resident.type.appliers.get(event.event_type.decode())
    if applier is None:
        return
    try:
        payload = applier.payload.__pydantic_validator__.validate_json(event.data)
        resident.actor.at_us = event.timestamp_us
        applier.apply(resident.actor, payload)
    except Exception as error:
        resident.ready = False
        resident.broken = f"its event {event.version} cannot be applied: {error}"
        logger.exception("%s: event %d cannot be applied", resident.actor.source, event.version)


def take_snapshot(resident: Resident) -> Snapshot | None:
    """The state as it is now, encoded; None for a source without an actor."""
    if resident.type is None:
        return None
    header = b"%d\n" % resident.type.actor.snapshot_format
    # json.dumps, not dump_json: an infinity in a state is legal and must come back.
    state = json.dumps(plain_state(resident)).encode()
    return Snapshot(
        aggregate_id=resident.aggregate_id, version=resident.version, data=header + state
    )


def plain_state(resident: Resident) -> Any:
    """The state in JSON's types."""
    assert resident.type is not None
    return resident.type.state_adapter.dump_python(resident.actor.state, mode="json")


def restore(resident: Resident, snapshot: Snapshot) -> None:
    """Take the state of a snapshot. One of another format, or that the state's type does
    not fit any more, is ignored: the log then tells."""
    if resident.type is None:
        resident.version = snapshot.version
        return
    header, _, state = snapshot.data.partition(b"\n")
    if header != b"%d" % resident.type.actor.snapshot_format:
        return
    try:
        resident.actor.state = resident.type.state_adapter.validate_json(state)
    except ValidationError as error:
        logger.warning("%s: snapshot ignored: %s", resident.actor.source, error)
        return
    resident.version = snapshot.version
