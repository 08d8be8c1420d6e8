"""Pipelines and a projection over New York's air traffic, which `make run` replays."""

from streams.examples.air_traffic import (
    AIRCRAFT_DAYS,
    AIRPORT_DELAYS,
    CARRIER_DELAYS,
    DEPARTURES_IN_WEATHER,
    AircraftDay,
    AirportDelay,
    CarrierDelay,
    DepartureInWeather,
)
from streams.examples.routes import Route, Routes

__all__ = [
    "AIRCRAFT_DAYS",
    "AIRPORT_DELAYS",
    "CARRIER_DELAYS",
    "DEPARTURES_IN_WEATHER",
    "AircraftDay",
    "AirportDelay",
    "CarrierDelay",
    "DepartureInWeather",
    "Route",
    "Routes",
]
