"""Events: immutable facts in an envelope, and the algebra over streams of them.

Every event is of one of three kinds: from a device, from a component of the system,
or from a business process. A typed payload is a frozen pydantic model whose base
class is its kind; its envelope is an `Event`.

Most readers look at an event's payload and never at its ids, its clock or the moment it
happened, and making these takes longer than reading all the rest. So whoever reads events
may leave them as they came (`Unread`): each is made when somebody asks for it.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict

from actors.clock import CausalRelation, VectorClock, causal_relation
from actors.errors import UnreadableEvent
from actors.ids import uuid_of
from actors.moments import microseconds, moment_of
from actors.naming import aggregate_id_of, checked_source, checked_type_name, kebab_case
from actors.schema import EventSchema, check_schema, schema_of, version_of, with_schema


class Kind(StrEnum):
    """Where an event comes from: a device id, a component id, a process id."""

    DEVICE = "device"
    SYSTEM = "system"
    BUSINESS = "business"


#: The data of an event whose own was erased (ActorSystem.erase): all else of its row stays, so that
#: positions, versions, ids and receipts do. It is no payload of anybody's.
TOMBSTONE: Mapping[str, Any] = {"$erased": True}


def is_erased(data: Mapping[str, Any]) -> bool:
    """Is this what is left of an event's data? A 1 is none, though it equals True."""
    return data == TOMBSTONE and data["$erased"] is True


class Payload(BaseModel):
    """What happened, typed. Derive from DeviceEvent, SystemEvent or BusinessEvent.

    `event_type` is a stable kebab-case name, by default made of the class name, never
    a module path: renaming a class without pinning it orphans its past events. Fields
    that a newer or older writer added are ignored when an old event is read.

    `schema_version` counts what its fields have meant: where it is raised, a static method marked
    `@upcasts(1)` makes data of version 2 of data of version 1, and so on (actors/schema.py).
    """

    # "constants": an infinity or NaN hidden in a field of type Any must show in the
    # text, where the codec refuses it, instead of turning into null unseen.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")

    kind: ClassVar[Kind]
    event_type: ClassVar[str]
    schema_version: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "event_type" not in cls.__dict__:
            cls.event_type = kebab_case(cls.__name__)
        checked_type_name(cls.event_type)
        check_schema(cls)


class DeviceEvent(Payload):
    """A fact from a device."""

    kind: ClassVar[Kind] = Kind.DEVICE


class SystemEvent(Payload):
    """A fact from a component of the system."""

    kind: ClassVar[Kind] = Kind.SYSTEM


class BusinessEvent(Payload):
    """A fact from a business process."""

    kind: ClassVar[Kind] = Kind.BUSINESS


P = TypeVar("P", bound=Payload)

_schema = lru_cache(256)(EventSchema)


class Unread(msgspec.Struct, frozen=True, gc=False):
    """Fields of an event as they came, known to be good: making them cannot fail."""

    id: bytes
    aggregate_id: bytes
    timestamp_us: int  #: Unix microseconds
    clock: dict[str, int] | bytes  #: the vector clock's entries, or their JSON text
    correlation_id: bytes
    causation_id: bytes

    @property
    def counts(self) -> dict[str, int]:
        """The entries of the vector clock."""
        clock = self.clock
        return clock if isinstance(clock, dict) else _decode(clock)


_decode = msgspec.json.Decoder().decode


