"""Handlers: what their classes may be, and what comes of them."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from actors.event import Event, Kind, Payload
from actors.moments import microseconds
from streams.errors import InvalidProgram
from streams.handler import Handler, described
from streams.program import Fact, Output
from streams.scenario import StreamScenario, happened
from tests.unit.streams.readings import Hot, Opened, after, measured, opened


class Alarm(Handler):
    event_types: Sequence[str] = ("measured",)
    priority = 200

    def handle(self, event: Event) -> Iterator[Payload]:
        if event.data["celsius"] > 80:
            yield Hot(celsius=event.data["celsius"])


def test_what_a_handler_yields_comes_out_for_the_source_with_the_moment_of_the_event() -> None:
    scenario = StreamScenario(Alarm).given(measured(0), measured(1, celsius=90.0), opened(2))
    assert [out.key for out in scenario.outputs] == ["thermometer/hall"]
    scenario.then(Output(Hot(celsius=90.0), microseconds(after(1))))
    assert scenario.keys == []


def test_a_handler_has_the_name_of_its_class_in_kebab_case_unless_it_says_another() -> None:
    class Named(Alarm):
        name = "fire-brigade"

    class FireBrigade(Alarm):
        pass

    assert [each.name for each in (Alarm, Named, FireBrigade)] == [
        "alarm", "fire-brigade", "fire-brigade",
    ]  # fmt: skip


def test_a_single_pattern_is_a_pattern() -> None:
    class Anything(Alarm):
        event_types: Sequence[str] = "m*d"
        sources = "thermometer/*"

    assert Anything.event_types == ("m*d",)
    StreamScenario(Anything).given(measured(0, celsius=81.0)).then(Hot(celsius=81.0))


def test_a_handler_may_choose_by_can_handle() -> None:
    class Chooser(Handler):
        def can_handle(self, event_type: str) -> bool:
            return event_type.endswith("ed")

        def handle(self, event: Event) -> list[Fact]:
            return [Fact("seen", Kind.SYSTEM, {"type": event.event_type})]

    seen = [Fact("seen", Kind.SYSTEM, {"type": name}) for name in ("measured", "opened")]
    hot = happened(Hot(celsius=1.0), source="a/b", at=after(2))
    StreamScenario(Chooser).given(measured(0), opened(1), hot).then(*seen)


def test_its_own_events_never_come_to_a_handler() -> None:
    class Echo(Handler):
        event_types = ("*",)

        def handle(self, event: Event) -> Iterator[Event]:
            yield event

    own = happened(Opened(), source="echo/window/hall", at=after(0))
    other = happened(Opened(), source="echoes/window", at=after(0))
    StreamScenario(Echo).given(own).then().given(other).then(
        Fact("opened", Kind.DEVICE, {"room": "hall", "wide": 1})
    )


def _class(**fields: Any) -> type[Handler]:
    return type("Wrong", (Handler,), fields)


def _nothing(self: Handler, event: Event) -> None:
    return None


async def _later(self: Handler, event: Event) -> None:
    return None


def _of_two(self: Handler, event: Event, more: int) -> None:
    return None


def _init(self: Handler, more: int) -> None:
    return None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"handle": _nothing}, "wrong: says of no event that it wants it: give it event_types"),
        ({"event_types": ("a",)}, r"wrong: does nothing: define handle\(self, event\)"),
        ({"event_types": ("a",), "handle": _later}, "wrong: handle is async"),
        ({"event_types": ("a",), "handle": _of_two}, r"handle takes one argument: def handle\("),
        ({"event_types": ("",), "handle": _nothing}, "event_types of Wrong is a list of patterns"),
        ({"event_types": (3,), "handle": _nothing}, "a text that is not empty, not 3"),
        (
            {"event_types": ("a",), "handle": _nothing, "priority": 256},
            "its priority is a number from 0 to 255, not 256",
        ),
        ({"event_types": ("a",), "handle": _nothing, "priority": True}, "0 to 255, not True"),
        ({"event_types": ("a",), "handle": _nothing, "name": "A b"}, "its name cannot be one"),
        (
            {"event_types": ("a",), "handle": _nothing, "__init__": _init},
            "made without arguments, and its __init__ does not allow that",
        ),
    ],
    ids=[
        "no-types", "no-handle", "async", "arguments", "empty-pattern", "no-pattern", "priority",
        "bool", "name", "init",
    ],
)  # fmt: skip
def test_a_class_that_cannot_be_a_handler_is_refused_with_what_to_do(
    fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidProgram, match=said):
        described(_class(**fields))


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (Hot(celsius=1.0), "handle returns Hot.*it yields a payload"),
        ("hot", "handle returns 'hot'"),
        ([3], "alarm: puts out 3; what leaves it is a payload"),
        ([None], "alarm: puts out None"),
    ],
    ids=["payload", "text", "number", "none"],
)
def test_what_is_no_output_is_named(returned: Any, said: str) -> None:
    program = type("Alarm", (Alarm,), {"handle": lambda self, event: returned})
    with pytest.raises(InvalidProgram, match=said):
        StreamScenario(program).given(measured(0))
