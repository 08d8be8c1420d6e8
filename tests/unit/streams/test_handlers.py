"""Handlers that run together, as a program: who has an event, and in which order."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from actors.event import DeviceEvent, Event, Kind
from streams.errors import InvalidProgram
from streams.handler import Handler
from streams.handlers import Handlers, selects
from streams.program import Fact
from streams.programs import program_of
from streams.scenario import StreamScenario, happened


class Rang(DeviceEvent):
    """A bell did."""

    loud: bool


class Closed(DeviceEvent):
    """A door did."""


class Telling(Handler):
    """Says its name."""

    event_types: Sequence[str] = ("rang",)

    def handle(self, event: Event) -> Iterator[Fact]:
        yield Fact(f"told-by-{self.name}", Kind.BUSINESS, {})


class Zeal(Telling):
    priority = 255


class Alarm(Telling):
    pass


class Bell(Telling):
    sources: Sequence[str] = ("door/*",)


class Last(Telling):
    event_types: Sequence[str] = ("*",)
    priority = 0


class Shut(Bell):
    event_types: Sequence[str] = ("closed",)
    kinds: Sequence[Kind] = (Kind.DEVICE,)


def told(*names: str) -> list[Fact]:
    return [Fact(f"told-by-{name}", Kind.BUSINESS, {}) for name in names]


def test_an_event_comes_to_the_higher_priority_first_and_then_by_name() -> None:
    together = Handlers("porter", Last, Bell, Alarm, Zeal())
    scenario = StreamScenario(together)
    scenario.given(happened(Rang(loud=True), source="door/1", at=1))
    scenario.then(*told("zeal", "alarm", "bell", "last"))
    assert [out.key for out in scenario.outputs] == [
        "zeal/door/1", "alarm/door/1", "bell/door/1", "last/door/1",
    ]  # fmt: skip


def test_each_has_what_it_selects_and_never_what_it_has_put_out() -> None:
    scenario = StreamScenario(Handlers("porter", Last, Bell, Alarm, Zeal))
    scenario.given(happened(Rang(loud=True), source="gate/1", at=1))
    scenario.then(*told("zeal", "alarm", "last"))
    scenario.given(happened(Closed(), source="door/1", at=2)).then(*told("last"))
    scenario.given(happened(Closed(), source="last/door/1", at=3)).then()
    scenario.given(happened(Closed(), source="alarm/door/1", at=4)).then(*told("last"))


def test_together_they_select_what_each_of_them_does() -> None:
    assert Handlers("porter", Bell, Alarm).event_types == ("rang",)
    assert Handlers("porter", Bell, Alarm).sources == ()
    assert Handlers("porter", Bell).sources == ("door/*",)
    assert Handlers("porter", Last, Bell).event_types == ("rang", "*")
    both = Handlers("porter", Bell, Shut)
    assert (both.event_types, both.kinds) == (("rang", "closed"), ())
    wants = selects(Shut())
    assert wants(happened(Closed(), source="door/1", at=1))
    assert not wants(happened(Closed(), source="gate/1", at=1))
    assert not wants(happened(Rang(loud=True), source="door/1", at=1))


class Clone(Telling):
    name = "alarm"


@pytest.mark.parametrize(
    ("name", "handlers", "told"),
    [
        ("porter", (), "porter: has no handlers"),
        ("porter", (Alarm, Clone), "porter: two of its handlers have the name 'alarm'"),
        ("alarm", (Alarm, Bell), "alarm: one of its handlers has this name"),
        ("porter", (Alarm, object), "porter: <class 'object'> is no handler"),
        ("porter", (Alarm, Handlers("two", Bell)), "is no handler: derive it from Handler"),
        ("Porter!", (Alarm,), "its name cannot be one"),
        (Alarm, (Bell,), "a name comes first: Handlers('name', First, Second)"),
        ("porter", ([Alarm, Bell],), "porter: its handlers are named one by one"),
        ("porter", (Handler,), "Handler: its name cannot be one"),
    ],
)
def test_what_cannot_run_together_is_refused(
    name: Any, handlers: tuple[Any, ...], told: str
) -> None:
    with pytest.raises(InvalidProgram) as refused:
        Handlers(name, *handlers)
    assert told in str(refused.value)


def test_they_are_a_program() -> None:
    together = Handlers("porter", Alarm, Bell)
    assert program_of(together) is together
    assert together.due("alarm/door/1", None, 0) == together.again("a", None, [], None, 0)  # type: ignore[arg-type]
