"""A Scenario takes what the runtime has stored of an actor as a host does."""

from typing import Any

import pytest

from actors.errors import InvalidActor
from store.scenario import Scenario
from tests.unit.test_erased_in_posts import Clock, Rang, Ring
from tests.unit.test_erasing_in_a_system import Dwelling, DwellingState, Move

TIMER: dict[str, Any] = {
    "key": "k",
    "timer": "0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a",
    "due_us": 5_000_000,
    "message": {},
}


def test_it_is_over_from_a_stored_erasure_on_and_begins_anew() -> None:
    erased = {"reason": "r", "events": 1}
    scenario = Scenario(Dwelling).given_stored("moved", {"to": "x"})
    scenario.given_stored("actor-erased", erased)
    assert scenario.state == DwellingState()
    with pytest.raises(AssertionError, match="is stopped"):
        scenario.when(Move(to="y"))
    scenario.given_stored("actor-started", {}).when(Move(to="y"))
    with pytest.raises(InvalidActor, match="cannot read"):
        scenario.given_stored("actor-stopped", {})


def test_a_stored_timer_fires() -> None:
    scenario = Scenario(Clock).given_stored(
        "timer-set", {**TIMER, "message_type": Ring.message_type}
    )
    assert list(scenario.timers) == ["k"]
    scenario.advance(10.0).then(Rang())
    with pytest.raises(InvalidActor, match="'tick', which it does not handle"):
        scenario.given_stored("timer-set", {**TIMER, "message_type": "tick"})
