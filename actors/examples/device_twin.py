"""A device that falls silent is offline: a twin that notices by itself, with a timer.

Every report winds the timer up anew. Nobody has to look through a fleet again and again: a device
that reports never comes to anybody's mind, and one that does not is offline as soon as its limit is
over, whichever host has its twin by then.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import AwareDatetime, Field

from actors.actor import applies, handles
from actors.command import Command
from actors.devices.device_twin import DeviceTwin, DeviceTwinState, Report
from actors.event import BusinessEvent, DeviceEvent, Payload, SystemEvent
from actors.messages import Yielded
from actors.timers import Schedule

#: Seconds for which a device may be silent until it is offline, if nobody says otherwise.
LIMIT_S = 60.0


class SetSilenceLimit(Command):
    """The device may be silent for so long."""

    seconds: float = Field(gt=0)


class FallSilent(Command):
    """The limit is over; what the twin tells itself."""


class SilenceLimitSet(BusinessEvent):
    seconds: float


class DeviceOnline(DeviceEvent):
    """It reports, for the first time or again."""


class DeviceOffline(SystemEvent):
    """It has been silent for its limit."""

    last_seen: AwareDatetime | None  #: the latest time of any report


@dataclass(slots=True)
class WatchedTwinState(DeviceTwinState):
    """What is known of the device, and whether it is there."""

    online: bool = False
    limit_s: float = LIMIT_S


class WatchedTwin(DeviceTwin):
    """A device twin that knows whether its device is there."""

    state_type = WatchedTwinState
    state: WatchedTwinState

    @handles
    def report(self, message: Report) -> Iterator[Payload | Yielded]:
        """A sign of life, whenever the report is of."""
        yield from super().report(message)
        if not self.state.online:
            yield DeviceOnline()
        yield self._in_time(self.state.limit_s)

    @handles
    def set_limit(self, message: SetSilenceLimit) -> Iterator[Payload | Schedule]:
        """Counts from now on."""
        yield SilenceLimitSet(seconds=message.seconds)
        if self.state.online:
            yield self._in_time(message.seconds)

    @handles
    def fall_silent(self, message: FallSilent) -> Iterator[DeviceOffline]:
        """No report has come since the timer was wound up."""
        yield DeviceOffline(last_seen=self.state.last_seen)

    @applies
    def came_online(self, event: DeviceOnline) -> None:
        self.state.online = True

    @applies
    def went_offline(self, event: DeviceOffline) -> None:
        self.state.online = False

    @applies
    def limit_set(self, event: SilenceLimitSet) -> None:
        self.state.limit_s = event.seconds

    def _in_time(self, seconds: float) -> Schedule:
        return Schedule(after=seconds, message=FallSilent(), key="silence")