def json_text(data: Any) -> bytes:
    """The JSON text of an event's data."""
    try:
        return msgspec.json.encode(data)
    except OverflowError:  # an integer of more than 64 bits
        return json.dumps(data).encode()


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An immutable fact in its envelope.

    `version` counts 1, 2, 3 ... per aggregate without a gap; `position` counts the
    partition's log in commit order. Both, and `recorded_at`, are None until the event
    is committed. `timestamp` is when it happened at the device. `data` is JSON.

    The functions of `msgspec` that look at a struct from below, `asdict` say, may find an
    Unread in a field that nobody has read.
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
        """An event that is not committed yet; the metadata may be that of another one, whose schema
        it does not take over. Raises InvalidName for a bad source,
        ValueError for a timestamp without a zone, TypeError for a payload that is none and
        AttributeError for one without a kind."""
        _check_parts(payload, timestamp)
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
            metadata=with_schema(metadata or {}, version_of(type(payload))),
        )

    @property
    def schema_version(self) -> int:
        """Of which schema `data` is: 1 where nothing says so; 0 where its metadata says what is no
        version."""
        return schema_of(self.metadata)

    def read(self, payload: type[P]) -> P:
        """The event as typed data, of whichever schema it was stored. Raises ValueError where it is
        of another type; UnreadableEvent for a newer schema, where an upcaster fails, and where its
        data was erased; pydantic's ValidationError for what does not fit the class."""
        given: object = payload
        if not (isinstance(given, type) and issubclass(given, Payload)):
            raise TypeError(f"read takes the class of an event's payload, not {given!r:.80}")
        if payload.event_type != self.event_type:
            name = payload.__name__
            raise ValueError(f"{self.event_type!r} is no {name}, which is {payload.event_type!r}")
        if self.erased:
            raise UnreadableEvent(self.event_type, self.schema_version, "its data was erased")
        found: P = _schema(payload).read_stored(json_text(self.data), self.schema_version)
        return found

    @property
    def id_bytes(self) -> bytes:
        """The 16 bytes of its id, to be read in a hurry."""
        event_id: UUID | Unread = _id_as_it_is(self)
        return event_id.id if event_id.__class__ is Unread else event_id.bytes  # type: ignore[union-attr]

    @property
    def timestamp_us(self) -> int:
        """When it happened in Unix microseconds, to be read in a hurry."""
        moment: datetime | Unread = _timestamp_as_it_is(self)
        return moment.timestamp_us if moment.__class__ is Unread else microseconds(moment)  # type: ignore[arg-type]

    @property
    def erased(self) -> bool:
        """Was its data erased? `data` is then the same for all such events, and fits no payload."""
        return is_erased(self.data)

    @property
    def clock_counts(self) -> Mapping[str, int]:
        """The entries of the vector clock, to be read in a hurry."""
        clock: VectorClock | Unread = _clock_as_it_is(self)
        return clock.counts

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        _read(self)
        _read(other)
        return super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()  # raises: `data` is no key

    def __repr__(self) -> str:
        _read(self)
        return super().__repr__()

    def __reduce__(self) -> str | tuple[Any, ...]:
        _read(self)
        return super().__reduce__()

    def relation_to(self, other: "Event") -> CausalRelation:
        """How this event stands to `other`, read off their vector clocks.

        Two events of different processes of one node may have equal clocks; neither has
        then seen the other.
        """
        relation = causal_relation(self.vector_clock, other.vector_clock)
        if relation is CausalRelation.SAME and self.id != other.id:
            return CausalRelation.CONCURRENT
        return relation


def _check_parts(payload: Any, timestamp: Any) -> None:
    kinds = "a DeviceEvent, SystemEvent or BusinessEvent"
    if not isinstance(payload, Payload):
        raise TypeError(f"an event is made of {kinds}, not of {payload!r:.120}")
    if not hasattr(payload, "kind"):
        raise AttributeError(f"{type(payload).__name__} has no kind: derive it from {kinds}")
    if not isinstance(timestamp, datetime):
        raise ValueError(f"timestamp is an aware datetime, not {timestamp!r:.80}")


#: What makes each field that may be left unread.
_MAKERS: dict[str, Callable[[Unread], object]] = {
    "id": lambda unread: uuid_of(unread.id),
    "aggregate_id": lambda unread: uuid_of(unread.aggregate_id),
    "timestamp": lambda unread: moment_of(unread.timestamp_us),
    "vector_clock": lambda unread: VectorClock.adopt(unread.counts),
    "correlation_id": lambda unread: uuid_of(unread.correlation_id),
    "causation_id": lambda unread: uuid_of(unread.causation_id),
}


def _made_when_asked_for(name: str, make: Callable[[Unread], object]) -> property:
    """A field that is made the first time it is read. Threads that read it at once make
    equal ones."""
    slot = Event.__dict__[name]
    stored, store = slot.__get__, slot.__set__  # the slot's own: it knows of no immutability

    def field(event: Event) -> object:
        value = stored(event)
        if value.__class__ is Unread:
            value = make(value)
            store(event, value)
        return value

    return property(field, doc=f"See Event: {name}.")


_id_as_it_is: Callable[[Event], Any] = Event.__dict__["id"].__get__
_timestamp_as_it_is: Callable[[Event], Any] = Event.__dict__["timestamp"].__get__
_clock_as_it_is: Callable[[Event], Any] = Event.__dict__["vector_clock"].__get__

for _name, _make in _MAKERS.items():
    setattr(Event, _name, _made_when_asked_for(_name, _make))


def _read(event: Event) -> None:
    """Make every field, for what looks at all of them from below."""
    for name in _MAKERS:
        getattr(event, name)
