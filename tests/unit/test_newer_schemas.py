"""A log that has events of newer schemas than a class knows: that class decides nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from actors.actor import Actor, applies, handles
from actors.errors import InvalidActor
from actors.event import DeviceEvent, Payload
from actors.naming import aggregate_key_of
from actors.schema import SCHEMA, upcasts
from runtime.host.host import Host
from runtime.host.resident import KnownType, Resident, fold_into
from runtime.host.type_checks import EventTypesMet
from runtime.wire.answers import read_events, unpack_state
from runtime.wire.commands import STATE
from store.rows.decoding import folds
from tests.unit.hosting import command
from tests.unit.test_host import OneWriter, begun, deliver
from tests.unit.test_type_checks import ALONE, Heat, Heated, Oven, OvenState, register
from tests.unit.writing import Writing
from tests.virtual_time import virtual_time


class Burnt(DeviceEvent):
    """Of the second schema."""

    event_type = "heated"
    schema_version = 2
    celsius: int

    @upcasts(1)
    @staticmethod
    def at_two_hundred(data: dict[str, Any]) -> dict[str, Any]:
        return {"celsius": 200}


def second_oven(yields: type[Payload] = Burnt) -> type[Actor[Any]]:
    """The class of a release that reads the second schema, and writes it or the first one still."""

    class Later(Actor[OvenState]):
        actor_type = "oven"

        @handles
        def heat(self, message: Heat) -> Iterator[Payload]:
            yield Burnt(celsius=100) if yields is Burnt else Heated()

        @applies
        def burnt(self, event: Burnt) -> None:
            self.state.heated += event.celsius

    Later.__module__, Later.__qualname__ = Oven.__module__, "Oven"
    return Later


@virtual_time
async def test_a_class_may_read_more_than_it_writes_and_one_that_reads_less_is_refused() -> None:
    host = await begun()
    await register(host, Oven)
    await deliver(host, command("oven/a", Heat()))
    await register(host, second_oven(Heated))
    [event] = read_events(await deliver(host, command("oven/a", Heat()), sequence=1), 0)
    assert (event.version, event.data, event.metadata) == (2, {}, {})
    await register(host, Oven)  # there is a way back
    await register(host, second_oven())
    [event] = read_events(await deliver(host, command("oven/a", Heat()), sequence=2), 0)
    assert (event.data, event.metadata) == ({"celsius": 100}, {SCHEMA: "2"})
    with pytest.raises(InvalidActor, match=r"'heated' of schema 2"):
        await register(host, Oven)
    answer = await deliver(host, command("oven/a", Heat()), sequence=3)
    assert read_events(answer, 0)[0].version == 4
    answer = await deliver(host, command("oven/a", STATE), sequence=4)
    assert unpack_state(answer, 0) == {"version": 4, "state": {"heated": 600}}


@virtual_time
async def test_a_schema_is_noted_before_the_log_has_it() -> None:
    world = OneWriter(await Writing.begin())
    store = world.writing.store
    seen: list[tuple[dict[tuple[str, str], int], int]] = []
    note = store.note_event_schemas

    async def watched(schemas: Any) -> None:
        seen.append((dict(schemas), await store.head()))
        await note(schemas)

    store.note_event_schemas = watched  # type: ignore[method-assign]
    host = Host("host-0", ALONE.model_dump_json(), None, world=world)
    await register(host, second_oven())
    for sequence in range(3):
        await deliver(host, command(f"oven/{sequence}", Heat()), sequence=sequence)
    assert seen == [({("oven", "heated"): 2}, 0)]
    # An older class is refused by a host that has not met any of it.
    with pytest.raises(InvalidActor, match=r"'heated' of schema 2 \(this class reads up to 1\)"):
        await register(Host("host-1", ALONE.model_dump_json(), None, world=world), Oven)


@virtual_time
async def test_an_actor_of_a_newer_release_breaks_where_the_older_class_is_known_already() -> None:
    world = OneWriter(await Writing.begin())
    host = Host("host-0", ALONE.model_dump_json(), None, world=world)
    await register(host, second_oven())
    await deliver(host, command("oven/a", Heat()))
    loaded = await world.writing.store.load_rows({aggregate_key_of("oven/a"): 0})
    older = Resident("oven/a", KnownType(Oven.described()))
    for event in folds(loaded.rows):
        fold_into(older, event)
    assert not older.ready
    assert "event 1 cannot be applied: 'heated' of schema 2: Heated here reads" in older.broken
    assert older.actor.state == OvenState()


def test_what_was_met_of_schemas_is_fresh_until_it_is_noted() -> None:
    met = EventTypesMet()
    met.meet("oven", "heated", 2)
    met.meet("oven", "heated", 1)
    met.meet_published("oven/a", "heated", 3)
    assert (met.schemas_of("oven"), met.schemas_of("hut")) == ({"heated": 3}, {})
    met.forget_fresh()
    assert (met.fresh, met.schemas_of("oven")) == (set(), {})
