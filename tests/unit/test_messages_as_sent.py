"""A message arrives as it was sent: by the names of its fields, and with all that it has."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from actors.actor import Actor, Command, handles
from actors.event import DeviceEvent, Payload
from actors.openness import message_reader
from runtime.driver.validation import check_message
from runtime.errors import InvalidMessage
from runtime.wire.commands import PUBLISH, CommandPacker, pack_request
from runtime.wire.reading import unpack_request
from tests.unit.hosting import Hosting, command
from tests.virtual_time import virtual_time


class Aliased(Command):
    """Its fields have names of their own on the outside, as those of devices often do."""

    how_many: int = Field(default=1, alias="howMany")


class Inner(BaseModel):
    how_many: int = Field(default=1, alias="howMany")


class Nested(Command):
    inner: Inner


class Listed(Command):
    inners: list[Inner]


class Open(Command):
    """Takes whatever comes along."""

    model_config = ConfigDict(extra="allow")


class Unlocked(BaseModel):
    model_config = ConfigDict(extra="allow")


class NestedOpen(Command):
    inner: Unlocked


@dataclass
class Part:
    how_many: int = field(default=1)


class WithPart(Command):
    part: Part


class Numbers(RootModel[list[int]]):
    pass


class Rooted(Command):
    numbers: Numbers


class Dated(Command):
    at: datetime


class Heard(DeviceEvent):
    text: str


class Listener(Actor[Unlocked]):
    ignores = (Heard,)

    @handles
    def aliased(self, message: Aliased) -> Iterator[Payload]:
        yield Heard(text=repr(message))

    @handles
    def nested(self, message: Nested) -> Iterator[Payload]:
        yield Heard(text=repr(message))

    @handles
    def listed(self, message: Listed) -> Iterator[Payload]:
        yield Heard(text=repr(message))

    @handles
    def open(self, message: Open) -> Iterator[Payload]:
        yield Heard(text=repr(message))

    @handles
    def nested_open(self, message: NestedOpen) -> Iterator[Payload]:
        yield Heard(text=repr(message))

    @handles
    def with_part(self, message: WithPart) -> Iterator[Payload]:
        yield Heard(text=repr(message))

    @handles
    def rooted(self, message: Rooted) -> Iterator[Payload]:
        yield Heard(text=repr(message))


def _made(kind: type[Command], **data: Any) -> Command:
    return kind.model_validate(data)


@pytest.mark.parametrize(
    "message",
    [
        _made(Aliased, howMany=5),
        _made(Nested, inner={"howMany": 5}),
        _made(Listed, inners=[{"howMany": 5}, {"howMany": 6}]),
        _made(Open, how_many=5),
        _made(NestedOpen, inner={"how_many": [5]}),
        _made(WithPart, part=Part(5)),
        _made(Rooted, numbers=[1, 2]),
    ],
    ids=lambda message: type(message).__name__,
)
@virtual_time
async def test_a_message_arrives_as_it_was_sent(message: Command) -> None:
    host = await Hosting.begin()
    host.register(Listener)
    check_message(message, "listener/a")
    fields = tuple(command("listener/a", message))
    packed = pack_request(b"driver", 0, 0, {}, True, [CommandPacker().pack(fields)])
    sent = unpack_request(packed).commands[0]
    [event] = await host.ask("listener/a", message, data=sent[4])
    assert event.data == {"text": repr(message)}


def test_a_key_of_an_extra_that_has_no_form_on_the_wire_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="the key of a mapping"):
        check_message(_made(Open, extra={(1, 2): 3}), "listener/a")


def test_a_moment_whose_offset_has_seconds_arrives_as_that_moment() -> None:
    at = datetime(2013, 1, 1, 12, tzinfo=timezone(timedelta(hours=1, seconds=7)))
    packed = CommandPacker().pack(tuple(command("listener/a", Dated(at=at))))
    data = unpack_request(pack_request(b"driver", 0, 0, {}, True, [packed])).commands[0][4]
    assert message_reader(Dated)(data) == Dated(at=at.astimezone(UTC))


class Anything(Command):
    what: Any


def test_data_that_is_nested_too_deeply_to_be_taken_apart_is_no_failure_of_the_actor() -> None:
    what: Any = 1
    for _ in range(100_000):
        what = [what]
    with pytest.raises(ValueError, match="nested too deeply"):
        message_reader(Anything)({"what": what})


@virtual_time
async def test_one_uuid_is_one_source_however_it_is_written() -> None:
    """An aggregate has one resident, and its events one name."""
    host = await Hosting.begin()
    data = {
        "event_type": "x", "kind": "device", "data": b"{}", "metadata": {}, "clock": {},
    }  # fmt: skip
    lower = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    answer = await host.deliver(
        command(lower, PUBLISH, data=data),
        command(lower.upper(), PUBLISH, data=data),
        command(lower, PUBLISH, data=data),
    )
    assert set(answer.errors) == {1}
    assert [event.version for event in await host.log(lower)] == [1, 2]
