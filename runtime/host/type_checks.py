"""A class is held against the log before it decides anything.

The store keeps, for each actor type, which class decides it and which event types the log has
of it: a few rows, however long the log is. A host notes an event type before the first append
that has one, once in its life; so what is noted is never less than what the log has, and an
append carries nothing for it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping

from actors.actor_type import ActorType, decided_by_another, deciding_names
from actors.errors import InvalidActor, InvalidName
from actors.event_shape import Shape, changed_fields
from actors.naming import actor_type_of, checked_type_name
from actors.schema import version_of
from store.event_store import DecidingClass, EventSchemaKey, EventStore, TypeRecord

logger = logging.getLogger("thornback.host")

#: Of an actor type of which a store knows nothing.
NOTHING_KNOWN = TypeRecord(class_name=None, event_types=frozenset())


class EventTypesMet:
    """The event types that a host has met, each with its actor type: those that are noted, and
    those that are to be before anything is appended."""

    #: Beyond it all are forgotten, and noted again when they are met: programs that publish may
    #: make up names without end.
    CAPACITY = 20_000

    def __init__(self) -> None:
        #: Called when an event of that type is about to be appended, or the log may have one.
        self.on_first: Mapping[str, Callable[[], None]] = {}
        self._noted: set[tuple[str, str]] = set()
        self.fresh: set[tuple[str, str]] = set()  #: to be noted
        #: The newest schema of each, where that is not the first: noted, and to be.
        self._schemas: dict[tuple[str, str], int] = {}
        self._fresh_schemas: dict[tuple[str, str], int] = {}
        #: With which fields they were written: noted, and to be.
        self._shapes: dict[EventSchemaKey, Shape] = {}
        self._fresh_shapes: dict[EventSchemaKey, Shape] = {}

    def meet(
        self, actor_type: str, event_type: str, schema: int = 1, shape: Shape | None = None
    ) -> None:
        """There is to be an event of this type, of this schema, and with these fields."""
        pair = actor_type, event_type
        if pair not in self._noted:
            self.fresh.add(pair)
        if shape:
            key = actor_type, event_type, schema
            if not shape.keys() <= self._shapes.get(key, {}).keys():
                self.fresh.add(pair)
                self._fresh_shapes[key] = {**shape, **self._fresh_shapes.get(key, {})}
        if schema > max(self._schemas.get(pair, 1), self._fresh_schemas.get(pair, 1)):
            self.fresh.add(pair)
            self._fresh_schemas[pair] = schema

    def meet_published(self, source: str, event_type: str, schema: int = 1) -> None:
        """There is to be an event from outside. Its source may get an actor one day, if it has
        the form of one's."""
        pair = actor_type_of(source), event_type
        if pair in self._noted and schema <= self._schemas.get(pair, 1):
            return
        try:
            checked_type_name(pair[0] if "/" in source else "")
        except InvalidName:
            pair = "", event_type  # no actor's source, whatever comes
        self.meet(*pair, schema)

    def forget_fresh(self) -> None:
        """What was to be appended will not be, and is met again with the events that are."""
        self.fresh.clear()
        self._fresh_schemas.clear()
        self._fresh_shapes.clear()

    async def note(self, store: EventStore) -> None:
        """Have the store know what is fresh. Raises StoreUnavailable."""
        noted, schemas = frozenset(self.fresh), dict(self._fresh_schemas)
        shapes = dict(self._fresh_shapes)
        if schemas:
            await store.note_event_schemas(schemas)
        if shapes:
            await store.note_event_shapes(shapes)
        await store.note_event_types(noted)
        types = {event_type for _, event_type in noted}
        for event_type, call in self.on_first.items():
            if event_type in types:
                call()
        self.fresh -= noted
        if len(self._noted) > self.CAPACITY:
            self._noted.clear()
            self._schemas.clear()
            self._shapes.clear()
        self._noted |= noted
        self._schemas |= schemas
        for key, shape in shapes.items():
            self._knows(key, shape)
            if self._fresh_shapes.get(key) == shape:
                del self._fresh_shapes[key]
        self._fresh_schemas = {
            pair: schema
            for pair, schema in self._fresh_schemas.items()
            if schema > self._schemas.get(pair, 1)
        }

    def of(self, actor_type: str) -> set[str]:
        """The event types of an actor type that it has met."""
        return {event for actor, event in (*self._noted, *self.fresh) if actor == actor_type}

    def schemas_of(self, actor_type: str) -> dict[str, int]:
        """The newest schema of those of them that it has met in another than the first one."""
        met = (*self._schemas.items(), *self._fresh_schemas.items())
        found: dict[str, int] = {}
        for (actor, event), schema in met:
            if actor == actor_type:
                found[event] = max(schema, found.get(event, 1))
        return found

    def shapes_of(self, actor_type: str) -> dict[tuple[str, int], Shape]:
        """With which fields the events of an actor type are written, as far as it has met them."""
        found: dict[tuple[str, int], Shape] = {}
        for (actor, event, schema), shape in (*self._shapes.items(), *self._fresh_shapes.items()):
            if actor == actor_type:
                found[event, schema] = {**shape, **found.get((event, schema), {})}
        return found

    def _knows(self, key: EventSchemaKey, shape: Shape) -> None:
        self._shapes[key] = {**shape, **self._shapes.get(key, {})}

    def known(self, actor_type: str, record: TypeRecord) -> None:
        """The store knows these already. Whoever noted them may have died before he called."""
        self._noted |= {(actor_type, event) for event in record.event_types}
        for event, schema in record.schemas.items():
            pair = actor_type, event
            self._schemas[pair] = max(schema, self._schemas.get(pair, 1))
        for (event, schema), shape in record.shapes.items():
            self._knows((actor_type, event, schema), shape)
        for event_type, call in self.on_first.items():
            if event_type in record.event_types:
                call()


