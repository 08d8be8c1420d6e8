"""A class is held against the log before it decides: what it would ignore, whose type it is."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from ray import cloudpickle

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor
from actors.event import DeviceEvent, Payload
from actors.event_shape import shape_of
from actors.schema import upcasts
from actors.timer_events import SET
from runtime.driver.shipped_classes import ShippedClasses
from runtime.errors import HandlerFailed
from runtime.host.host import Host
from runtime.host.past_events import misfit
from runtime.host.type_checks import EventTypesMet, check_types
from runtime.settings.settings import Settings
from runtime.topology.placement import shard_of
from runtime.wire.answers import read_events, unpack_state
from runtime.wire.commands import PUBLISH, STATE
from store.errors import StoreUnavailable
from store.event_store import DecidingClass
from store.memory import MemoryEventStore
from tests.unit.hosting import command
from tests.unit.test_host import OneWriter, begun, deliver
from tests.unit.test_timers_in_a_host import Bell
from tests.unit.writing import Writing
from tests.virtual_time import virtual_time

#: One host has all shards at first.
ALONE = Settings.load(environ={}, actor_system={"hosts": 1})


class Heat(Command):
    """Heat it."""


class Heated(DeviceEvent):
    """It is hot."""


class Warmed(DeviceEvent):
    """What Heated is called in a later release, which has forgotten the old name."""


class OvenState(BaseModel):
    heated: int = 0


class Oven(Actor[OvenState]):
    @handles
    def heat(self, message: Heat) -> Iterator[Payload]:
        yield Heated()

    @applies
    def heated(self, event: Heated) -> None:
        self.state.heated += 1


def renamed(**attributes: Any) -> type[Actor[Any]]:
    """The same class in a later release: its event has got another name."""

    class Later(Actor[OvenState]):
        actor_type = "oven"

        @handles
        def heat(self, message: Heat) -> Iterator[Payload]:
            yield Warmed()

        @applies
        def warmed(self, event: Warmed) -> None:
            self.state.heated += 1

    Later.__qualname__ = "Oven"
    for name, value in attributes.items():
        setattr(Later, name, value)
    return Later


def moved(**attributes: Any) -> type[Actor[Any]]:
    """The same class in another module."""
    return type("Oven", (Oven,), {"__module__": "elsewhere", "actor_type": "oven", **attributes})


async def register(host: Host, actor: type[Actor[Any]]) -> None:
    await host.register(cloudpickle.dumps(actor))


@virtual_time
async def test_a_class_that_would_ignore_events_of_its_log_is_refused_and_the_old_one_goes_on() -> (
    None
):
    host = await begun()
    await register(host, Oven)
    await deliver(host, command("oven/a", Heat()))

    with pytest.raises(InvalidActor, match=r"its log has 'heated', which nothing applies: .*ign"):
        await register(host, renamed())
    [event] = read_events(await deliver(host, command("oven/a", Heat()), sequence=1), 0)
    assert (event.version, event.event_type) == (2, "heated")

    await register(host, renamed(ignores=("heated",)))
    [event] = read_events(await deliver(host, command("oven/a", Heat()), sequence=2), 0)
    assert (event.version, event.event_type) == (3, "warmed")


@virtual_time
async def test_that_other_code_decides_from_now_on_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "thornback.host")
    host = await begun()
    await register(host, Oven)
    with pytest.raises(InvalidActor):
        await register(host, moved())
    assert "is decided by" not in caplog.text
    await register(host, renamed())
    assert re.search(
        r"host-0: oven is decided by code \w{10} from now on, and no more by \w{10}", caplog.text
    )


@virtual_time
async def test_events_of_other_hosts_and_earlier_incarnations_count_too() -> None:
    world = OneWriter(await Writing.begin())
    settings = ALONE.model_dump_json()
    first = Host("host-0", settings, None, world=world)
    await register(first, Oven)
    await deliver(first, command("oven/a", Heat()))

    for name in ("host-0", "host-1"):
        other = Host(name, settings, None, world=world)
        with pytest.raises(InvalidActor, match="its log has 'heated'"):
            await register(other, renamed())


@virtual_time
async def test_an_event_type_is_noted_before_the_log_has_it() -> None:
    host = await begun()
    await register(host, Oven)
    store = host._store
    noted_at: list[int] = []
    note = store.note_event_types

    async def watched(pairs: Any) -> None:
        noted_at.append(await store.head())
        await note(pairs)

    store.note_event_types = watched  # type: ignore[method-assign]
    for sequence in range(3):
        await deliver(host, command("oven/a", Heat()), sequence=sequence)
    assert noted_at == [0]  # once, and before the first
    assert (await store.type_records(["oven"]))["oven"].event_types == {"heated"}


@virtual_time
async def test_what_was_published_under_a_source_counts_when_it_gets_an_actor() -> None:
    host = await begun()
    data = {"event_type": "lit", "kind": "device", "data": b"{}", "metadata": {}, "clock": {}}
    answer = await deliver(host, command("oven/a", PUBLISH, data=data))
    assert not answer.errors
    with pytest.raises(InvalidActor, match="its log has 'lit'"):
        await register(host, Oven)


@virtual_time
async def test_a_second_class_of_an_actor_type_is_refused_and_the_same_one_changed_is_not() -> None:
    host = await begun()
    await register(host, Oven)
    with pytest.raises(
        InvalidActor,
        match=r"oven: tests.unit.test_type_checks.Oven decides this actor type, not elsewhere.Oven:"
        r" .* replaces = \('tests.unit.test_type_checks.Oven',\)",
    ):
        await register(host, moved())
    await register(host, renamed())  # nothing is in the log yet
    [event] = read_events(await deliver(host, command("oven/a", Heat())), 0)
    assert event.event_type == "warmed"


@virtual_time
async def test_a_class_that_was_moved_takes_over_when_it_says_so_and_for_good() -> None:
    world = OneWriter(await Writing.begin())
    settings = ALONE.model_dump_json()
    host = Host("host-0", settings, None, world=world)
    await register(host, Oven)
    await register(host, moved(replaces=("tests.unit.test_type_checks.Oven",)))

    later = Host("host-1", settings, None, world=world)
    with pytest.raises(InvalidActor, match=r"elsewhere\.Oven decides this actor type, not tests"):
        await register(later, Oven)
    await register(later, moved())


@virtual_time
async def test_a_class_that_came_with_a_hosts_start_and_does_not_fit_says_why() -> None:
    writing = await Writing.begin()
    await writing.store.record_deciding_classes(
        {"device-twin": DecidingClass(class_name="mine.Twin")}
    )
    world = OneWriter(writing)
    host = Host("host-0", ALONE.model_dump_json(), None, world=world)
    answer = await deliver(host, command("device-twin/a", Heat()))
    with pytest.raises(InvalidActor, match=r"mine\.Twin decides this actor type, not actors\.dev"):
        read_events(answer, 0)


def test_a_driver_refuses_a_second_class_of_an_actor_type_at_the_call() -> None:
    classes = ShippedClasses(())
    classes.shipped(Oven)
    classes.shipped(renamed())  # the same class, changed
    with pytest.raises(InvalidActor, match=r"test_type_checks\.Oven decides .* elsewhere\.Oven"):
        classes.shipped(moved())
    classes.shipped(moved(replaces=("tests.unit.test_type_checks.Oven",)))


def with_a_new_field(**fields: Any) -> type[Actor[Any]]:
    """The same class in a later release, whose event has got another field."""
    event = type(
        "Heated",
        (DeviceEvent,),
        {"__annotations__": {"by": str}, "__module__": __name__, **fields},
    )

    def heated(self: Any, message: Any) -> None:
        self.state.heated += 1

    heated.__annotations__["message"] = event
    return type(
        "Oven", (Oven,), {"__module__": __name__, "actor_type": "oven", "heated": applies(heated)}
    )


@virtual_time
async def test_a_new_field_without_a_default_is_refused_where_an_actor_shows_it() -> None:
    host = await begun()
    await register(host, Oven)
    await deliver(host, command("oven/a", Heat()))

    with pytest.raises(
        InvalidActor,
        match="oven: its log has events that it cannot read: the field 'by' of Heated is not in "
        "events from before it was added: give it a default, with which they are read, or count "
        r"schema_version up, and put it in with an upcaster \(docs/howto/evolve-events.md\)",
    ):
        await register(host, with_a_new_field())
    [event] = read_events(await deliver(host, command("oven/a", Heat()), sequence=1), 0)
    assert event.version == 2

    await register(host, with_a_new_field(by="hand"))
    answer = await deliver(host, command("oven/a", STATE), sequence=2)
    assert unpack_state(answer, 0) == {"version": 2, "state": {"heated": 2}}


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (with_a_new_field(), "the field 'by' of Heated is not in events from before it was added"),
        (
            with_a_new_field(__annotations__={"at": int}),
            "the field 'at' of Heated does not fit the events that there are .*: leave it as it",
        ),
    ],
    ids=["new", "changed"],
)
@virtual_time
async def test_a_field_that_no_class_of_today_reads_is_said_when_an_actor_is_loaded(
    later: type[Actor[Any]], said: str
) -> None:
    world = OneWriter(await Writing.begin())
    settings = ALONE.model_dump_json()
    first = Host("host-0", settings, None, world=world)
    await first.ready()
    data = {
        "event_type": "heated", "kind": "device", "data": b'{"at": "x"}',
        "metadata": {}, "clock": {},
    }  # fmt: skip
    await deliver(first, command("oven/a", PUBLISH, data=data))

    await first.give_shards([shard_of("oven/a")], "host-1")
    other = Host("host-1", settings, None, world=world)
    await register(other, later)  # nobody is resident here who would show it
    answer = await deliver(other, command("oven/a", Heat()))
    with pytest.raises(HandlerFailed, match=f"its event 1 cannot be applied: {said}"):
        read_events(answer, 0)


class LosingStore(MemoryEventStore):
    """Notes event types, and its first answer is lost."""

    async def note_event_types(self, pairs: Iterable[tuple[str, str]]) -> None:
        lost = not (await self.event_types()) & {SET}
        await super().note_event_types(pairs)
        if lost:
            raise StoreUnavailable("there", "lost")


async def test_what_another_host_has_noted_and_not_said_is_said_by_who_learns_the_class() -> None:
    store, said = LosingStore(), []
    away, here = EventTypesMet(), EventTypesMet()
    away.on_first = {SET: lambda: said.append("away")}
    here.on_first = {SET: lambda: said.append("here")}
    away.meet("bell", SET)
    with pytest.raises(StoreUnavailable):
        await away.note(store)
    assert said == []
    await check_types(store, [Bell.described()], here)
    here.meet("bell", SET)
    assert not here.fresh
    assert said == ["here"]


class Baked(DeviceEvent):
    degrees: float
    by: str = ""


class BakedLater(DeviceEvent):
    """Has renamed a field, with a default: of what was baked before it reads no degrees."""

    event_type = "baked"
    celsius: float = 0.0
    by: str = ""
    seconds: int = 0


class BakedInTime(BakedLater):
    """Says that it has."""

    event_type = "baked"
    schema_version = 2

    @upcasts(1)
    @staticmethod
    def in_celsius(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "celsius": data.pop("degrees")}


def baker(event: Any, **data: Any) -> type[Actor[Any]]:
    """An actor that yields and applies this class of events."""

    def heat(self: Any, message: Any) -> Any:
        yield event(**data)

    def baked(self: Any, message: Any) -> None:
        self.state.heated += 1

    heat.__annotations__.update({"message": Heat, "return": Iterator[event]})
    baked.__annotations__["message"] = event
    attributes = {"__module__": __name__, "actor_type": "baker", "__qualname__": "Baker"}
    return type("Baker", (Actor,), {
        **attributes, "state_type": OvenState, "heat": handles(heat), "baked": applies(baked),
    })  # fmt: skip


CHANGED = (
    "baker: its log has events with other fields: 'baked' is still of schema 1, and 'degrees' is "
    "gone. Count schema_version up, and say with @upcasts what becomes of the old ones "
    "(docs/howto/evolve-events.md)"
)


@virtual_time
async def test_a_class_that_changes_a_schema_in_its_version_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = await begun()
    await register(host, baker(Baked, degrees=180.0))
    await register(host, baker(BakedLater, celsius=180.0))  # nothing of it is in the log
    assert not [one for one in caplog.records if one.levelname == "WARNING"]
    await register(host, baker(Baked, degrees=180.0, by="hand"))
    await deliver(host, command("baker/a", Heat()))
    await register(host, baker(BakedLater, celsius=180.0))
    assert [one.message for one in caplog.records if one.levelname == "WARNING"] == [CHANGED]
    await deliver(host, command("baker/a", Heat()), sequence=1)
    caplog.clear()
    await register(host, baker(BakedInTime, celsius=200.0))
    assert not [one for one in caplog.records if one.levelname == "WARNING"]


@virtual_time
async def test_where_the_settings_say_so_it_is_refused_and_the_old_one_goes_on() -> None:
    host = await begun(changed_schemas="refuse")
    await register(host, baker(Baked, degrees=180.0))
    await deliver(host, command("baker/a", Heat()))
    with pytest.raises(InvalidActor) as raised:
        await register(host, baker(BakedLater, celsius=180.0))
    assert str(raised.value) == CHANGED
    [event] = read_events(await deliver(host, command("baker/a", Heat()), sequence=1), 0)
    assert (event.version, event.data) == (2, {"degrees": 180.0, "by": ""})
    await register(host, baker(BakedInTime, celsius=200.0))
    [event] = read_events(await deliver(host, command("baker/a", Heat()), sequence=2), 0)
    assert (event.version, event.schema_version) == (3, 2)


async def test_the_fields_of_an_event_are_noted_before_the_first_one_that_has_them() -> None:
    store, met = MemoryEventStore(), EventTypesMet()
    met.meet("baker", "baked", 1, shape_of(Baked))
    await met.note(store)
    assert not met.fresh
    met.meet("baker", "baked", 1, shape_of(Baked))
    assert not met.fresh  # it is noted
    met.meet("baker", "baked", 1, shape_of(BakedLater))
    assert met.fresh == {("baker", "baked")}
    await met.note(store)
    record = (await store.type_records(["baker"]))["baker"]
    assert record.shapes == {
        ("baked", 1): {
            "degrees": ["number"], "by": ["string"], "celsius": ["number"], "seconds": ["integer"],
        }
    }  # fmt: skip
    other = EventTypesMet()
    other.known("baker", record)
    other.meet("baker", "baked", 1, shape_of(Baked))
    assert not other.fresh


def test_of_a_field_that_is_missing_it_is_said_what_may_be_its_old_name() -> None:
    class Renamed(DeviceEvent):
        event_type = "baked"
        celsius: float
        by: str

    with pytest.raises(ValidationError) as raised:
        Renamed.model_validate({"degrees": 180.0, "by": "hand"})
    assert misfit(Renamed, raised.value) == (
        "the field 'celsius' of Renamed is not in events from before it was added: give it a "
        "default, with which they are read, or count schema_version up, and put it in with an "
        "upcaster. They have 'degrees', which Renamed does not read: if that is its old name, "
        "Field(validation_alias='degrees') (docs/howto/evolve-events.md)"
    )
