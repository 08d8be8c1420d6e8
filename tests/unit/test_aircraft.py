"""Aircraft: a flight's one way through its lifecycle, and a state that stays small."""

import pytest
from pydantic import TypeAdapter

from actors.actor import Command
from actors.devices import (
    Aircraft,
    AircraftState,
    ArriveFlight,
    CancelFlight,
    DepartFlight,
    DivertFlight,
    FlightArrived,
    FlightCancelled,
    FlightDeparted,
    FlightDiverted,
    FlightScheduled,
    FlightStatus,
    ScheduleFlight,
)
from actors.event import Payload
from store.scenario import Scenario

FLIGHT = "UA1545/EWR/2013-01-01"

SCHEDULE = ScheduleFlight(
    flight=FLIGHT,
    carrier="UA",
    number=1545,
    origin="EWR",
    destination="IAH",
    departure_unix_s=1_357_035_300,
    distance_mi=1400,
)
DEPART = DepartFlight(flight=FLIGHT, delay_min=2)
CANCEL = CancelFlight(flight=FLIGHT)
ARRIVE = ArriveFlight(flight=FLIGHT, delay_min=11, air_time_min=227)
DIVERT = DivertFlight(flight=FLIGHT)

SCHEDULED = FlightScheduled(
    flight=FLIGHT,
    carrier="UA",
    number=1545,
    origin="EWR",
    destination="IAH",
    departure_unix_s=1_357_035_300,
    distance_mi=1400,
)
DEPARTED = FlightDeparted(flight=FLIGHT, carrier="UA", origin="EWR", destination="IAH", delay_min=2)
CANCELLED = FlightCancelled(flight=FLIGHT, carrier="UA", origin="EWR", destination="IAH")
ARRIVED = FlightArrived(
    flight=FLIGHT,
    carrier="UA",
    origin="EWR",
    destination="IAH",
    delay_min=11,
    air_time_min=227,
    distance_mi=1400,
)
DIVERTED = FlightDiverted(flight=FLIGHT, carrier="UA", origin="EWR", destination="IAH")


def scenario(*past: Payload) -> Scenario[AircraftState]:
    return Scenario(Aircraft, "N14228").given(*past)


@pytest.mark.parametrize(
    ("past", "command", "event"),
    [
        ([], SCHEDULE, SCHEDULED),
        ([SCHEDULED], DEPART, DEPARTED),
        ([SCHEDULED], CANCEL, CANCELLED),
        ([SCHEDULED, DEPARTED], ARRIVE, ARRIVED),
        ([SCHEDULED, DEPARTED], DIVERT, DIVERTED),
    ],
)
def test_a_flight_takes_each_step_of_its_lifecycle(
    past: list[Payload], command: Command, event: Payload
) -> None:
    scenario(*past).when(command).then(event)


@pytest.mark.parametrize(
    ("past", "command", "reason"),
    [
        ([], DEPART, "cannot depart: it is not open"),
        ([], CANCEL, "cannot be cancelled: it is not open"),
        ([], ARRIVE, "cannot arrive: it is not open"),
        ([], DIVERT, "cannot be diverted: it is not open"),
        ([SCHEDULED], SCHEDULE, "is scheduled already"),
        ([SCHEDULED], ARRIVE, "cannot arrive: it is scheduled, not departed"),
        ([SCHEDULED], DIVERT, "cannot be diverted: it is scheduled, not departed"),
        ([SCHEDULED, DEPARTED], SCHEDULE, "is departed already"),
        ([SCHEDULED, DEPARTED], DEPART, "cannot depart: it is departed, not scheduled"),
        ([SCHEDULED, DEPARTED], CANCEL, "cannot be cancelled: it is departed, not scheduled"),
        ([SCHEDULED, CANCELLED], DEPART, "cannot depart: it is not open"),
        ([SCHEDULED, DEPARTED, ARRIVED], ARRIVE, "cannot arrive: it is not open"),
        ([SCHEDULED, DEPARTED, DIVERTED], ARRIVE, "cannot arrive: it is not open"),
    ],
)
def test_any_other_step_is_refused_with_the_flight_and_the_reason(
    past: list[Payload], command: Command, reason: str
) -> None:
    scenario(*past).when(command).then_rejected(f"flight {FLIGHT} {reason}")


