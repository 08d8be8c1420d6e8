"""A projection over New York's air traffic: what became of the flights of each route."""

from dataclasses import dataclass

from actors.event import Event
from streams.projection import Projection


@dataclass(frozen=True)
class Route:
    """The flights from one airport to another that have ended."""

    arrived: int = 0
    cancelled: int = 0
    diverted: int = 0
    delay_min: int = 0  #: of all arrivals together; early ones take off
    worst_delay_min: int | None = None


class Routes(Projection[Route]):
    """A row a route, by its airports: `JFK-LAX`."""

    event_types = ("flight-arrived", "flight-cancelled", "flight-diverted")
    sources = ("aircraft/*",)

    def key(self, event: Event) -> str:
        """From where to where it was to go."""
        return f"{event.data['origin']}-{event.data['destination']}"

    def project(self, event: Event, row: Route | None) -> Route:
        """One flight more."""
        row = row or Route()
        delay_min, worst_min = row.delay_min, row.worst_delay_min
        if event.event_type == "flight-arrived":
            late_min = event.data["delay_min"]
            delay_min += late_min
            worst_min = late_min if worst_min is None else max(worst_min, late_min)
        return Route(
            arrived=row.arrived + (event.event_type == "flight-arrived"),
            cancelled=row.cancelled + (event.event_type == "flight-cancelled"),
            diverted=row.diverted + (event.event_type == "flight-diverted"),
            delay_min=delay_min,
            worst_delay_min=worst_min,
        )