async def check_types(
    store: EventStore,
    types: Iterable[ActorType],
    met: EventTypesMet,
    *,
    refuse_changed: bool = False,
) -> dict[str, InvalidActor]:
    """Hold classes against the log, and have them decide their types from now on; what is wrong
    with those that may not, by actor type. One that changes a schema without a word is refused
    where that is said; otherwise it is logged. Raises StoreUnavailable."""
    by_name = {one.name: one for one in types}
    records = await store.type_records(by_name)
    wrong: dict[str, InvalidActor] = {}
    for name, one in by_name.items():
        met.known(name, records[name])
        changed = changed_schemas(one, met.shapes_of(name))
        if changed and not refuse_changed:
            logger.warning("%s", changed)
        if misfit := held_against(one, records[name], met) or (refuse_changed and changed):
            wrong[name] = misfit
        elif (deciding := records[name].class_name) not in (None, *deciding_names(one.actor)):
            wrong[name] = InvalidActor(name, decided_by_another(one.actor, str(deciding)))
    deciding_classes = {
        name: DecidingClass(
            class_name=one.actor.class_name(), replaces=deciding_names(one.actor)[1:]
        )
        for name, one in by_name.items()
        if name not in wrong and records[name].class_name != one.actor.class_name()
    }
    if deciding_classes:
        for name, deciding in (await store.record_deciding_classes(deciding_classes)).items():
            if deciding != deciding_classes[name].class_name:  # somebody else was quicker
                problem = decided_by_another(by_name[name].actor, deciding)
                wrong[name] = InvalidActor(name, problem)
    return wrong


def held_against(
    one: ActorType, record: TypeRecord, met: EventTypesMet | None = None
) -> InvalidActor | None:
    """What is wrong with a class by the event types of its log, which are those of the record and
    those that were met since, and by their schemas."""
    types, schemas = record.event_types, record.schemas
    if met is not None:
        types, newer = types | met.of(one.name), met.schemas_of(one.name)
        schemas = {**schemas, **{name: max(n, schemas.get(name, 1)) for name, n in newer.items()}}
    if unfolded := one.unfolded(types):
        return unfitting(one.name, unfolded)
    if outgrown := one.outgrown(schemas):
        return too_old(one.name, outgrown)
    return None


def changed_schemas(one: ActorType, shapes: Mapping[tuple[str, int], Shape]) -> InvalidActor | None:
    """What is wrong with a class that does not read its events as they were written, although they
    are of the schema version that it writes. It may well read them: as something else."""
    changed = []
    for event_type, payload in sorted(one.event_classes.items()):
        version = version_of(payload)
        if lost := changed_fields(payload, shapes.get((event_type, version), {})):
            shown = ", ".join(lost[:5]) + (" ..." if len(lost) > 5 else "")
            changed.append(f"{event_type!r} is still of schema {version}, and {shown}")
    if not changed:
        return None
    return InvalidActor(
        one.name,
        f"its log has events with other fields: {'; '.join(changed[:5])}. Count schema_version up, "
        "and say with @upcasts what becomes of the old ones (docs/howto/evolve-events.md)",
    )


def too_old(actor_type: str, outgrown: list[tuple[str, int, int]]) -> InvalidActor:
    """What is said of a class whose log has events of schemas that are newer than it knows."""
    shown = ", ".join(
        f"{name!r} of schema {schema} (this class reads up to {known})"
        for name, schema, known in outgrown[:10]
    )
    return InvalidActor(
        actor_type,
        f"its log has {shown}: a newer release has written them, and that or a later one is to "
        "decide it",
    )


def unfitting(actor_type: str, event_types: list[str]) -> InvalidActor:
    """What is said of a class that would ignore these events of its log."""
    shown = ", ".join(map(repr, event_types[:10])) + (" ..." if len(event_types) > 10 else "")
    return InvalidActor(
        actor_type,
        f"its log has {shown}, which nothing applies: a renamed event keeps its event_type, a "
        "forgotten method is marked @applies, and what the state does not depend on is listed in "
        "ignores",
    )
