"""Shapes of events: what changes a schema, and what does not."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from actors.event import DeviceEvent
from actors.event_shape import changed_fields, shape_of


class Mode(StrEnum):
    FAST = "fast"
    SLOW = "slow"


class Place(BaseModel):
    city: str
    floor: int | None = None
    within: "Place | None" = None


class Charged(DeviceEvent):
    kwh: float
    mode: Mode
    at: datetime
    place: Place
    tags: dict[str, int] = Field(default_factory=dict)
    readings: list[Place] = Field(default_factory=list)
    more: Any = None


def like(**fields: Any) -> type[DeviceEvent]:
    """The class with other fields; None: without one."""
    own = {name: info.annotation for name, info in Charged.model_fields.items()}
    annotations = {name: each for name, each in {**own, **fields}.items() if each is not None}
    defaults = {name: None for name in annotations if name not in own}
    return type("Charged", (DeviceEvent,), {"__annotations__": annotations, **defaults})


def test_a_shape_has_each_field_by_its_path() -> None:
    assert shape_of(Charged) == {
        "kwh": ["number"], "mode": ['"fast"', '"slow"'], "at": ["string:date-time"],
        "place": ["object"], "place.city": ["string"], "place.floor": ["integer", "null"],
        "place.within": ["null", "object"], "tags": ["object"], "tags.*": ["integer"],
        "readings": ["array"], "readings[]": ["object"], "readings[].city": ["string"],
        "readings[].floor": ["integer", "null"], "readings[].within": ["null", "object"],
        "more": ["any"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tariff": str},
        {"kwh": float | None},
        {"mode": Literal["fast", "slow", "none"]},
        {"mode": str},
        {"at": str},
        {"place": dict[str, Any]},
        {"tags": dict[str, float]},
        {"kwh": Any},
    ],
)
def test_what_reads_all_that_was_written_has_not_changed_a_schema(fields: dict[str, Any]) -> None:
    assert changed_fields(like(**fields), shape_of(Charged)) == []


class Flat(BaseModel):
    city: str


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kwh": None}, ["'kwh' is gone"]),
        ({"kwh": int}, ["'kwh' was number and is integer"]),
        ({"mode": Literal["fast"]}, ['\'mode\' was "slow" and is "fast"']),
        ({"at": float}, ["'at' was string:date-time and is number"]),
        ({"place": Flat}, ["'place.floor' is gone", "'place.within' is gone"]),
        ({"place": None}, ["'place' is gone"]),
        ({"tags": list[int]}, ["'tags' was object and is array"]),
        ({"more": str}, ["'more' was any and is string"]),
    ],
)
def test_what_is_read_no_more_or_as_something_else_has(
    fields: dict[str, Any], said: list[str]
) -> None:
    assert changed_fields(like(**fields), shape_of(Charged)) == said


def test_a_field_is_read_by_its_old_names() -> None:
    class Renamed(DeviceEvent):
        event_type = "charged"
        energy: float = Field(validation_alias="kwh")
        how: str = Field("", validation_alias=AliasChoices("way", "mode"))  # type: ignore[pydantic-alias]

    assert changed_fields(Renamed, {"kwh": ["number"], "mode": ["string"]}) == []


def test_of_a_class_that_has_no_schema_nothing_is_said() -> None:
    class Odd(DeviceEvent):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        what: object = None
        raw: memoryview | None = None

    assert shape_of(Odd) == {}
    assert changed_fields(Odd, {"gone": ["string"]}) == []
