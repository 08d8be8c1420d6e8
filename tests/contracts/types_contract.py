"""What every event store promises of types: who decides them, and which events they have."""

from random import Random

from actors.naming import MAX_SOURCE_BYTES
from store.event_store import DecidingClass, EventStore, TypeRecord


class TypesContract:
    """Records of actor types, without a look at the log."""

    async def test_of_a_type_that_nobody_has_claimed_nothing_is_known(
        self, store: EventStore
    ) -> None:
        nothing = TypeRecord(class_name=None, event_types=frozenset())
        assert await store.type_records(["oven", "lamp"]) == {"oven": nothing, "lamp": nothing}
        assert await store.type_records([]) == {}

    async def test_noted_event_types_are_those_of_their_actor_type(self, store: EventStore) -> None:
        await store.note_event_types([("oven", "heated"), ("oven", "cooled"), ("lamp", "lit")])
        await store.note_event_types([("oven", "heated")])
        records = await store.type_records(["oven", "lamp"])
        assert records["oven"].event_types == {"heated", "cooled"}
        assert records["lamp"].event_types == {"lit"}
        assert await store.event_types() == {"heated", "cooled", "lit"}

    async def test_of_an_event_type_the_newest_schema_that_was_noted_is_known(
        self, store: EventStore
    ) -> None:
        await store.note_event_types([("oven", "heated"), ("oven", "cooled"), ("lamp", "lit")])
        assert (await store.type_records(["oven"]))["oven"].schemas == {}
        await store.note_event_schemas({("oven", "heated"): 3, ("lamp", "lit"): 2})
        await store.note_event_schemas({("oven", "heated"): 2})
        await store.note_event_types([("oven", "heated")])
        records = await store.type_records(["oven", "lamp", "hut"])
        assert {name: record.schemas for name, record in records.items()} == {
            "oven": {"heated": 3}, "lamp": {"lit": 2}, "hut": {},
        }  # fmt: skip
        assert records["oven"].event_types == {"heated", "cooled"}

    async def test_of_an_event_type_the_fields_that_were_noted_first_are_known(
        self, store: EventStore
    ) -> None:
        heated = ("oven", "heated", 1)
        assert (await store.type_records(["oven"]))["oven"].shapes == {}
        await store.note_event_shapes({heated: {"by": ["string"]}, ("lamp", "lit", 2): {}})
        await store.note_event_shapes({heated: {"by": ["number"], "at.place": ["null", "object"]}})
        await store.note_event_shapes({heated: {"by": ["boolean"]}})
        records = await store.type_records(["oven", "lamp", "hut"])
        assert {name: record.shapes for name, record in records.items()} == {
            "oven": {("heated", 1): {"by": ["string"], "at.place": ["null", "object"]}},
            "lamp": {("lit", 2): {}}, "hut": {},
        }  # fmt: skip
        assert records["oven"].event_types == frozenset()

    async def test_a_type_is_decided_by_the_class_that_came_first(self, store: EventStore) -> None:
        first, second = DecidingClass(class_name="a.Oven"), DecidingClass(class_name="b.Oven")
        assert await store.record_deciding_classes({"oven": first}) == {"oven": "a.Oven"}
        assert await store.record_deciding_classes({"oven": second, "lamp": second}) == {
            "oven": "a.Oven",
            "lamp": "b.Oven",
        }
        assert (await store.type_records(["oven"]))["oven"].class_name == "a.Oven"

    async def test_a_class_takes_the_place_of_those_that_it_says_it_replaces(
        self, store: EventStore
    ) -> None:
        await store.record_deciding_classes({"oven": DecidingClass(class_name="a.Oven")})
        moved = DecidingClass(class_name="b.Oven", replaces=("x.Oven", "a.Oven"))
        assert await store.record_deciding_classes({"oven": moved}) == {"oven": "b.Oven"}
        old = DecidingClass(class_name="a.Oven")
        assert await store.record_deciding_classes({"oven": old}) == {"oven": "b.Oven"}

    async def test_the_longest_event_type_that_an_event_may_have_can_be_noted(
        self, store: EventStore
    ) -> None:
        """In letters of three bytes, and such that they cannot be compressed: a name that does not
        fit into an index would keep a host from noting any other."""
        letters = Random(1)
        parts = MAX_SOURCE_BYTES // 3
        event_type = "".join(chr(letters.randrange(0x4E00, 0x9FA5)) for _ in range(parts))
        actor_type = "".join(letters.choice("abcdefghijklmnop") for _ in range(MAX_SOURCE_BYTES))
        await store.note_event_types([(actor_type, event_type)])
        assert (await store.type_records([actor_type]))[actor_type].event_types == {event_type}
