"""Actors with timers in the simulation: bells, which ring as often as they are wound up to."""

from collections.abc import Iterator

from pydantic import BaseModel, Field

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import DeviceEvent, Payload
from actors.messages import Yielded
from actors.timers import Cancel, Missed, Schedule


class Wind(Command):
    """Set a timer, in the place of what has its key."""

    token: int
    key: str
    after_ms: int
    every_ms: int | None = None
    missed: Missed = "once"
    how: str = "ring"  #: what it comes to: ring, refuse, break, spoil or again
    limit: int = 1  #: rings, after which one with `every` stops itself


class Unwind(Command):
    """Cancel a timer, if there is one."""

    token: int
    key: str


class Ring(Command):
    """What a bell tells itself."""

    token: int
    key: str
    how: str
    limit: int


class Wound(DeviceEvent):
    token: int
    key: str


class Unwound(DeviceEvent):
    token: int
    key: str


class Rang(DeviceEvent):
    token: int
    key: str


class Cracked(DeviceEvent):
    """Cannot be applied."""


class BellState(BaseModel):
    rings: dict[str, int] = Field(default={})  #: by key, since it was wound last


class Bell(Actor[BellState]):
    """Rings."""

    ignores = (Unwound,)

    @handles
    def wind(self, message: Wind) -> Iterator[Payload | Schedule]:
        yield Wound(token=message.token, key=message.key)
        yield Schedule(
            after=message.after_ms / 1000,
            every=None if message.every_ms is None else message.every_ms / 1000,
            missed=message.missed,
            key=message.key,
            message=Ring(
                token=message.token, key=message.key, how=message.how, limit=message.limit
            ),
        )

    @handles
    def unwind(self, message: Unwind) -> Iterator[Payload | Cancel]:
        yield Unwound(token=message.token, key=message.key)
        yield Cancel(message.key)

    @handles
    def ring(self, message: Ring) -> Iterator[Payload | Yielded]:
        if message.how == "refuse":
            raise Rejected("as asked")
        yield Rang(token=message.token, key=message.key)
        if message.how == "break":
            raise RuntimeError("broken")
        if message.how == "spoil":
            yield Cracked()
        if message.how == "again":
            message = message.model_copy(update={"how": "ring"})
            yield Schedule(after=0.05, message=message, key=message.key)
        elif self.state.rings[message.key] + 1 >= message.limit:
            yield Cancel(message.key)

    @applies
    def wound(self, event: Wound) -> None:
        self.state.rings[event.key] = 0

    @applies
    def rang(self, event: Rang) -> None:
        self.state.rings[event.key] += 1

    @applies
    def cracked(self, event: Cracked) -> None:
        raise RuntimeError("cracked")
