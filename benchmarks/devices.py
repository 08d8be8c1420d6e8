"""The measured device: a meter, whose every reading is an event with a typed payload.

Hosts import this module (the setting `actor_modules`), as they would a user's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent, Payload
from actors.moments import moment_of
from actors.tell import Tell
from actors.timers import Schedule


class TakeReading(Command):
    """Take down one reading."""

    celsius: float
    room: str
    number: int


class ReadingTaken(DeviceEvent):
    """One reading was taken."""

    celsius: float
    room: str
    number: int


@dataclass(slots=True)
class MeterState:
    """How many readings there were, and the last of them."""

    readings: int = 0
    celsius: float = 0.0
    room: str = ""
    number: int = 0


class Meter(Actor[MeterState]):
    """Takes every reading."""

    @handles
    def take(self, message: TakeReading) -> Iterator[Payload]:
        """One command, one event."""
        yield ReadingTaken(celsius=message.celsius, room=message.room, number=message.number)

    @applies
    def taken(self, event: ReadingTaken) -> None:
        """Count it, and keep what it says."""
        state = self.state
        state.readings += 1
        state.celsius = event.celsius
        state.room = event.room
        state.number = event.number


class Hit(Command):
    """The ball comes."""

    other: str
    left: int  #: so many more times it is hit


class RallyOver(DeviceEvent):
    """The last of them."""


class Player(Actor[MeterState]):
    """Sends each ball back."""

    ignores = (RallyOver,)

    @handles
    def hit(self, message: Hit) -> Iterator[Payload | Tell]:
        """One message, one message."""
        if message.left:
            answer = Hit(other=self.name, left=message.left - 1)
            yield Tell((Player, message.other), answer)
        else:
            yield RallyOver()


class SetAlarm(Command):
    """Ring at a moment."""

    key: str
    due_us: int  #: Unix microseconds


class Sound(Command):
    """It is time."""


class Sounded(DeviceEvent):
    """It rang."""


class Alarm(Actor[MeterState]):
    """Rings when it is time."""

    @handles
    def set_alarm(self, message: SetAlarm) -> Iterator[Schedule]:
        """One command, one timer."""
        yield Schedule(at=moment_of(message.due_us), message=Sound(), key=message.key)

    @handles
    def sound(self, message: Sound) -> Iterator[Sounded]:
        """One timer, one event."""
        yield Sounded()

    @applies
    def sounded(self, event: Sounded) -> None:
        """Count it."""
        self.state.readings += 1
