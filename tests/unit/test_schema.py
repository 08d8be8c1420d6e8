"""Schemas of events: the chain of upcasters, and what is wrong with one."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from ray import cloudpickle

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor, InvalidEvent, UnreadableEvent
from actors.event import DeviceEvent, Event
from actors.schema import MAX_SCHEMA, SCHEMA, EventSchema, metadata_of, schema_of, upcasts
from store.rows.decoding import Decoder, folds
from store.rows.encoding import encode_event
from store.scenario import Scenario

Data = dict[str, Any]

#: For steps that no type checker would let pass.
marked: Any = upcasts


class Charged(DeviceEvent):
    """In its third schema: once in watt-hours, then without a tariff."""

    schema_version = 3
    kwh: float
    tariff: str

    @upcasts(1)
    @staticmethod
    def in_kilowatt_hours(data: Data) -> Data:
        data["kwh"] = data.pop("energy") / 1_000
        return data

    @staticmethod
    @upcasts(2)
    def with_a_tariff(data: Data) -> Data:
        return {**data, "tariff": "standard"}


class Plain(DeviceEvent):
    kwh: float


def text(**data: Any) -> bytes:
    return json.dumps(data).encode()


def event_of(data: Data, metadata: dict[str, str] | None = None) -> Event:
    """One as the log has it."""
    made = Event.of(
        Plain(kwh=1.0), source="meter/a", id=UUID(int=1), timestamp=datetime(2013, 1, 1, tzinfo=UTC)
    )
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    fields |= {"event_type": "charged", "data": data, "metadata": metadata or {}}
    return Event(**fields)


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (1, {"energy": 2_000}),
        (2, {"kwh": 2.0}),
        (3, {"kwh": 2.0, "tariff": "standard"}),
    ],
)
def test_an_event_of_each_schema_is_read_as_one_of_today(schema: int, data: Data) -> None:
    expected = Charged(kwh=2.0, tariff="standard")
    assert EventSchema(Charged).read_stored(text(**data), schema) == expected
    stored = encode_event(event_of(data, metadata_of(schema)))
    [fold], [event] = folds(stored), Decoder().events(stored)
    assert (fold.schema, event.schema_version) == (schema, schema)
    assert event.data == data  # as it is stored
    assert event.read(Charged) == expected


def test_an_upcaster_can_be_called_by_itself() -> None:
    assert Charged.in_kilowatt_hours({"energy": 500, "x": 1}) == {"kwh": 0.5, "x": 1}


def test_an_upcaster_needs_no_staticmethod_above_it() -> None:
    class Bare(DeviceEvent):
        event_type = "charged"
        schema_version = 3
        kwh: float
        tariff: str

        @upcasts(1)
        def in_kilowatt_hours(data: Data) -> Data:  # type: ignore[misc]  # noqa: N805
            data["kwh"] = data.pop("energy") / 1_000
            return data

        @staticmethod
        @upcasts(2)
        def with_a_tariff(data: Data) -> Data:
            return {**data, "tariff": "standard"}

    expected = Bare(kwh=2.0, tariff="standard")
    assert EventSchema(Bare).read_stored(text(energy=2_000), 1) == expected
    called: Any = Bare
    assert called.in_kilowatt_hours({"energy": 500}) == {"kwh": 0.5}
    assert called(kwh=1, tariff="x").with_a_tariff({}) == {"tariff": "standard"}
    assert cloudpickle.loads(cloudpickle.dumps(Bare)).in_kilowatt_hours({"energy": 500})


def test_only_an_event_of_a_later_schema_says_so_in_its_metadata() -> None:
    parts: Any = {"source": "a/b", "id": UUID(int=1), "timestamp": datetime(2013, 1, 1, tzinfo=UTC)}
    later = Event.of(Charged(kwh=1, tariff="x"), **parts, metadata={"who": "me"})
    assert later.metadata == {"who": "me", SCHEMA: "3"}
    assert (Event.of(Plain(kwh=1), **parts).metadata, schema_of({})) == ({}, 1)


def test_a_newer_schema_is_an_error_that_says_what_to_run() -> None:
    with pytest.raises(UnreadableEvent) as raised:
        EventSchema(Charged).read_stored(text(kilowatt_hours=1), 4)
    assert str(raised.value) == (
        "'charged' of schema 4: Charged here reads schemas up to 3: run the release that has "
        "written it, or a newer one"
    )


@pytest.mark.parametrize("said", ["", "0", "-1", "2.0", "two", "01", "99999"])
def test_a_schema_that_is_none_is_an_error(said: str) -> None:
    event = event_of({"kwh": 1}, {SCHEMA: said})
    with pytest.raises(UnreadableEvent, match="names no schema version"):
        event.read(Charged)
    [fold] = folds(encode_event(event))
    assert fold.schema == 0


def upcast_by(step: Any) -> Any:
    """An event class whose one upcaster is this."""
    return type(
        "Charged",
        (DeviceEvent,),
        {
            "__module__": __name__,
            "__annotations__": {"kwh": float},
            "schema_version": 2,
            "step": marked(1)(step),
        },
    )


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (lambda data: data["nothing"], "which upcasts 1, fails: KeyError: 'nothing'"),
        (lambda data: None, "returns None, and no data: return the dict"),
        (lambda data: [data], r"returns \[{'kwh': 1}\], and no data"),
        (lambda data: {"kwh": {1, 2}}, "what its upcasters return is no JSON: TypeError"),
    ],
)
def test_what_an_upcaster_does_wrong_is_said(step: Callable[[Data], Any], problem: str) -> None:
    with pytest.raises(UnreadableEvent, match=problem):
        EventSchema(upcast_by(step)).read_stored(text(kwh=1), 1)


def test_data_that_does_not_fit_behind_the_upcasters_is_pydantics_to_tell() -> None:
    with pytest.raises(ValidationError, match="kwh"):
        EventSchema(upcast_by(lambda data: {"kwh": "many"})).read_stored(text(kwh=1), 1)


def test_only_a_class_of_its_own_type_reads_an_event() -> None:
    with pytest.raises(ValueError, match="'charged' is no Plain, which is 'plain'"):
        event_of({"kwh": 1}).read(Plain)
    not_one: Any = str
    with pytest.raises(TypeError, match="the class of an event's payload"):
        event_of({"kwh": 1}).read(not_one)


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"schema_version": 0}, "schema_version is a number from 1 on, and counts up, not 0"),
        ({"schema_version": True}, "not True"),
        ({"schema_version": MAX_SCHEMA + 1}, "not 10000"),
        (
            {"schema_version": 3, "a": upcasts(2)(lambda data: data)},
            r"schema_version is 3, and nothing takes data of version 1 to 2: mark .* @upcasts\(1\)",
        ),
        (
            {"schema_version": 1, "a": upcasts(1)(lambda data: data)},
            "<lambda> upcasts 1, and schema_version is 1: say schema_version = 2",
        ),
        (
            {
                "schema_version": 2,
                "a": upcasts(1)(lambda data: data),
                "b": upcasts(1)(lambda data: data),
            },
            "both upcast 1",
        ),
        (
            {"schema_version": 2, "a": marked(1)(lambda self, data: data)},
            "a upcasts: it is a static method that takes the data alone, and so has no 'self'",
        ),
        (
            {"schema_version": 2, "a": classmethod(upcasts(1)(lambda data: data))},
            "static method",
        ),
    ],
)
def test_a_class_with_a_broken_chain_is_refused_when_it_is_defined(
    attributes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidEvent, match=problem):
        type("Charged", (DeviceEvent,), {"__module__": __name__, **attributes})


@pytest.mark.parametrize("version", [0, True, "1", MAX_SCHEMA + 1, len])
def test_upcasts_takes_a_version(version: Any) -> None:
    with pytest.raises(TypeError, match=r"@upcasts names the version .* @upcasts\(1\)"):
        upcasts(version)


def test_upcasts_stands_above_a_method() -> None:
    not_one: Any = 7
    with pytest.raises(TypeError, match=r"@upcasts\(1\) stands above a method, not 7"):
        upcasts(1)(not_one)


def test_a_subclass_has_the_chain_of_its_base() -> None:
    class ChargedAtNight(Charged):
        pass

    assert EventSchema(ChargedAtNight).read_stored(text(energy=500), 1) == ChargedAtNight(
        kwh=0.5, tariff="standard"
    )


def test_a_class_that_has_a_field_of_that_name_writes_the_first_schema() -> None:
    with pytest.warns(UserWarning, match="shadows an attribute"):

        class Installed(DeviceEvent):
            schema_version: int = 7  # type: ignore[misc]

    assert EventSchema(Installed).read_stored(text(schema_version=8), 1) == Installed(
        schema_version=8
    )


def test_upcasters_travel_with_their_class() -> None:
    class Travelled(DeviceEvent):
        schema_version = 2
        kwh: float

        @upcasts(1)
        @staticmethod
        def in_kilowatt_hours(data: Data) -> Data:
            return {"kwh": data["energy"] / 1_000}

    arrived = cloudpickle.loads(cloudpickle.dumps(Travelled))
    assert EventSchema(arrived).read_stored(text(energy=500), 1).kwh == 0.5


class Charge(Command):
    kwh: float


class Meter(Actor[dict[str, float]]):
    ignores = ("door-opened",)

    @handles
    def charge(self, message: Charge) -> Iterator[Charged]:
        yield Charged(kwh=message.kwh, tariff="night")

    @applies
    def charged(self, event: Charged) -> None:
        self.state[event.tariff] = self.state.get(event.tariff, 0.0) + event.kwh


def test_a_scenario_folds_what_older_releases_have_stored() -> None:
    meter = (
        Scenario(Meter)
        .given_stored("charged", {"energy": 2_000})
        .given_stored("charged", {"kwh": 1.5}, schema_version=2)
        .given_stored("door-opened", {"anything": 1})
        .when(Charge(kwh=3.0))
        .then(Charged(kwh=3.0, tariff="night"))
    )
    assert meter.state == {"standard": 3.5, "night": 3.0}


@pytest.mark.parametrize(
    ("event_type", "data", "schema", "problem"),
    [
        ("charged", {"energy": 1}, 4, "reads schemas up to 3"),
        ("charged", {}, 1, "in_kilowatt_hours, which upcasts 1, fails: KeyError: 'energy'"),
        ("charged", {"kwh": "many"}, 3, "kwh"),
        ("lit", {}, 1, "'lit', which nothing applies"),
    ],
)
def test_a_scenario_says_what_cannot_be_read(
    event_type: str, data: Data, schema: int, problem: str
) -> None:
    with pytest.raises(InvalidActor, match=problem):
        Scenario(Meter).given_stored(event_type, data, schema_version=schema)
