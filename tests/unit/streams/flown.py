"""Events of New York's air traffic as actors put them out, made without actors."""

from collections.abc import Iterator
from random import Random
from typing import Any

from actors.devices import (
    ArriveFlight,
    DepartFlight,
    DivertFlight,
    FlightArrived,
    FlightDeparted,
    FlightDiverted,
    ObserveWeather,
    ScheduleFlight,
    WeatherObserved,
)
from actors.event import Event, Payload
from jobs.flights.air_traffic import AirTraffic
from streams.scenario import happened

DAY_US = 86_400_000_000


def flown(days: int) -> list[Event]:
    """Departures, arrivals, diversions and observations of the first days of 2013, in order."""
    return list(_events(days))


def out_of_order(events: list[Event], random: Random) -> list[Event]:
    """The same, of which a tenth comes up to two days late."""
    comes = []
    for event in events:
        late_us = random.randrange(2 * DAY_US) if random.random() < 0.1 else 0
        comes.append((event.timestamp_us + late_us, event))
    return [event for _, event in sorted(comes, key=lambda each: each[0])]


def _events(days: int) -> Iterator[Event]:
    plans: dict[str, dict[str, Any]] = {}
    for at_us, actor, name, command_id, command in AirTraffic(days).occurrences():
        if isinstance(command, ScheduleFlight):
            plans[name + command.flight] = command.model_dump()
            continue
        payload = _payload(command, plans, name)
        if payload is not None:
            source = f"{actor.actor_type}/{name}"
            yield happened(payload, source=source, at=at_us, id=command_id)


def _payload(command: Any, plans: dict[str, dict[str, Any]], name: str) -> Payload | None:
    if isinstance(command, ObserveWeather):
        return WeatherObserved(**command.model_dump())
    plan = plans[name + command.flight]
    for message, event in (
        (DepartFlight, FlightDeparted),
        (ArriveFlight, FlightArrived),
        (DivertFlight, FlightDiverted),
    ):
        if isinstance(command, message):
            return event(**{**plan, **command.model_dump()})
    return None
