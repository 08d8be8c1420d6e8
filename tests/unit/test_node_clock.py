"""The clock of a process: what it has observed is in every event that it makes from then on."""

import json

from runtime.clocks import NodeClock


def entries(clock: NodeClock) -> dict[str, int]:
    """Of the clock's column, as the next event has it."""
    found: dict[str, int] = json.loads(clock.prefix[5:] + b"0}")
    return found


def test_clocks_that_are_observed_together_come_to_what_they_come_to_one_by_one() -> None:
    seen = [{"a": 1, "b": 9}, {"a": 4, "stranger": 8}, {"own": 7}, {"b": 2}]
    together = NodeClock("own", 3, ("a", "b"))
    together.observe_all(seen)
    alone = NodeClock("own", 3, ("a", "b"))
    for each in seen:
        alone.observe(each)
    assert together.counts() == alone.counts() == {"a": 4, "b": 9, "own": 7}
    assert entries(together) == entries(alone) == {"a": 4, "b": 9, "own": 0}


def test_the_last_of_several_clocks_may_bring_nothing_new() -> None:
    clock = NodeClock("own", 0, ("a",))
    clock.observe_all([{"a": 5}, {"a": 1}])
    assert entries(clock) == {"a": 5, "own": 0}


def test_an_observation_that_was_interrupted_is_in_the_next_events_once_it_is_renewed() -> None:
    clock = NodeClock("own", 0, ("a",))
    clock._merged({"a": 5})  # an interruption may come behind this
    clock.observe({"a": 5})  # and the same brings nothing new
    clock.renew()
    assert entries(clock) == {"a": 5, "own": 0}