def test_a_refused_step_leaves_the_state_as_it_was() -> None:
    aircraft = scenario(SCHEDULED)
    aircraft.when(ARRIVE).then_rejected()
    assert aircraft.state == scenario(SCHEDULED).state


def test_an_aircraft_has_as_many_open_flights_as_its_day_has() -> None:
    later = SCHEDULE.model_copy(update={"flight": "UA711/IAH/2013-01-01"})
    aircraft = scenario().when(SCHEDULE).when(later).when(DEPART)
    status = {flight: open.status for flight, open in aircraft.state.open_flights.items()}
    assert status == {
        FLIGHT: FlightStatus.DEPARTED,
        "UA711/IAH/2013-01-01": FlightStatus.SCHEDULED,
    }


@pytest.mark.parametrize(
    "past",
    [[SCHEDULED, CANCELLED], [SCHEDULED, DEPARTED, ARRIVED], [SCHEDULED, DEPARTED, DIVERTED]],
)
def test_a_finished_flight_leaves_the_state(past: list[Payload]) -> None:
    assert scenario(*past).state.open_flights == {}


def test_the_snapshot_of_a_year_of_flights_is_as_small_as_that_of_none() -> None:
    adapter = TypeAdapter(AircraftState)
    year = scenario(*[SCHEDULED, DEPARTED, ARRIVED] * 365)
    assert year.state.arrived == 365
    assert len(adapter.dump_json(year.state)) < len(adapter.dump_json(AircraftState())) + 20


def test_every_step_is_counted() -> None:
    state = scenario(
        *[SCHEDULED, DEPARTED, ARRIVED] * 3, SCHEDULED, CANCELLED, SCHEDULED, DEPARTED, DIVERTED
    ).state
    counts = (state.scheduled, state.departed, state.arrived, state.cancelled, state.diverted)
    assert counts == (5, 4, 3, 1, 1)


def test_late_arrivals_add_up_and_early_ones_take_nothing_off() -> None:
    early = ARRIVED.model_copy(update={"delay_min": -18})
    state = scenario(SCHEDULED, DEPARTED, ARRIVED, SCHEDULED, DEPARTED, early).state
    assert state.arrival_delay_min == 11


@pytest.mark.parametrize(
    ("past", "airport"),
    [
        ([SCHEDULED], None),
        ([SCHEDULED, DEPARTED], "EWR"),
        ([SCHEDULED, DEPARTED, ARRIVED], "IAH"),
        ([SCHEDULED, DEPARTED, ARRIVED, SCHEDULED, CANCELLED], "IAH"),
        ([SCHEDULED, DEPARTED, DIVERTED], None),
    ],
)
def test_the_last_airport_is_where_it_was_last_at_a_gate(
    past: list[Payload], airport: str | None
) -> None:
    assert scenario(*past).state.last_airport == airport


def test_the_state_comes_back_from_its_snapshot_and_goes_on() -> None:
    adapter = TypeAdapter(AircraftState)
    state = scenario(SCHEDULED, DEPARTED).state
    aircraft = Aircraft("N14228")
    aircraft.state = adapter.validate_json(adapter.dump_json(state))
    assert aircraft.state == state
    assert list(aircraft.arrive(ARRIVE)) == [ARRIVED]


def test_event_types_are_the_names_in_the_log() -> None:
    assert set(Aircraft.described().appliers) == {
        "flight-scheduled",
        "flight-departed",
        "flight-cancelled",
        "flight-arrived",
        "flight-diverted",
    }
