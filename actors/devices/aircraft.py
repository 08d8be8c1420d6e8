"""Aircraft: the flights of one tail number, from the published schedule to the gate.

A flight is `scheduled -> departed | cancelled` and `departed -> arrived | diverted`.
Only open flights are in the state, so it stays as small as one day's schedule. One
aircraft can have many of them: a day is scheduled before it begins, and a plane that
is swapped late can be reported under way twice.

Commands are small, because each crosses the network: what an event repeats of the plan
comes out of the state.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import DeviceEvent, Payload


class FlightPlan(BaseModel):
    """A flight as it is published. `flight` names it within its aircraft, for example
    `UA1545/EWR/2013-01-01`."""

    flight: str
    carrier: str
    number: int
    origin: str
    destination: str
    departure_unix_s: int  #: scheduled departure, seconds since 1970 UTC
    distance_mi: int


class Leg(BaseModel):
    """What every later event repeats of the plan, so that nobody has to look it up."""

    flight: str
    carrier: str
    origin: str
    destination: str


class ScheduleFlight(FlightPlan, Command):
    """Publish a flight."""


class DepartFlight(Command):
    """The flight has left the gate; a negative delay is early."""

    flight: str
    delay_min: int


class CancelFlight(Command):
    """The flight will not leave."""

    flight: str


class ArriveFlight(Command):
    """The flight has reached the gate of its destination; a negative delay is early."""

    flight: str
    delay_min: int
    air_time_min: int


class DivertFlight(Command):
    """The flight has ended its journey by way of another airport, which is not known."""

    flight: str


class FlightScheduled(FlightPlan, DeviceEvent):
    """A flight was published."""


class FlightDeparted(Leg, DeviceEvent):
    """A flight left its origin."""

    delay_min: int


class FlightCancelled(Leg, DeviceEvent):
    """A flight was called off before it left."""


class FlightArrived(Leg, DeviceEvent):
    """A flight reached its destination."""

    delay_min: int
    air_time_min: int
    distance_mi: int


class FlightDiverted(Leg, DeviceEvent):
    """A flight left its origin and did not reach its destination as planned."""


class FlightStatus(StrEnum):
    """Where an open flight stands; a finished one is not kept."""

    SCHEDULED = "scheduled"
    DEPARTED = "departed"


# Looked up once: a StrEnum member costs 40 ns more as an attribute of its class.
SCHEDULED, DEPARTED = FlightStatus.SCHEDULED, FlightStatus.DEPARTED


@dataclass(slots=True)
class OpenFlight:
    """A flight that is not finished: its schedule as it was published, and its status."""

    plan: FlightScheduled
    status: FlightStatus = SCHEDULED


@dataclass(slots=True)
class AircraftState:
    """What is known of one aircraft; its size does not grow with its history."""

    open_flights: dict[str, OpenFlight] = field(default_factory=dict)
    last_airport: str | None = None  #: where it was last at a gate
    scheduled: int = 0
    departed: int = 0
    cancelled: int = 0
    arrived: int = 0
    diverted: int = 0
    arrival_delay_min: int = 0  #: sum over late arrivals; early ones take nothing off


class Aircraft(Actor[AircraftState]):
    """One aircraft, named by its tail number.

    Guaranteed: each flight takes one way through the lifecycle; any other step is
    Rejected. Not promised: that a finished flight is refused when it is scheduled again,
    because remembering it would make the state grow; command ids are what excludes that.
    """

    indexes = ("last_airport", "cancelled", "diverted", "arrival_delay_min")

    @handles
    def schedule(self, message: ScheduleFlight) -> Iterator[Payload]:
        """Open a flight. Rejected while a flight of that key is open."""
        known = self.state.open_flights.get(message.flight)
        if known is not None:
            raise Rejected(f"flight {message.flight} is {known.status} already")
        yield FlightScheduled(**message.__dict__)

    @handles
    def depart(self, message: DepartFlight) -> Iterator[Payload]:
        """Rejected unless the flight is scheduled."""
        plan = self._plan(message.flight, SCHEDULED, "depart")
        yield FlightDeparted(
            flight=plan.flight,
            carrier=plan.carrier,
            origin=plan.origin,
            destination=plan.destination,
            delay_min=message.delay_min,
        )

    @handles
    def cancel(self, message: CancelFlight) -> Iterator[Payload]:
        """Rejected unless the flight is scheduled."""
        plan = self._plan(message.flight, SCHEDULED, "be cancelled")
        yield FlightCancelled(
            flight=plan.flight,
            carrier=plan.carrier,
            origin=plan.origin,
            destination=plan.destination,
        )

    @handles
    def arrive(self, message: ArriveFlight) -> Iterator[Payload]:
        """Rejected unless the flight has departed."""
        plan = self._plan(message.flight, DEPARTED, "arrive")
        yield FlightArrived(
            flight=plan.flight,
            carrier=plan.carrier,
            origin=plan.origin,
            destination=plan.destination,
            delay_min=message.delay_min,
            air_time_min=message.air_time_min,
            distance_mi=plan.distance_mi,
        )

    @handles
    def divert(self, message: DivertFlight) -> Iterator[Payload]:
        """Rejected unless the flight has departed."""
        plan = self._plan(message.flight, DEPARTED, "be diverted")
        yield FlightDiverted(
            flight=plan.flight,
            carrier=plan.carrier,
            origin=plan.origin,
            destination=plan.destination,
        )

    @applies
    def scheduled(self, event: FlightScheduled) -> None:
        """The flight is open."""
        state = self.state
        state.open_flights[event.flight] = OpenFlight(event)
        state.scheduled += 1

    @applies
    def departed(self, event: FlightDeparted) -> None:
        """The flight is under way; the aircraft was at the origin."""
        state = self.state
        state.open_flights[event.flight].status = DEPARTED
        state.last_airport = event.origin
        state.departed += 1

    @applies
    def cancelled(self, event: FlightCancelled) -> None:
        """The flight is finished; the aircraft is where it was."""
        state = self.state
        del state.open_flights[event.flight]
        state.cancelled += 1

    @applies
    def arrived(self, event: FlightArrived) -> None:
        """The flight is finished; the aircraft is at the destination."""
        state = self.state
        del state.open_flights[event.flight]
        state.last_airport = event.destination
        state.arrived += 1
        if event.delay_min > 0:
            state.arrival_delay_min += event.delay_min

    @applies
    def diverted(self, event: FlightDiverted) -> None:
        """The flight is finished; nobody has said where the aircraft is."""
        state = self.state
        del state.open_flights[event.flight]
        state.last_airport = None
        state.diverted += 1

    def _plan(self, flight: str, needed: FlightStatus, step: str) -> FlightScheduled:
        known = self.state.open_flights.get(flight)
        if known is None:
            raise Rejected(
                f"flight {flight} cannot {step}: it is not open (never scheduled, or finished)"
            )
        if known.status is not needed:
            raise Rejected(f"flight {flight} cannot {step}: it is {known.status}, not {needed}")
        return known.plan
