"""The actors of the suite with timers: an alarm clock rings once for each time that it was wound,
if nobody winds it anew or stops it before."""

from collections.abc import Iterator
from dataclasses import dataclass

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.event import DeviceEvent, Payload
from actors.messages import Yielded
from actors.timers import Cancel, Schedule

_KEY = "bell"


class Wind(Command):
    """Ring in so many seconds."""

    after_s: float


class StopBell(Command):
    """Do not ring."""


class Ring(Command):
    """What the clock tells itself."""

    number: int


class Wound(DeviceEvent):
    number: int


class Stopped(DeviceEvent):
    pass


class Rang(DeviceEvent):
    number: int  #: for which time that it was wound


@dataclass(slots=True)
class AlarmState:
    """How often it was wound."""

    wound: int = 0


class Alarm(Actor[AlarmState]):
    """An alarm clock."""

    actor_type = "alarm"
    state_type = AlarmState
    state: AlarmState
    ignores = (Stopped, Rang)

    @handles
    def wind(self, message: Wind) -> Iterator[Payload | Yielded]:
        number = self.state.wound + 1
        yield Wound(number=number)
        yield Schedule(after=message.after_s, message=Ring(number=number), key=_KEY)

    @handles
    def stop_bell(self, message: StopBell) -> Iterator[Payload | Yielded]:
        yield Stopped()
        yield Cancel(_KEY)

    @handles
    def ring(self, message: Ring) -> Iterator[Payload]:
        yield Rang(number=message.number)

    @applies
    def was_wound(self, event: Wound) -> None:
        self.state.wound = event.number
