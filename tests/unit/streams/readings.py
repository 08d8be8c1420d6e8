"""Events of thermometers, for the tests of streams."""

from datetime import UTC, datetime, timedelta

from actors.event import BusinessEvent, DeviceEvent, Event
from streams.scenario import happened

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


class Measured(DeviceEvent):
    """A thermometer has a value, or none."""

    room: str = "hall"
    celsius: float | None = 20.0
    n: int = 0


class Opened(DeviceEvent):
    """A window was opened."""

    room: str = "hall"
    wide: int = 1


class Hot(BusinessEvent):
    """It is hot somewhere."""

    celsius: float


def after(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def measured(minutes: float, n: int = 0, room: str = "hall", celsius: float | None = 20.0) -> Event:
    """A value, so many minutes after noon."""
    reading = Measured(room=room, celsius=celsius, n=n)
    return happened(reading, source=f"thermometer/{room}", at=after(minutes))


def opened(minutes: float, wide: int = 1, room: str = "hall") -> Event:
    """A window, so many minutes after noon."""
    return happened(Opened(room=room, wide=wide), source=f"window/{room}", at=after(minutes))
