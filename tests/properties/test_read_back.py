"""Events of closed classes are applied without being read back, because that would give equals.

What is closed is decided by actors/openness.py; here it is held against what is true.
"""

from enum import IntEnum, StrEnum
from types import GenericAlias
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    ValidationError,
    computed_field,
    create_model,
)

from actors.devices.aircraft import FlightArrived, FlightScheduled
from actors.devices.device_twin import PropertiesReported
from actors.devices.weather_station import WeatherObserved
from actors.event import DeviceEvent, Payload
from actors.openness import is_closed
from actors.sameness import difference
from benchmarks.devices import ReadingTaken
from store.errors import InvalidData
from store.rows.json_text import encode_payload


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Text(str):
    """A text that is more than one."""


class Number(float):
    """A number that is more than one."""


#: Types of fields that are closed, in all combinations that are.
_LEAVES: list[Any] = [
    str, int, float, bool, UUID, Colour, Level, Literal["on", "off"],
    Annotated[str, Field(min_length=0, max_length=1000)], Annotated[float, Field(ge=-1e308)],
]  # fmt: skip
_UNIONS: list[Any] = [int | str, float | str, UUID | int, bool | Literal["x"], Colour | float]
_FIELDS: list[Any] = [
    *_LEAVES,
    *_UNIONS,
    *(Optional[one] for one in (*_LEAVES, *_UNIONS)),  # noqa: UP045
    *(GenericAlias(tuple, (one, ...)) for one in (*_LEAVES, *_UNIONS)),
    tuple[int, str] | None,
    tuple[tuple[float, bool], ...],
]

#: Whatever a handler may put into a field, of the right type or of one that is made right.
_numbers = st.floats() | st.integers() | st.sampled_from([1e16, 1e23, -0.0, 10**20, 1.0, 2.0, 1, 2])
_values = (
    _numbers
    | st.booleans()
    | st.text()
    | st.uuids()
    | st.sampled_from(
        [*Colour, *Level, Text("red"), Number(1.5), "on", "off", "x", "1", "1.0", None]
    )
    | st.uuids().map(str)
)
_anything = _values | st.lists(_values, max_size=3).map(tuple)


@pytest.mark.parametrize("annotation", _FIELDS, ids=str)
def test_such_a_class_is_closed(annotation: Any) -> None:
    assert is_closed(create_model("Made", __base__=DeviceEvent, field=(annotation, ...)))


_made = [create_model("Made", __base__=DeviceEvent, field=(one, ...)) for one in _FIELDS]


@given(model=st.sampled_from(_made), value=_anything)
def test_an_event_of_a_closed_class_reads_back_as_it_is_or_is_not_stored(
    model: type[Payload], value: Any
) -> None:
    try:
        event = model.model_validate({"field": value})
        text = encode_payload("made", event)
    except (ValidationError, InvalidData):
        return
    assert difference(event, model.__pydantic_validator__.validate_json(text)) is None


@pytest.mark.parametrize(
    "model", [ReadingTaken, FlightScheduled, FlightArrived, WeatherObserved], ids=str
)
def test_the_events_that_come_in_numbers_are_closed(model: type[Payload]) -> None:
    assert is_closed(model)


class Nested(BaseModel):
    model_config = ConfigDict(frozen=True)

    x: int = 0


class Thawed(DeviceEvent):
    model_config = ConfigDict(frozen=False)

    x: int = 0


class Forgiving(DeviceEvent):
    model_config = ConfigDict(ser_json_inf_nan="null")

    x: float | None = 0.0


class Extra(DeviceEvent):
    model_config = ConfigDict(extra="allow")


class Private(DeviceEvent):
    _x: int = PrivateAttr(0)


class Computed(DeviceEvent):
    x: int = 0

    @computed_field
    def twice(self) -> int:
        return 2 * self.x


class Initialised(DeviceEvent):
    x: int = 0

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)


def one_more(x: int) -> int:
    return x + 1


@pytest.mark.parametrize(
    "annotation",
    [
        Any, JsonValue, list[int], dict[str, int], Nested, int | float, str | UUID, str | Colour,
        Annotated[int, AfterValidator(one_more)], Annotated[int, Field(alias="y")],
        Annotated[int, Field(exclude=True)], object, Literal[1, "1"], tuple[Any, ...],
    ],
    ids=lambda annotation: str(annotation).partition(" at 0x")[0],
)  # fmt: skip
def test_such_a_field_leaves_its_class_open(annotation: Any) -> None:
    assert not is_closed(create_model("Made", __base__=DeviceEvent, field=(annotation, ...)))


@pytest.mark.parametrize(
    "model",
    [
        Thawed, Forgiving, Extra, Private, Computed, Initialised, PropertiesReported,
        create_model("Made", __base__=DeviceEvent, field=(int, "a default of another type")),
        create_model("Made", __base__=DeviceEvent, field=(float, 1)),
    ],
    ids=str,
)  # fmt: skip
def test_such_a_class_is_open(model: type[Payload]) -> None:
    assert not is_closed(model)
