"""Events: immutable facts in an envelope, and the algebra over streams of them.

Every event is of one of three kinds: from a device, from a component of the system,
or from a business process. A typed payload is a frozen pydantic model whose base
class is its kind; its envelope is an `Event`.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict

from actors.clock import CausalRelation, VectorClock, causal_relation
from actors.naming import aggregate_id_of, checked_source, checked_type_name, kebab_case


class Kind(StrEnum):
    """Where an event comes from: a device id, a component id, a process id."""

    DEVICE = "device"
    SYSTEM = "system"
    BUSINESS = "business"


class Payload(BaseModel):
    """What happened, typed. Derive from DeviceEvent, SystemEvent or BusinessEvent.

    `event_type` is a stable kebab-case name, by default made of the class name, never
    a module path: renaming a class without pinning it orphans its past events. Fields
    that a newer or older writer added are ignored when an old event is read.
    """

    # "constants": an infinity or NaN hidden in a field of type Any must show in the
    # text, where the codec refuses it, instead of turning into null unseen.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")

    kind: ClassVar[Kind]
    event_type: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "event_type" not in cls.__dict__:
            cls.event_type = kebab_case(cls.__name__)
        checked_type_name(cls.event_type)


class DeviceEvent(Payload):
    """A fact from a device."""

    kind: ClassVar[Kind] = Kind.DEVICE


class SystemEvent(Payload):
    """A fact from a component of the system."""

    kind: ClassVar[Kind] = Kind.SYSTEM


class BusinessEvent(Payload):
    """A fact from a business process."""

    kind: ClassVar[Kind] = Kind.BUSINESS


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An immutable fact in its envelope.

    `version` counts 1, 2, 3 ... per aggregate without a gap; `position` counts the
    partition's log in commit order. Both, and `recorded_at`, are None until the event
    is committed. `timestamp` is when it happened at the device. `data` is JSON.
    """

    id: UUID
    event_type: str
    kind: Kind
    source: str
    aggregate_id: UUID
    timestamp: datetime
    data: dict[str, Any]
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    vector_clock: VectorClock = msgspec.field(default_factory=VectorClock)
    version: int | None = None
    recorded_at: datetime | None = None
    position: int | None = None

    @classmethod
    def of(
        cls,
        payload: Payload,
        *,
        source: str,
        id: UUID,
        timestamp: datetime,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Self:
        """An event that is not committed yet. Raises InvalidName for a bad source,
        ValueError for a timestamp without a zone."""
        if timestamp.tzinfo is None:
            raise ValueError(f"timestamp {timestamp} has no time zone")
        return cls(
            id=id,
            event_type=type(payload).event_type,
            kind=type(payload).kind,
            source=checked_source(source),
            aggregate_id=aggregate_id_of(source),
            timestamp=timestamp,
            data=payload.model_dump(mode="json"),
            correlation_id=correlation_id,
            causation_id=causation_id,
            metadata=dict(metadata or {}),
        )

    def relation_to(self, other: "Event") -> CausalRelation:
        """How this event stands to `other`, read off their vector clocks.

        Two events of different processes of one node may have equal clocks; neither has
        then seen the other.
        """
        relation = causal_relation(self.vector_clock, other.vector_clock)
        if relation is CausalRelation.SAME and self.id != other.id:
            return CausalRelation.CONCURRENT
        return relation
