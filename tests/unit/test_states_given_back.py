"""A state that JSON gives back as another is in no snapshot and no answer, and where its class
shows that, the class is refused."""

import logging
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Flag, StrEnum, auto
from functools import cached_property
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor
from actors.event import DeviceEvent, Payload
from runtime.errors import InvalidState
from runtime.wire.answers import raise_error, unpack_state
from runtime.wire.commands import STATE
from store.scenario import Scenario
from tests.unit.hosting import Hosting, command
from tests.virtual_time import virtual_time


class Count(Command):
    pass


class Counted(DeviceEvent):
    pass


class CamelState(BaseModel):
    total_count: int = Field(default=0, alias="totalCount")


class WrittenByAlias(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)

    total_count: int = Field(default=0, alias="totalCount")


@dataclass
class Whole:
    total_count: float = 0


@dataclass
class Cached:
    total_count: int = 0

    @cached_property
    def twice(self) -> int:
        return 2 * self.total_count


def counting(state: type) -> type[Actor[Any]]:
    class Counting(Actor[state]):  # type: ignore[valid-type]
        actor_type = "counting"

        @handles
        def count(self, message: Count) -> Iterator[Payload]:
            yield Counted()

        @applies
        def counted(self, event: Counted) -> None:
            self.state.total_count += 1
            getattr(self.state, "twice", None)

    return Counting


@pytest.mark.parametrize("state", [CamelState, WrittenByAlias, Whole, Cached])
@virtual_time
async def test_a_state_out_of_a_snapshot_is_the_state_that_the_log_says(state: type) -> None:
    actor = counting(state)
    host = await Hosting.begin(frequency=2)
    host.register(actor)
    for _ in range(4):
        await host.deliver(command("counting/a", Count()))
    again = await Hosting.begin(host.store)
    again.register(actor)
    answer = await again.deliver(command("counting/a", STATE))
    raise_error(answer, 0)
    resident = again.residents.get("counting/a")
    assert resident is not None
    assert resident.actor.state.total_count == 4
    sent = unpack_state(answer)["state"]
    assert actor.described().states.of_plain(sent) == resident.actor.state
    assert await host.store.load_snapshots([resident.aggregate_id])


class Excluding(BaseModel):
    total: int = Field(default=0, exclude=True)


class Holder(BaseModel):
    parts: list[Excluding] = []


class Private(BaseModel):
    _total: int = PrivateAttr(0)


@dataclass
class NotInit:
    total: int = field(default=0, init=False)


@dataclass
class Rolling:
    window: deque[int] = field(default_factory=lambda: deque(maxlen=3))


@dataclass
class Defaulting:
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class Numbered:
    totals: dict = field(default_factory=lambda: {1: 2})  # type: ignore[type-arg]


class Status(StrEnum):
    ON = "on"


@dataclass
class Switched:
    status: str = Status.ON


class Fitted(Flag):
    RADIO = auto()
    RADAR = auto()


@dataclass
class Equipped:
    fitted: Fitted = Fitted.RADIO | Fitted.RADAR
    total_count: int = 0


def test_a_flag_is_a_value_that_comes_back() -> None:
    """What Python keeps in its members leads back to them."""
    states = counting(Equipped).described().states
    assert states.read(states.snapshot(Equipped(Fitted.RADAR)).encode()) == Equipped(Fitted.RADAR)


@dataclass(eq=False)
class SharedPart:
    """It may be a key, so no dataclass forbids it as a default."""

    number: int = 0


PART = SharedPart()


@dataclass
class Sharing:
    part: SharedPart = PART


@dataclass
class SharingInside:
    parts: tuple[SharedPart, ...] = (PART,)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (Excluding, "total is excluded when it is written"),
        (Holder, "total is excluded when it is written"),
        (Private, "Private._total is private: make it a field"),
        (NotInit, "NotInit.total has init=False"),
        (Rolling, "window comes back without its maxlen"),
        (Defaulting, "totals is a defaultdict and comes back as a dict"),
        (Numbered, "totals.1 does not come back"),
        (Switched, "status is a Status and comes back as a str; annotate"),
        (Sharing, "its actors would share part of their states: give it a default_factory"),
        (SharingInside, r"its actors would share parts.0 of their states"),
    ],
)
def test_a_class_whose_states_never_come_back_is_refused(state: type, said: str) -> None:
    with pytest.raises(InvalidActor, match=said):
        counting(state).described()


class Keep(Command):
    how: str


class Kept(DeviceEvent):
    how: str


class Wide(BaseModel):
    number: int = 0


class Wider(Wide):
    more: int = 0


@dataclass
class Anything:
    part: Wide = field(default_factory=Wide)
    when: datetime | str = ""
    mapping: dict[Any, Any] = field(default_factory=dict)
    window: deque[int] = field(default_factory=deque)


class Keeper(Actor[Anything]):
    @handles
    def keep(self, message: Keep) -> Iterator[Payload]:
        yield Kept(how=message.how)

    @applies
    def kept(self, event: Kept) -> None:
        match event.how:
            case "a subclass":
                self.state.part = Wider(more=1)
            case "a text like a moment":
                self.state.when = "2013-01-01T00:00:00"
            case "numbers as keys":
                self.state.mapping = {1: 2}
            case "a field of its own":
                vars(self.state)["own"] = 1  # by a way that no reading of the code sees
            case "an offset with seconds":
                odd = timezone(timedelta(seconds=7))
                self.state.when = datetime(2013, 1, 1, tzinfo=odd)
            case "a limit":
                self.state.window = deque(maxlen=3)


WAYS = [
    "a subclass", "a text like a moment", "numbers as keys", "an offset with seconds",
]  # fmt: skip


@pytest.mark.parametrize("how", WAYS)
@virtual_time
async def test_a_state_that_would_arrive_as_another_is_no_answer(how: str) -> None:
    host = await Hosting.begin()
    host.register(Keeper)
    await host.ask("keeper/a", Keep(how=how))
    answer = await host.deliver(command("keeper/a", STATE))
    with pytest.raises(InvalidState, match=r"would arrive as another: .*annotate"):
        raise_error(answer, 0)


@pytest.mark.parametrize("how", [*WAYS, "a limit", "a field of its own"])
@virtual_time
async def test_a_state_that_would_come_back_as_another_has_no_snapshot_and_that_is_said_once(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = await Hosting.begin(frequency=1)
    host.register(Keeper)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            await host.ask("keeper/a", Keep(how=how))
    resident = host.residents.get("keeper/a")
    assert resident is not None
    assert not await host.store.load_snapshots([resident.aggregate_id])
    [said] = [entry.getMessage() for entry in caplog.records]
    assert "keeper/a: no snapshots, its state would not come back: " in said
    assert "annotate the field" in said
    with pytest.raises(InvalidActor, match="would not come back out of a snapshot"):
        Scenario(Keeper).when(Keep(how=how))
