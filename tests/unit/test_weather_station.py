"""Weather stations: every observation is kept as it came."""

from pydantic import TypeAdapter

from actors.devices import ObserveWeather, WeatherObserved, WeatherStation, WeatherStationState
from store.scenario import Scenario


def test_an_observation_is_stored_with_all_that_was_measured() -> None:
    measured = {
        "temperature_f": 39.02,
        "dew_point_f": 26.06,
        "humidity_percent": 59.37,
        "wind_direction_deg": 270,
        "wind_speed_mph": 10.357019999999999,
        "wind_gust_mph": 23.0,
        "precipitation_in": 0.0,
        "pressure_mbar": 1012.0,
        "visibility_mi": 10.0,
    }
    Scenario(WeatherStation, "EWR").when(ObserveWeather.model_validate(measured)).then(
        WeatherObserved.model_validate(measured)
    )
    assert set(measured) == set(WeatherObserved.model_fields)


def test_what_was_not_measured_is_none() -> None:
    Scenario(WeatherStation, "EWR").when(ObserveWeather(temperature_f=39.0)).then(
        WeatherObserved(temperature_f=39.0, wind_gust_mph=None, pressure_mbar=None)
    )


def test_an_implausible_value_is_kept_as_it_was_reported() -> None:
    storm = ObserveWeather(wind_speed_mph=1048.36058)
    Scenario(WeatherStation, "EWR").when(storm).then(WeatherObserved(wind_speed_mph=1048.36058))


def test_the_state_is_the_last_observation_the_counts_and_the_extremes() -> None:
    seen = [WeatherObserved(temperature_f=value) for value in (39.0, 10.9, None, 100.0, 55.0)]
    assert Scenario(WeatherStation, "EWR").given(*seen).state == WeatherStationState(
        last=WeatherObserved(temperature_f=55.0),
        observations=5,
        without_temperature=1,
        min_temperature_f=10.9,
        max_temperature_f=100.0,
    )


def test_a_temperature_of_zero_is_a_temperature() -> None:
    state = Scenario(WeatherStation, "EWR").given(WeatherObserved(temperature_f=0.0)).state
    assert (state.min_temperature_f, state.max_temperature_f) == (0.0, 0.0)


def test_the_state_comes_back_from_its_snapshot() -> None:
    adapter = TypeAdapter(WeatherStationState)
    state = Scenario(WeatherStation, "EWR").given(WeatherObserved(temperature_f=39.0)).state
    assert adapter.validate_json(adapter.dump_json(state)) == state
