"""Device twins: the last known properties of any device that sends CloudEvents.

Networks deliver late. Each property keeps the time it was reported at, and the report
with the latest time wins, property by property (a last-writer-wins map; Shapiro et al.
2011, "A comprehensive study of CRDTs", 3.2.1). So the properties do not depend on the
order in which reports of different times come in; of one time, the one that came last
wins. A repeated report is not recognised here: it has the same command id (source and
event id), and the runtime gives a command id one effect.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import AwareDatetime, JsonValue

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent, Payload
from actors.messages import Yielded


class Report(Command):
    """A CloudEvent came in. Its `time` is the message's own."""

    event_id: str
    event_type: str
    properties: dict[str, JsonValue]


class PropertiesReported(DeviceEvent):
    """A device reported properties; `late` if a newer report was known already.

    `reported_at` repeats the envelope's timestamp, because merging needs it and a fold
    sees payloads alone.
    """

    event_id: str
    reported_type: str
    reported_at: AwareDatetime
    properties: dict[str, JsonValue]
    late: bool


@dataclass(slots=True)
class Property:
    """A value, and when the device reported it."""

    value: JsonValue
    reported_at: AwareDatetime


@dataclass(slots=True)
class DeviceTwinState:
    """All properties with their times; grows with the names a device uses, not with its
    reports."""

    properties: dict[str, Property] = field(default_factory=dict)
    last_seen: AwareDatetime | None = None  #: the latest time of any report
    reports: int = 0
    late_reports: int = 0
    reports_by_type: dict[str, int] = field(default_factory=dict)


class DeviceTwin(Actor[DeviceTwinState]):
    """One device. A report costs as much as it has properties, whatever is known."""

    @handles
    def report(self, message: Report) -> Iterator[Payload | Yielded]:
        """Every report is a fact, a late one too."""
        at = self.now
        yield PropertiesReported(
            event_id=message.event_id,
            reported_type=message.event_type,
            reported_at=at,
            properties=message.properties,
            late=self._is_late(at),
        )

    @applies
    def reported(self, event: PropertiesReported) -> None:
        """Merge what is newer than what is known, property by property."""
        state, at = self.state, event.reported_at
        known = state.properties
        for name, value in event.properties.items():
            old = known.get(name)
            if old is None or at >= old.reported_at:
                known[name] = Property(value, at)
        if state.last_seen is None or at > state.last_seen:
            state.last_seen = at
        state.reports += 1
        state.late_reports += event.late
        counts = state.reports_by_type
        counts[event.reported_type] = counts.get(event.reported_type, 0) + 1

    def _is_late(self, at: datetime) -> bool:
        last_seen = self.state.last_seen
        return last_seen is not None and at < last_seen
