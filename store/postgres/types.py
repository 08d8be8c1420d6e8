"""What PostgreSQL keeps of the types in the log: who decides them, and which events they have."""

import json
from collections.abc import Iterable, Mapping

from actors.event_shape import Shape
from store.event_store import DecidingClass, EventSchemaKey, TypeRecord
from store.postgres.connections import Connections
from store.postgres.queries import QUERIES


class Types:
    """The tables `actor_types`, `event_types`, `event_schemas` and `event_shapes`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def records(self, actor_types: Iterable[str]) -> dict[str, TypeRecord]:
        """What is known of these actor types."""
        wanted = list(actor_types)
        rows = await self._connections.fetch(QUERIES["type_records"], wanted)
        return {
            row["name"]: TypeRecord(
                class_name=row["class"],
                event_types=frozenset(row["event_types"]),
                schemas=dict(zip(row["newer"], row["schemas"], strict=True)),
                shapes={
                    (event_type, schema): fields
                    for event_type, schema, fields in json.loads(row["shapes"])
                },
            )
            for row in rows
        }

    async def record_deciding(self, classes: Mapping[str, DecidingClass]) -> dict[str, str]:
        """Have these classes decide their types, unless others do; who does now."""
        replaced = [(name, each) for name, one in classes.items() for each in one.replaces]
        await self._connections.fetch(
            QUERIES["record_deciding_classes"],
            list(classes),
            [one.class_name for one in classes.values()],
            [name for name, _ in replaced],
            [each for _, each in replaced],
        )
        records = await self.records(classes)
        return {name: record.class_name or "" for name, record in records.items()}

    async def events(self) -> set[str]:
        """All event types that were noted."""
        query = "SELECT DISTINCT event_type FROM event_types"
        return {row["event_type"] for row in await self._connections.fetch(query)}

    async def note(self, pairs: Iterable[tuple[str, str]]) -> None:
        """The log is about to have these event types of these actor types."""
        in_order = sorted(pairs)
        await self._connections.fetch(
            QUERIES["note_event_types"],
            [actor_type for actor_type, _ in in_order],
            [event_type for _, event_type in in_order],
        )

    async def note_schemas(self, schemas: Mapping[tuple[str, str], int]) -> None:
        """The log is about to have events of these schemas."""
        in_order = sorted(schemas.items())
        await self._connections.fetch(
            QUERIES["note_event_schemas"],
            [actor_type for (actor_type, _), _ in in_order],
            [event_type for (_, event_type), _ in in_order],
            [schema for _, schema in in_order],
        )

    async def note_shapes(self, shapes: Mapping[EventSchemaKey, Shape]) -> None:
        """The log is about to have events with these fields."""
        in_order = sorted(shapes)
        await self._connections.fetch(
            QUERIES["note_event_shapes"],
            [actor_type for actor_type, _, _ in in_order],
            [event_type for _, event_type, _ in in_order],
            [schema for _, _, schema in in_order],
            [json.dumps(shapes[each]) for each in in_order],
        )
