"""A charger for electric cars: what it is told, what it decides, and what it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from thornback import Actor, BusinessEvent, Command, DeviceEvent, Rejected, applies, handles

#: The most that a charger delivers between two readings.
MOST_KWH = 50.0


class Status(StrEnum):
    NEW = "new"
    AVAILABLE = "available"
    CHARGING = "charging"
    FAULTED = "faulted"


# What a charger is told ------------------------------------------------------------------


class Commission(Command):
    site: str


class StartSession(Command):
    card: str


class ReadMeter(Command):
    kwh: float  #: since the last reading


class StopSession(Command):
    pass


class ReportFault(Command):
    code: str


class ClearFault(Command):
    pass


# What has happened -----------------------------------------------------------------------


class ChargerCommissioned(DeviceEvent):
    site: str


class SessionStarted(DeviceEvent):
    card: str


class EnergyDelivered(DeviceEvent):
    site: str
    kwh: float


class SessionStopped(DeviceEvent):
    kwh: float


class SessionBilled(BusinessEvent):
    card: str
    kwh: float


class FaultReported(DeviceEvent):
    code: str


class FaultCleared(DeviceEvent):
    pass


# What a charger is -----------------------------------------------------------------------


@dataclass
class ChargerState:
    site: str = ""
    status: Status = Status.NEW
    card: str = ""
    session_kwh: float = 0.0
    total_kwh: float = 0.0
    sessions_billed: int = 0


class Charger(Actor[ChargerState]):
    """Handlers decide and yield events; appliers fold events into the state, now and whenever
    the charger is loaded from the log."""

    @handles
    def commission(self, message: Commission) -> Iterator[ChargerCommissioned]:
        if self.state.status is not Status.NEW:
            raise Rejected(f"commissioned at {self.state.site}")
        yield ChargerCommissioned(site=message.site)

    @handles
    def start(self, message: StartSession) -> Iterator[SessionStarted]:
        if self.state.status is not Status.AVAILABLE:
            raise Rejected(f"the charger is {self.state.status}")
        yield SessionStarted(card=message.card)

    @handles
    def read_meter(self, message: ReadMeter) -> Iterator[EnergyDelivered]:
        if not 0 <= message.kwh <= MOST_KWH:
            raise Rejected(f"a reading of {message.kwh:g} kWh is not possible")
        if self.state.status is not Status.CHARGING:
            raise Rejected(f"the charger is {self.state.status}")
        yield EnergyDelivered(site=self.state.site, kwh=message.kwh)

    @handles
    def stop(self, message: StopSession) -> Iterator[SessionStopped | SessionBilled]:
        if self.state.status is not Status.CHARGING:
            raise Rejected(f"the charger is {self.state.status}")
        yield from self._end_session()

    @handles
    def fault(
        self, message: ReportFault
    ) -> Iterator[SessionStopped | SessionBilled | FaultReported]:
        if self.state.status is Status.CHARGING:
            yield from self._end_session()
        if self.state.status is not Status.FAULTED:
            yield FaultReported(code=message.code)

    @handles
    def clear(self, message: ClearFault) -> Iterator[FaultCleared]:
        if self.state.status is not Status.FAULTED:
            raise Rejected(f"the charger is {self.state.status}")
        yield FaultCleared()

    def _end_session(self) -> Iterator[SessionStopped | SessionBilled]:
        yield SessionStopped(kwh=self.state.session_kwh)
        if self.state.session_kwh:
            yield SessionBilled(card=self.state.card, kwh=self.state.session_kwh)

    @applies
    def commissioned(self, event: ChargerCommissioned) -> None:
        self.state.site, self.state.status = event.site, Status.AVAILABLE

    @applies
    def started(self, event: SessionStarted) -> None:
        self.state.status, self.state.card, self.state.session_kwh = (
            Status.CHARGING,
            event.card,
            0.0,
        )

    @applies
    def delivered(self, event: EnergyDelivered) -> None:
        self.state.session_kwh += event.kwh
        self.state.total_kwh += event.kwh

    @applies
    def stopped(self, event: SessionStopped) -> None:
        self.state.status, self.state.card = Status.AVAILABLE, ""

    @applies
    def billed(self, event: SessionBilled) -> None:
        self.state.sessions_billed += 1

    @applies
    def faulted(self, event: FaultReported) -> None:
        self.state.status = Status.FAULTED

    @applies
    def cleared(self, event: FaultCleared) -> None:
        self.state.status = Status.AVAILABLE
